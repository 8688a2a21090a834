//! Answers with what is known elsewhere of who stood behind their subscribers.

use std::fmt;

use portledger_model::Allocation;

use crate::Answer;

/// An answer, and for each of its allocations what is known elsewhere of who stood behind the
/// subscriber, where something is: the customer, say. This room does not know what that is; its
/// JSON is the field `identity`, its text a line.
pub struct Joined<'a, I> {
    answer: &'a Answer,
    /// One an allocation, or fewer.
    identities: Vec<Option<I>>,
}

impl<'a, I> Joined<'a, I> {
    /// Asks `identity` for each allocation.
    pub fn new(answer: &'a Answer, identity: impl FnMut(&Allocation) -> Option<I>) -> Self {
        Self {
            answer,
            identities: answer.allocations.iter().map(identity).collect(),
        }
    }

    /// The answer alone.
    pub const fn without(answer: &'a Answer) -> Self {
        Self {
            answer,
            identities: Vec::new(),
        }
    }

    pub(crate) const fn answer(&self) -> &Answer {
        self.answer
    }

    /// The allocations, each with what is known of it.
    pub(crate) fn allocations(&self) -> impl Iterator<Item = (&Allocation, Option<&I>)> {
        let identity = |number| self.identities.get(number).and_then(Option::as_ref);
        let allocations = self.answer.allocations.iter().enumerate();
        allocations.map(move |(number, allocation)| (allocation, identity(number)))
    }
}

/// Names nobody.
impl<I> fmt::Debug for Joined<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.identities.iter().flatten().count();
        let answer = self.answer;
        f.debug_struct("Joined")
            .field("answer", answer)
            .field("identities", &known)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        Query, ask,
        testing::{ADDRESS, Memory, at, held},
    };

    #[test]
    fn who_is_known_stands_with_the_subscriber_and_not_in_debug() {
        let early = at("2026-11-01T09:00:00Z");
        let ledger = Memory::default()
            .with(held(9, 39_936, early, Some(at("2026-11-01T12:00:00Z"))))
            .with(held(5, 39_936, at("2026-11-01T12:00:01Z"), None));
        let when = at("2026-11-01T12:00:00Z");
        let query = Query::new(
            ADDRESS.into(),
            Some(40_123),
            None,
            when,
            Duration::from_secs(2),
        );
        let answer = ask(&ledger, &query.unwrap(), at("2026-11-02T00:00:00Z")).unwrap();
        let joined = Joined::new(&answer, |held| (held.from == early).then_some("C-1007"));

        let text = joined.text();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("identity"))
            .collect();
        assert_eq!(lines, ["identity    C-1007"]);
        let without = text.replace("identity    C-1007\n", "");
        assert_eq!(without, answer.text());
        let json = serde_json::to_string(&joined).unwrap();
        let plain = serde_json::to_string(&answer).unwrap();
        assert_eq!(json.replace("\"C-1007\"", "null"), plain);
        assert_eq!(json.matches("\"identity\":\"C-1007\"").count(), 1);
        assert!(!format!("{joined:?}").contains("C-1007"));
    }
}
