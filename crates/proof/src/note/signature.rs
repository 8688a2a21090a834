//! One line below a note's text.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{KeyId, KeyName, KeyNameError, SignedNote};

/// A signature: whose it says it is, and its bytes. `Display` and `FromStr` are its line in a
/// note, without the newline.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    name: KeyName,
    id: KeyId,
    /// At least one, few enough for a note.
    bytes: Vec<u8>,
}

impl Signature {
    pub(super) fn new(name: KeyName, id: KeyId, bytes: Vec<u8>) -> Self {
        Self { name, id, bytes }
    }

    /// The name of the key.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The ID of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The signature itself; what is in it depends on the key.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of its line, with the newline.
    pub(super) fn line_length(&self) -> usize {
        let encoded = (self.id.as_bytes().len() + self.bytes.len()).div_ceil(3) * 4;
        DASH.len() + self.name.as_str().len() + " \n".len() + encoded
    }
}

/// signed-note, "Format": an em dash and a space.
const DASH: &str = "\u{2014} ";

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(line: &str) -> Result<Self, SignatureError> {
        if line.len() > SignedNote::MAX_LENGTH {
            return Err(SignatureError::Base64);
        }
        let rest = line.strip_prefix(DASH).ok_or(SignatureError::Dash)?;
        let (name, encoded) = rest.split_once(' ').ok_or(SignatureError::Parts)?;
        let name = KeyName::new(name)?;
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| SignatureError::Base64)?;
        match bytes.split_first_chunk() {
            Some((id, bytes)) if !bytes.is_empty() => {
                Ok(Self::new(name, KeyId::from_bytes(*id), bytes.to_vec()))
            }
            _ => Err(SignatureError::Short),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = STANDARD.encode([self.id.as_bytes(), &self.bytes[..]].concat());
        write!(f, "{DASH}{} {encoded}", self.name)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({} {})", self.name, self.id)
    }
}

/// Not the line of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Another beginning.
    #[error("it does not begin with an em dash and a space")]
    Dash,
    /// No second part.
    #[error("it has no space between the key's name and the signature")]
    Parts,
    /// The name is none.
    #[error(transparent)]
    Name(#[from] KeyNameError),
    /// The signature is not base64.
    #[error("its signature is not base64")]
    Base64,
    /// The signature is shorter than the key's ID and a byte.
    #[error("its signature is shorter than five bytes")]
    Short,
}
