//! Cyrus IMAP: event notifications of logins, whose JSON has the client's port. imapd hands them to
//! notifyd, which logs them: a service that `cyrus.conf`, beside `imapd.conf`, has or has not.

use super::{FixError, Instance, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Machine, Records, Rule, WrittenZone,
    edits::Edits,
    lines::{Continues, Line, Lines, Setting},
    machine::{debian_version, folder, under},
    syslog::Syslog,
};

/// Cyrus IMAP.
#[derive(Debug)]
pub(super) struct Cyrus;

const NOTIFIER: &str = "event_notifier";
const GROUPS: &str = "event_groups";
const PARAMETERS: &str = "event_extra_params";

/// imapd.conf(5)'s defaults.
const DEFAULT_GROUPS: &str = "message mailbox";
const DEFAULT_PARAMETERS: &str = "timestamp";

/// What an event has to say. Each name is checked by master, which does not start with a wrong one.
const WANTED: [&str; 4] = ["clientAddress", "service", "timestamp", "vnd.cmu.sessionId"];

impl Server for Cyrus {
    fn facts(&self) -> &'static Facts {
        facts!("cyrus.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("cyrus.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &["/etc/imapd.conf"]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("imapd.conf")
            || text
                .lines()
                .any(|line| line.starts_with("configdirectory:"))
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let lines = Lines::read(machine, path, Continues::Backslash, &include)?;
        let options = Options { lines: &lines };
        let mut findings = lines.findings.clone();
        let mut config = lines.files.clone();
        let master = master(machine, path);
        let mut is_written = false;
        if options.has_events() {
            match &master {
                Ok(master) if has_notifyd(master) => is_written = true,
                Ok(_) => findings.push(Finding::new(
                    Rule::Incomplete,
                    format!(
                        "events go to notifyd, and no service of {} starts it: none is written",
                        beside(path)
                    ),
                )),
                Err(error) => findings.push(Finding::new(
                    Rule::Unreadable,
                    format!("{error}: whether notifyd runs, which writes events, is not known"),
                )),
            }
        }
        config.extend(master.into_iter().flat_map(|master| master.files));
        let has_port = is_written && options.has_parameter("clientAddress");
        if has_port {
            findings.push(Finding::new(
                Rule::Incomplete,
                "events are of successful logins alone: connections without one leave an address at most",
            ));
        }
        let route = Syslog::read(machine).route(&options.facility(), "info");
        let mut log = route.log(Records::of_client(has_port), Some("cyrus"), &mut findings);
        // The server's end comes with the client's.
        log.records = log.records.serving(has_port);
        if has_port && options.has_parameter("timestamp") {
            // The event has a time of its own, in milliseconds and UTC.
            let step = std::time::Duration::from_millis(1);
            log.records = log.records.timed(WrittenZone::Utc, Some(step));
            findings.retain(|finding| finding.rule != Rule::NoYear);
        }
        Ok(Instance {
            version: debian_version(machine, &["cyrus-common"]),
            config,
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
    let lines = Lines::read(machine, path, Continues::Backslash, &include)?;
    let options = Options { lines: &lines };
    let mut edits = Edits::default();
    match options.last(NOTIFIER) {
        None => edits.append(&lines, path, "event_notifier: log"),
        Some((_, setting)) if setting.value == "log" => {}
        Some((line, setting)) => {
            return Err(FixError::ByHand {
                why: format!(
                    "{}: events go to '{}', and there is one way for them: let that notifier keep clientAddress, or set event_notifier: log",
                    line.place, setting.value
                ),
            });
        }
    }
    options.complete(GROUPS, DEFAULT_GROUPS, &["access"], path, &mut edits);
    options.complete(PARAMETERS, DEFAULT_PARAMETERS, &WANTED, path, &mut edits);
    let master = master(machine, path)?;
    if !has_notifyd(&master) {
        start_notifyd(&master, &options, &beside(path), &mut edits)?;
    }
    Ok(Change {
            edits: edits.finish()?,
            check: check(machine, path),
            reload: "systemctl restart cyrus-imapd".to_owned(),
            remarks: vec!["successful logins alone leave an event; `portledger watch` beside the server sees every connection".to_owned()],
        })
}

/// A wrong name in these options is found before master finds it.
fn check(machine: &dyn Machine, path: &str) -> Option<CommandLine> {
    const PROGRAMS: [&str; 3] = [
        "/usr/lib/cyrus/bin/cyr_info",
        "/usr/lib/cyrus-imapd/cyr_info",
        "/usr/libexec/cyrus-imapd/cyr_info",
    ];
    let mut programs = PROGRAMS.into_iter();
    let arguments = ["-C", path, "conf"];
    let program = programs
        .find(|program| !machine.glob(program).is_empty())
        // Elsewhere it is where whoever built it put it.
        .or_else(|| machine.run("cyr_info", &arguments).map(|_| "cyr_info"))?;
    Some(CommandLine::new(program, &arguments))
}

/// The file that says which services master starts.
fn beside(path: &str) -> String {
    under(folder(path), "cyrus.conf")
}

fn master(machine: &dyn Machine, path: &str) -> Result<Lines, LookError> {
    Lines::read(machine, &beside(path), Continues::Never, &|_| Vec::new())
}

/// The lines of cyrus.conf(5)'s section of services, its opening line first.
fn services(master: &Lines) -> impl Iterator<Item = &Line> {
    let opening = |line: &&Line| line.text.split(['{', ' ', '\t']).next() == Some("SERVICES");
    let behind = master.all.iter().skip_while(move |line| !opening(line));
    behind.take_while(|line| line.text != "}")
}

/// Whether a service's command is notifyd: `notify cmd="notifyd" listen=…`.
fn has_notifyd(master: &Lines) -> bool {
    services(master).skip(1).any(|line| {
        let command = line.text.split_once("cmd=").map_or("", |(_, rest)| rest);
        let program = command.trim_start_matches('"').split(['"', ' ', '\t']);
        let program = program.clone().next().unwrap_or_default();
        program.rsplit('/').next() == Some("notifyd")
    })
}

/// Adds notifyd as the first of the services, at the socket at which imapd looks for it.
fn start_notifyd(
    master: &Lines,
    options: &Options<'_>,
    file: &str,
    edits: &mut Edits,
) -> Result<(), FixError> {
    let by_hand = |why: &str| FixError::ByHand {
        why: format!("{file}: {why}: let it start notifyd, which writes events"),
    };
    let opening = services(master).next();
    let opening = opening
        .filter(|line| line.text.ends_with('{'))
        .ok_or_else(|| by_hand("no line 'SERVICES {' is there"))?;
    let value = |name: &str| options.last(name).map(|(_, setting)| setting.value);
    let socket = value("notifysocket")
        .or_else(|| Some(under(&value("configdirectory")?, "socket/notify")))
        .ok_or_else(|| by_hand("neither notifysocket nor configdirectory is set"))?;
    let end = opening.range.end;
    let service =
        format!("\n  notify\tcmd=\"notifyd\" listen=\"{socket}\" proto=\"udp\" prefork=1");
    edits.replace_in(master, opening, end..end, &service);
    Ok(())
}

/// `@include: /file`.
fn include(line: &Line) -> Vec<String> {
    line.is("@include", ':')
        .map(|it| it.value)
        .into_iter()
        .collect()
}

struct Options<'a> {
    lines: &'a Lines,
}

impl Options<'_> {
    fn last(&self, name: &str) -> Option<(&Line, Setting)> {
        self.lines.last(name, ':')
    }

    fn words(&self, name: &str, default: &str) -> Vec<String> {
        let value = self
            .last(name)
            .map_or_else(|| default.to_owned(), |(_, setting)| setting.value);
        value.split_whitespace().map(str::to_owned).collect()
    }

    fn has_events(&self) -> bool {
        let notifier = self.last(NOTIFIER).map(|(_, setting)| setting.value);
        notifier.as_deref() == Some("log")
            && self
                .words(GROUPS, DEFAULT_GROUPS)
                .iter()
                .any(|group| group == "access")
    }

    fn has_parameter(&self, name: &str) -> bool {
        self.words(PARAMETERS, DEFAULT_PARAMETERS)
            .iter()
            .any(|word| word == name)
    }

    fn facility(&self) -> String {
        let named = self
            .last("syslog_facility")
            .map(|(_, setting)| setting.value.to_ascii_lowercase());
        // Debian's build says mail; upstream's local6.
        named.unwrap_or_else(|| "mail".to_owned())
    }

    /// Adds words to a list, where it stands or at the file's end.
    fn complete(&self, name: &str, default: &str, wanted: &[&str], path: &str, edits: &mut Edits) {
        let there = self.words(name, default);
        let missing: Vec<&str> = wanted
            .iter()
            .copied()
            .filter(|word| !there.iter().any(|known| known == word))
            .collect();
        if missing.is_empty() {
            return;
        }
        match self.last(name) {
            Some((line, setting)) => {
                let end = setting.range.end;
                edits.replace_in(
                    self.lines,
                    line,
                    end..end,
                    &format!(" {}", missing.join(" ")),
                );
            }
            None => {
                let mut words = there;
                words.extend(missing.into_iter().map(str::to_owned));
                words.sort_unstable();
                edits.append(self.lines, path, &format!("{name}: {}", words.join(" ")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const PATH: &str = "/etc/imapd.conf";

    /// Debian's services in short.
    const SERVICES: &str = "START {\n  recover cmd=\"/usr/sbin/cyrus ctl_cyrusdb -r\"\n}\nSERVICES {\n  imap\t\tcmd=\"imapd -U 30\" listen=\"imap\"\n  # notify\tcmd=\"notifyd\"\n  notify\tcmd=\"notifyd\" listen=\"/run/cyrus/socket/notify\" proto=\"udp\" prefork=1\n}\n";

    fn image(conf: &str) -> Image {
        Image::default()
            .with(PATH, conf)
            .with("/etc/cyrus.conf", SERVICES)
            .with(
                "/etc/rsyslog.conf",
                "mail.* /var/log/mail.log;RSYSLOG_TraditionalFileFormat\n",
            )
    }

    #[test]
    fn three_options_make_events_of_logins() {
        let plain = image("configdirectory: /var/lib/cyrus\nsyslog_prefix: cyrus\n");
        assert!(
            !Cyrus.look(&plain, PATH).unwrap().logs[0]
                .records
                .source_port
        );
        insta::assert_snapshot!(law_of_fixes(&Cyrus, &plain, PATH, true));
    }

    #[test]
    fn lists_that_are_there_are_added_to() {
        let some = image(
            "event_notifier: log\nevent_groups: message \\\n  quota\nevent_extra_params: service\n",
        );
        insta::assert_snapshot!(law_of_fixes(&Cyrus, &some, PATH, true));
    }

    #[test]
    fn another_notifier_is_left_to_its_owner() {
        let error = crate::fix(
            &Cyrus,
            &image("event_notifier: external\n"),
            PATH,
            Wish::InPlace,
        );
        assert!(matches!(error, Err(FixError::ByHand { .. })));
    }

    #[test]
    fn events_without_notifyd_are_not_written() {
        let without = SERVICES
            .replace("\n  notify", "\n  other")
            .replace("\"notifyd\" l", "\"x\" l");
        let image = image("configdirectory: /var/lib/cyrus\nevent_notifier: log\nevent_groups: access\nevent_extra_params: clientAddress\n")
            .with("/etc/cyrus.conf", &without);
        let instance = Cyrus.look(&image, PATH).unwrap();
        assert!(!instance.logs[0].records.source_port);
        assert_eq!(instance.config, [PATH, "/etc/cyrus.conf"]);
        assert!(instance.findings.iter().any(|it| {
            it.message
                .contains("no service of /etc/cyrus.conf starts it")
        }));
        insta::assert_snapshot!(law_of_fixes(&Cyrus, &image, PATH, true));
    }

    #[test]
    fn what_master_starts_must_be_known() {
        let path = "/srv/imapd.conf";
        let image = image("").with(
            path,
            "event_notifier: log\nevent_groups: access\nevent_extra_params: clientAddress\n",
        );
        let instance = Cyrus.look(&image, path).unwrap();
        assert!(!instance.logs[0].records.source_port);
        let error = crate::fix(&Cyrus, &image, path, Wish::InPlace).unwrap_err();
        assert!(error.to_string().contains("/srv/cyrus.conf"), "{error}");
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Cyrus,
            &[PATH, "/etc/cyrus.conf"],
            &[
                "SERVICES {\n",
                "notify cmd=\"notifyd\"",
                "configdirectory: /c",
                "event_notifier: ",
                "log",
                "event_groups",
                "access",
                "event_extra_params",
                "@include: /etc/imapd.conf",
            ],
        );
    }
}
