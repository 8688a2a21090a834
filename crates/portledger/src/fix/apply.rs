//! A change to a server's files, made whole or not at all.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use portledger_audit::{Change, CommandLine};

use crate::{audit::machine, failure::Failure, questions::now};

/// What to carry out, and how carefully.
pub(super) struct Order<'a> {
    pub(super) change: &'a Change,
    pub(super) backups: &'a Path,
    pub(super) unchecked: bool,
}

/// A file that was written, and what takes it back.
struct Written {
    path: PathBuf,
    before: Option<Vec<u8>>,
    /// The folders that were made for it, the outermost first.
    made: Vec<PathBuf>,
}

impl Order<'_> {
    /// Backs the files up, changes them, and lets the server and `is_done` check the result; takes
    /// everything back where either says no. Gives the backup's folder.
    pub(super) fn carry_out(
        &self,
        is_done: impl FnOnce() -> Result<(), String>,
    ) -> Result<PathBuf, Failure> {
        self.check().map_err(|why| {
            Failure::failed(format!(
                "nothing was changed: the configuration does not pass the server's check as it is: {why}"
            ))
        })?;
        let backup = self.back_up()?;
        let mut written = Vec::new();
        let made = self
            .write(&mut written)
            .map_err(|error| format!("cannot write: {error}"))
            .and_then(|()| self.check())
            .and_then(|()| is_done());
        let Err(why) = made else {
            return Ok(backup);
        };
        let undone = written.into_iter().rev().try_for_each(Written::undo);
        Err(Failure::failed(match undone {
            Ok(()) => format!("everything is as it was: {why}"),
            Err(error) => format!(
                "{why}; and taking it back failed: {error}: the files as they were are in {}",
                backup.display()
            ),
        }))
    }

    /// The server's own check of what is in the files now.
    fn check(&self) -> Result<(), String> {
        let Some(check @ CommandLine { program, arguments }) = &self.change.check else {
            return match self.unchecked {
                true => Ok(()),
                false => Err("this server has no check of its own; --unchecked makes the change all the same".to_owned()),
            };
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match machine::run(program, &arguments, "") {
            Ok(output) if output.succeeded => Ok(()),
            Ok(output) => Err(format!(
                "'{check}' says: {}",
                [output.stderr.trim(), output.stdout.trim()]
                    .join("\n")
                    .trim()
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.unchecked => Ok(()),
            Err(error) => Err(format!(
                "'{check}' cannot be run: {error}; --unchecked makes the change all the same"
            )),
        }
    }

    /// Copies every file, with its path, into a folder of this moment's: not beside the files,
    /// where an `include *` would take the copies for configuration.
    fn back_up(&self) -> Result<PathBuf, Failure> {
        let moment: String = now()
            .to_string()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let folder = self.backups.join(moment);
        for edit in self
            .change
            .edits
            .iter()
            .filter(|edit| edit.before.is_some())
        {
            let copy = folder.join(edit.path.trim_start_matches('/'));
            let made = || {
                let parent = copy.parent().unwrap_or(&folder);
                fs::create_dir_all(parent)?;
                // A configuration may hold secrets, and its folder's rights guarded them.
                fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
                fs::copy(&edit.path, &copy)?;
                fs::File::open(&copy)?.sync_all()
            };
            made().map_err(|error| {
                Failure::failed(format!(
                    "nothing was changed: {} cannot be backed up to {}: {error}; choose another folder with --backups",
                    edit.path,
                    copy.display()
                ))
            })?;
        }
        Ok(folder)
    }

    fn write(&self, written: &mut Vec<Written>) -> io::Result<()> {
        for edit in &self.change.edits {
            // The file itself, not a link to it: `sites-enabled` is full of links.
            let path = match &edit.before {
                Some(_) => fs::canonicalize(&edit.path)?,
                None => PathBuf::from(&edit.path),
            };
            let before = match fs::read(&path) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            if before.as_deref() != edit.before.as_ref().map(String::as_bytes) {
                return Err(io::Error::other(format!(
                    "{}: somebody else changed it meanwhile",
                    path.display()
                )));
            }
            let made = make_folders(path.parent().unwrap_or(&path))?;
            if let Err(error) = put(&path, edit.after.as_bytes()) {
                remove_folders(&made)?;
                return Err(error);
            }
            written.push(Written { path, before, made });
        }
        Ok(())
    }
}

impl Written {
    fn undo(self) -> io::Result<()> {
        match self.before {
            Some(bytes) => put(&self.path, &bytes),
            None => fs::remove_file(&self.path),
        }?;
        remove_folders(&self.made)
    }
}

/// Makes the folders that are missing down to this one: a unit of systemd has none for what
/// overrides it until something does. Gives those that were made, the outermost first.
fn make_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let missing = folder.ancestors().take_while(|folder| !folder.exists());
    let mut made: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
    made.reverse();
    fs::create_dir_all(folder)?;
    Ok(made)
}

fn remove_folders(made: &[PathBuf]) -> io::Result<()> {
    made.iter().rev().try_for_each(fs::remove_dir)
}

/// Puts bytes in a file's place in one step, with the owner and the rights of the one before. The
/// name in between begins with a dot, which no `include *` takes.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    let mut file = tempfile::Builder::new()
        .prefix(".portledger-")
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    match fs::metadata(path) {
        Ok(facts) => {
            chown(file.path(), Some(facts.uid()), Some(facts.gid()))?;
            fs::set_permissions(file.path(), facts.permissions())?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644))?;
        }
        Err(error) => return Err(error),
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    fs::File::open(folder)?.sync_all()
}
