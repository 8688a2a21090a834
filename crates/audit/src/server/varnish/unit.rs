//! A systemd service as far as its command goes: the unit, and the files that override it.

use portledger_servers::config::Place;

use crate::{
    LookError,
    machine::{Machine, folder, text},
};

/// Where units are, those of packages first.
const FOLDERS: [&str; 3] = [
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    ADMINISTRATOR,
];

/// Where an administrator's units and changes are.
const ADMINISTRATOR: &str = "/etc/systemd/system";

/// The commands of a service that are in effect.
pub(super) struct Service {
    pub(super) files: Vec<String>,
    commands: Vec<(Place, String)>,
}

impl Service {
    /// Reads the unit at `path` and what stands in the folders beside it.
    pub(super) fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let unit = path.rsplit('/').next().unwrap_or(path);
        let mut service = Self {
            files: vec![path.to_owned()],
            commands: Vec::new(),
        };
        service.add(path, &text(machine, path)?);
        // systemd.unit(5): each folder of units may have one of files for this unit, wherever the
        // unit itself is.
        let own = folder(path);
        let elsewhere = (!FOLDERS.contains(&own)).then_some(own);
        let mut others: Vec<String> = Vec::new();
        for folder in elsewhere.into_iter().chain(FOLDERS) {
            for file in machine.glob(&format!("{folder}/{unit}.d/*.conf")) {
                // Of files of one name the one in /etc counts.
                let name = |path: &str| path.rsplit('/').next().map(str::to_owned);
                others.retain(|other| name(other) != name(&file));
                others.push(file);
            }
        }
        others.sort_by_key(|path| path.rsplit('/').next().map(str::to_owned));
        for file in others {
            if let Ok(text) = text(machine, &file) {
                service.add(&file, &text);
                service.files.push(file);
            }
        }
        Ok(service)
    }

    /// The folder in which a change of this unit belongs: the administrator's, unless the unit
    /// itself is in none of systemd's usual ones.
    pub(super) fn folder_of_changes(path: &str) -> &str {
        match folder(path) {
            own if FOLDERS.contains(&own) => ADMINISTRATOR,
            own => own,
        }
    }

    fn add(&mut self, file: &str, text: &str) {
        let mut command: Option<(u64, String)> = None;
        let mut is_service = false;
        for (line, number) in text.lines().zip(1_u64..) {
            let trimmed = line.trim();
            let (start, so_far) = match command.take() {
                // A comment between continued lines is none of them.
                Some(whole) if trimmed.starts_with(['#', ';']) => {
                    command = Some(whole);
                    continue;
                }
                Some((start, before)) => (start, before + " " + trimmed),
                None if trimmed.starts_with('[') => {
                    is_service = trimmed == "[Service]";
                    continue;
                }
                None => match trimmed.split_once('=') {
                    Some((key, value)) if is_service && key.trim() == "ExecStart" => {
                        (number, value.trim().to_owned())
                    }
                    _ => continue,
                },
            };
            match so_far.strip_suffix('\\') {
                Some(so_far) => command = Some((start, so_far.trim_end().to_owned())),
                None => self.command(file, start, so_far),
            }
        }
        if let Some((start, so_far)) = command {
            self.command(file, start, so_far);
        }
    }

    /// An empty one throws away those before it.
    fn command(&mut self, file: &str, line: u64, command: String) {
        if command.is_empty() {
            self.commands.clear();
            return;
        }
        let place = Place {
            file: file.into(),
            line,
        };
        self.commands.push((place, command));
    }

    /// The words of the command that starts varnishncsa.
    pub(super) fn varnishncsa(&self) -> Option<(Place, Vec<String>)> {
        let (place, command) = self.last()?;
        Some((
            place.clone(),
            words(command)?.into_iter().map(|(word, _)| word).collect(),
        ))
    }

    fn last(&self) -> Option<&(Place, String)> {
        let mut commands = self.commands.iter();
        commands.rfind(|(_, command)| command.contains("varnishncsa"))
    }

    /// The command with this format, in the unit's own notation, in place of any that it has.
    pub(super) fn with_format(&self, format: &str) -> Option<String> {
        let (_, command) = self.last()?;
        let words = words(command)?;
        let mut kept = String::with_capacity(command.len() + format.len());
        let mut skip = false;
        for (word, range) in &words {
            if std::mem::take(&mut skip) {
                continue;
            }
            if word.starts_with("-F") {
                skip = word == "-F";
                continue;
            }
            if !kept.is_empty() {
                kept.push(' ');
            }
            kept += command.get(range.clone())?;
        }
        Some(format!("{kept} -F {format}"))
    }
}

/// A text as one word of a unit's command (systemd.service, "Command lines").
pub(super) fn format_for_unit(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{}'", text.replace('%', "%%").replace('$', "$$"))
}

type Word = (String, std::ops::Range<usize>);

/// The words of a command, and where they stand; `None` where a quote has no end.
fn words(command: &str) -> Option<Vec<Word>> {
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<(usize, String)> = None;
    let mut quote = None;
    let mut characters = command.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let mut push = |c: char| word.get_or_insert((at, String::new())).1.push(c);
        match c {
            '\\' => match characters.next()?.1 {
                'n' => push('\n'),
                't' => push('\t'),
                's' => push(' '),
                // Bytes by their numbers are more than a format needs.
                'x' | '0'..='7' | 'u' | 'U' => return None,
                other => push(other),
            },
            // `%%` is a percent sign; other specifiers name parts of the unit.
            '%' if characters.next_if(|(_, next)| *next == '%').is_some() => push('%'),
            '$' if characters.next_if(|(_, next)| *next == '$').is_some() => push('$'),
            c if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => {
                quote = Some(c);
                word.get_or_insert((at, String::new()));
            }
            c if c.is_whitespace() && quote.is_none() => {
                words.extend(word.take().map(|(start, word)| (word, start..at)));
            }
            c => push(c),
        }
    }
    words.extend(word.map(|(start, word)| (word, start..command.len())));
    quote.is_none().then_some(words)
}
