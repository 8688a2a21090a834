//! Who may have signed: names, IDs and public keys.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

/// The name of a key: not empty, without space, plus or control character. By custom a URL
/// without its scheme, such as `example.org/log`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Arc<str>);

impl KeyName {
    /// Checks a name.
    ///
    /// # Errors
    /// When it is empty, or has a character no name may have.
    pub fn new(name: &str) -> Result<Self, KeyNameError> {
        if name.is_empty() {
            return Err(KeyNameError::Empty);
        }
        let is_wrong = |one: &char| one.is_whitespace() || *one == '+' || *one < ' ';
        match name.chars().find(is_wrong) {
            Some(found) => Err(KeyNameError::Character { found }),
            None => Ok(Self(name.into())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for KeyName {
    type Err = KeyNameError;

    fn from_str(name: &str) -> Result<Self, KeyNameError> {
        Self::new(name)
    }
}

/// Not the name of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyNameError {
    /// Nothing.
    #[error("the name of a key cannot be empty")]
    Empty,
    /// A space, a plus or a control character.
    #[error("the name of a key cannot have the character {found:?}")]
    Character {
        /// It.
        found: char,
    },
}

/// Tells keys of one name apart. Not a proof of which key it is: IDs are easily made to collide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// Its bytes, as a signature has them.
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }

    /// That of a public key (signed-note, "Signatures").
    pub(crate) fn of(name: &KeyName, kind: SignatureKind, key: &[u8; 32]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(name.as_str().as_bytes());
        context.update(&[b'\n', kind.byte()]);
        context.update(key);
        let mut id = [0; 4];
        id.copy_from_slice(&context.finish().as_ref()[..4]);
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// What a signature says (signed-note, "Signature types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureKind {
    /// Type `0x01`: the key's owner stands for the text (Ed25519).
    Note,
    /// Type `0x04`: a witness saw this checkpoint at a time, and that it continues those it saw
    /// before (Ed25519, C2SP tlog-cosignature `cosignature/v1`).
    Cosignature,
}

impl SignatureKind {
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Note => 0x01,
            Self::Cosignature => 0x04,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Note, Self::Cosignature]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

/// A public key, with the name it signs as.
///
/// `Display` and `FromStr` are the text other tools use too (a *vkey*):
/// `example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    kind: SignatureKind,
    id: KeyId,
    key: [u8; 32],
}

impl VerifierKey {
    /// An Ed25519 public key (RFC 8032 §5.1.5).
    pub fn new(name: KeyName, kind: SignatureKind, key: [u8; 32]) -> Self {
        let id = KeyId::of(&name, kind, &key);
        Self {
            name,
            kind,
            id,
            key,
        }
    }

    /// The name it signs as.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// What its signatures say.
    pub fn kind(&self) -> SignatureKind {
        self.kind
    }

    /// What tells it from other keys of that name.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The Ed25519 public key.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = encode_key(self.kind, &self.key);
        write!(f, "{}+{}+{material}", self.name, self.id)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, id, kind, key) = parse_key(text)?;
        let read = Self::new(name, kind, *key);
        // A key that was copied with an error would only be found not to verify anything.
        if read.id.to_string() != id {
            return Err(KeyError::Id);
        }
        Ok(read)
    }
}

/// What a key's text says. The ID is yet to be checked, and the key may be a secret one.
type Parts<'a> = (KeyName, &'a str, SignatureKind, Zeroizing<[u8; 32]>);

pub(super) fn parse_key(text: &str) -> Result<Parts<'_>, KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Parts);
    };
    let name = KeyName::new(name)?;
    // What no key of any type is as long as is not decoded.
    if material.len() > MAX_MATERIAL {
        return Err(KeyError::Material);
    }
    let material = STANDARD.decode(material).map_err(|_| KeyError::Material)?;
    let material = Zeroizing::new(material);
    let (&kind, key) = material.split_first().ok_or(KeyError::Material)?;
    let kind = SignatureKind::from_byte(kind).ok_or(KeyError::Kind { found: kind })?;
    let key = key.try_into().map_err(|_| KeyError::Material)?;
    Ok((name, id, kind, Zeroizing::new(key)))
}

/// Longer than the base64 of an ML-DSA-44 key (1,313 bytes), which is refused by its type.
const MAX_MATERIAL: usize = 2_048;

pub(super) fn encode_key(kind: SignatureKind, key: &[u8; 32]) -> String {
    let mut material = Zeroizing::new([kind.byte(); 33]);
    material[1..].copy_from_slice(key);
    STANDARD.encode(material.as_slice())
}

/// Not the text of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not three parts, or for a secret key not its beginning.
    #[error("a key is written NAME+ID+BASE64, and a secret one PRIVATE+KEY+NAME+ID+BASE64")]
    Parts,
    /// The first part is no name.
    #[error(transparent)]
    Name(#[from] KeyNameError),
    /// The last part is not the base64 of a type and 32 bytes.
    #[error("the last part of the key is not the base64 of a signature type and 32 bytes")]
    Material,
    /// The key is for signatures of another type.
    #[error(
        "the key's signature type is {found:#04x}; known are 0x01 (Ed25519) and 0x04 \
         (cosignature/v1)"
    )]
    Kind {
        /// The type.
        found: u8,
    },
    /// A witness's key where one for notes is needed, or the reverse.
    #[error(
        "the key is for signatures of type {found:#04x}; one of type {expected:#04x} is needed"
    )]
    OtherKind {
        /// The type that is needed.
        expected: u8,
        /// The type of the key.
        found: u8,
    },
    /// The middle part is not the ID of this key under this name.
    #[error("the key's ID does not fit its name and key: part of it is mistyped or missing")]
    Id,
    /// Refused by the cryptography library.
    #[error("these 32 bytes cannot be used as an Ed25519 key")]
    Unusable,
}
