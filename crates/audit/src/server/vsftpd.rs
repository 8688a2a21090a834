//! vsftpd, which has no setting that writes the port.

use super::{FixError, Instance, Log, LookError, Server, WATCH, Wish, facts, guide};
use crate::{
    Change, Facts, Machine, Records, WrittenZone,
    lines::{Continues, Lines, is_yes},
    machine::debian_version,
    syslog::{Syslog, known},
};

/// vsftpd.
#[derive(Debug)]
pub(super) struct Vsftpd;

impl Server for Vsftpd {
    fn facts(&self) -> &'static Facts {
        facts!("vsftpd.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("vsftpd.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/vsftpd.conf",
            "/etc/vsftpd/vsftpd.conf",
            "/usr/local/etc/vsftpd.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("vsftpd.conf") || text.contains("anonymous_enable=")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let lines = Lines::read(machine, path, Continues::Never, &|_| Vec::new())?;
        let mut findings = Vec::new();
        let is_on = |name: &str| lines.value(name, '=').is_some_and(|value| is_yes(&value));
        let records = Records::of_client(false);
        let mut logs = Vec::new();
        // vsftpd.conf(5): all logs hang on xferlog_enable; the standard form is wu-ftpd's.
        let is_standard = is_on("xferlog_std_format");
        if is_on("xferlog_enable") && (!is_standard || is_on("dual_log_enable")) {
            if is_on("syslog_enable") {
                let route = Syslog::read(machine).route("ftp", "info");
                logs.push(route.log(records, Some("vsftpd"), &mut findings));
            } else {
                let path = lines.value("vsftpd_log_file", '=');
                logs.push(Log {
                    path: path.unwrap_or_else(|| "/var/log/vsftpd.log".to_owned()),
                    is_file: true,
                    // ctime, local or GMT by use_localtime, and nothing in the line says which.
                    records: records
                        .timed(WrittenZone::Local, Some(std::time::Duration::from_secs(1))),
                    is_covered: false,
                    format: known("vsftpd"),
                });
            }
        }
        if is_on("xferlog_enable") && is_standard {
            let path = lines.value("xferlog_file", '=');
            logs.push(Log {
                path: path.unwrap_or_else(|| "/var/log/xferlog".to_owned()),
                is_file: true,
                records: records.timed(WrittenZone::Local, Some(std::time::Duration::from_secs(1))),
                is_covered: false,
                format: None,
            });
        }
        Ok(Instance {
            version: debian_version(machine, &["vsftpd"]),
            config: lines.files,
            logs,
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        self.look(machine, path)?;
        Err(FixError::Impossible {
            server: "vsftpd",
            instead: WATCH,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, never_panics};

    const PATH: &str = "/etc/vsftpd.conf";

    #[test]
    fn it_cannot_and_says_what_to_do() {
        let image = Image::default().with(
            PATH,
            "xferlog_enable=YES\nxferlog_std_format=YES\ndual_log_enable=YES\n",
        );
        let logs = Vsftpd.look(&image, PATH).unwrap().logs;
        let paths: Vec<&str> = logs.iter().map(|log| log.path.as_str()).collect();
        assert_eq!(paths, ["/var/log/vsftpd.log", "/var/log/xferlog"]);
        assert!(
            logs.iter()
                .all(|log| log.records.source_address && !log.records.source_port)
        );
        let error = crate::fix(&Vsftpd, &image, PATH, Wish::InPlace).unwrap_err();
        assert!(error.to_string().contains("portledger watch"));
        let off = Image::default().with(PATH, "listen=YES\n");
        assert!(Vsftpd.look(&off, PATH).unwrap().logs.is_empty());
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Vsftpd,
            &[PATH],
            &["xferlog_enable=", "syslog_enable=", "vsftpd_log_file="],
        );
    }
}
