//! The ledger that a question is put to.

use std::{io, path::Path};

use portledger_ledger::{Error, Ledger};

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

fn no_ledger(dir: &Path, why: &str) -> Failure {
    Failure::failed(format!(
        "{}: {why}; give the ledger's folder with --ledger or PORTLEDGER_LEDGER: the one that 'nat run' or 'nat replay' writes to",
        dir.display()
    ))
}
