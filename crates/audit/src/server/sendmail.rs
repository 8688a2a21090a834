//! sendmail: a rule that tells syslog the port, in the `.mc`, from which `make` makes the `.cf`.

use super::{FixError, Instance, LookError, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Finding, Machine, Records, Rule,
    edits::Edits,
    lines::{Continues, Lines},
    machine::{debian_version, folder, version_in},
    syslog::Syslog,
};

/// sendmail.
#[derive(Debug)]
pub(super) struct Sendmail;

/// RFC 7768, appendix A.3: a rule that runs when a client connects, and a map that is syslog.
const RECIPE: &str = "LOCAL_CONFIG\nKlog syslog\nLOCAL_RULESETS\nSLocal_check_relay\nR$*\t\t\t$: $(log Port_Stat $&{client_addr} $&{client_port} $) $1";

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
        if made.has_rule && made.is_delayed {
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

    fn fix(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        let made = Made::read(machine, path)?;
        let source = source_of(path);
        let syslog = Syslog::read(machine);
        let route = syslog.route("mail", "info");
        let mut edits = Edits::default();
        syslog.correct(&route, &mut edits);
        let mut remarks = Vec::from_iter(route.remark());
        if !made.has_rule {
            let lines = Lines::read(machine, &source, Continues::Never, &|_| Vec::new());
            let lines = lines.map_err(|_| FixError::ByHand {
                why: format!(
                    "{path}: there is no {source} to make it from; the guide has the rule"
                ),
            })?;
            let text = lines.text(&source);
            if has_recipe(text) {
                remarks.push(format!(
                    "{source} has the rule already: make -C {}",
                    folder(path)
                ));
            } else if text.contains("SLocal_check_relay") {
                return Err(FixError::ByHand {
                    why: format!(
                        "{source}: it has a ruleset Local_check_relay of its own, into which the guide's rule has to go"
                    ),
                });
            } else {
                edits.append(&lines, &source, RECIPE);
            }
            if text
                .lines()
                .any(|line| line.starts_with("FEATURE(`delay_checks'"))
            {
                remarks.push("FEATURE(`delay_checks') stays, because mail policy rests on it: with it the rule runs when a recipient is named, and connections without one (50 of 66 where it was measured) leave no line; without it all do. `portledger watch` sees all of them".to_owned());
            }
        }
        Ok(Change {
            edits: edits.finish()?,
            check: None,
            reload: format!("make -C {} && systemctl reload sendmail", folder(path)),
            remarks,
        })
    }
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
    is_delayed: bool,
    ports: usize,
}

impl Made {
    fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let lines = Lines::read(machine, path, Continues::Indented, &|_| Vec::new())?;
        let mut maps: Vec<&str> = Vec::new();
        let mut ruleset = "";
        let mut has_rule = false;
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
                let runs_at_connect = matches!(
                    ruleset,
                    "Local_check_relay" | "check_relay" | "Local_greet_pause" | "greet_pause"
                );
                let is_told = maps.iter().any(|map| {
                    text.contains(&format!("$({map} ")) || text.contains(&format!("$( {map} "))
                });
                has_rule |= runs_at_connect && is_told;
            } else if text.starts_with("O DaemonPortOptions") {
                ports += 1;
            }
        }
        Ok(Self {
            has_rule,
            is_delayed,
            ports,
            lines,
        })
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
    fn made(image: &Image) -> Image {
        let rules = RECIPE.lines().filter(|line| !line.starts_with("LOCAL_"));
        let rules: Vec<&str> = rules.collect();
        image
            .clone()
            .with(CF, &format!("{MADE}{}\n", rules.join("\n")))
    }

    #[test]
    fn the_rule_goes_into_the_mc_and_make_is_a_person_s() {
        let change = Sendmail.fix(&image(), CF, Wish::InPlace).unwrap();
        insta::assert_snapshot!(format!(
            "{}{}\n{}",
            change.diff(),
            change.remarks.join("\n"),
            change.reload
        ));
        let after = image().after(&change);
        let instance = Sendmail.look(&after, CF).unwrap();
        assert!(!instance.logs[0].records.source_port, "not before make");
        assert_eq!(instance.findings[0].rule, Rule::LinesDiffer);
        assert_eq!(Sendmail.fix(&after, CF, Wish::InPlace).unwrap().edits, []);
        law_of_fixes(&Sendmail, &made(&after), CF, true);
        let instance = Sendmail.look(&made(&after), CF).unwrap();
        assert_eq!(instance.findings[0].rule, Rule::Incomplete);
    }

    #[test]
    fn a_ruleset_of_one_s_own_is_left_to_its_owner() {
        let own = image().with(MC, "LOCAL_RULESETS\nSLocal_check_relay\nR$*\t\t$: $1\n");
        let error = Sendmail.fix(&own, CF, Wish::InPlace).unwrap_err();
        assert!(matches!(error, FixError::ByHand { .. }));
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
