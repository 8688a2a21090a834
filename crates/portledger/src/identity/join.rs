//! Answers joined with the customers behind them, for those who may read who they are.

use std::fmt;

use portledger_identity::{Error, Interval, Store};
use portledger_model::{Allocation, Span};
use portledger_trace::{Answer, Joined, Verdict};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::{args::Asking, failure::Failure};

/// The identities that a question may be joined with.
pub(crate) struct Identities(Option<Store>);

impl Identities {
    /// Those in the folder that was given. Whoever may not read them gets the answer without, and
    /// is told why: the answer is not theirs to lose.
    pub(crate) fn of_those_who_may(asking: &Asking) -> Self {
        let Some(dir) = &asking.identities else {
            return Self(None);
        };
        match super::opened(dir, &asking.identity_keys) {
            Ok(store) => Self(Some(store)),
            Err(failure) => {
                say(&failure);
                Self(None)
            }
        }
    }

    /// The answer with the customers behind each subscriber it names, while the subscriber held
    /// the ports within the window. An answer that claims nothing names no customer.
    pub(crate) fn of<'a>(&mut self, answer: &'a Answer) -> Joined<'a, Customers> {
        let claims = matches!(answer.verdict, Verdict::Unique | Verdict::Ambiguous);
        let Some(store) = self.0.as_ref().filter(|_| claims) else {
            return Joined::without(answer);
        };
        let mut failed = None;
        let joined = Joined::new(answer, |held| {
            customers(store, answer, held)
                .map_err(|error| failed.get_or_insert(error))
                .ok()
        });
        if let Some(error) = failed {
            say(&error.into());
            // Said once: the next answers are given without.
            self.0 = None;
        }
        joined
    }
}

fn say(why: &Failure) {
    eprintln!("portledger: answered without identities: {why}");
}

fn customers(store: &Store, answer: &Answer, held: &Allocation) -> Result<Customers, Error> {
    let mut found: Vec<Interval> = Vec::new();
    for window in &answer.windows {
        let span = held.span();
        let span = Span::new(window.from.max(span.from), window.to.min(span.to));
        for interval in store.at(&held.block.subscriber, span)? {
            if !found.contains(&interval) {
                found.push(interval);
            }
        }
    }
    Ok(Customers(found))
}

/// The customers whom a subscriber's address belonged to, by their beginning. Several are several:
/// none of them is preferred.
pub(crate) struct Customers(Vec<Interval>);

impl Serialize for Customers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Customer))
    }
}

struct Customer<'a>(&'a Interval);

impl Serialize for Customer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Customer", 4)?;
        object.serialize_field("id", self.0.customer().id())?;
        object.serialize_field("fields", self.0.customer().fields())?;
        object.serialize_field("from", &self.0.from())?;
        object.serialize_field("to", &self.0.to())?;
        object.end()
    }
}

impl fmt::Display for Customers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no customer is known for this time");
        }
        // Once who holds a prefix and an address in it, or held it twice.
        let mut customers = Vec::new();
        for customer in self.0.iter().map(Interval::customer) {
            if !customers.contains(&customer) {
                customers.push(customer);
            }
        }
        for (number, customer) in customers.into_iter().enumerate() {
            if number > 0 {
                f.write_str("; or ")?;
            }
            f.write_str(customer.id())?;
            for (name, value) in customer.fields() {
                write!(f, ", {name} {value}")?;
            }
        }
        Ok(())
    }
}
