//! Who a customer is, and from when to when an address was theirs.

use std::{collections::BTreeMap, fmt};

use portledger_model::{Realm, Span, Timestamp};
use serde::Serialize;
use thiserror::Error;

use crate::Prefix;

/// A customer: an id, and what else the table says of them, by the columns' names.
/// Personal data: `Debug` does not print it and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Customer {
    id: String,
    fields: BTreeMap<String, String>,
}

/// Why something is no part of a [`Customer`]. It does not repeat what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CustomerError {
    /// The id is empty or too long.
    #[error("a customer's id has 1 to {} bytes", Customer::LONGEST_ID)]
    Id,
    /// A field's name is empty or too long.
    #[error("a field's name has 1 to {} bytes", Customer::LONGEST_NAME)]
    Name,
    /// A field's value is too long.
    #[error("a field's value has at most {} bytes", Customer::LONGEST_VALUE)]
    Value,
    /// Too many fields.
    #[error("a customer has at most {} fields", Customer::MOST_FIELDS)]
    Fields,
    /// Control characters: they would reach a terminal.
    #[error("it holds control characters")]
    Control,
}

impl Customer {
    /// The longest id, in bytes.
    pub const LONGEST_ID: usize = 256;
    /// The longest name of a field, in bytes.
    pub const LONGEST_NAME: usize = 64;
    /// The longest value of a field, in bytes.
    pub const LONGEST_VALUE: usize = 1_024;
    /// The most fields.
    pub const MOST_FIELDS: usize = 32;

    /// A customer of whom only the id is known.
    ///
    /// # Errors
    /// When the id is empty, longer than 256 bytes, or holds control characters.
    pub fn new(id: &str) -> Result<Self, CustomerError> {
        check(id, Self::LONGEST_ID, CustomerError::Id)?;
        Ok(Self {
            id: id.to_owned(),
            fields: BTreeMap::new(),
        })
    }

    /// Says one more thing of the customer. An empty value says nothing.
    ///
    /// # Errors
    /// When there are 32 fields already, when the name is empty or longer than 64 bytes, when the
    /// value is longer than 1,024 bytes, and when either holds control characters.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), CustomerError> {
        if value.is_empty() {
            return Ok(());
        }
        check(name, Self::LONGEST_NAME, CustomerError::Name)?;
        check(value, Self::LONGEST_VALUE, CustomerError::Value)?;
        if self.fields.len() >= Self::MOST_FIELDS && !self.fields.contains_key(name) {
            return Err(CustomerError::Fields);
        }
        self.fields.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// What the operator calls the customer: personal data.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the table says in the column of that name: personal data.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// All that the table says, by the columns' names: personal data.
    pub const fn fields(&self) -> &BTreeMap<String, String> {
        &self.fields
    }
}

fn check(text: &str, longest: usize, wrong: CustomerError) -> Result<(), CustomerError> {
    if text.is_empty() || text.len() > longest {
        Err(wrong)
    } else if text.chars().any(char::is_control) {
        Err(CustomerError::Control)
    } else {
        Ok(())
    }
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Customer(redacted)")
    }
}

/// From when to when the addresses of a prefix were a customer's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Interval {
    realm: Realm,
    prefix: Prefix,
    /// Never empty.
    span: Span,
    customer: Customer,
}

/// An interval that ends before it begins, or as it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the end is not after the beginning")]
pub struct NotAfter;

impl Interval {
    /// `prefix` in `realm` was `customer`'s from `from` until just before `to`, or still is.
    ///
    /// # Errors
    /// When `to` is not after `from`.
    pub fn new(
        realm: Realm,
        prefix: Prefix,
        from: Timestamp,
        to: Option<Timestamp>,
        customer: Customer,
    ) -> Result<Self, NotAfter> {
        let span = Span::new(from, to.unwrap_or(Timestamp::MAX));
        if span.is_empty() {
            return Err(NotAfter);
        }
        Ok(Self {
            realm,
            prefix,
            span,
            customer,
        })
    }

    /// The realm in which the prefix means something.
    pub const fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The addresses: personal data.
    pub const fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// The first instant.
    pub const fn from(&self) -> Timestamp {
        self.span.from
    }

    /// The first instant after it; `None` while it lasts.
    pub fn to(&self) -> Option<Timestamp> {
        (self.span.to < Timestamp::MAX).then_some(self.span.to)
    }

    /// The same as a span, never empty.
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Whose the addresses were: personal data.
    pub const fn customer(&self) -> &Customer {
        &self.customer
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { realm, span, .. } = self;
        write!(f, "Interval({realm}, redacted, {} to ", span.from)?;
        match self.to() {
            Some(to) => write!(f, "{to})"),
            None => f.write_str("now)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(from: i64, to: Option<i64>) -> Result<Interval, NotAfter> {
        let mut customer = Customer::new("C-1007").unwrap();
        customer.insert("name", "Example Person").unwrap();
        Interval::new(
            Realm::default(),
            Prefix::parse("100.64.3.9").unwrap(),
            Timestamp::from_secs(from),
            to.map(Timestamp::from_secs),
            customer,
        )
    }

    #[test]
    fn debug_shows_no_one() {
        let shown = format!("{:?}", interval(0, Some(1)).unwrap());
        let times = "1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.000Z";
        assert_eq!(shown, format!("Interval(default, redacted, {times})"));
        let shown = format!("{:?}", interval(0, None).unwrap().customer());
        assert_eq!(shown, "Customer(redacted)");
    }

    #[test]
    fn an_interval_that_ends_as_it_begins_is_refused() {
        assert_eq!(interval(5, Some(5)), Err(NotAfter));
        assert_eq!(interval(5, None).unwrap().to(), None);
    }

    #[test]
    fn what_would_reach_a_terminal_as_a_command_is_refused() {
        assert_eq!(Customer::new("\x1b[2J"), Err(CustomerError::Control));
        assert_eq!(Customer::new(""), Err(CustomerError::Id));
        let mut customer = Customer::new("C").unwrap();
        assert_eq!(customer.insert("name", "a\nb"), Err(CustomerError::Control));
        let long = "x".repeat(1_025);
        assert_eq!(customer.insert("name", &long), Err(CustomerError::Value));
        for number in 0..32 {
            customer.insert(&format!("f{number}"), "v").unwrap();
        }
        assert_eq!(customer.insert("more", "v"), Err(CustomerError::Fields));
        assert_eq!(customer.insert("f0", "w"), Ok(()));
    }

    #[test]
    fn json_has_the_id_and_the_fields() {
        let json = serde_json::to_string(interval(0, None).unwrap().customer()).unwrap();
        assert_eq!(
            json,
            r#"{"id":"C-1007","fields":{"name":"Example Person"}}"#
        );
    }
}
