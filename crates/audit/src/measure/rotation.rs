//! How long a log is kept: logrotate's configuration (logrotate(8)).

use serde::Serialize;

use crate::machine::{Machine, text, under};

/// What rotates a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rotation {
    /// The file that says so.
    pub config: String,
    /// How many old logs are kept; `None` where none is ever removed.
    pub kept: Option<u32>,
    /// How many days each is of; `None` where size decides.
    pub days: Option<u32>,
    /// Whether old logs are compressed.
    pub compressed: bool,
}

impl Rotation {
    /// How many days back the log reaches, at the least: the newest file may be fresh.
    pub fn reaches_back(&self) -> Option<u32> {
        self.kept?.checked_mul(self.days?)
    }
}

/// What of logrotate's settings matters here. Globals come first and hold for what follows.
#[derive(Debug, Clone, Copy, Default)]
struct Settings {
    kept: Option<i64>,
    days: Option<u32>,
    compressed: bool,
}

impl Settings {
    fn take(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        match (words.next().unwrap_or_default(), words.next()) {
            ("hourly" | "daily", _) => self.days = Some(1),
            ("weekly", _) => self.days = Some(7),
            ("monthly", _) => self.days = Some(30),
            ("yearly", _) => self.days = Some(365),
            ("size", _) => self.days = None,
            ("rotate", Some(count)) => self.kept = count.parse().ok(),
            ("compress", _) => self.compressed = true,
            ("nocompress", _) => self.compressed = false,
            _ => {}
        }
    }
}

/// What rotates the log at `path`, if anything does.
pub(super) fn of(machine: &dyn Machine, path: &str) -> Option<Rotation> {
    const MAIN: &str = "/etc/logrotate.conf";
    let mut settings = Settings::default();
    let mut files = Vec::new();
    if let Ok(main) = text(machine, MAIN) {
        let mut found = None;
        walk(&main, &mut settings, &mut |patterns, settings| {
            if found.is_none() && is_meant(machine, patterns, path) {
                found = Some(rotation(MAIN, settings));
            }
        });
        if found.is_some() {
            return found;
        }
        for line in main.lines() {
            if let Some(folder) = line.trim().strip_prefix("include ") {
                files.extend(machine.glob(&under(folder.trim(), "*")));
            }
        }
    } else {
        files.extend(machine.glob("/etc/logrotate.d/*"));
    }
    files.into_iter().find_map(|file| {
        let mut found = None;
        let mut settings = settings;
        walk(
            &text(machine, &file).ok()?,
            &mut settings,
            &mut |patterns, settings| {
                if found.is_none() && is_meant(machine, patterns, path) {
                    found = Some(rotation(&file, settings));
                }
            },
        );
        found
    })
}

fn rotation(config: &str, settings: Settings) -> Rotation {
    // logrotate(8): without `rotate` no old log is kept; -1 keeps all.
    let kept = settings.kept.unwrap_or(0);
    Rotation {
        config: config.to_owned(),
        kept: u32::try_from(kept).ok(),
        days: settings.days,
        compressed: settings.compressed,
    }
}

/// Calls `block` with the patterns of each block and the settings in it; settings outside of
/// blocks go into `globals`.
fn walk(text: &str, globals: &mut Settings, block: &mut dyn FnMut(&str, Settings)) {
    let mut patterns = String::new();
    let mut inside: Option<Settings> = None;
    let mut is_script = false;
    for line in text.lines() {
        let line = line.trim();
        if is_script {
            is_script = line != "endscript";
            continue;
        }
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        match &mut inside {
            Some(settings) => match line {
                "}" => {
                    block(&patterns, *settings);
                    patterns.clear();
                    inside = None;
                }
                "postrotate" | "prerotate" | "firstaction" | "lastaction" | "preremove" => {
                    is_script = true;
                }
                line => settings.take(line),
            },
            None => {
                let (before, opens) = match line.split_once('{') {
                    Some((before, _)) => (before, true),
                    None => (line, false),
                };
                if before.starts_with(['/', '"', '~', '*']) {
                    patterns.push(' ');
                    patterns.push_str(before);
                } else if !opens {
                    globals.take(line);
                }
                inside = opens.then_some(*globals);
            }
        }
    }
}

/// Whether a block is of this log: by name, or by a pattern that names it.
fn is_meant(machine: &dyn Machine, patterns: &str, path: &str) -> bool {
    patterns
        .split_whitespace()
        .map(|pattern| pattern.trim_matches('"'))
        .any(|pattern| pattern == path || machine.glob(pattern).iter().any(|name| name == path))
}
