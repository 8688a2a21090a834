//! One of many questions, and the order they are answered in.

use std::net::Ipv4Addr;

use portledger_model::{External, Span, Timestamp};

/// One of many questions: who held the endpoint within the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The endpoint.
    pub external: External,
    /// The time.
    pub span: Span,
    /// What the caller knows the question by.
    pub index: u32,
}

/// Fewer are sorted faster by comparing them.
const FEW: usize = 1_024;

impl Question {
    /// What questions are sorted by: address, port (none first), start.
    pub const fn order(&self) -> (Ipv4Addr, Option<u16>, Timestamp) {
        (self.external.address, self.external.port, self.span.from)
    }

    /// Sorts questions by [`Question::order`]: a million in a third of the time that comparing
    /// them takes. Memory is that of twice the questions.
    pub fn sort(questions: &mut Vec<Self>) {
        let places = 0..=u32::MAX;
        if questions.len() < FEW || questions.len() >= u32::MAX as usize {
            questions.sort_unstable_by_key(Self::order);
            return;
        }
        let (mut lowest, mut highest) = (u64::MAX, 0);
        for key in questions.iter().map(Self::endpoint) {
            (lowest, highest) = (lowest.min(key), highest.max(key));
        }
        let keys = questions
            .iter()
            .map(|question| question.endpoint() - lowest);
        let mut sorted = Vec::with_capacity(questions.len());
        // Half of the memory where the endpoints are near each other: memory is what takes the time.
        if let Ok(highest) = u32::try_from(highest - lowest) {
            let keys = keys.map(|key| key as u32).zip(places).collect();
            let keys = by_digits(keys, highest.into());
            sorted.extend(
                keys.iter()
                    .filter_map(|&(_, place)| questions.get(place as usize)),
            );
        } else {
            let keys = by_digits(keys.zip(places).collect(), highest - lowest);
            sorted.extend(
                keys.iter()
                    .filter_map(|&(_, place)| questions.get(place as usize)),
            );
        }
        let same = |one: &Self, next: &Self| one.endpoint() == next.endpoint();
        for of_endpoint in sorted.chunk_by_mut(same) {
            of_endpoint.sort_by_key(|question| question.span.from);
        }
        *questions = sorted;
    }

    /// Address and port as a number that is ordered as they are.
    #[inline]
    pub(super) fn endpoint(&self) -> u64 {
        let port = self.external.port.map_or(0, |port| u64::from(port) + 1);
        u64::from(self.external.address.to_bits()) << 17 | port
    }
}

/// Bits of a digit: its counts fit the nearest cache.
const DIGIT: u32 = 11;

/// Sorts by a number up to `highest`, digit by digit from the lowest, equal ones as they came.
fn by_digits<K: Copy + Default + Into<u64>>(
    mut keys: Vec<(K, u32)>,
    highest: u64,
) -> Vec<(K, u32)> {
    let mut other = vec![(K::default(), 0); keys.len()];
    let mut shift = 0;
    while shift < u64::BITS && highest >> shift > 0 {
        let digit = |(key, _): (K, u32)| (key.into() >> shift) as usize % (1 << DIGIT);
        let mut places = [0_usize; 1 << DIGIT];
        for &key in &keys {
            places[digit(key)] += 1;
        }
        let mut next = 0;
        for place in &mut places {
            (*place, next) = (next, next + *place);
        }
        for &key in &keys {
            let place = &mut places[digit(key)];
            if let Some(to) = other.get_mut(*place) {
                *to = key;
            }
            *place += 1;
        }
        std::mem::swap(&mut keys, &mut other);
        shift += DIGIT;
    }
    keys
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question() -> impl Strategy<Value = Question> {
        let few = (0..3_u32, 0..4_u16).prop_map(|(address, port)| (address, port.checked_sub(1)));
        let endpoint = prop_oneof![few, (any::<u32>(), any::<Option<u16>>())];
        (endpoint, -5..5_i64, any::<u32>()).prop_map(|((address, port), from, index)| {
            let from = Timestamp::from_micros(from);
            Question {
                external: External {
                    address: Ipv4Addr::from_bits(address),
                    port,
                    transport: None,
                },
                span: Span::new(from, from.after(Span::TICK)),
                index,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn questions_are_sorted_and_all_there(questions in prop::collection::vec(question(), 0..3 * FEW)) {
            let mut sorted = questions.clone();
            Question::sort(&mut sorted);
            prop_assert!(sorted.is_sorted_by_key(Question::order));
            let all = |mut questions: Vec<Question>| {
                questions.sort_by_key(|question| (question.order(), question.index));
                questions
            };
            prop_assert_eq!(all(sorted), all(questions));
        }
    }
}
