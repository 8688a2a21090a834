//! Signed notes: text, and lines below it by which known keys stand for it.

mod key;
mod signature;
mod signer;
mod verify;

use std::{fmt, str::FromStr};

pub use key::{KeyError, KeyId, KeyName, KeyNameError, SignatureKind, VerifierKey};
pub use signature::{Signature, SignatureError};
pub use signer::{CosignerKey, MAX_COSIGNATURE_TIME, SignerKey, SigningError};
pub use verify::{UnverifiedError, VerifiedSignature};

/// Text with the signatures of one key or more (C2SP signed-note).
///
/// The text means nothing before [`verify`](Self::verify) has found a signature by a key that is
/// trusted. `Display` and `FromStr` are the note's own form; what is read is written back the
/// same, byte by byte.
///
/// ```text
/// example.com/log          ┐
/// 20852163                 │ text, ends with a newline
/// CsUYapGGPo4dkMgIAUqo…    ┘
///                            one empty line
/// — example.com/log Az3g…  ┐
/// — witness.example jWbP…  ┘ signatures: name, base64 of key ID and signature
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    /// At least one.
    signatures: Vec<Signature>,
}

impl SignedNote {
    /// The longest note that is read or written, in bytes.
    pub const MAX_LENGTH: usize = 1 << 20;

    /// The most signatures a note may have. The specification asks for 16 at least.
    pub const MAX_SIGNATURES: usize = 100;

    /// Signs a text.
    ///
    /// # Errors
    /// When the text does not end with a newline, has control characters or is too long.
    pub fn sign(text: &str, signer: &SignerKey) -> Result<Self, NoteError> {
        check_characters(text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::TextEnd);
        }
        let note = Self {
            text: text.to_owned(),
            signatures: vec![signer.sign(text)],
        };
        note.check_length()?;
        Ok(note)
    }

    /// Adds a signature below the others; one that is there already is not added again.
    ///
    /// # Errors
    /// When the note would have too many or be too long. It is then as it was.
    pub fn add(&mut self, signature: Signature) -> Result<(), NoteError> {
        if self.signatures.contains(&signature) {
            return Ok(());
        }
        if self.signatures.len() == Self::MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        self.signatures.push(signature);
        self.check_length().inspect_err(|_| {
            self.signatures.pop();
        })
    }

    /// The text, with the newline at its end. **Not verified.**
    pub fn unverified_text(&self) -> &str {
        &self.text
    }

    /// The signatures, known or not, right or not.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The text, when every signature by one of these keys is right and there is one at least,
    /// and those signatures. Signatures by other keys are passed over.
    ///
    /// # Errors
    /// When a signature by one of the keys is wrong, when there is none by any of them, and when
    /// two of the keys cannot be told apart.
    pub fn verify(
        &self,
        keys: &[VerifierKey],
    ) -> Result<(&str, Vec<VerifiedSignature>), UnverifiedError> {
        verify::verify(&self.text, &self.signatures, keys).map(|verified| (&*self.text, verified))
    }

    fn check_length(&self) -> Result<(), NoteError> {
        let signatures = self.signatures.iter().map(Signature::line_length);
        check_length(self.text.len() + 1 + signatures.sum::<usize>())
    }
}

fn check_length(length: usize) -> Result<(), NoteError> {
    if length > SignedNote::MAX_LENGTH {
        return Err(NoteError::TooLong { length });
    }
    Ok(())
}

/// A note has no control character but newline (signed-note, "Format").
pub(crate) fn check_characters(text: &str) -> Result<(), NoteError> {
    let is_control = |byte: &u8| *byte < b' ' && *byte != b'\n';
    match text.as_bytes().iter().position(is_control) {
        None => Ok(()),
        Some(at) => {
            let before = text.as_bytes().iter().take(at);
            Err(NoteError::ControlCharacter {
                line: 1 + before.filter(|byte| **byte == b'\n').count(),
            })
        }
    }
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        check_length(note.len())?;
        check_characters(note)?;
        // The last empty line: there may be others in the text.
        let end = note.rfind("\n\n").ok_or(NoteError::NoSeparator)?;
        let (text, below) = (&note[..=end], &note[end + 2..]);
        let lines = below.strip_suffix('\n').ok_or(if below.is_empty() {
            NoteError::NoSignatures
        } else {
            NoteError::Cut
        })?;
        // Counted before any is decoded.
        if lines.split('\n').count() > Self::MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let first = 2 + text.matches('\n').count();
        let signatures = lines.split('\n').enumerate().map(|(at, line)| {
            line.parse().map_err(|source| NoteError::Signature {
                line: first + at,
                source,
            })
        });
        Ok(Self {
            text: text.to_owned(),
            signatures: signatures.collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// Without the text, which may say anything.
impl fmt::Debug for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedNote")
            .field("text", &format_args!("{} bytes", self.text.len()))
            .field("signatures", &self.signatures)
            .finish()
    }
}

/// Not a signed note, or none that can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Too many bytes.
    #[error(
        "the note is {length} bytes long; {} are the most",
        SignedNote::MAX_LENGTH
    )]
    TooLong {
        /// How many.
        length: usize,
    },
    /// A control character, a carriage return perhaps.
    #[error("line {line} has a control character; lines end with a newline alone")]
    ControlCharacter {
        /// The line, from 1.
        line: usize,
    },
    /// No empty line, so no signatures.
    #[error("there is no empty line between the text and its signatures")]
    NoSeparator,
    /// Nothing below the last empty line.
    #[error("there are no signatures below the text")]
    NoSignatures,
    /// The last line has no newline.
    #[error("the last line has no newline at its end: the note may have been cut")]
    Cut,
    /// The text to sign has no newline at its end.
    #[error("the text of a note has to end with a newline")]
    TextEnd,
    /// Too many signatures.
    #[error("there are more than {} signatures", SignedNote::MAX_SIGNATURES)]
    TooManySignatures,
    /// A line below the text is not a signature.
    #[error("line {line} is not a signature: {source}")]
    Signature {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: SignatureError,
    },
}
