//! Keyed draws: the only randomness of this room.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// A stream of draws that nobody can continue without its 256-bit key, and that the same key
/// repeats (RFC 6056 §3.3, RFC 6888 REQ-15: hard to guess).
#[derive(Debug)]
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        debug_assert!(bound > 0);
        // Lemire's multiply-and-reject: no bias, rarely a second draw.
        let mut product = u64::from(self.0.next_u32()) * u64::from(bound);
        if low(product) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while low(product) < threshold {
                product = u64::from(self.0.next_u32()) * u64::from(bound);
            }
        }
        u32::try_from(product >> 32).unwrap_or(0)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is wanted"
)]
const fn low(product: u64) -> u32 {
    product as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_below_the_bound() {
        let mut draw = Draw::new([3; 32]);
        let mut seen = [0_u32; 7];
        for _ in 0..70_000 {
            seen[draw.below(7) as usize] += 1;
        }
        assert!(
            seen.iter().all(|&n| (9_500..10_500).contains(&n)),
            "{seen:?}"
        );
    }

    #[test]
    fn another_key_draws_otherwise() {
        let (mut one, mut two) = (Draw::new([1; 32]), Draw::new([2; 32]));
        let differ = (0..64)
            .filter(|_| one.below(1 << 16) != two.below(1 << 16))
            .count();
        assert!(differ > 60);
    }
}
