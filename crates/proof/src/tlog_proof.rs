//! All that it takes to believe one record, in one text.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    Checkpoint, CheckpointError, Hash, HashError, Inclusion, NoteError, Opened, ProofError,
    SignedNote, VerifierKey, Witness, checkpoint::parse_decimal, leaf_hash,
};

/// The proof that an entry is in a log, with the checkpoint it leads to (C2SP tlog-proof).
///
/// It proves nothing before it is [verified](Self::verify). `Display` and `FromStr` are the text
/// that is given away; what is read is written back the same, byte by byte.
///
/// ```text
/// c2sp.org/tlog-proof@v1
/// extra aGVsbG8=             for the application; nobody signed it; may be left out
/// index 73894                which entry, from 0
/// gSKyXoYZUgZ6jduWYrkDOAR…   ┐ the hashes of Inclusion,
/// B95lDa8R83lS8n0eG+o0buT…   ┘ from the leaf's neighbour upwards
///
/// example.com/log            ┐
/// 109482                     │ SignedNote of a
/// sFodV/vSp5O8n9a8QpW6PRY…   │ Checkpoint
///                            │
/// — example.com/log hI2DJw…  ┘
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Empty when there is none.
    extra: Vec<u8>,
    index: u64,
    hashes: Vec<Hash>,
    checkpoint: SignedNote,
}

impl TlogProof {
    /// The most hashes a proof may have: one for each bit of an index.
    pub const MAX_HASHES: usize = 64;

    /// The most bytes of extra data.
    pub const MAX_EXTRA: usize = 1 << 16;

    /// The longest text that is read, in bytes.
    pub const MAX_LENGTH: usize =
        SignedNote::MAX_LENGTH + Self::MAX_EXTRA.div_ceil(3) * 4 + (Self::MAX_HASHES + 3) * 45;

    /// Puts a proof and a signed checkpoint of the same size together.
    pub fn new(inclusion: &Inclusion, checkpoint: SignedNote) -> Self {
        Self {
            extra: Vec::new(),
            index: inclusion.index(),
            hashes: inclusion.hashes().to_vec(),
            checkpoint,
        }
    }

    /// Adds data for the application. Nobody signs it.
    ///
    /// # Errors
    /// When it is more than [`MAX_EXTRA`](Self::MAX_EXTRA).
    pub fn with_extra(mut self, extra: Vec<u8>) -> Result<Self, TlogProofError> {
        if extra.len() > Self::MAX_EXTRA {
            return Err(TlogProofError::ExtraTooLong);
        }
        self.extra = extra;
        Ok(self)
    }

    /// Data for the application, empty when there is none. Nobody signed it.
    pub fn extra(&self) -> &[u8] {
        &self.extra
    }

    /// Which entry it says it proves, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The hashes of the proof, from the leaf's neighbour upwards.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The checkpoint it leads to, not verified.
    pub fn checkpoint(&self) -> &SignedNote {
        &self.checkpoint
    }

    /// Verifies that the entry is in the log; `keys` are as in [`Checkpoint::open_note`].
    ///
    /// # Errors
    /// When the checkpoint is not to be believed, or the proof does not lead from the entry to it.
    pub fn verify(&self, entry: &[u8], keys: &[VerifierKey]) -> Result<Verified, TlogProofError> {
        self.verify_leaf(leaf_hash(entry), keys)
    }

    /// As [`verify`](Self::verify), of an entry of which the leaf's hash is known.
    ///
    /// # Errors
    /// As there.
    pub fn verify_leaf(
        &self,
        leaf: Hash,
        keys: &[VerifierKey],
    ) -> Result<Verified, TlogProofError> {
        let Opened {
            checkpoint,
            witnesses,
        } = Checkpoint::open_note(&self.checkpoint, keys)?;
        let inclusion = Inclusion::new(self.index, checkpoint.size(), self.hashes.clone())?;
        inclusion.verify(leaf, &checkpoint.root())?;
        Ok(Verified {
            index: self.index,
            checkpoint,
            witnesses,
        })
    }
}

/// What a proof proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Which entry it is, from 0.
    pub index: u64,
    /// The log it is in, and how far that was known.
    pub checkpoint: Checkpoint,
    /// The known witnesses of the checkpoint, each once. How many are enough is for who asks.
    pub witnesses: Vec<Witness>,
}

const HEADER: &str = "c2sp.org/tlog-proof@v1";

impl FromStr for TlogProof {
    type Err = TlogProofError;

    fn from_str(text: &str) -> Result<Self, TlogProofError> {
        if text.len() > Self::MAX_LENGTH {
            return Err(TlogProofError::TooLong { length: text.len() });
        }
        // The first empty line: there is none before the checkpoint.
        let (above, checkpoint) = text.split_once("\n\n").ok_or(TlogProofError::Cut)?;
        let mut lines = above.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(TlogProofError::Header);
        }
        let mut number = 2;
        let mut line = lines.next();
        let mut extra = Vec::new();
        if let Some(encoded) = line.and_then(|line| line.strip_prefix("extra ")) {
            extra = parse_extra(encoded)?;
            number += 1;
            line = lines.next();
        }
        let index = line.and_then(|line| line.strip_prefix("index "));
        let index = index
            .and_then(parse_decimal)
            .ok_or(TlogProofError::Index { line: number })?;
        let mut hashes = Vec::new();
        for line in lines {
            number += 1;
            if hashes.len() == Self::MAX_HASHES {
                return Err(TlogProofError::TooManyHashes);
            }
            let hash = line.parse();
            hashes.push(hash.map_err(|source| TlogProofError::Hash {
                line: number,
                source,
            })?);
        }
        Ok(Self {
            extra,
            index,
            hashes,
            checkpoint: checkpoint.parse().map_err(TlogProofError::Note)?,
        })
    }
}

fn parse_extra(encoded: &str) -> Result<Vec<u8>, TlogProofError> {
    if encoded.len() > TlogProof::MAX_EXTRA.div_ceil(3) * 4 {
        return Err(TlogProofError::ExtraTooLong);
    }
    let extra = STANDARD
        .decode(encoded)
        .map_err(|_| TlogProofError::Extra)?;
    // tlog-proof, "Format": without data the line is left out.
    if extra.is_empty() {
        return Err(TlogProofError::Extra);
    }
    if extra.len() > TlogProof::MAX_EXTRA {
        return Err(TlogProofError::ExtraTooLong);
    }
    Ok(extra)
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", STANDARD.encode(&self.extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes
            .iter()
            .try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Without the extra data, which may say anything.
impl fmt::Debug for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlogProof")
            .field("extra", &format_args!("{} bytes", self.extra.len()))
            .field("index", &self.index)
            .field("hashes", &self.hashes)
            .field("checkpoint", &self.checkpoint)
            .finish()
    }
}

/// Not a proof, or one that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Too many bytes.
    #[error(
        "the proof is {length} bytes long; {} are the most",
        TlogProof::MAX_LENGTH
    )]
    TooLong {
        /// How many.
        length: usize,
    },
    /// Another first line.
    #[error("line 1 is not \"{HEADER}\": this is not a proof, or one of another version")]
    Header,
    /// No empty line, so no checkpoint.
    #[error("there is no empty line with a checkpoint below it: the proof may have been cut")]
    Cut,
    /// The extra data is none.
    #[error("line 2 is not \"extra \" and the base64 of a byte or more")]
    Extra,
    /// The extra data is too much.
    #[error("there are more than {} bytes of extra data", TlogProof::MAX_EXTRA)]
    ExtraTooLong,
    /// No index.
    #[error("line {line} is not \"index \" and digits, without zeros before them")]
    Index {
        /// The line, from 1.
        line: usize,
    },
    /// More hashes than any tree asks for.
    #[error("there are more than {} hashes", TlogProof::MAX_HASHES)]
    TooManyHashes,
    /// A line of the proof is not a hash.
    #[error("line {line} is {source}")]
    Hash {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: HashError,
    },
    /// What is below the empty line is not a note.
    #[error("the checkpoint below the proof: {0}")]
    Note(NoteError),
    /// The checkpoint is none, or not to be believed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The proof does not lead to the checkpoint.
    #[error(transparent)]
    Proof(#[from] ProofError),
}
