//! Secret keys, and what they sign.

use std::{fmt, str::FromStr};

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::{
    KeyError, KeyId, KeyName, Signature, SignatureKind, VerifierKey,
    key::{encode_key, parse_key},
};
use crate::Checkpoint;

/// The secret key of whoever stands for texts: a log for its checkpoints.
///
/// It is written `PRIVATE+KEY+name+id+base64` by [`to_text`](Self::to_text) alone: there is no
/// `Display`, and `Debug` shows the public half.
pub struct SignerKey(Secret);

impl SignerKey {
    /// The key that comes of 32 random bytes (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// When the cryptography library refuses it; no seed is known that it does.
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Result<Self, KeyError> {
        Secret::from_seed(name, SignatureKind::Note, seed).map(Self)
    }

    /// The public key.
    pub fn verifier(&self) -> &VerifierKey {
        &self.0.verifier
    }

    /// The secret key as text, to be kept.
    pub fn to_text(&self) -> Zeroizing<String> {
        self.0.to_text()
    }

    /// Stands for a text. Whether it is a note's is the caller's part.
    pub(super) fn sign(&self, text: &str) -> Signature {
        let signature = self.0.pair.sign(text.as_bytes());
        self.0.signature(signature.as_ref().to_vec())
    }
}

/// The secret key of a witness.
pub struct CosignerKey(Secret);

impl CosignerKey {
    /// The key that comes of 32 random bytes. A witness must not use one key under two names: a
    /// cosignature does not say which of them it is by (tlog-cosignature, "Ed25519 signed
    /// message").
    ///
    /// # Errors
    /// When the cryptography library refuses it; no seed is known that it does.
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Result<Self, KeyError> {
        Secret::from_seed(name, SignatureKind::Cosignature, seed).map(Self)
    }

    /// The public key.
    pub fn verifier(&self) -> &VerifierKey {
        &self.0.verifier
    }

    /// The secret key as text, to be kept.
    pub fn to_text(&self) -> Zeroizing<String> {
        self.0.to_text()
    }

    /// Says that at this time, in seconds since 1970, this was the largest checkpoint seen of its
    /// log, and that it continues all those seen before. That it does is for the caller to know:
    /// see [`Consistency`](crate::Consistency).
    ///
    /// # Errors
    /// When the time is beyond [`MAX_COSIGNATURE_TIME`].
    pub fn cosign(&self, checkpoint: &Checkpoint, time: u64) -> Result<Signature, SigningError> {
        if time > MAX_COSIGNATURE_TIME {
            return Err(SigningError { time });
        }
        let message = cosigned_message(time, &checkpoint.to_string());
        let mut signature = time.to_be_bytes().to_vec();
        signature.extend_from_slice(self.0.pair.sign(message.as_bytes()).as_ref());
        Ok(self.0.signature(signature))
    }
}

/// The last time a cosignature may have, in seconds since 1970 (tlog-cosignature, "Format").
pub const MAX_COSIGNATURE_TIME: u64 = i64::MAX as u64;

/// A time no cosignature may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{time} seconds since 1970 is later than a cosignature can say ({MAX_COSIGNATURE_TIME})")]
pub struct SigningError {
    /// The time.
    pub time: u64,
}

/// tlog-cosignature, "Ed25519 signed message": a header, so that no cosignature is a signature of
/// another text, the time, and the text.
pub(super) fn cosigned_message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// What both have in common.
struct Secret {
    verifier: VerifierKey,
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

const SECRET_PREFIX: &str = "PRIVATE+KEY+";

impl Secret {
    fn from_seed(name: KeyName, kind: SignatureKind, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Unusable)?;
        let key = pair.public_key().as_ref();
        let key = key.try_into().map_err(|_| KeyError::Unusable)?;
        Ok(Self {
            verifier: VerifierKey::new(name, kind, key),
            seed: Zeroizing::new(*seed),
            pair,
        })
    }

    fn parse(text: &str, expected: SignatureKind) -> Result<Self, KeyError> {
        let text = text.strip_prefix(SECRET_PREFIX).ok_or(KeyError::Parts)?;
        let (name, id, kind, seed) = parse_key(text)?;
        if kind != expected {
            return Err(KeyError::OtherKind {
                expected: expected.byte(),
                found: kind.byte(),
            });
        }
        let secret = Self::from_seed(name, kind, &seed)?;
        if secret.id().to_string() != id {
            return Err(KeyError::Id);
        }
        Ok(secret)
    }

    fn id(&self) -> KeyId {
        self.verifier.id()
    }

    fn to_text(&self) -> Zeroizing<String> {
        let material = Zeroizing::new(encode_key(self.verifier.kind(), &self.seed));
        let name = self.verifier.name();
        Zeroizing::new(format!("{SECRET_PREFIX}{name}+{}+{}", self.id(), *material))
    }

    fn signature(&self, bytes: Vec<u8>) -> Signature {
        Signature::new(self.verifier.name().clone(), self.id(), bytes)
    }
}

impl FromStr for SignerKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Secret::parse(text, SignatureKind::Note).map(Self)
    }
}

impl FromStr for CosignerKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Secret::parse(text, SignatureKind::Cosignature).map(Self)
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey(of {})", self.0.verifier)
    }
}

impl fmt::Debug for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosignerKey(of {})", self.0.verifier)
    }
}
