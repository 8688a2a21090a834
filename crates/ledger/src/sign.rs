//! Signing what the log is: checkpoints (C2SP tlog-checkpoint).

use std::{fs, io, path::Path};

use portledger_keys::DataKey;
use portledger_proof::{Checkpoint, Frontier, KeyName, SignedNote, SignerKey, VerifierKey};

use crate::{Error, files};

/// What signs the checkpoints of one of a ledger's logs.
pub(crate) struct Signing(SignerKey);

impl Signing {
    /// The key of the log `log` of the ledger `name`, made from the ledger's.
    pub(crate) fn new(name: &str, log: &str, key: &DataKey) -> Result<Self, Error> {
        let wrong = |error: &dyn std::fmt::Display| Error::Signing(error.to_string());
        // C2SP tlog-checkpoint: the key's name is the log's origin.
        let name = KeyName::new(&format!("{name}/{log}")).map_err(|error| wrong(&error))?;
        let signer = SignerKey::from_seed(name, &key.derive(&format!("ed25519 {log}")));
        Ok(Self(signer.map_err(|error| wrong(&error))?))
    }

    pub(crate) fn verifier(&self) -> &VerifierKey {
        self.0.verifier()
    }

    /// Signs that the log's tree is this one.
    pub(crate) fn sign(&self, edge: &Frontier) -> Result<SignedNote, Error> {
        Checkpoint::new(self.verifier().name().as_str(), edge.size(), edge.root())
            .and_then(|checkpoint| checkpoint.sign(&self.0))
            .map_err(|error| Error::Signing(error.to_string()))
    }
}

/// The file of a log's newest checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Puts a log's newest checkpoint where it is looked for.
pub(crate) fn publish(dir: &Path, note: &SignedNote) -> Result<(), Error> {
    files::replace(&dir.join(CHECKPOINT), note.to_string().as_bytes())
}

/// A log's newest checkpoint, signed by this ledger; `None` where there is none yet.
pub(crate) fn published(
    dir: &Path,
    key: &VerifierKey,
) -> Result<Option<(Checkpoint, SignedNote)>, Error> {
    let path = dir.join(CHECKPOINT);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, "read", error)),
    };
    let wrong = |reason: String| Error::Checkpoint {
        file: path.clone(),
        reason,
    };
    let note: SignedNote = text.parse().map_err(|error| wrong(format!("{error}")))?;
    let opened = Checkpoint::open_note(&note, std::slice::from_ref(key))
        .map_err(|error| wrong(error.to_string()))?;
    Ok(Some((opened.checkpoint, note)))
}
