//! UW IMAP, which inetd starts and which writes the address alone.

use super::{FixError, Instance, LookError, Server, WATCH, Wish, facts, guide};
use crate::{
    Change, Facts, Machine, Records,
    lines::{Continues, Lines},
    machine::debian_version,
    syslog::Syslog,
};

/// UW IMAP.
#[derive(Debug)]
pub(super) struct UwImap;

impl Server for UwImap {
    fn facts(&self) -> &'static Facts {
        facts!("uw-imap.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("uw-imap.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/c-client.cf",
            "/etc/xinetd.d/imap",
            "/etc/xinetd.d/imaps",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("/c-client.cf")
            || ["/imapd", "/ipop3d"].iter().any(|program| {
                let mut lines = text.lines().map(str::trim);
                lines.any(|line| line.contains(program) && !line.starts_with('#'))
                    && (path.contains("inetd") || text.contains("socket_type"))
            })
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let lines = Lines::read(machine, path, Continues::Never, &|_| Vec::new())?;
        let mut findings = Vec::new();
        let route = Syslog::read(machine).route("mail", "info");
        let log = route.log(Records::of_client(false), Some("uw-imap"), &mut findings);
        Ok(Instance {
            version: debian_version(machine, &["uw-imapd"]),
            config: lines.files,
            logs: vec![log],
            findings,
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        self.look(machine, path)?;
        Err(FixError::Impossible {
            server: "UW IMAP",
            instead: WATCH,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, never_panics};

    const PATH: &str = "/etc/xinetd.d/imap";

    #[test]
    fn it_cannot_and_says_what_to_do() {
        let conf = "service imap\n{\n socket_type = stream\n server = /usr/sbin/imapd\n}\n";
        assert!(UwImap.claims(PATH, conf));
        assert!(!UwImap.claims("/etc/imapd.conf", "configdirectory: /var/imapd\n"));
        let image = Image::default().with(PATH, conf);
        let log = &UwImap.look(&image, PATH).unwrap().logs[0];
        assert!(log.records.source_address && !log.records.source_port);
        let error = crate::fix(&UwImap, &image, PATH, Wish::InPlace).unwrap_err();
        assert!(error.to_string().contains("portledger watch"));
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(&UwImap, &[PATH], &["/imapd", "socket_type"]);
    }
}
