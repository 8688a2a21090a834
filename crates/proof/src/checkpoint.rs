//! What a log was at one time, in the words it signs.

use std::{fmt, str::FromStr};

use crate::{
    Hash, HashError, MAX_SIZE, NoteError, SignatureKind, SignedNote, SignerKey, UnverifiedError,
    VerifiedSignature, VerifierKey, note::KeyName,
};

/// The size and the root of a log (C2SP tlog-checkpoint). `Display` and `FromStr` are the text
/// that is signed.
///
/// ```text
/// example.com/behind-the-sofa                      origin: which log
/// 20852163                                         size
/// CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=     root
/// ```
///
/// Lines may follow; they are kept, and no use is made of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// The checkpoint of a log.
    ///
    /// # Errors
    /// When the origin is empty or more than a line, the size beyond [`MAX_SIZE`], or the root
    /// that of no empty tree while the size is 0.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        check_line(origin).map_err(CheckpointError::Origin)?;
        if size > MAX_SIZE {
            return Err(CheckpointError::TooLarge { size });
        }
        if size == 0 && root != Hash::EMPTY {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions: Vec::new(),
        })
    }

    /// Adds a line. The specification advises against it: no monitor can check what it says.
    ///
    /// # Errors
    /// When it is empty or more than a line.
    pub fn extend(&mut self, line: &str) -> Result<(), CheckpointError> {
        check_line(line).map_err(|flaw| CheckpointError::Extension {
            line: 4 + self.extensions.len(),
            flaw,
        })?;
        self.extensions.push(line.to_owned());
        Ok(())
    }

    /// Which log it is of.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many leaves the log had.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of its tree.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The lines after the root.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Signs it with the log's key, whose name is the origin.
    ///
    /// # Errors
    /// When the key's name is another, so that nobody would believe the signature, or the
    /// checkpoint is too long for a note.
    pub fn sign(&self, signer: &SignerKey) -> Result<SignedNote, CheckpointError> {
        let name = signer.verifier().name();
        if name.as_str() != self.origin {
            return Err(CheckpointError::OtherName {
                name: name.clone(),
                origin: self.origin.clone(),
            });
        }
        Ok(SignedNote::sign(&self.to_string(), signer)?)
    }

    /// Reads a signed checkpoint and verifies it; see [`open_note`](Self::open_note).
    ///
    /// # Errors
    /// As there, and when the text is not a note.
    pub fn open(note: &str, keys: &[VerifierKey]) -> Result<Opened, CheckpointError> {
        Self::open_note(&note.parse()?, keys)
    }

    /// Verifies a signed checkpoint. `keys` are those of the logs and of the witnesses that are
    /// trusted: a log's is of kind [`SignatureKind::Note`] and has its origin for a name, a
    /// witness's is a [`SignatureKind::Cosignature`].
    ///
    /// # Errors
    /// When a signature by one of the keys is wrong, when none is by its log, and when the text is
    /// not a checkpoint.
    pub fn open_note(note: &SignedNote, keys: &[VerifierKey]) -> Result<Opened, CheckpointError> {
        let (text, signatures) = note.verify(keys)?;
        let checkpoint: Self = text.parse()?;
        // tlog-proof, "Verifying": by a key configured for that origin. A key for another log
        // has no say in this one.
        let is_log = |signature: &VerifiedSignature| {
            signature.key.kind() == SignatureKind::Note
                && signature.key.name().as_str() == checkpoint.origin
        };
        if !signatures.iter().any(is_log) {
            return Err(CheckpointError::NotByLog {
                origin: checkpoint.origin,
            });
        }
        Ok(Opened {
            witnesses: witnesses(&signatures),
            checkpoint,
        })
    }
}

/// A checkpoint that its log signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The known witnesses that cosigned it, each once. How many are enough is for who asks.
    pub witnesses: Vec<Witness>,
}

/// A witness that saw a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its name.
    pub name: KeyName,
    /// When it did, in seconds since 1970 by its own clock; of several times the first.
    pub time: u64,
}

/// Each witness once: neither a second cosignature nor a second key makes it two, nor a second
/// name over the same key.
fn witnesses(signatures: &[VerifiedSignature]) -> Vec<Witness> {
    let mut seen: Vec<(&VerifierKey, u64)> = Vec::new();
    for signature in signatures {
        let Some(time) = signature.time else { continue };
        let key = &signature.key;
        let same = |other: &VerifierKey| {
            other.name() == key.name() || other.public_key() == key.public_key()
        };
        match seen.iter_mut().find(|(other, _)| same(other)) {
            Some((_, first)) => *first = time.min(*first),
            None => seen.push((key, time)),
        }
    }
    seen.into_iter()
        .map(|(key, time)| Witness {
            name: key.name().clone(),
            time,
        })
        .collect()
}

fn check_line(line: &str) -> Result<(), LineFlaw> {
    if line.is_empty() {
        return Err(LineFlaw::Empty);
    }
    if line.bytes().any(|byte| byte < b' ') {
        return Err(LineFlaw::ControlCharacter);
    }
    Ok(())
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        if text.len() > SignedNote::MAX_LENGTH {
            return Err(NoteError::TooLong { length: text.len() }.into());
        }
        let text = text.strip_suffix('\n').ok_or(NoteError::TextEnd)?;
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Lines);
        };
        let size = parse_decimal(size).ok_or(CheckpointError::Size)?;
        let mut checkpoint = Self::new(origin, size, root.parse()?)?;
        lines.try_for_each(|line| checkpoint.extend(line))?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A number in its only spelling: digits, without zeros before it.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let has_zeros = text.len() > 1 && text.starts_with('0');
    (is_plain && !has_zeros).then(|| text.parse().ok())?
}

/// What a line of a checkpoint cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFlaw {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// More than a line, or a carriage return.
    #[error("it has a newline or another control character")]
    ControlCharacter,
}

/// Not a checkpoint, or one that is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Its signatures do not hold.
    #[error(transparent)]
    Unverified(#[from] UnverifiedError),
    /// It is signed, not by its log.
    #[error(
        "the checkpoint of {origin} has no signature by a known key of that name: give that log's \
         verifier key"
    )]
    NotByLog {
        /// The log.
        origin: String,
    },
    /// It is to be signed by a key of another name.
    #[error("the key's name is {name}, the log's origin {origin}: they have to be the same")]
    OtherName {
        /// The key.
        name: KeyName,
        /// The log.
        origin: String,
    },
    /// Fewer than three lines.
    #[error("a checkpoint has three lines at least: origin, size, root")]
    Lines,
    /// The origin is not a line.
    #[error("line 1 is not an origin: {0}")]
    Origin(LineFlaw),
    /// The size is not a number.
    #[error("line 2 is not a size: expected digits, without zeros before them")]
    Size,
    /// The size is larger than other implementations can count.
    #[error("a tree of {size} leaves is larger than any log may be ({MAX_SIZE})")]
    TooLarge {
        /// The size.
        size: u64,
    },
    /// The root is not a hash.
    #[error("line 3 is not a root: {0}")]
    Root(#[from] HashError),
    /// The root of an empty log is not that of the empty tree.
    #[error("the log is empty and its root is not that of the empty tree")]
    EmptyRoot,
    /// A line after the root.
    #[error("line {line} is not an extension: {flaw}")]
    Extension {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        flaw: LineFlaw,
    },
}
