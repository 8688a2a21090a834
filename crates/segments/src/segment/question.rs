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

impl Question {
    /// What questions are sorted by: address, port (none first), start.
    pub const fn order(&self) -> (Ipv4Addr, Option<u16>, Timestamp) {
        (self.external.address, self.external.port, self.span.from)
    }

    /// Sorts questions by [`Question::order`]: where they stand, since sorting a million by digits
    /// saves less time than moving them into fresh memory takes.
    pub fn sort(questions: &mut [Self]) {
        questions.sort_unstable_by_key(|question| (question.endpoint(), question.span.from));
    }

    /// Address and port as a number that is ordered as they are.
    #[inline]
    pub(super) fn endpoint(&self) -> u64 {
        let port = self.external.port.map_or(0, |port| u64::from(port) + 1);
        u64::from(self.external.address.to_bits()) << 17 | port
    }
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
        #[test]
        fn questions_are_sorted_by_their_order_and_all_there(questions in prop::collection::vec(question(), 0..100)) {
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
