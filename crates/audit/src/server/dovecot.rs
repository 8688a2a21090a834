//! Dovecot: `login_log_format_elements`. The session's id has the port unasked, encoded.

use super::{FixError, Instance, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Log, Machine, Records, Rule, WrittenZone,
    edits::Edits,
    lines::{Continues, Line, Lines, Setting, is_yes, unquoted},
    machine::{debian_version, folder, under, version_in},
    records::zone_of_strftime,
    syslog::{Route, Syslog},
};

/// Dovecot.
#[derive(Debug)]
pub(super) struct Dovecot;

const ELEMENTS: &str = "login_log_format_elements";

impl Server for Dovecot {
    fn facts(&self) -> &'static Facts {
        facts!("dovecot.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("dovecot.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/dovecot/dovecot.conf",
            "/usr/local/etc/dovecot/dovecot.conf",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("dovecot.conf") || text.contains("mail_location") || text.contains(ELEMENTS)
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let configuration = Configuration::read(machine, path)?;
        let mut findings = configuration.lines.findings.clone();
        let elements = configuration.elements();
        let has_port = match elements.as_slice() {
            [] => true,
            all => all.iter().all(|(_, setting)| has_port(&setting.value)),
        };
        let is_plain =
            !elements.is_empty() && elements.iter().all(|(_, setting)| is_plain(&setting.value));
        if has_port && !is_plain {
            findings.push(Finding::new(
                Rule::Remark,
                "the port is in every session=<…> unasked, encoded with the time of the connect; portledger reads it, other programs need rport=",
            ));
        }
        configuration.proxies(&mut findings);
        let is_served_told = elements.iter().any(|(_, setting)| {
            ["%{lport}", "%a", "%{local_port}"]
                .iter()
                .any(|it| setting.value.contains(it))
        });
        let records = Records::of_client(has_port).serving(is_served_told);
        let log = configuration.log(machine, records, &mut findings);
        Ok(Instance {
            version: configuration.version.clone(),
            config: configuration.lines.files,
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
    let (remote, local) = configuration.variables();
    let elements = configuration.elements();
    if elements.is_empty() {
        let line = match configuration.is_new() {
            true => format!(
                "{ELEMENTS} = user=<%{{user}}> method=%{{mechanism}} rip=%{{remote_ip}} rport={remote} lip=%{{local_ip}} lport={local} mpid=%{{mail_pid}} %{{secured}} session=<%{{session}}>"
            ),
            false => format!(
                "{ELEMENTS} = user=<%u> method=%m rip=%r rport={remote} lip=%l lport={local} mpid=%e %c session=<%{{session}}>"
            ),
        };
        edits.append(&configuration.lines, path, &line);
    }
    for (line, setting) in elements {
        if !is_plain(&setting.value) {
            let raw = configuration.lines.text(&line.place.file);
            let raw = raw.get(setting.range.clone()).unwrap_or_default();
            let (at, with) = insertion(raw, remote);
            let at = setting.range.start + at;
            edits.replace_in(&configuration.lines, line, at..at, &with);
        }
    }
    let mut remarks = vec![
            "rport= stands before session=, where fail2ban's filter goes on matching; behind it, it would not".to_owned(),
        ];
    if let Destination::File(file) = configuration.destination() {
        match configuration.lines.last("log_timestamp", '=') {
                Some((_, setting)) if zone_of_strftime(&setting.value) != WrittenZone::Local => {}
                _ => remarks.push(format!("{file} has local times without a year: an empty log_path sends the lines through syslog, whose times are exact; log_timestamp could say %Y and %z, which stock readers of the file do not know")),
            }
    }
    let syslog = Syslog::read(machine);
    if let Destination::Syslog(facility) = configuration.destination() {
        let route = syslog.route(&facility, "info");
        syslog.correct(&route, &mut edits);
        remarks.extend(route.remark());
    }
    if edits.is_empty() {
        remarks.clear();
    }
    Ok(Change {
        edits: edits.finish()?,
        check: Some(CommandLine::new("doveconf", &["-n", "-c", path])),
        reload: "doveadm reload".to_owned(),
        remarks,
    })
}

enum Destination {
    Syslog(String),
    File(String),
    Standard,
}

struct Configuration {
    lines: Lines,
    /// What `doveconf -n` prints, as lines.
    dump: Option<Lines>,
    version: Option<String>,
}

impl Configuration {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let include = |line: &Line| {
            let words = ["!include_try ", "!include "];
            let named = words.iter().find_map(|word| line.text.strip_prefix(word));
            let of = folder(&line.place.file);
            named
                .map(|name| under(of, name.trim()))
                .into_iter()
                .collect()
        };
        let lines = Lines::read(machine, path, Continues::Backslash, &include)?;
        let dump = machine.run("doveconf", &["-n", "-c", path]);
        let dump = dump
            .filter(|output| output.succeeded)
            .map(|output| Lines::dumped("doveconf -n", &output.stdout, Continues::Never));
        let said = machine.run("dovecot", &["--version"]);
        let version = said
            .and_then(|output| version_in(&output.stdout))
            .or_else(|| debian_version(machine, &["dovecot-core"]));
        Ok(Self {
            lines,
            dump,
            version,
        })
    }

    /// Each line that sets the elements, in whatever block.
    fn elements(&self) -> Vec<(&Line, Setting)> {
        let lines = self.lines.all.iter();
        lines
            .filter_map(|line| Some((line, line.is(ELEMENTS, '=')?)))
            .collect()
    }

    fn value(&self, name: &str) -> Option<String> {
        let effective = self.dump.as_ref().unwrap_or(&self.lines);
        let value = effective.value(name, '=');
        value.map(|value| unquoted(&value).to_owned())
    }

    fn destination(&self) -> Destination {
        let named = |name| self.value(name).filter(|path: &String| !path.is_empty());
        let path = named("info_log_path").or_else(|| named("log_path"));
        match path.as_deref() {
            None | Some("syslog") => Destination::Syslog(
                self.value("syslog_facility")
                    .unwrap_or_else(|| "mail".to_owned()),
            ),
            Some("/dev/stderr" | "/dev/stdout") => Destination::Standard,
            Some(file) => Destination::File(file.to_owned()),
        }
    }

    fn log(&self, machine: &dyn Machine, records: Records, findings: &mut Vec<Finding>) -> Log {
        match self.destination() {
            Destination::Syslog(facility) => {
                let route = Syslog::read(machine).route(&facility, "info");
                route.log(records, Some("dovecot"), findings)
            }
            Destination::Standard => Route::journal().log(records, Some("dovecot"), findings),
            Destination::File(path) => {
                let stamp = self.value("log_timestamp");
                let zone = stamp.map_or(WrittenZone::Local, |form| zone_of_strftime(&form));
                let step = std::time::Duration::from_secs(1);
                if zone == WrittenZone::Local {
                    return Route::traditional(&path).log(records, None, findings);
                }
                Log {
                    is_file: path.starts_with('/'),
                    path,
                    records: records.timed(zone, Some(step)),
                    is_covered: false,
                    // The form of its own file has no header of syslog, and is not read.
                    format: None,
                }
            }
        }
    }

    /// Dovecot 2.4 has other names for what stands in the elements.
    fn is_new(&self) -> bool {
        let is_new = |version: &String| {
            let mut numbers = version.split('.').map(str::parse::<u32>);
            matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (2, 4))
        };
        let configured = self.lines.value("dovecot_config_version", '=');
        configured
            .as_ref()
            .or(self.version.as_ref())
            .is_some_and(is_new)
    }

    fn variables(&self) -> (&'static str, &'static str) {
        match self.is_new() {
            true => ("%{remote_port}", "%{local_port}"),
            false => ("%{rport}", "%{lport}"),
        }
    }

    /// With `haproxy = yes`, rip and rport are the client's; any host is believed that
    /// haproxy_trusted_networks names.
    fn proxies(&self, findings: &mut Vec<Finding>) {
        let is_behind = |line: &&Line| line.is("haproxy", '=').is_some_and(|it| is_yes(&it.value));
        let Some(line) = self.lines.all.iter().find(is_behind) else {
            return;
        };
        match self.lines.last("haproxy_trusted_networks", '=') {
            None => findings.push(Finding::at(
                Rule::Remark,
                &line.place,
                "this listener takes the PROXY protocol, and no haproxy_trusted_networks lets any proxy through",
            )),
            Some((line, setting)) if setting.value.contains("/0") => findings.push(Finding::at(
                Rule::UntrustedProxy,
                &line.place,
                format!("{} lets anybody name any client: name the proxies alone", setting.value),
            )),
            Some(_) => {}
        }
    }
}

fn is_plain(elements: &str) -> bool {
    ["%{rport}", "%b", "%{remote_port}"]
        .iter()
        .any(|variable| elements.contains(variable))
}

fn has_port(elements: &str) -> bool {
    is_plain(elements) || elements.contains("%{session}")
}

/// Where the port goes: behind the address, else before the session, else at the end.
fn insertion(raw: &str, remote: &str) -> (usize, String) {
    let behind = |word: &str| {
        let at = raw.find(word)? + word.len();
        let rest = raw.get(at..)?;
        (rest.is_empty() || rest.starts_with([' ', '"', '\t', '\n', '\\'])).then_some(at)
    };
    let address = ["rip=%r", "rip=%{rip}", "rip=%{remote_ip}"];
    if let Some(at) = address.into_iter().find_map(behind) {
        return (at, format!(" rport={remote}"));
    }
    if let Some(at) = raw.find("session=") {
        return (at, format!("rport={remote} "));
    }
    let end = raw.trim_end_matches('"').len();
    (end, format!(" rport={remote}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const PATH: &str = "/etc/dovecot/dovecot.conf";

    fn image(conf: &str) -> Image {
        Image::default()
            .with(PATH, conf)
            .with(
                "/etc/dovecot/conf.d/10-logging.conf",
                "#log_path = syslog\nplugin {\n}\n",
            )
            .with("/etc/rsyslog.conf", "mail.* -/var/log/mail.log\n")
    }

    #[test]
    fn the_session_has_the_port_unasked_and_rport_makes_it_plain() {
        let image = image(
            "!include_try /usr/share/dovecot/protocols.d/*.protocol\n!include conf.d/*.conf\n",
        );
        let instance = Dovecot.look(&image, PATH).unwrap();
        assert!(instance.logs[0].records.are_enough());
        assert_eq!(instance.findings[0].rule, Rule::Remark);
        insta::assert_snapshot!(law_of_fixes(&Dovecot, &image, PATH, true));
    }

    #[test]
    fn elements_of_one_s_own_get_it_where_readers_go_on() {
        let image = image("!include conf.d/*.conf\nlogin_log_format_elements = \"user=<%u> rip=%r \\\n  lip=%l session=<%{session}>\"\nprotocol imap {\n  login_log_format_elements = user=<%u> session=<%{session}>\n}\n")
            .with("/etc/dovecot/conf.d/x.conf", "login_log_format_elements = user=<%u>\n");
        let instance = Dovecot.look(&image, PATH).unwrap();
        assert!(!instance.logs[0].records.source_port);
        insta::assert_snapshot!(law_of_fixes(&Dovecot, &image, PATH, true));
    }

    #[test]
    fn version_2_4_has_other_names() {
        let image = image("dovecot_config_version = 2.4.0\n");
        insta::assert_snapshot!(law_of_fixes(&Dovecot, &image, PATH, true));
    }

    #[test]
    fn a_file_of_its_own_has_local_times() {
        let image = image(
            "log_path = /var/log/dovecot.log\nhaproxy_trusted_networks = 0.0.0.0/0\nservice imap-login {\n inet_listener x {\n  haproxy = yes\n }\n}\n",
        );
        let instance = Dovecot.look(&image, PATH).unwrap();
        assert_eq!(instance.logs[0].path, "/var/log/dovecot.log");
        let rules: Vec<Rule> = instance
            .findings
            .iter()
            .map(|finding| finding.rule)
            .collect();
        assert_eq!(rules, [Rule::Remark, Rule::UntrustedProxy, Rule::NoYear]);
        law_of_fixes(&Dovecot, &image, PATH, false);
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Dovecot,
            &[PATH],
            &[
                "login_log_format_elements",
                "rip=%r",
                "session=<%{session}>",
                "!include ",
                "log_path",
                "log_timestamp",
                "haproxy",
            ],
        );
    }
}
