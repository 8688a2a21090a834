//! What could not be taken in, kept aside for whoever mends it.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::{failure::Failure, output::refuse_to_overwrite};

/// The file of rejects, where one was asked for. They are somebody's: for its owner alone.
pub(super) struct Rejects(Option<(PathBuf, BufWriter<File>)>);

impl Rejects {
    pub(super) fn create(path: Option<&Path>, used: &[PathBuf]) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self(None));
        };
        refuse_to_overwrite(path, used.iter().map(PathBuf::as_path))?;
        let mut options = OpenOptions::new();
        let created = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path);
        let created =
            created.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        Ok(Self(Some((path.to_owned(), BufWriter::new(created)))))
    }

    /// Keeps a line, or the lines of a record, as they are. Always true, to say that it was done.
    pub(super) fn keep(&mut self, text: &[u8]) -> Result<bool, Failure> {
        if let Some((path, file)) = &mut self.0 {
            let end: &[u8] = if text.ends_with(b"\n") { b"" } else { b"\n" };
            let written = file.write_all(text).and_then(|()| file.write_all(end));
            written.map_err(|error| unwritable(path, &error))?;
        }
        Ok(true)
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        if let Some((path, mut file)) = self.0 {
            file.flush().map_err(|error| unwritable(&path, &error))?;
        }
        Ok(())
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    Failure::failed(format!("{path}: the rejects cannot be written: {error}"))
}
