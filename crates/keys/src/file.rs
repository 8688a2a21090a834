//! A key's file: a wrapped key in a few readable lines.
//!
//! ```text
//! portledger key 1
//! name 2026-11-01
//! master 5b2c0a9f1d3e4c77
//! wrapped PHCL…
//! ```

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    DataKey, Error, Flaw, KeyName, MasterId, MasterKey,
    sealing::{OVERHEAD, Unauthentic},
};

const FORMAT: &str = "portledger key 1";

/// A data key's 32 bytes, sealed.
const WRAPPED: usize = 32 + OVERHEAD;

/// A data key as its file holds it: wrapped by a master key and bound to its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    name: KeyName,
    master: MasterId,
    sealed: [u8; WRAPPED],
}

impl WrappedKey {
    /// Reads a key's file. Any bytes are read or refused; none panic.
    ///
    /// # Errors
    /// What is wrong with the bytes. Whether the key opens is seen only when it is unwrapped.
    pub fn parse(bytes: &[u8]) -> Result<Self, Flaw> {
        let text = str::from_utf8(bytes).map_err(|_| Flaw::Format)?;
        let rest = text.strip_prefix(FORMAT).ok_or(Flaw::Format)?;
        let rest = rest.strip_prefix('\n').ok_or(Flaw::Format)?;
        let (name, rest) = field(rest, "name ")?;
        let (master, rest) = field(rest, "master ")?;
        let (wrapped, rest) = field(rest, "wrapped ")?;
        if !rest.is_empty() {
            return Err(Flaw::Lines);
        }
        let mut sealed = [0; WRAPPED];
        match STANDARD.decode_slice(wrapped, &mut sealed) {
            Ok(WRAPPED) => Ok(Self {
                name: KeyName::new(name).map_err(|_| Flaw::Name)?,
                master: MasterId::parse(master).ok_or(Flaw::Master)?,
                sealed,
            }),
            _ => Err(Flaw::Wrapped),
        }
    }

    /// Whose key it says it is.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// Which master key it says it is wrapped by.
    pub const fn master(&self) -> MasterId {
        self.master
    }

    pub(crate) fn wrap(name: &KeyName, key: &DataKey, master: &MasterKey) -> Result<Self, Error> {
        let place = head(name, master.id());
        let mut out = Vec::with_capacity(WRAPPED);
        master
            .wrapping()
            .seal(place.as_bytes(), key.bytes(), &mut out)?;
        let bytes = out.len();
        Ok(Self {
            name: name.clone(),
            master: master.id(),
            sealed: out.try_into().map_err(|_| Error::TooLong { bytes })?,
        })
    }

    pub(crate) fn unwrap_by(&self, master: &MasterKey) -> Result<DataKey, Unauthentic> {
        let place = head(&self.name, self.master);
        let mut sealed = Zeroizing::new(self.sealed);
        let key = master.wrapping().open(place.as_bytes(), &mut *sealed)?;
        let key = <&[u8; 32]>::try_from(&*key).map_err(|_| Unauthentic)?;
        Ok(DataKey::from_bytes(*key))
    }

    pub(crate) fn to_text(&self) -> String {
        let wrapped = STANDARD.encode(self.sealed);
        format!("{}wrapped {wrapped}\n", head(&self.name, self.master))
    }
}

/// What stands before the wrapped key, and is bound to it.
fn head(name: &KeyName, master: MasterId) -> String {
    format!("{FORMAT}\nname {name}\nmaster {master}\n")
}

fn field<'a>(text: &'a str, key: &str) -> Result<(&'a str, &'a str), Flaw> {
    text.split_once('\n')
        .and_then(|(line, rest)| Some((line.strip_prefix(key)?, rest)))
        .ok_or(Flaw::Lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrapped() -> (WrappedKey, MasterKey) {
        let master = MasterKey::from_bytes([1; 32]);
        let name = KeyName::new("2026-11-01").unwrap();
        let key = DataKey::from_bytes([2; 32]);
        (WrappedKey::wrap(&name, &key, &master).unwrap(), master)
    }

    #[test]
    fn a_file_that_a_release_wrote_is_read_for_ever() {
        // Written by another program to the format above; never regenerated.
        let text = "portledger key 1\n\
             name 2026-11-01\n\
             master bd24a4f92dee40e0\n\
             wrapped AAECAwQFBgcICQoLUhl08qO9e6vOBWzX1iwJ9x8P5BvipGWH+lcGYFlPnXJsgaLMb4umBx+fzRs2//z3\n";
        let key = WrappedKey::parse(text.as_bytes()).unwrap();
        assert_eq!(key.to_text(), text);
        let master = MasterKey::from_bytes([1; 32]);
        assert_eq!(key.unwrap_by(&master), Ok(DataKey::from_bytes([2; 32])));
    }

    #[test]
    fn text_and_back() {
        let (key, master) = wrapped();
        let read = WrappedKey::parse(key.to_text().as_bytes()).unwrap();
        assert_eq!(read, key);
        assert_eq!(read.unwrap_by(&master), Ok(DataKey::from_bytes([2; 32])));
    }

    #[test]
    fn a_flipped_bit_is_found_wherever_it_is() {
        let (key, master) = wrapped();
        let bytes = key.to_text().into_bytes();
        for at in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            let found = WrappedKey::parse(&bytes);
            assert!(
                found.is_err() || found.unwrap().unwrap_by(&master).is_err(),
                "bit {at}"
            );
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let bytes = wrapped().0.to_text().into_bytes();
        for length in 0..bytes.len() {
            assert!(
                WrappedKey::parse(&bytes[..length]).is_err(),
                "{length} bytes"
            );
        }
        assert_eq!(
            WrappedKey::parse(&[&bytes[..], b"x"].concat()),
            Err(Flaw::Lines)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>(), name in ".{0,9}", wrapped in ".{0,90}") {
            let _ = WrappedKey::parse(&bytes);
            let text = format!("{FORMAT}\nname {name}\nmaster 0123456789abcdef\nwrapped {wrapped}\n");
            let _ = WrappedKey::parse(text.as_bytes());
        }
    }
}
