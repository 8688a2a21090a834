//! Pure-FTPd, which has no setting that writes the port.

use super::{FixError, Instance, LookError, Server, WATCH, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Machine, Records, Rule,
    lines::{Continues, Lines, is_yes},
    machine::{debian_version, folder},
    syslog::Syslog,
};

/// Pure-FTPd.
#[derive(Debug)]
pub(super) struct PureFtpd;

impl Server for PureFtpd {
    fn facts(&self) -> &'static Facts {
        facts!("pure-ftpd.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("pure-ftpd.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            // Debian keeps an option a file beside this one.
            "/etc/pure-ftpd/conf/PureDB",
            "/etc/pure-ftpd/pure-ftpd.conf",
            "/etc/pure-ftpd.conf",
            "/usr/local/etc/pure-ftpd.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.contains("pure-ftpd") || text.contains("ChrootEveryone")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let lines = Lines::read(machine, path, Continues::Never, &|_| Vec::new())?;
        let option = |name: &str| {
            lines.value(name, ' ').or_else(|| {
                let file = format!("{}/{name}", folder(path));
                let text = crate::machine::text(machine, &file).ok()?;
                Some(text.trim().to_owned())
            })
        };
        let mut findings = Vec::new();
        if !option("DontResolve").is_some_and(|value| is_yes(&value)) {
            findings.push(Finding::new(
                Rule::NoSourceAddress,
                "names stand in the place of addresses: DontResolve yes keeps the address",
            ));
        }
        let facility = option("SyslogFacility").unwrap_or_else(|| "ftp".to_owned());
        let route = Syslog::read(machine).route(&facility, "info");
        let mut log = route.log(Records::of_client(false), Some("pure-ftpd"), &mut findings);
        log.records.source_address = findings.iter().all(|it| it.rule != Rule::NoSourceAddress);
        Ok(Instance {
            version: debian_version(machine, &["pure-ftpd", "pure-ftpd-common"]),
            config: lines.files,
            logs: vec![log],
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        self.look(machine, path)?;
        Err(FixError::Impossible {
            server: "Pure-FTPd",
            instead: WATCH,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, never_panics};

    const PATH: &str = "/etc/pure-ftpd/conf/PureDB";

    #[test]
    fn it_cannot_and_names_hide_addresses() {
        let image = Image::default()
            .with(PATH, "/etc/pure-ftpd/pureftpd.pdb\n")
            .with("/etc/rsyslog.conf", "*.* /var/log/syslog\n");
        let log = &PureFtpd.look(&image, PATH).unwrap().logs[0];
        assert_eq!(
            (log.path.as_str(), log.records.source_address),
            ("/var/log/syslog", false)
        );
        let image = image.with("/etc/pure-ftpd/conf/DontResolve", "yes\n");
        assert!(
            PureFtpd.look(&image, PATH).unwrap().logs[0]
                .records
                .source_address
        );
        let error = crate::fix(&PureFtpd, &image, PATH, Wish::InPlace).unwrap_err();
        assert!(error.to_string().contains("portledger watch"));
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &PureFtpd,
            &[PATH, "/etc/pure-ftpd/conf/DontResolve"],
            &["DontResolve", "SyslogFacility"],
        );
    }
}
