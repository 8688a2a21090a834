//! sendmail: a rule that tells syslog the port, in the `.mc`, from which m4 makes the `.cf`.

use super::{FixError, Instance, LookError, Promise, Server, Wish, facts, guide};
use crate::{
    Change, CommandLine, Facts, Finding, Machine, Records, Rule,
    edits::Edits,
    lines::{Continues, Lines},
    machine::{debian_version, folder, version_in},
    syslog::Syslog,
};

/// sendmail.
#[derive(Debug)]
pub(super) struct Sendmail;

/// RFC 7768, appendix A.3: a rule that runs when a client connects, and a map that is syslog. With
/// FEATURE(`delay_checks') the ruleset of the appendix runs when a recipient is named, and the name of
/// the one that runs at the connect is free: without it the other way round.
const RECIPE: &str = "LOCAL_CONFIG\nKlog syslog\nLOCAL_RULESETS\nifdef(`_DELAY_CHECKS_', `Scheck_relay', `SLocal_check_relay')\nR$*\t\t\t$: $(log Port_Stat $&{client_addr} $&{client_port} $) $1";

impl Server for Sendmail {
    fn facts(&self) -> &'static Facts {
        facts!("sendmail.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("sendmail.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &["/etc/mail/sendmail.cf", "/etc/sendmail.cf"]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.ends_with("sendmail.cf") || text.contains("\nDZ8.") || text.contains("\nScheckrelay\n")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let made = Made::read(machine, path)?;
        let mut findings = Vec::new();
        if made.has_rule && !made.sees_all {
            findings.push(Finding::new(
                Rule::Incomplete,
                format!("{path}: FEATURE(`delay_checks') runs the rule when a recipient is named: clients that name none leave no line, 50 of 66 where it was measured"),
            ));
        }
        let source = source_of(path);
        if !made.has_rule
            && crate::machine::text(machine, &source).is_ok_and(|text| has_recipe(&text))
        {
            findings.push(Finding::new(
                Rule::LinesDiffer,
                format!(
                    "{source} has the rule, {path} does not yet: make -C {}",
                    folder(path)
                ),
            ));
        }
        let records = Records::of_client(made.has_rule).serving(made.ports <= 1);
        if made.ports > 1 {
            findings.push(Finding::new(
                Rule::NoDestinationPort,
                "several ports are served and no line says which was meant",
            ));
        }
        let route = Syslog::read(machine).route("mail", "info");
        let log = route.log(records, Some("sendmail"), &mut findings);
        Ok(Instance {
            version: version(machine),
            config: made.lines.files,
            logs: vec![log],
            findings,
        })
    }

    /// The .cf may be left to make, and has the rule only then.
    fn promise(&self) -> Promise {
        Promise::Nothing
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        let made = Made::read(machine, path)?;
        let source = source_of(path);
        let syslog = Syslog::read(machine);
        let route = syslog.route("mail", "info");
        let mut edits = Edits::default();
        syslog.correct(&route, &mut edits);
        let mut remarks = Vec::from_iter(route.remark());
        let mut is_made = true;
        if made.has_rule && !made.sees_all {
            remarks.push(format!(
                "the rule stands in Local_check_relay, which FEATURE(`delay_checks') holds back until a recipient is named: call its ruleset check_relay in {source} (the line 'SLocal_check_relay'), and every connection leaves a line"
            ));
        } else if !made.has_rule {
            let lines = Lines::read(machine, &source, Continues::Never, &|_| Vec::new());
            let lines = lines.map_err(|_| FixError::ByHand {
                why: format!(
                    "{path}: there is no {source} to make it from; the guide has the rule"
                ),
            })?;
            let text = lines.text(&source);
            if has_recipe(text) {
                is_made = false;
                remarks.push(format!(
                    "{source} has the rule already: make -C {}",
                    folder(path)
                ));
            } else if ["SLocal_check_relay", "Scheck_relay"]
                .iter()
                .any(|ruleset| text.contains(ruleset))
            {
                return Err(FixError::ByHand {
                    why: format!(
                        "{source}: it has a ruleset for connections of its own, into which the guide's rule has to go"
                    ),
                });
            } else {
                edits.append(&lines, &source, RECIPE);
                match made.again(machine, path, text) {
                    Some(again) => {
                        let whole = 0..made.lines.text(path).len();
                        edits.replace(&made.lines, path, whole, &again);
                        remarks.push(format!(
                            "{path} is made from {source} by m4, as make -C {} does; but for the rule only its comments are others",
                            folder(path)
                        ));
                    }
                    None => {
                        is_made = false;
                        remarks.push(format!(
                            "{path} is not what m4 makes of {source} here, so it is left as it is until make -C {}: mind what was changed in it by hand",
                            folder(path)
                        ));
                    }
                }
            }
        }
        Ok(Change {
            edits: edits.finish()?,
            // Reads all of the .cf, and tells nobody's address anything.
            check: Some(CommandLine::new("sendmail", &["-C", path, "-bt"])),
            reload: match is_made {
                true => "systemctl reload sendmail".to_owned(),
                false => format!("make -C {} && systemctl reload sendmail", folder(path)),
            },
            remarks,
        })
    }
}

/// What m4 makes of an .mc.
fn of_m4(machine: &dyn Machine, text: &str) -> Option<String> {
    let made = machine.feed("m4", &["-"], text)?;
    (made.succeeded && !made.stdout.trim().is_empty()).then_some(made.stdout)
}

/// The lines that mean something: comments say who made it, when and where.
fn telling(made: &str) -> impl Iterator<Item = &str> {
    made.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
}

fn version(machine: &dyn Machine) -> Option<String> {
    let said = machine.run("sendmail", &["-d0.1", "-bt"]);
    said.filter(|output| output.stdout.contains("Version 8"))
        .and_then(|output| version_in(&output.stdout))
        .or_else(|| debian_version(machine, &["sendmail-bin"]))
}

fn source_of(path: &str) -> String {
    match path.strip_suffix(".cf") {
        Some(stem) => format!("{stem}.mc"),
        None => format!("{path}.mc"),
    }
}

/// Whether an .mc has such a rule, whatever it is called; not behind `dnl`.
fn has_recipe(text: &str) -> bool {
    let mut lines = text.lines();
    lines.any(|line| line.starts_with('R') && line.contains("{client_port}"))
}

/// What the .cf says, which is what sendmail reads.
struct Made {
    lines: Lines,
    has_rule: bool,
    /// Whether the rule runs at every connect.
    sees_all: bool,
    ports: usize,
}

impl Made {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let lines = Lines::read(machine, path, Continues::Indented, &|_| Vec::new())?;
        let mut maps: Vec<&str> = Vec::new();
        let mut ruleset = "";
        let (mut at_connect, mut at_relay) = (false, false);
        let mut is_delayed = false;
        let mut ports = 0;
        for line in &lines.all {
            let text = line.text.as_str();
            if let Some(map) = text.strip_prefix('K') {
                let mut words = map.split_whitespace();
                if let (Some(name), Some("syslog")) = (words.next(), words.next()) {
                    maps.push(name);
                }
            } else if let Some(name) = text.strip_prefix('S') {
                ruleset = name.split(['=', ' ', '\t']).next().unwrap_or_default();
                // The name that delay_checks gives the check of a connection.
                is_delayed |= ruleset == "checkrelay";
            } else if text.starts_with('R') && text.contains("{client_port}") {
                let is_told = maps.iter().any(|map| {
                    text.contains(&format!("$({map} ")) || text.contains(&format!("$( {map} "))
                });
                match ruleset {
                    "check_relay" | "Local_greet_pause" | "greet_pause" => at_connect |= is_told,
                    "Local_check_relay" => at_relay |= is_told,
                    _ => {}
                }
            } else if text.starts_with("O DaemonPortOptions") {
                ports += 1;
            }
        }
        Ok(Self {
            has_rule: at_connect || at_relay,
            sees_all: at_connect || (at_relay && !is_delayed),
            ports,
            lines,
        })
    }

    /// The .cf with the rule, where m4 is here and makes this .cf of this .mc: then nothing in it is
    /// lost that somebody changed by hand.
    fn again(&self, machine: &dyn Machine, path: &str, source: &str) -> Option<String> {
        let now = of_m4(machine, source)?;
        if !telling(&now).eq(telling(self.lines.text(path))) {
            return None;
        }
        let end = match source {
            text if text.is_empty() || text.ends_with('\n') => "",
            _ => "\n",
        };
        of_m4(machine, &format!("{source}{end}{RECIPE}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, law_of_fixes, never_panics};

    const CF: &str = "/etc/mail/sendmail.cf";
    const MC: &str = "/etc/mail/sendmail.mc";
    const MADE: &str = "V10/Berkeley\nO DaemonPortOptions=Name=MTA-v4, Port=smtp\nSLocal_check_relay\nScheckrelay\nR$*\t\t\t$: $1 $| $>\"Local_check_relay\" $1\n";

    fn image() -> Image {
        Image::default()
            .with(CF, MADE)
            .with(
                MC,
                "FEATURE(`delay_checks', `friend', `n')dnl\nMAILER(`smtp')dnl\n",
            )
            .with("/etc/rsyslog.conf", "mail.* -/var/log/mail.log\n")
    }

    /// What m4 makes of the rule: the .mc's own lines, the map among the configuration.
    fn with_rule(ruleset: &str) -> String {
        let rule = RECIPE.lines().last().unwrap();
        format!("{MADE}Klog syslog\nS{ruleset}\n{rule}\n")
    }

    /// Before the rule, and after it, at its end.
    fn with_m4(image: Image, now: &str) -> Image {
        let last = RECIPE.lines().last().unwrap();
        image
            .printing("m4 - <- MAILER(`smtp')dnl", now, "")
            .printing(&format!("m4 - <- {last}"), &with_rule("check_relay"), "")
    }

    #[test]
    fn the_rule_goes_into_the_mc_and_m4_makes_the_cf() {
        let image = with_m4(image(), &format!("##### built by root\n\n{MADE}"));
        let change = crate::fix(&Sendmail, &image, CF, Wish::InPlace).unwrap();
        assert_eq!(change.reload, "systemctl reload sendmail");
        insta::assert_snapshot!(law_of_fixes(&Sendmail, &image, CF, true));
        let instance = Sendmail.look(&image.after(&change), CF).unwrap();
        assert_eq!(
            instance.findings,
            [],
            "at the connect, whatever delay_checks delays"
        );
    }

    #[test]
    fn what_m4_does_not_make_is_left_to_make_and_a_person() {
        let by_hand = format!("{MADE}O Changed=by hand\n");
        for image in [image(), with_m4(image(), &by_hand)] {
            let change = crate::fix(&Sendmail, &image, CF, Wish::InPlace).unwrap();
            let paths: Vec<&str> = change.edits.iter().map(|edit| edit.path.as_str()).collect();
            assert_eq!(paths, [MC]);
            assert!(change.reload.starts_with("make -C /etc/mail"));
            let after = image.after(&change).without_programs();
            let instance = Sendmail.look(&after, CF).unwrap();
            assert!(!instance.logs[0].records.source_port, "not before make");
            assert_eq!(instance.findings[0].rule, Rule::LinesDiffer);
            assert_eq!(
                crate::fix(&Sendmail, &after, CF, Wish::InPlace)
                    .unwrap()
                    .edits,
                []
            );
        }
    }

    #[test]
    fn the_appendix_s_own_rule_misses_those_who_name_no_recipient() {
        let old = image().with(CF, &with_rule("Local_check_relay"));
        let instance = Sendmail.look(&old, CF).unwrap();
        assert!(instance.logs[0].records.source_port);
        assert_eq!(instance.findings[0].rule, Rule::Incomplete);
        let change = crate::fix(&Sendmail, &old, CF, Wish::InPlace).unwrap();
        assert_eq!(change.edits, []);
        assert!(change.remarks[0].contains("check_relay"), "{change:?}");
    }

    #[test]
    fn a_ruleset_of_one_s_own_is_left_to_its_owner() {
        for ruleset in ["SLocal_check_relay", "Scheck_relay"] {
            let own = image().with(MC, &format!("LOCAL_RULESETS\n{ruleset}\nR$*\t\t$: $1\n"));
            let error = crate::fix(&Sendmail, &own, CF, Wish::InPlace).unwrap_err();
            assert!(matches!(error, FixError::ByHand { .. }));
        }
    }

    #[test]
    fn no_text_stops_it() {
        never_panics(
            &Sendmail,
            &[CF, MC],
            &[
                "Klog syslog",
                "SLocal_check_relay",
                "R$*",
                "$(log ",
                "{client_port}",
                "Scheckrelay",
            ],
        );
    }
}
