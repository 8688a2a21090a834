//! Postfix: `smtpd_client_port_logging`, which a service of master.cf may undo.

use super::{FixError, Instance, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Machine, Records, Rule,
    edits::Edits,
    lines::{Continues, Line, Lines, is_yes},
    machine::{debian_version, folder},
    syslog::{Route, Syslog},
};

/// Postfix.
#[derive(Debug)]
pub(super) struct Postfix;

const SETTING: &str = "smtpd_client_port_logging";

impl Server for Postfix {
    fn facts(&self) -> &'static Facts {
        facts!("postfix.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("postfix.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/postfix/main.cf",
            // Further instances, by postmulti(1).
            "/etc/postfix-*/main.cf",
            "/usr/local/etc/postfix/main.cf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("/main.cf") || text.contains("smtpd_") && text.contains("mydestination")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let configuration = Configuration::read(machine, path)?;
        let mut findings = Vec::new();
        let is_on = configuration.is_on();
        if is_on {
            for service in &configuration.services {
                if let Some(option) = service.undoing() {
                    let message = format!("{} does not log the port: {option}", service.name);
                    findings.push(Finding::at(
                        Rule::NoSourcePort,
                        &service.line.place,
                        message,
                    ));
                }
            }
        }
        let is_everywhere = is_on
            && configuration
                .services
                .iter()
                .all(|service| service.undoing().is_none());
        let is_served_told = configuration.is_served_told();
        if !is_served_told {
            findings.push(Finding::new(
                Rule::NoDestinationPort,
                "several ports are served under one name: give each service of master.cf its own with -o syslog_name=",
            ));
        }
        let records = Records::of_client(is_everywhere).serving(is_served_told);
        let log = configuration
            .route(machine)
            .log(records, Some("postfix"), &mut findings);
        Ok(Instance {
            version: configuration
                .value("mail_version")
                .or_else(|| debian_version(machine, &["postfix"])),
            config: configuration.files(),
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
    let configuration = Configuration::read(machine, path)?;
    let mut edits = Edits::default();
    match configuration.main.last(SETTING, '=') {
        Some((_, setting)) if is_yes(&setting.value) => {}
        Some((line, setting)) => {
            edits.replace_in(&configuration.main, line, setting.range, "yes");
        }
        None => edits.append(&configuration.main, path, &format!("{SETTING} = yes")),
    }
    for service in &configuration.services {
        for place in service.undone() {
            edits.replace_in(&configuration.master, &service.line, place, "yes");
        }
    }
    let route = configuration.route(machine);
    Syslog::read(machine).correct(&route, &mut edits);
    let mut remarks = Vec::from_iter(route.remark());
    if configuration
        .value("maillog_file")
        .is_some_and(|file| !file.is_empty())
    {
        remarks.push("postlogd writes maillog_file's times without year and offset and has no setting for it: with an empty maillog_file the lines go through syslog, which can".to_owned());
    }
    let directory = folder(path);
    Ok(Change {
        edits: edits.finish()?,
        check: Some(CommandLine::new("postfix", &["-c", directory, "check"])),
        reload: format!("postfix -c {directory} reload"),
        remarks,
    })
}

struct Configuration {
    main: Lines,
    master: Lines,
    /// What `postconf -n` says, where it can be asked.
    dump: Vec<(String, String)>,
    services: Vec<Service>,
}

/// A line of master.cf that takes mail from clients.
struct Service {
    name: String,
    line: Line,
    is_network: bool,
    /// `-o name=value`, by name, value and the value's place in the file.
    options: Vec<(String, String, std::ops::Range<usize>)>,
}

impl Configuration {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let main = Lines::read(machine, path, Continues::Indented, &|_| Vec::new())?;
        let directory = folder(path);
        let master = format!("{directory}/master.cf");
        let master = Lines::read(machine, &master, Continues::Indented, &|_| Vec::new());
        let master = master.unwrap_or_default();
        let dump = machine.run("postconf", &["-c", directory, "-n"]);
        let dump = dump.filter(|output| output.succeeded);
        let dump = dump.map_or(Vec::new(), |output| {
            let pairs = output
                .stdout
                .lines()
                .filter_map(|line| line.split_once('='));
            pairs
                .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
                .collect()
        });
        let services = master.all.iter().filter_map(Service::of).collect();
        Ok(Self {
            main,
            master,
            dump,
            services,
        })
    }

    fn value(&self, name: &str) -> Option<String> {
        let dumped = self.dump.iter().find(|(known, _)| known == name);
        dumped
            .map(|(_, value)| value.clone())
            .or_else(|| self.main.value(name, '='))
    }

    fn is_on(&self) -> bool {
        self.value(SETTING).is_some_and(|value| is_yes(&value))
    }

    fn route(&self, machine: &dyn Machine) -> Route {
        match self.value("maillog_file").filter(|file| !file.is_empty()) {
            Some(file) if file.starts_with("/dev/") => Route::journal(),
            Some(file) => Route::traditional(&file),
            None => {
                let facility = self.value("syslog_facility");
                let facility = facility.unwrap_or_else(|| "mail".to_owned());
                Syslog::read(machine).route(&facility, "info")
            }
        }
    }

    /// Whether lines say which of the served ports was meant, by the service's name.
    fn is_served_told(&self) -> bool {
        let network = self.services.iter().filter(|service| service.is_network);
        let mut names: Vec<&str> = network
            .map(|service| service.option("syslog_name").unwrap_or("postfix"))
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        names.len() == all
    }

    fn files(&self) -> Vec<String> {
        [self.main.files.clone(), self.master.files.clone()].concat()
    }
}

impl Service {
    /// `submission inet n - y - - smtpd` and what follows.
    fn of(line: &Line) -> Option<Self> {
        let words: Vec<&str> = line.text.split_whitespace().collect();
        let [name, kind, _, _, _, _, _, command, ..] = words.as_slice() else {
            return None;
        };
        matches!(*command, "smtpd" | "postscreen").then(|| Self {
            name: format!("{name}/{kind}"),
            is_network: *kind == "inet",
            options: options(line),
            line: line.clone(),
        })
    }

    fn option(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter().rev();
        options.find_map(|(known, value, _)| (known == name).then_some(value.as_str()))
    }

    /// The option that keeps the port out of this service's lines.
    fn undoing(&self) -> Option<String> {
        let value = self.option(SETTING)?;
        (!is_yes(value)).then(|| format!("-o {SETTING}={value}"))
    }

    fn undone(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let options = self.options.iter();
        options
            .filter(|(name, value, _)| name == SETTING && !is_yes(value))
            .map(|(.., place)| place.clone())
    }
}

/// `-o name=value`, or since Postfix 3.0 `-o { name = value }`.
fn options(line: &Line) -> Vec<(String, String, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    // Comments may stand between the lines; blank, they keep every place where it is.
    let raw: String = line
        .raw
        .split_inclusive('\n')
        .map(|piece| match piece.trim_start().starts_with('#') {
            true => format!("{:1$}\n", "", piece.len() - 1),
            false => piece.to_owned(),
        })
        .collect();
    while let Some(next) = raw.get(at..).and_then(|rest| rest.find("-o")) {
        let begin = at + next;
        at = begin + 2;
        let is_word = raw
            .get(..begin)
            .is_some_and(|before| before.ends_with(char::is_whitespace));
        let rest = raw.get(at..).unwrap_or_default();
        if !is_word || !rest.starts_with([' ', '\t', '\n', '\r', '{']) {
            continue;
        }
        let trimmed = rest.trim_start();
        let (body, end) = match trimmed.strip_prefix('{') {
            Some(inside) => (inside, inside.find('}').unwrap_or(inside.len())),
            None => (
                trimmed,
                trimmed.find(char::is_whitespace).unwrap_or(trimmed.len()),
            ),
        };
        let words = body.get(..end).unwrap_or_default();
        if let Some((name, value)) = words.split_once('=') {
            let offset = raw.len() - body.len() + name.len() + 1;
            let offset = offset + value.len() - value.trim_start().len();
            let value = value.trim();
            let start = line.range.start + offset;
            found.push((
                name.trim().to_owned(),
                value.to_owned(),
                start..start + value.len(),
            ));
        }
        at = raw.len() - body.len() + end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const MAIN: &str = "/etc/postfix/main.cf";
    const MASTER: &str = "/etc/postfix/master.cf";

    const DEBIAN: &str = "# TLS\nsmtpd_banner = $myhostname ESMTP\nsmtpd_relay_restrictions = permit_mynetworks\n\tpermit_sasl_authenticated # defer\n  defer_unauth_destination";

    fn image(main: &str, master: &str) -> Image {
        Image::default()
            .with(MAIN, main)
            .with(MASTER, master)
            .with("/etc/rsyslog.conf", "mail.* -/var/log/mail.log\n")
    }

    #[test]
    fn the_port_is_asked_for_in_main_cf() {
        let image = image(DEBIAN, "smtp inet n - y - - smtpd\n");
        let log = &Postfix.look(&image, MAIN).unwrap().logs[0];
        assert!(log.records.source_address && !log.records.source_port);
        assert!(log.records.destination_port);
        insta::assert_snapshot!(law_of_fixes(&Postfix, &image, MAIN, true));
    }

    #[test]
    fn a_service_does_not_undo_it() {
        let master = "smtp      inet  n       -       y       -       1       postscreen\nsmtpd     pass  -       -       y       -       -       smtpd\nsubmission inet n       -       y       -       -       smtpd\n  -o syslog_name=postfix/submission\n# -o smtpd_client_port_logging=no\n  -o smtpd_client_port_logging=no -o { smtpd_client_port_logging = off }\n";
        let image = image("smtpd_client_port_logging=yes\n", master);
        let instance = Postfix.look(&image, MAIN).unwrap();
        assert!(!instance.logs[0].records.source_port);
        assert_eq!(instance.findings[0].place.as_ref().unwrap().line, 3);
        insta::assert_snapshot!(law_of_fixes(&Postfix, &image, MAIN, true));
    }

    #[test]
    fn a_file_of_its_own_has_times_without_a_year() {
        let image = image(
            "maillog_file = /var/log/maillog\nsmtpd_client_port_logging = no\nsmtpd_client_port_logging = no\n",
            "",
        );
        let instance = Postfix.look(&image, MAIN).unwrap();
        assert_eq!(instance.logs[0].path, "/var/log/maillog");
        assert_eq!(instance.findings[0].rule, Rule::NoYear);
        insta::assert_snapshot!(law_of_fixes(&Postfix, &image, MAIN, false));
    }

    #[test]
    fn what_postconf_says_counts() {
        let image = image("", "smtp inet n - y - - smtpd\n25 inet n - y - - smtpd\n").printing(
            "postconf -c /etc/postfix -n",
            "smtpd_client_port_logging = yes\nsyslog_facility = local2\n",
            "",
        );
        let instance = Postfix.look(&image, MAIN).unwrap();
        assert!(instance.logs[0].records.source_port);
        assert_eq!(instance.logs[0].path, "journal");
        assert!(!instance.logs[0].records.destination_port);
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Postfix,
            &[MAIN, MASTER],
            &[
                "smtpd_client_port_logging",
                "smtp inet n - y - - smtpd",
                " -o ",
                "-o{",
                "maillog_file",
            ],
        );
    }
}
