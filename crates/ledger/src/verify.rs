//! Verifying that a ledger is what was written to it: every file, every record's hash, every
//! allocation against the records it was made from.
//!
//! What is found wrong is named with its place and the rest is looked at all the same.

mod days;
mod journal;
mod rules;
mod tree;

use std::path::Path;

use portledger_proof::{SignedNote, VerifierKey};

use crate::{Error, archive::Archive, home::Home, record::Records, sign};

/// What verifying found.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// Records whose hashes are in the tree.
    pub records: u64,
    /// Records that were deleted when their time was past; their hashes are there.
    pub deleted: u64,
    /// Sealed days.
    pub days: u64,
    /// Allocations that were compared with the records.
    pub allocations: u64,
    /// Files of sealed days that are what was written, by their SHA-256.
    pub files: u64,
    /// Entries of the journal.
    pub entries: u64,
    /// Checkpoints that the log agrees with.
    pub checkpoints: u64,
    /// What is wrong, in the order in which it was found; none where all is right.
    pub problems: Vec<Problem>,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a file, a day, a range of records.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl Verified {
    fn problem(&mut self, place: impl ToString, what: impl ToString) {
        self.problems.push(Problem {
            place: place.to_string(),
            what: what.to_string(),
        });
    }
}

/// Verifies the ledger in `dir`, while it is written too. `older`: checkpoints that were kept
/// elsewhere; the log must go on from each. `progress` is told how many of all records are done.
///
/// # Errors
/// When there is no ledger, its keys or its list of sealed days cannot be read: nothing can be
/// verified then. Everything else is a [`Problem`].
pub fn verify(
    dir: &Path,
    older: &[SignedNote],
    mut progress: impl FnMut(u64, u64),
) -> Result<Verified, Error> {
    let home = || Home::open(dir)?.ok_or_else(|| Error::NoLedger { dir: dir.into() });
    let key: VerifierKey = home()?.signing::<Records>()?.verifier().clone();
    let newest = sign::published(&home()?.log_dir(), &key);
    let archive = Archive::open(home()?)?;
    let mut verified = Verified::default();
    days::verify(&archive, &mut verified);
    rules::verify(&archive, &mut verified);
    tree::verify(&archive, &mut verified, &mut progress);
    match newest {
        Ok(Some((newest, _))) => {
            tree::agrees(&archive, &newest, "the newest checkpoint", &mut verified)
        }
        Ok(None) => verified.problem(home()?.log_dir().display(), "there is no checkpoint"),
        Err(error) => verified.problem("the newest checkpoint", error),
    }
    for (number, note) in (1..).zip(older) {
        let name = format!("checkpoint {number} of those given");
        match portledger_proof::Checkpoint::open_note(note, std::slice::from_ref(&key)) {
            Ok(opened) => tree::agrees(&archive, &opened.checkpoint, &name, &mut verified),
            Err(error) => verified.problem(name, error),
        }
    }
    journal::verify(&home()?, archive.manifest(), &mut verified);
    Ok(verified)
}
