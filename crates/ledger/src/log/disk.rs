//! What the writer asks of the disk, so that a test can let it fail.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

/// Makes and opens log files.
pub(crate) trait Disk: Send {
    /// An empty file, in place of one that may be there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// A file that is there, cut to `length` bytes, to write from byte `from` on.
    fn open(&self, path: &Path, length: u64, from: u64) -> io::Result<Box<dyn LogFile>>;
}

/// A file that is written at its end.
pub(crate) trait LogFile: Send {
    /// Writes all of it or fails.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file to `length` bytes and goes on from there.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Returns when what was written is durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system.
pub(crate) struct Real;

impl Disk for Real {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        // Who held what is personal data: the owner's and the group's, whatever the umask lets.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        Ok(Box::new(options.open(path)?))
    }

    fn open(&self, path: &Path, length: u64, from: u64) -> io::Result<Box<dyn LogFile>> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(file))
    }
}

impl LogFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
