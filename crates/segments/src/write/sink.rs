//! A file that is being written, with what is known of it at the end.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use ring::digest::{Context, SHA256};

use crate::write::FileSummary;

/// A new file, counted and hashed as it is written.
pub(crate) struct Sink {
    file: BufWriter<File>,
    hash: Context,
    bytes: u64,
}

impl Sink {
    /// Makes the file, which must not be there yet.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().write(true).create_new(true).open(path)?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 18, file),
            hash: Context::new(&SHA256),
            bytes: 0,
        })
    }

    /// Makes the file durable.
    pub(crate) fn finish(self, name: &'static str) -> io::Result<FileSummary> {
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.hash.finish().as_ref());
        Ok(FileSummary {
            name,
            bytes: self.bytes,
            sha256,
        })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or(bytes));
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
