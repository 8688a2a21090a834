//! Whether the machine's clock is right, and how far it may be off: chrony, ntpd, timesyncd.

use std::time::Duration;

use serde::Serialize;

use crate::{Finding, Machine, Rule};

/// What is known of a machine's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// What keeps it, where anything does.
    pub kept_by: Option<&'static str>,
    /// Whether it is synchronised now; `None` where that cannot be asked, as on an image.
    pub synchronised: Option<bool>,
    /// How far it may be off at the most, by the keeper's own estimate, in milliseconds rounded up.
    pub error_ms: Option<u64>,
}

/// Asks whatever keeps the clock.
pub(crate) fn clock(machine: &dyn Machine) -> Clock {
    chrony(machine)
        .or_else(|| ntp(machine))
        .or_else(|| timesyncd(machine))
        .unwrap_or_else(|| configured(machine))
}

impl Clock {
    /// What stands out of it.
    pub fn finding(&self) -> Option<Finding> {
        let message = match (self.kept_by, self.synchronised) {
            (Some(_), Some(true)) => return None,
            (Some(keeper), Some(false)) => format!(
                "{keeper} runs, and the clock is not synchronised: times in logs may be wrong by any amount"
            ),
            (Some(keeper), None) => format!(
                "{keeper} is set up; whether the clock is synchronised could not be asked here"
            ),
            (None, _) => {
                "nothing is known to keep the clock: run chrony, ntpd or systemd-timesyncd"
                    .to_owned()
            }
        };
        Some(Finding::new(Rule::ClockUnsynchronised, message))
    }
}

/// `chronyc -c tracking`: comma-separated; the fields are those of chronyc(1), "tracking".
fn chrony(machine: &dyn Machine) -> Option<Clock> {
    let output = machine.run("chronyc", &["-c", "tracking"])?;
    let fields: Vec<&str> = output.stdout.trim().split(',').collect();
    if !output.succeeded || fields.len() < 14 {
        return None;
    }
    let seconds = |index: usize| fields.get(index)?.parse::<f64>().ok();
    // System time, root delay, root dispersion: the bound that chronyc(1) gives for the clock's
    // error is offset + dispersion + half the delay.
    let bound = seconds(4)?.abs() + seconds(11)? + seconds(10)?.abs() / 2.0;
    let is_synchronised = fields
        .get(13)
        .is_some_and(|status| *status != "Not synchronised");
    Some(Clock {
        kept_by: Some("chrony"),
        synchronised: Some(is_synchronised),
        error_ms: is_synchronised.then(|| milliseconds(bound)).flatten(),
    })
}

/// `ntpq -c rv`: offset and root delay and dispersion in milliseconds (RFC 5905 §11.2: root distance).
fn ntp(machine: &dyn Machine) -> Option<Clock> {
    let output = machine.run("ntpq", &["-c", "rv"])?;
    let value = |name: &str| {
        let words = output.stdout.split([',', '\n', ' ']);
        words
            .filter_map(|word| word.trim().split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    };
    let number = |name: &str| value(name)?.parse::<f64>().ok();
    let leap = value("leap")?;
    let is_synchronised = leap != "11" && !output.stdout.contains("leap_alarm");
    let bound =
        (number("offset")?.abs() + number("rootdelay")? / 2.0 + number("rootdisp")?) / 1000.0;
    Some(Clock {
        kept_by: Some("ntpd"),
        synchronised: Some(is_synchronised),
        error_ms: is_synchronised.then(|| milliseconds(bound)).flatten(),
    })
}

/// `timedatectl show`: whether, and not how well.
fn timesyncd(machine: &dyn Machine) -> Option<Clock> {
    let output = machine.run("timedatectl", &["show"])?;
    let value = |name: &str| {
        let mut lines = output.stdout.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    let is_synchronised = value("NTPSynchronized")? == "yes";
    (value("NTP") == Some("yes") || is_synchronised).then_some(Clock {
        kept_by: Some("systemd-timesyncd"),
        synchronised: Some(is_synchronised),
        error_ms: None,
    })
}

/// What an image, or a machine on which nothing may be asked, is set up to run.
fn configured(machine: &dyn Machine) -> Clock {
    let keepers = [
        ("chrony", "/etc/chrony/chrony.conf"),
        ("chrony", "/etc/chrony.conf"),
        ("ntpd", "/etc/ntpsec/ntp.conf"),
        ("ntpd", "/etc/ntp.conf"),
        (
            "systemd-timesyncd",
            "/etc/systemd/system/dbus-org.freedesktop.timesync1.service",
        ),
    ];
    let found = keepers
        .iter()
        .find(|(_, path)| !machine.glob(path).is_empty());
    Clock {
        kept_by: found.map(|(keeper, _)| *keeper),
        synchronised: None,
        error_ms: None,
    }
}

/// Rounded up: an error is never told smaller than it may be.
fn milliseconds(seconds: f64) -> Option<u64> {
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    u64::try_from(duration.as_micros().div_ceil(1000)).ok()
}
