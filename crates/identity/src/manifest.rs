//! Which files count, and in which order.
//!
//! ```text
//! portledger identities 1
//! next 7                   the number of the next file
//! file 3                   counts; later ones replace what earlier ones say
//! file 6
//! drop 5                   does not count; it and its key are to be destroyed
//! seal 3f0c…               what binds all lines above to the key ring
//! ```

use std::fmt::Write;

use portledger_keys::{OVERHEAD, Sealing};

use crate::Flaw;

const FORMAT: &str = "portledger identities 1";

/// Which files count, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The number of the next file.
    pub(crate) next: u64,
    /// The files that count, the oldest first.
    pub(crate) files: Vec<u64>,
    /// The files to destroy: begun or replaced.
    pub(crate) drops: Vec<u64>,
}

impl Manifest {
    pub(crate) const fn new() -> Self {
        Self {
            next: 1,
            files: Vec::new(),
            drops: Vec::new(),
        }
    }

    /// Reads a manifest. Any bytes are read or refused; none panic.
    ///
    /// # Errors
    /// When they are not what was sealed, or are of a later release.
    pub fn read(bytes: &[u8], sealing: &Sealing) -> Result<Self, Flaw> {
        let text = str::from_utf8(bytes).map_err(|_| Flaw::Manifest)?;
        let start = text.rfind("seal ").ok_or(Flaw::Manifest)?;
        let (lines, seal) = text.split_at_checked(start).ok_or(Flaw::Manifest)?;
        let mut seal = read_seal(seal).ok_or(Flaw::Manifest)?;
        sealing
            .open(lines.as_bytes(), &mut seal)
            .map_err(|_| Flaw::Manifest)?;
        let mut lines = lines.lines();
        if lines.next() != Some(FORMAT) {
            return Err(Flaw::Meaning("the first line is of another release"));
        }
        let mut manifest = Self::new();
        for line in lines {
            let wrong = Flaw::Meaning("a line of the manifest");
            let (word, number) = line.split_once(' ').ok_or(wrong)?;
            let number: u64 = number.parse().map_err(|_| wrong)?;
            match word {
                "next" => manifest.next = number,
                "file" => manifest.files.push(number),
                "drop" => manifest.drops.push(number),
                _ => return Err(wrong),
            }
        }
        Ok(manifest)
    }

    pub(crate) fn write(&self, sealing: &Sealing) -> Result<String, portledger_keys::Error> {
        let mut text = format!("{FORMAT}\nnext {}\n", self.next);
        for (word, numbers) in [("file", &self.files), ("drop", &self.drops)] {
            for number in numbers {
                // Writing to a string does not fail.
                let _ = writeln!(text, "{word} {number}");
            }
        }
        let mut seal = Vec::with_capacity(OVERHEAD);
        // Nothing is encrypted: the lines are the place, and the tag holds them.
        sealing.seal(text.as_bytes(), b"", &mut seal)?;
        text.push_str("seal ");
        for byte in seal {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        Ok(text)
    }

    /// The number of a new file, which is to be destroyed unless it is finished.
    pub(crate) fn begin(&mut self) -> u64 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        self.drops.push(number);
        number
    }

    /// The file is whole: from now on it counts.
    pub(crate) fn finish(&mut self, number: u64) {
        self.drops.retain(|drop| *drop != number);
        self.files.push(number);
    }
}

fn read_seal(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("seal ")?.strip_suffix('\n')?;
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let pair = |pair: &[u8; 2]| {
        let small = pair
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let pair = str::from_utf8(pair).ok().filter(|_| small)?;
        u8::from_str_radix(pair, 16).ok()
    };
    pairs.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portledger_keys::DataKey;
    use proptest::prelude::*;

    fn sealing(byte: u8) -> Sealing {
        DataKey::from_bytes([byte; 32]).sealing("manifest")
    }

    fn manifest() -> Manifest {
        Manifest {
            next: 7,
            files: vec![3, 6],
            drops: vec![5],
        }
    }

    #[test]
    fn text_and_back() {
        let text = manifest().write(&sealing(1)).unwrap();
        assert!(text.starts_with("portledger identities 1\nnext 7\nfile 3\nfile 6\ndrop 5\nseal "));
        assert_eq!(Manifest::read(text.as_bytes(), &sealing(1)), Ok(manifest()));
        assert_eq!(
            Manifest::read(text.as_bytes(), &sealing(2)),
            Err(Flaw::Manifest)
        );
    }

    #[test]
    fn a_flipped_bit_is_found_wherever_it_is() {
        let bytes = manifest().write(&sealing(1)).unwrap().into_bytes();
        for at in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(Manifest::read(&bytes, &sealing(1)).is_err(), "bit {at}");
        }
        for length in 0..bytes.len() {
            assert!(Manifest::read(&bytes[..length], &sealing(1)).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>(), text in "seal .{0,60}\n") {
            prop_assert!(Manifest::read(&bytes, &sealing(1)).is_err());
            prop_assert!(Manifest::read(text.as_bytes(), &sealing(1)).is_err());
        }
    }
}
