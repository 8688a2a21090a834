//! The salts of a day's leaves: 16 pseudorandom bytes for each record, by its number.
//!
//! Those of 64 records are made at once, since a cipher makes a thousand bytes in hardly more time
//! than sixteen.

use portledger_keys::Stream;
use portledger_model::RecordNumber;

/// Bytes of a leaf's salt.
pub(crate) const SALT: usize = 16;

/// Records whose salts are made at once: those whose numbers differ in the last six bits only.
const GROUP: usize = 64;

/// Makes the salts of one day.
pub(super) struct Salts(Stream);

/// The salts of one group, by the last six bits of a record's number.
pub(super) struct Group([[u8; SALT]; GROUP]);

impl Salts {
    pub(super) const fn new(stream: Stream) -> Self {
        Self(stream)
    }

    /// Those of a record and of the others of its group.
    pub(super) fn around(&self, number: RecordNumber) -> Group {
        let mut salts = [[0; SALT]; GROUP];
        let group = number.0 / GROUP as u64;
        self.0.fill(group, salts.as_flattened_mut());
        Group(salts)
    }
}

impl Group {
    /// The salts from a record's on, to the end of its group.
    pub(super) fn from(&self, number: RecordNumber) -> &[[u8; SALT]] {
        &self.0[place(number)..]
    }

    /// A record's.
    pub(super) const fn of(&self, number: RecordNumber) -> &[u8; SALT] {
        &self.0[place(number)]
    }
}

/// A record's place in its group.
const fn place(number: RecordNumber) -> usize {
    (number.0 % GROUP as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use portledger_keys::DataKey;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn salts() -> Salts {
        Salts::new(DataKey::from_bytes([7; 32]).stream("leaf salt"))
    }

    fn salt(number: u64) -> [u8; SALT] {
        salts()
            .around(RecordNumber(number))
            .from(RecordNumber(number))[0]
    }

    proptest! {
        #[test]
        fn a_salt_is_the_same_from_whichever_record_one_begins(first: u64, to in 0..GROUP as u64) {
            let group = salts().around(RecordNumber(first));
            for (number, salt_of) in (first..).zip(group.from(RecordNumber(first))).take(to as usize) {
                prop_assert_eq!(*salt_of, salt(number));
            }
        }
    }

    #[test]
    fn no_two_records_share_a_salt() {
        let salts: HashSet<_> = (0..1_000).map(salt).collect();
        assert_eq!(salts.len(), 1_000);
    }
}
