//! What was not understood, kept aside for a person to look at.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use portledger_model::{Device, Timestamp};
use serde_json::json;

/// A file of at most so many bytes. It may hold subscribers' addresses: only its owner may read it.
#[derive(Debug)]
pub struct Rejects {
    path: PathBuf,
    file: File,
    room: u64,
}

impl Rejects {
    /// Goes on with the file at `path`, or makes it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(path: &Path, most: u64) -> io::Result<Self> {
        let mut options = File::options();
        let file = options.create(true).append(true).mode(0o600).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            room: most.saturating_sub(file.metadata()?.len()),
            file,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps what was received; `false` where there is no room, or the disk takes no more.
    pub(super) fn keep(
        &mut self,
        device: &Device,
        at: Timestamp,
        reason: &str,
        bytes: &[u8],
    ) -> bool {
        let mut told = json!({
            "received": at.to_string(),
            "device": device.as_str(),
            "reason": reason,
        });
        match str::from_utf8(bytes) {
            Ok(text) => told["text"] = text.into(),
            Err(_) => told["base64"] = BASE64_STANDARD.encode(bytes).into(),
        }
        let line = format!("{told}\n");
        let length = line.len() as u64;
        if length > self.room || self.file.write_all(line.as_bytes()).is_err() {
            return false;
        }
        self.room -= length;
        true
    }
}
