//! What a ledger is and where its parts lie: `ledger.toml`.

use std::{
    fs, io,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use portledger_keys::MasterSource;
use serde::{Deserialize, Serialize};

use crate::{Error, calendar::Calendar};

/// The file's name in the ledger's folder.
pub(crate) const FILE: &str = "ledger.toml";

/// What a ledger is: settled when it is made, read by everyone who writes or asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What its checkpoints call it (C2SP tlog-checkpoint: the origin). It never changes.
    pub name: String,
    /// When its days begin. It never changes.
    pub calendar: Calendar,
    /// Whether sealed days are encrypted with the day's key. The log always is.
    pub encrypted: bool,
    /// The folder of the key ring; a relative path is inside the ledger's folder.
    pub keys: PathBuf,
    /// Where the master key comes from.
    pub master: MasterSource,
    /// Where sealed files lie: a folder (a relative path is inside the ledger's) or a URL.
    pub store: String,
    /// For how many days after a ledger day's end its records are kept; `None` for ever. At least
    /// one: the next day takes over what is still held.
    pub keep_days: Option<NonZeroU32>,
    /// For how many days the questions are kept; `None` for ever.
    pub keep_questions_days: Option<NonZeroU32>,
}

impl Settings {
    /// What a ledger in a folder of its own is: encrypted, with a name drawn from `seed`.
    pub fn new(seed: [u8; 16]) -> Self {
        let seed = u128::from_le_bytes(seed);
        Self {
            name: format!("portledger-{seed:032x}"),
            calendar: Calendar::default(),
            encrypted: true,
            keys: "keys".into(),
            master: MasterSource::File("master.key".into()),
            store: "sealed".into(),
            keep_days: None,
            keep_questions_days: None,
        }
    }

    /// Reads the settings of the ledger in `dir`; `None` where there are none.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(path, "read", error)),
        };
        let wrong = |reason: String| Error::Settings {
            file: path.clone(),
            reason,
        };
        let file: File = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        file.settings().map(Some).map_err(wrong)
    }

    /// The file's text, with what each line means.
    pub(crate) fn text(&self) -> Result<String, Error> {
        let values = toml::to_string(&File::of(self)).map_err(|error| Error::Settings {
            file: FILE.into(),
            reason: error.to_string(),
        })?;
        Ok(format!("{INTRODUCTION}{values}"))
    }
}

const INTRODUCTION: &str = "\
# What this ledger is. Read by everyone who writes to it or asks it.
#   name, day_starts       never change: records were signed and filed by them
#   encrypted              whether days that are sealed from now on are encrypted, each with its
#                          own key; the log always is
#   keys, master_key       the key ring and the master key that wraps it; better elsewhere than
#                          here, and never in the same backup. Instead of a file:
#                          master_key_command = [\"program\", \"argument\"]
#   store                  where sealed days lie: a folder, or s3://bucket/prefix
#   keep_days              after how many days a ledger day is deleted; without it, never
#   keep_questions_days    the same for the questions that were asked

";

/// The file as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    name: String,
    day_starts: String,
    encrypted: bool,
    keys: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    master_key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    master_key_command: Option<Vec<String>>,
    store: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_days: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_questions_days: Option<NonZeroU32>,
}

const FORMAT: u32 = 2;

impl File {
    fn of(settings: &Settings) -> Self {
        let (file, command) = match &settings.master {
            MasterSource::File(path) => (Some(path.clone()), None),
            MasterSource::Command(command) => (None, Some(command.clone())),
        };
        Self {
            format: FORMAT,
            name: settings.name.clone(),
            day_starts: settings.calendar.to_string(),
            encrypted: settings.encrypted,
            keys: settings.keys.clone(),
            master_key: file,
            master_key_command: command,
            store: settings.store.clone(),
            keep_days: settings.keep_days,
            keep_questions_days: settings.keep_questions_days,
        }
    }

    fn settings(self) -> Result<Settings, String> {
        if self.format != FORMAT {
            return Err(format!(
                "format {} is none this release reads ({FORMAT}); use the release that wrote it or a later one",
                self.format
            ));
        }
        let master = match (self.master_key, self.master_key_command) {
            (Some(path), None) => MasterSource::File(path),
            (None, Some(command)) if !command.is_empty() => MasterSource::Command(command),
            _ => return Err("give master_key (a file) or master_key_command, one of them".into()),
        };
        Ok(Settings {
            name: self.name,
            calendar: self
                .day_starts
                .parse()
                .map_err(|error| format!("day_starts: {error}"))?,
            encrypted: self.encrypted,
            keys: self.keys,
            master,
            store: self.store,
            keep_days: self.keep_days,
            keep_questions_days: self.keep_questions_days,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_from_their_file() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Settings::read(dir.path()).unwrap(), None);
        let mut settings = Settings::new([7; 16]);
        settings.keep_days = NonZeroU32::new(180);
        settings.master = MasterSource::Command(vec!["get-key".into(), "ledger".into()]);
        fs::write(dir.path().join(FILE), settings.text().unwrap()).unwrap();
        assert_eq!(Settings::read(dir.path()).unwrap(), Some(settings));
    }

    #[test]
    fn what_is_misspelt_is_said_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let text = Settings::new([7; 16]).text().unwrap();
        for (from, to, expected) in [
            ("day_starts = \"05:00\"", "day_starts = \"5\"", "05:00"),
            ("encrypted", "encripted", "encripted"),
            ("format = 2", "format = 3", "format 3"),
            ("master_key = \"master.key\"\n", "", "master_key"),
        ] {
            fs::write(dir.path().join(FILE), text.replace(from, to)).unwrap();
            let error = Settings::read(dir.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
