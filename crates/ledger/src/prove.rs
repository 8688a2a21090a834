//! Proving that a record is in the log, and that the log was only ever appended to.

use std::path::Path;

use portledger_model::RecordNumber;
use portledger_proof::{
    Checkpoint, Consistency, SignedNote, TlogProof, VerifierKey, prove_consistency, prove_inclusion,
};

use crate::{
    Error,
    archive::Archive,
    home::Home,
    record::{Records, text},
    sign,
};

/// Proves what a ledger's log holds.
pub struct Prover {
    archive: Archive,
    checkpoint: Checkpoint,
    note: SignedNote,
    key: VerifierKey,
}

impl Prover {
    /// Opens the ledger in `dir` with its newest checkpoint.
    ///
    /// # Errors
    /// When there is no ledger or no checkpoint, or they cannot be read.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let home = Home::open(dir)?.ok_or_else(|| Error::NoLedger { dir: dir.into() })?;
        let key = home.signing::<Records>()?.verifier().clone();
        let log = home.log_dir();
        let newest = sign::published(&log, &key)?;
        let (checkpoint, note) = newest.ok_or_else(|| Error::Checkpoint {
            file: log.join(sign::CHECKPOINT),
            reason: "there is no checkpoint yet".into(),
        })?;
        Ok(Self {
            archive: Archive::open(home)?,
            checkpoint,
            note,
            key,
        })
    }

    /// The newest checkpoint, signed by the ledger and by whoever witnessed it.
    pub const fn checkpoint(&self) -> &SignedNote {
        &self.note
    }

    /// The key that the ledger signs with.
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// How many records the newest checkpoint speaks of.
    pub fn size(&self) -> u64 {
        self.checkpoint.size()
    }

    /// The proof that a record is in the log: its salted text as `extra`, its place in the tree,
    /// and the newest checkpoint (C2SP tlog-proof).
    ///
    /// # Errors
    /// When the record is newer than the checkpoint or was deleted, or something cannot be read.
    pub fn inclusion(&self, number: RecordNumber) -> Result<TlogProof, Error> {
        if self.size() <= number.0 {
            return Err(Error::NotSignedYet { record: number });
        }
        let record = self.archive.record(number)?;
        let record = record.ok_or(Error::Deleted { record: number })?;
        let day = self.archive.home().settings().calendar.day_of(record.at);
        let key = self.archive.keys().get(day)?;
        let key = key.ok_or(Error::Deleted { record: number })?;
        let (mut says, mut entry) = (Vec::new(), Vec::new());
        text::write(&record, &mut says);
        key.leaf_entry(number, &says, &mut entry);
        let proof = prove_inclusion(&self.archive.tree(), number.0, self.size());
        let proof = proof.map_err(|error| Error::Proof(error.to_string()))?;
        TlogProof::new(&proof, self.note.clone())
            .with_extra(entry)
            .map_err(|error| Error::Proof(error.to_string()))
    }

    /// The proof that the log of the newest checkpoint goes on from the one of `old` records.
    ///
    /// # Errors
    /// When `old` is more than there are, or something cannot be read.
    pub fn consistency(&self, old: u64) -> Result<Consistency, Error> {
        prove_consistency(&self.archive.tree(), old, self.size())
            .map_err(|error| Error::Proof(error.to_string()))
    }
}

/// The text of the record in a leaf's entry, which stands behind the salt; `None` where it is
/// none.
pub fn text_of_entry(entry: &[u8]) -> Option<&str> {
    std::str::from_utf8(crate::log::keys::text_of(entry)?).ok()
}
