//! Lines at the end of a file.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// A file that lines are appended to.
#[derive(Debug)]
pub(in crate::export) struct Lines {
    path: PathBuf,
    file: File,
    pub(super) given: u64,
    synced: u64,
}

impl Lines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = append_to(path)?;
        end_torn_line(path, &mut file)?;
        Ok(Self {
            path: path.into(),
            file,
            given: 0,
            synced: 0,
        })
    }

    pub(super) fn send(&mut self, parcel: &[u8]) -> io::Result<()> {
        self.file.write_all(parcel)?;
        self.given += parcel.len() as u64;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<u64> {
        if self.synced < self.given {
            match self.file.sync_data() {
                Ok(()) => {}
                // A pipe or a terminal has nothing to sync.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            }
            self.synced = self.given;
        }
        Ok(self.synced)
    }

    /// Begins anew where the file was moved away, as those do who rotate logs.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        let ours = self.file.metadata()?;
        let there = std::fs::metadata(&self.path);
        if !ours.is_file()
            || there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
        {
            return Ok(());
        }
        self.sync()?;
        self.file = append_to(&self.path)?;
        Ok(())
    }
}

/// Who held what is personal data: the owner's and the group's, whatever the umask lets.
fn append_to(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true).mode(0o640).open(path)
}

/// A crash may have torn the last line; what was torn is sent again, on a line of its own.
fn end_torn_line(path: &Path, file: &mut File) -> io::Result<()> {
    let metadata = file.metadata()?;
    let Some(last) = metadata.len().checked_sub(1).filter(|_| metadata.is_file()) else {
        return Ok(());
    };
    let mut byte = [0];
    File::open(path)?.read_exact_at(&mut byte, last)?;
    if byte != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}
