//! OpenLDAP's slapd: the log level `stats`, in slapd.conf or in cn=config.

use super::{FixError, Instance, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Machine, Records, Rule,
    edits::Edits,
    lines::{Continues, Line, Lines, Setting},
    machine::{debian_version, folder},
    syslog::Syslog,
};

/// slapd.
#[derive(Debug)]
pub(super) struct Openldap;

impl Server for Openldap {
    fn facts(&self) -> &'static Facts {
        facts!("openldap.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("openldap.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/ldap/slapd.d/cn=config.ldif",
            "/etc/ldap/slapd.conf",
            "/etc/openldap/slapd.d/cn=config.ldif",
            "/etc/openldap/slapd.conf",
            "/usr/local/etc/openldap/slapd.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("slapd.conf") || text.contains("objectClass: olcGlobal")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let levels = Levels::read(machine, path)?;
        let mut findings = levels.lines.findings.clone();
        let has_port = levels.has_stats();
        let records = Records {
            source_address: has_port,
            // `ACCEPT from IP=ADDRESS:PORT (IP=0.0.0.0:389)`
            ..Records::of_client(has_port).serving(true)
        };
        if levels
            .lines
            .all
            .iter()
            .any(|line| line.text.to_ascii_lowercase().starts_with("olclogfile"))
        {
            findings.push(Finding::new(
                Rule::Remark,
                "olcLogFile writes the same lines into a file of its own, which is not looked into",
            ));
        }
        let route = Syslog::read(machine).route("local4", "debug");
        let log = route.log(records, Some("slapd"), &mut findings);
        Ok(Instance {
            version: debian_version(machine, &["slapd"]),
            config: levels.lines.files,
            logs: vec![log],
            findings,
        })
    }

    fn promise(&self) -> Promise {
        Promise::Port
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        planned(machine, path)
    }
}

/// The change, before it is held against what comes of it.
fn planned(machine: &dyn Machine, path: &str) -> Result<Change, FixError> {
    let levels = Levels::read(machine, path)?;
    let syslog = Syslog::read(machine);
    let route = syslog.route("local4", "debug");
    let mut edits = Edits::default();
    if !levels.has_stats() {
        if levels.is_database {
            return Err(FixError::ByHand {
                why: format!(
                    "{path} is slapd's own database and has a checksum: change it through slapd, ldapmodify -Y EXTERNAL -H ldapi:/// with the lines 'dn: cn=config', 'changetype: modify', 'replace: olcLogLevel', 'olcLogLevel: stats'"
                ),
            });
        }
        match levels.every().last() {
            None => edits.append(&levels.lines, path, "loglevel stats"),
            Some((line, setting)) if is_nothing(&setting.value) => {
                edits.replace_in(&levels.lines, line, setting.range, "stats");
            }
            Some((line, setting)) => {
                let end = setting.range.end;
                edits.replace_in(&levels.lines, line, end..end, " stats");
            }
        }
    }
    syslog.correct(&route, &mut edits);
    Ok(Change {
        edits: edits.finish()?,
        check: Some(CommandLine::new("slaptest", &["-u", "-f", path])),
        reload: "systemctl restart slapd".to_owned(),
        remarks: route.remark().into_iter().collect(),
    })
}

struct Levels {
    lines: Lines,
    /// cn=config, which slapd keeps itself.
    is_database: bool,
}

impl Levels {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let include = |line: &Line| {
            line.is("include", ' ')
                .map(|it| it.value)
                .into_iter()
                .collect()
        };
        let is_database = path.ends_with(".ldif");
        let mut lines = match Lines::read(machine, path, Continues::Indented, &include) {
            Ok(lines) => lines,
            // Only slapd may read its database; its own dump may be had.
            Err(error) if is_database => {
                let dump = machine.run("slapcat", &["-n0", "-F", folder(path)]);
                let dump = dump.filter(|output| output.succeeded).ok_or(error)?;
                let mut lines = Lines::dumped(path, &dump.stdout, Continues::Indented);
                lines.files.push(path.to_owned());
                lines
            }
            Err(error) => return Err(error),
        };
        // Schemas are no part of this.
        lines
            .findings
            .retain(|finding| !finding.message.contains("/schema/"));
        Ok(Self { lines, is_database })
    }

    fn every(&self) -> impl Iterator<Item = (&Line, Setting)> {
        let (name, separator) = match self.is_database {
            true => ("olcloglevel", ':'),
            false => ("loglevel", ' '),
        };
        self.lines.all.iter().filter_map(move |line| {
            let setting = line.setting(separator)?;
            setting
                .name
                .eq_ignore_ascii_case(name)
                .then_some((line, setting))
        })
    }

    /// Levels of several lines add up.
    fn has_stats(&self) -> bool {
        self.every()
            .any(|(_, setting)| setting.value.split_whitespace().any(is_stats))
    }
}

/// slapd.conf(5): names, or numbers whose bits add up; 256 is the one.
fn is_stats(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let number = match lower.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => lower.parse::<i64>().ok(),
    };
    match number {
        Some(bits) => bits & 256 != 0,
        None => lower == "stats" || lower == "any",
    }
}

fn is_nothing(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "none" | "0" | "32768" | "0x8000"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const CONF: &str = "/etc/ldap/slapd.conf";
    const LDIF: &str = "/etc/ldap/slapd.d/cn=config.ldif";

    fn image(path: &str, text: &str) -> Image {
        Image::default().with(path, text).with(
            "/etc/rsyslog.conf",
            "*.*;auth,authpriv.none -/var/log/syslog\n",
        )
    }

    #[test]
    fn the_file_gets_the_level() {
        let none = image(
            CONF,
            "pidfile /run/slapd.pid\nloglevel none\ndatabase mdb\n",
        );
        assert!(
            !Openldap.look(&none, CONF).unwrap().logs[0]
                .records
                .source_port
        );
        insta::assert_snapshot!(law_of_fixes(&Openldap, &none, CONF, true));
        insta::assert_snapshot!(law_of_fixes(
            &Openldap,
            &image(CONF, "loglevel 64 acl\n"),
            CONF,
            true
        ));
        assert_eq!(
            law_of_fixes(&Openldap, &image(CONF, "loglevel 0x100\n"), CONF, true),
            ""
        );
    }

    #[test]
    fn the_database_is_changed_through_slapd() {
        let debian = image(
            LDIF,
            "# AUTO-GENERATED FILE - DO NOT EDIT!!\ndn: cn=config\nobjectClass: olcGlobal\nolcLogLevel: none\n",
        );
        assert!(matches!(
            crate::fix(&Openldap, &debian, LDIF, Wish::InPlace),
            Err(FixError::ByHand { .. })
        ));
        let done = image(
            LDIF,
            "dn: cn=config\nobjectClass: olcGlobal\nolcLogLevel: stats\n",
        );
        assert_eq!(law_of_fixes(&Openldap, &done, LDIF, true), "");
        let dumped = Image::default().printing(
            "slapcat -n0 -F /etc/ldap/slapd.d",
            "dn: cn=config\nolcLogLevel: 256\n",
            "",
        );
        assert!(
            Openldap.look(&dumped, LDIF).unwrap().logs[0]
                .records
                .source_port
        );
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Openldap,
            &[CONF],
            &[
                "loglevel",
                "stats",
                "0x",
                "-1",
                "none",
                "include /etc/ldap/slapd.conf",
            ],
        );
        never_panics(
            &Openldap,
            &[LDIF],
            &["olcLogLevel:", "stats", "none", "olcLogFile: x"],
        );
    }
}
