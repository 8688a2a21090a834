//! The programs that read a log, and whether they still understand it: tried where that can be
//! done without changing anything.

mod analysers;

use serde::Serialize;

use super::Sample;
use crate::{
    Log,
    machine::{Machine, text},
};

/// A program that reads a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogReader {
    /// The program and what of it: `fail2ban sshd`.
    pub name: String,
    /// The file that says so.
    pub config: String,
    /// Whether it understands the lines; `None` where it was not tried.
    pub understands: Option<bool>,
    /// How that is known.
    pub why: String,
}

/// Who reads this log, tried on a sample of its lines.
pub(super) fn of(machine: &dyn Machine, log: &Log, sample: Option<&Sample>) -> Vec<LogReader> {
    let mut readers = fail2ban(machine, log, sample);
    readers.extend(goaccess(machine, log, sample));
    readers.extend(analysers::awstats(machine, log, sample));
    readers.extend(analysers::analog(machine, log, sample));
    readers
}

/// Jails that are enabled and watch this log.
fn fail2ban(machine: &dyn Machine, log: &Log, sample: Option<&Sample>) -> Vec<LogReader> {
    let mut jails = Jails::default();
    let files = ["/etc/fail2ban/jail.conf", "/etc/fail2ban/jail.d/*.conf"];
    let own = ["/etc/fail2ban/jail.local", "/etc/fail2ban/jail.d/*.local"];
    for pattern in files.into_iter().chain(own) {
        for file in machine.glob(pattern) {
            if let Ok(words) = text(machine, &file) {
                jails.take(&file, &words);
            }
        }
    }
    jails
        .watching(machine, &log.path)
        .map(|jail| {
            let (understands, why) = match sample {
                None => (None, "the log has no lines yet".to_owned()),
                Some(sample) => tried_by_fail2ban(machine, &jail.filter, sample),
            };
            LogReader {
                name: format!("fail2ban {}", jail.name),
                config: jail.config.clone(),
                understands,
                why,
            }
        })
        .collect()
}

/// A filter finds in the lines with the port what it finds in the same lines without it.
fn tried_by_fail2ban(
    machine: &dyn Machine,
    filter: &str,
    sample: &Sample,
) -> (Option<bool>, String) {
    let matched = |lines: &str| {
        let output = machine.feed("fail2ban-regex", &["/dev/stdin", filter], lines)?;
        matched_by_fail2ban(&output.stdout)
    };
    let Some(with) = matched(&sample.lines) else {
        return (None, "fail2ban-regex could not be run".to_owned());
    };
    match sample.stripped.as_deref().and_then(matched) {
        Some(without) => (
            Some(with == without),
            format!(
                "filter {filter}: {with} of {} recent lines matched, {without} of the same lines without the port",
                sample.count
            ),
        ),
        None => (
            (with > 0).then_some(true),
            format!(
                "filter {filter}: {with} of {} recent lines matched",
                sample.count
            ),
        ),
    }
}

/// `Lines: 68 lines, 0 ignored, 5 matched, 63 missed`.
fn matched_by_fail2ban(output: &str) -> Option<u64> {
    let line = output.lines().find(|line| line.starts_with("Lines: "))?;
    let part = line
        .split(',')
        .find_map(|part| part.trim().strip_suffix(" matched"))?;
    part.parse().ok()
}

/// GoAccess reads every log it is given; it is asked where its configuration names a format.
fn goaccess(machine: &dyn Machine, log: &Log, sample: Option<&Sample>) -> Option<LogReader> {
    const CONFIG: &str = "/etc/goaccess/goaccess.conf";
    let words = text(machine, CONFIG).ok()?;
    let is_set = |name: &str| {
        words
            .lines()
            .find_map(|line| line.trim().strip_prefix(name)?.split_whitespace().next())
    };
    if is_set("log-file ") != Some(log.path.as_str()) {
        return None;
    }
    let tried = sample.and_then(|sample| {
        let output = machine.feed(
            "goaccess",
            &[
                "--no-global-config",
                "-p",
                CONFIG,
                "--no-progress",
                "-o",
                "json",
                "-",
            ],
            &sample.lines,
        )?;
        let report: serde_json::Value = serde_json::from_str(&output.stdout).ok()?;
        let failed = report["general"]["failed_requests"].as_u64()?;
        Some((failed, sample.count))
    });
    Some(LogReader {
        name: "GoAccess".to_owned(),
        config: CONFIG.to_owned(),
        understands: tried.map(|(failed, _)| failed == 0),
        why: tried.map_or_else(
            || "not tried: it is not installed, or the log has no lines yet".to_owned(),
            |(failed, lines)| format!("{failed} of {lines} recent lines were not understood"),
        ),
    })
}

/// fail2ban's jails, later files over earlier ones.
#[derive(Debug, Default)]
struct Jails {
    all: Vec<Jail>,
}

#[derive(Debug, Default)]
struct Jail {
    name: String,
    config: String,
    filter: String,
    enabled: Option<bool>,
    logs: Vec<String>,
}

impl Jails {
    fn take(&mut self, file: &str, words: &str) {
        let mut at = None;
        let mut is_logs = false;
        for line in words.lines() {
            let is_continued = line.starts_with([' ', '\t']);
            let line = line.trim();
            if line.starts_with(['#', ';']) || line.is_empty() {
                continue;
            }
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                at = Some(self.jail(name));
                is_logs = false;
                continue;
            }
            let Some(jail) = at.and_then(|at: usize| self.all.get_mut(at)) else {
                continue;
            };
            match line.split_once('=') {
                Some((key, value)) if !is_continued => {
                    is_logs = key.trim() == "logpath";
                    jail.set(key.trim(), value.trim(), file);
                }
                _ if is_logs => jail.logs.push(line.to_owned()),
                _ => {}
            }
        }
    }

    fn jail(&mut self, name: &str) -> usize {
        if let Some(at) = self.all.iter().position(|jail| jail.name == name) {
            return at;
        }
        self.all.push(Jail {
            name: name.to_owned(),
            filter: name.to_owned(),
            ..Jail::default()
        });
        self.all.len() - 1
    }

    /// The jails that are on and whose log this is.
    fn watching<'a>(
        &'a self,
        machine: &'a dyn Machine,
        path: &'a str,
    ) -> impl Iterator<Item = &'a Jail> {
        let default = self
            .all
            .iter()
            .find(|jail| jail.name == "DEFAULT")
            .and_then(|jail| jail.enabled)
            .unwrap_or(false);
        self.all.iter().filter(move |jail| {
            jail.name != "DEFAULT"
                && jail.enabled.unwrap_or(default)
                && jail.logs.iter().any(|log| is_log(machine, log, path))
        })
    }
}

impl Jail {
    fn set(&mut self, key: &str, value: &str, file: &str) {
        match key {
            "enabled" => {
                self.enabled = Some(matches!(value, "true" | "yes" | "on" | "1"));
                file.clone_into(&mut self.config);
            }
            "filter" => {
                let name = value.split('[').next().unwrap_or(value).trim();
                // `%(__name__)s` is the jail's own.
                if !name.contains('%') {
                    name.clone_into(&mut self.filter);
                }
            }
            "logpath" => {
                self.logs = vec![value.to_owned()];
                if self.config.is_empty() {
                    file.clone_into(&mut self.config);
                }
            }
            _ => {}
        }
    }
}

/// fail2ban's own names for logs stand for these (`paths-debian.conf`).
fn is_log(machine: &dyn Machine, log: &str, path: &str) -> bool {
    let known = match log {
        "%(nginx_access_log)s" => "/var/log/nginx/*access.log",
        "%(nginx_error_log)s" => "/var/log/nginx/*error.log",
        "%(apache_access_log)s" => "/var/log/apache2/*access.log",
        "%(apache_error_log)s" => "/var/log/apache2/*error.log",
        "%(sshd_log)s" | "%(syslog_authpriv)s" => "/var/log/auth.log",
        "%(postfix_log)s" | "%(dovecot_log)s" | "%(syslog_mail)s" => "/var/log/mail.log",
        "%(exim_main_log)s" => "/var/log/exim4/mainlog",
        "%(vsftpd_log)s" => "/var/log/vsftpd.log",
        "%(proftpd_log)s" => "/var/log/proftpd/proftpd.log",
        "%(lighttpd_error_log)s" => "/var/log/lighttpd/error.log",
        "%(mysql_log)s" => "/var/log/mysql/error.log",
        log => log,
    };
    known == path || machine.glob(known).iter().any(|name| name == path)
}
