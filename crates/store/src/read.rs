//! Reading a stored file at any place.

use std::{fs::File, io, os::unix::fs::FileExt};

/// A stored file, read at any place by any number of threads at once.
pub trait ReadAt: Send + Sync {
    /// Fills `buffer` with what stands at `offset`, in bytes from the beginning.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before the buffer is full; anything
    /// else has an [`Error`](crate::Error) inside when the store is remote.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// The file's length in bytes, as it was when it was opened. For a remote file it is what the
    /// server says: check it against what the file itself says before memory is reserved by it.
    fn len(&self) -> u64;

    /// Whether there is nothing in the file.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A file of this machine.
pub(crate) struct LocalFile {
    file: File,
    bytes: u64,
}

impl LocalFile {
    pub(crate) fn new(file: File, bytes: u64) -> Self {
        Self { file, bytes }
    }
}

impl ReadAt for LocalFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        within(buffer.len(), offset, self.bytes)?;
        self.file.read_exact_at(buffer, offset)
    }

    fn len(&self) -> u64 {
        self.bytes
    }
}

/// Where a read of `wanted` bytes at `offset` ends, when that is inside a file of `bytes`.
pub(crate) fn within(wanted: usize, offset: u64, bytes: u64) -> io::Result<u64> {
    u64::try_from(wanted)
        .ok()
        .and_then(|wanted| offset.checked_add(wanted))
        .filter(|end| *end <= bytes)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{wanted} bytes at {offset} are more than the file's {bytes} bytes hold"),
            )
        })
}
