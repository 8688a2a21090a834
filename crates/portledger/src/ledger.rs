//! The ledger that a question is put to, or that something is written to.

use std::{fs, io, path::Path};

use portledger_ledger::{Error, Ledger, Options, Writer};

use crate::failure::Failure;

/// Reads the ledger in `dir`. A folder that holds none is refused: `unknown` would sound like an
/// answer.
pub(crate) fn read(dir: &Path) -> Result<Ledger, Failure> {
    let ledger = match Ledger::read(dir) {
        Ok(ledger) => ledger,
        Err(Error::Io { path, source, .. })
            if path == dir && source.kind() == io::ErrorKind::NotFound =>
        {
            return Err(no_ledger(dir, "there is no such folder"));
        }
        Err(error) => return Err(error.into()),
    };
    // Whoever writes a ledger takes its lock first; a copy may lack it, but has records.
    if ledger.stats().records == 0 && !dir.join("LOCK").exists() {
        return Err(no_ledger(dir, "the folder holds no ledger"));
    }
    Ok(ledger)
}

/// Whether `dir` holds a ledger as this release writes them.
pub(crate) fn is_current(dir: &Path) -> bool {
    dir.join("ledger.toml").exists()
}

/// Whether `dir` holds a ledger of any release.
pub(crate) fn is_there(dir: &Path) -> Result<bool, Failure> {
    if is_current(dir) {
        return Ok(true);
    }
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Failure::failed(format!("{}: {error}", dir.display()))),
    };
    let names: Result<Vec<_>, _> = entries.map(|entry| Ok(entry?.path())).collect();
    let names = names.map_err(|error: io::Error| Failure::from(error))?;
    Ok(names
        .iter()
        .any(|path| path.extension().is_some_and(|end| end == "plg")))
}

/// Opens the ledger in `dir` to write to it, makes it where there is none, and says what the
/// operator has to know of it.
pub(crate) fn open_to_write(dir: &Path, options: Options) -> Result<Writer, Failure> {
    let fresh = !is_current(dir);
    let (writer, recovery) = Writer::open(dir, options)?;
    if fresh {
        say_where_the_master_key_is(dir, None);
    }
    if let Some(records) = recovery.upgraded {
        eprintln!(
            "portledger: {}: took over {records} records that an earlier release wrote",
            dir.display()
        );
    }
    if let Some(cut) = recovery.cut {
        eprintln!(
            "portledger: {}: cut {} unfinished bytes at {}, left by a crash and never acknowledged",
            cut.file.display(),
            cut.bytes,
            cut.offset
        );
    }
    Ok(writer)
}

fn no_ledger(dir: &Path, why: &str) -> Failure {
    Failure::failed(format!(
        "{}: {why}; give the ledger's folder with --ledger or PORTLEDGER_LEDGER: the one that 'nat run' or 'nat replay' writes to",
        dir.display()
    ))
}

/// Whoever has the master key and the ledger's folder can read it, after its days were deleted too
/// if both are in one backup.
pub(crate) fn say_where_the_master_key_is(ledger: &Path, elsewhere: Option<&Path>) {
    let inside = ledger.join("master.key");
    let file = elsewhere.unwrap_or(&inside);
    eprintln!(
        "portledger: its master key is {}; keep a copy of it elsewhere, and never in the same backup as the ledger",
        file.display()
    );
}
