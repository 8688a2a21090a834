//! Cyrus IMAP: event notifications of logins, whose JSON has the client's port.

use super::{FixError, Instance, LookError, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Machine, Records, Rule, WrittenZone,
    edits::Edits,
    lines::{Continues, Line, Lines, Setting},
    machine::debian_version,
    sure::sure,
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
        let has_events = options.has_events();
        let has_port = has_events && options.has_parameter("clientAddress");
        if has_port {
            findings.push(Finding::new(
                Rule::Incomplete,
                "events are of successful logins alone: connections without one leave an address at most",
            ));
        }
        let route = Syslog::read(machine).route(&options.facility(), "info");
        let mut log = route.log(Records::of_client(has_port), Some("cyrus"), &mut findings);
        if has_port && options.has_parameter("timestamp") {
            // The event has a time of its own, in milliseconds and UTC.
            let step = std::time::Duration::from_millis(1);
            log.records = log.records.timed(WrittenZone::Utc, Some(step));
            findings.retain(|finding| finding.rule != Rule::NoYear);
        }
        Ok(Instance {
            version: debian_version(machine, &["cyrus-common"]),
            config: lines.files.clone(),
            logs: vec![log],
            findings,
        })
    }

    fn fix(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        sure(self, machine, path, planned)
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
    let program = programs.find(|program| !machine.glob(program).is_empty())?;
    Some(CommandLine::new(program, &["-C", path, "conf"]))
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

    fn image(conf: &str) -> Image {
        Image::default().with(PATH, conf).with(
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
        let error = Cyrus.fix(&image("event_notifier: external\n"), PATH, Wish::InPlace);
        assert!(matches!(error, Err(FixError::ByHand { .. })));
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Cyrus,
            &[PATH],
            &[
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
