//! The Internet checksum (RFC 1071) and its update by difference (RFC 1624).

/// The change that replacing words of a packet makes to a checksum over them: sums of one's
/// complement 16-bit words, in the order of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Delta(u32);

impl Delta {
    /// The change of replacing `old` by `new`.
    pub(crate) const fn word(self, old: u16, new: u16) -> Self {
        // RFC 1624 §3 eqn. 3: HC' = ~(~HC + ~m + m'); this is the part ~m + m'. A packet has far
        // fewer than the 2^15 changes that would overflow it.
        Self(self.0 + (!old) as u32 + new as u32)
    }

    /// The change of replacing the address `old` by `new`.
    pub(crate) const fn address(self, old: u32, new: u32) -> Self {
        self.word((old >> 16) as u16, (new >> 16) as u16)
            .word((old & 0xFFFF) as u16, (new & 0xFFFF) as u16)
    }

    /// The checksum field `checksum` after the change.
    pub(crate) const fn apply(self, checksum: u16) -> u16 {
        !fold((!checksum) as u32 + self.0)
    }

    /// A field that holds a sum that has not been complemented, after the change: a partial
    /// checksum (virtio's NEEDS_CSUM).
    pub(crate) const fn apply_uncomplemented(self, sum: u16) -> u16 {
        fold(sum as u32 + self.0)
    }
}

const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xFFFF) + (sum >> 16);
    ((sum & 0xFFFF) + (sum >> 16)) as u16
}

/// Whether an IPv4 header without options holds a right checksum: the usual case, without a loop.
#[inline]
pub(crate) fn is_right(header: &[u8; 20]) -> bool {
    sum_of_header(header) == 0xFFFF
}

/// The checksum of an IPv4 header without options, whose field for it is 0, by its words.
#[inline]
pub(crate) fn of_words(header: [u32; 5]) -> u16 {
    !fold_wide(header.into_iter().map(u64::from).sum())
}

/// The sum of the header's words as the processor reads them.
#[inline]
fn sum_of_header(header: &[u8; 20]) -> u16 {
    fold_wide(as_read(header))
}

/// The sum of bytes, a multiple of four, as the processor reads them: folded, it is the sum of
/// their words with its bytes swapped (RFC 1071 §2 (B)).
#[inline]
pub(crate) fn as_read<const N: usize>(bytes: &[u8; N]) -> u64 {
    let (words, _) = bytes.as_chunks::<4>();
    words
        .iter()
        .map(|&word| u64::from(u32::from_ne_bytes(word)))
        .sum()
}

/// RFC 1071 §2 (C): the sum of words twice as wide is the same.
#[inline]
pub(crate) const fn fold_wide(sum: u64) -> u16 {
    let sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
    let sum = (sum & 0xFFFF) + ((sum >> 16) & 0xFFFF) + (sum >> 32);
    let sum = (sum & 0xFFFF) + (sum >> 16);
    ((sum & 0xFFFF) + (sum >> 16)) as u16
}

/// The change that replacing all addresses of a packet makes, and a word: as [`Delta`], of sums as
/// the processor reads them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange(u64);

impl Exchange {
    /// Of addresses with these sums, of at most 32 bytes each ([`as_read`]).
    #[inline]
    pub(crate) const fn new(old: u64, new: u64) -> Self {
        // Eight times nought, of which the old sum is taken.
        Self(8 * 0xFFFF_FFFF - old + new)
    }

    /// And of a word.
    #[inline]
    pub(crate) const fn word(self, old: u16, new: u16) -> Self {
        Self(self.0 + (!old).to_be() as u64 + new.to_be() as u64)
    }

    /// The checksum field after the change.
    #[inline]
    pub(crate) const fn apply(self, field: u16) -> u16 {
        u16::from_be(!fold_wide((!field).to_be() as u64 + self.0))
    }
}

/// The checksum over `bytes`: 0 where they hold a right checksum already.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    !sum(bytes, 0)
}

/// The one's complement sum of the 16-bit words of `bytes` and of `start`.
pub(crate) fn sum(bytes: &[u8], start: u32) -> u16 {
    // Four words at a time in 64 bits: the sum of at most 2^14 32-bit halves cannot overflow.
    let mut total = u64::from(start);
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        total += u64::from(u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
    }
    match *chunks.remainder() {
        [a] => total += u64::from(u16::from_be_bytes([a, 0])) << 16,
        [a, b] => total += u64::from(u16::from_be_bytes([a, b])) << 16,
        [a, b, c] => total += u64::from(u32::from_be_bytes([a, b, c, 0])),
        _ => {}
    }
    fold_wide(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(bytes: &[u8]) -> u16 {
        let mut total = 0_u32;
        for pair in bytes.chunks(2) {
            total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            total = (total & 0xFFFF) + (total >> 16);
        }
        !u16::try_from(total).unwrap()
    }

    /// RFC 1624 §4's example: 0xDD2F, where 0x5555 becomes 0x3285.
    #[test]
    fn rfc_1624_example() {
        assert_eq!(Delta::default().word(0x5555, 0x3285).apply(0xDD2F), 0x0000);
    }

    proptest! {
        #[test]
        fn a_header_is_right_when_its_checksum_is_zero(mut header in any::<[u8; 20]>(), mend in any::<bool>()) {
            if mend {
                header[10..12].fill(0);
                let sum = plain(&header);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            prop_assert_eq!(is_right(&header), plain(&header) == 0);
            let words = std::array::from_fn(|at| crate::header::long(&header, 4 * at));
            prop_assert_eq!(of_words(words), plain(&header));
        }

        #[test]
        fn agrees_with_the_plain_sum(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(checksum(&bytes), plain(&bytes));
        }

        /// The update by difference gives what a full computation gives (but for the two zeros
        /// of one's complement, which an all-zero message alone can bring about).
        #[test]
        fn difference_equals_recomputation(mut words in prop::collection::vec(any::<u16>(), 3..40), new in any::<u32>(), port in any::<u16>()) {
            words.push(1); // never all zero
            let bytes = |words: &[u16]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>();
            let before = checksum(&bytes(&words));
            let old = u32::from(words[0]) << 16 | u32::from(words[1]);
            let delta = Delta::default().address(old, new).word(words[2], port);
            let exchange = Exchange::new(as_read(&old.to_be_bytes()), as_read(&new.to_be_bytes()))
                .word(words[2], port);
            words[0] = u16::try_from(new >> 16).unwrap();
            words[1] = u16::try_from(new & 0xFFFF).unwrap();
            words[2] = port;
            prop_assert_eq!(delta.apply(before), checksum(&bytes(&words)));
            prop_assert_eq!(exchange.apply(before), checksum(&bytes(&words)));
        }
    }
}
