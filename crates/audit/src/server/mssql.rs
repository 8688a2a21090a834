//! Microsoft SQL Server, whose error log has addresses alone; a logon trigger can note the port.

use std::time::Duration;

use super::{FixError, Instance, Log, LookError, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Machine, Records, Rule, WrittenZone,
    lines::{Continues, Lines},
    machine::debian_version,
    syslog::known,
};

/// Microsoft SQL Server.
#[derive(Debug)]
pub(super) struct Mssql;

impl Server for Mssql {
    fn facts(&self) -> &'static Facts {
        facts!("mssql.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("mssql.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        // On Windows the settings are in the registry.
        &["/var/opt/mssql/mssql.conf"]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("mssql.conf") || text.contains("accepteula")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let lines = Lines::read(machine, path, Continues::Never, &|_| Vec::new())?;
        let file = lines.value("errorlogfile", '=');
        let file = file.unwrap_or_else(|| "/var/opt/mssql/log/errorlog".to_owned());
        let log = Log {
            path: file,
            is_file: true,
            records: Records::of_client(false)
                .serving(true)
                .timed(WrittenZone::Local, Some(Duration::from_millis(10))),
            is_covered: false,
            format: known("mssql-errorlog"),
        };
        let findings = vec![Finding::new(
            Rule::Incomplete,
            "the error log has failed logins unless the server's properties ask for all; whether a logon trigger notes ports, only the server knows: SELECT name FROM sys.server_triggers",
        )];
        Ok(Instance {
            version: debian_version(machine, &["mssql-server"]),
            config: lines.files,
            logs: vec![log],
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        self.look(machine, path)?;
        Err(FixError::ByHand {
            why: "no setting of SQL Server writes the source port: the guide's logon trigger notes sys.dm_exec_connections.client_tcp_port for each login, or run `portledger watch` beside the server".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, never_panics};

    #[test]
    fn a_trigger_is_a_person_s_to_make() {
        let path = "/var/opt/mssql/mssql.conf";
        let image = Image::default().with(path, "[filelocation]\nerrorlogfile = /log/errorlog\n");
        let log = &Mssql.look(&image, path).unwrap().logs[0];
        assert_eq!(
            (log.path.as_str(), log.records.source_port),
            ("/log/errorlog", false)
        );
        let error = crate::fix(&Mssql, &image, path, Wish::InPlace).unwrap_err();
        assert!(error.to_string().contains("client_tcp_port"));
        never_panics(&Mssql, &[path], &["errorlogfile"]);
    }
}
