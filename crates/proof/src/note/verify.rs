//! Whether signatures are right.

use ring::signature::{ED25519, UnparsedPublicKey};

use super::{
    KeyId, KeyName, Signature, SignatureKind, VerifierKey,
    signer::{MAX_COSIGNATURE_TIME, cosigned_message},
};

/// A signature that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// The key.
    pub key: VerifierKey,
    /// When it was made, in seconds since 1970, as a witness says; other signatures do not.
    pub time: Option<u64>,
}

/// A note that is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnverifiedError {
    /// A signature by a known key is wrong.
    #[error(
        "the signature by {name} ({id}) is wrong: the text was changed after it was signed, or it \
         was never signed by this key"
    )]
    Wrong {
        /// Whose it says it is.
        name: KeyName,
        /// The key it says it is by.
        id: KeyId,
    },
    /// No signature by a known key.
    #[error("there is no signature by a known key, so the text may be anyone's")]
    Unknown,
    /// Two keys that were given have the same name and ID.
    #[error("two different keys have the name {name} and the ID {id}: leave one out")]
    Ambiguous {
        /// Their name.
        name: KeyName,
        /// Their ID.
        id: KeyId,
    },
}

pub(super) fn verify(
    text: &str,
    signatures: &[Signature],
    keys: &[VerifierKey],
) -> Result<Vec<VerifiedSignature>, UnverifiedError> {
    let mut verified = Vec::new();
    for signature in signatures {
        let Some(key) = known(signature, keys)? else {
            continue;
        };
        // Every one, also a second by the same key: signed-note, "Signatures".
        let time = check(text, signature, key).ok_or_else(|| UnverifiedError::Wrong {
            name: signature.name().clone(),
            id: signature.id(),
        })?;
        verified.push(VerifiedSignature {
            key: key.clone(),
            time,
        });
    }
    if verified.is_empty() {
        return Err(UnverifiedError::Unknown);
    }
    Ok(verified)
}

/// The key that a signature says it is by.
fn known<'a>(
    signature: &Signature,
    keys: &'a [VerifierKey],
) -> Result<Option<&'a VerifierKey>, UnverifiedError> {
    let mut found = keys
        .iter()
        .filter(|key| key.name() == signature.name() && key.id() == signature.id());
    let Some(first) = found.next() else {
        return Ok(None);
    };
    if found.any(|other| other != first) {
        return Err(UnverifiedError::Ambiguous {
            name: first.name().clone(),
            id: first.id(),
        });
    }
    Ok(Some(first))
}

/// The time in the signature if there is one in its kind; `None` when it is wrong.
fn check(text: &str, signature: &Signature, key: &VerifierKey) -> Option<Option<u64>> {
    let public = UnparsedPublicKey::new(&ED25519, key.public_key());
    match key.kind() {
        SignatureKind::Note => {
            public.verify(text.as_bytes(), signature.bytes()).ok()?;
            Some(None)
        }
        SignatureKind::Cosignature => {
            let (time, signature) = signature.bytes().split_first_chunk()?;
            let time = u64::from_be_bytes(*time);
            if time > MAX_COSIGNATURE_TIME {
                return None;
            }
            let message = cosigned_message(time, text);
            public.verify(message.as_bytes(), signature).ok()?;
            Some(Some(time))
        }
    }
}
