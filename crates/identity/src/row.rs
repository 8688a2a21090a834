//! An interval as bytes that sort as intervals do: by realm, prefix and beginning.
//!
//! ```text
//!  ┌──────────────── key ─────────────────┐
//!  │ ┌─────── group ────────┐             │
//!  realm \0 family address length  from(8)   to(8) │ id │ count │ name value │ …
//!                                  big end first, the sign bit flipped
//! ```
//!
//! Lengths: of an id and a value 2 bytes (low end first), of a name and the count 1 byte.

use std::net::IpAddr;

use portledger_model::{Realm, Timestamp};

use crate::{Customer, Interval, Prefix};

/// More than any row has: all of a customer's parts at their longest.
pub(crate) const LONGEST: usize = 128
    + Customer::LONGEST_ID
    + Customer::MOST_FIELDS * (Customer::LONGEST_NAME + Customer::LONGEST_VALUE + 3);

/// What the rows of one prefix begin with.
pub(crate) fn group(realm: &Realm, prefix: &Prefix) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    out.extend_from_slice(realm.as_str().as_bytes());
    // No realm's name holds a zero: shorter names come first, as they should.
    out.push(0);
    prefix.write(&mut out);
    out
}

/// What the rows of a group that begin at or after `from` do not come before.
pub(crate) fn bound(group: &[u8], from: Timestamp) -> Vec<u8> {
    let mut out = group.to_vec();
    write_time(&mut out, from);
    out
}

/// What the rows of all prefixes inside `outer` do not come before, and what they all come before.
/// Between the two are rows of other prefixes that begin with the same address.
pub(crate) fn inside(realm: &Realm, outer: &Prefix) -> (Vec<u8>, Vec<u8>) {
    let mut first = group(realm, outer);
    // The length is the last byte.
    first.pop();
    let mut bound = first.clone();
    let address = match outer.address() {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 16,
    };
    let start = bound.len().saturating_sub(address);
    for (place, byte) in bound.iter_mut().skip(start).enumerate() {
        let of_prefix = usize::from(outer.length()).saturating_sub(8 * place);
        *byte |= u8::MAX.checked_shr(of_prefix as u32).unwrap_or(0);
    }
    // More bits than any prefix has.
    bound.push(u8::MAX);
    (first, bound)
}

pub(crate) fn encode(interval: &Interval) -> Vec<u8> {
    let mut out = group(interval.realm(), &interval.prefix());
    write_time(&mut out, interval.span().from);
    write_time(&mut out, interval.span().to);
    let customer = interval.customer();
    write_long(&mut out, customer.id());
    // Customer holds the bounds that make these fit.
    out.push(u8::try_from(customer.fields().len()).unwrap_or(u8::MAX));
    for (name, value) in customer.fields() {
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(name.as_bytes());
        write_long(&mut out, value);
    }
    out
}

/// The row's key and the rest; `None` where it is no row.
pub(crate) fn split(row: &[u8]) -> Option<(&[u8], &[u8])> {
    let realm = row.iter().position(|byte| *byte == 0)?;
    let address = match row.get(realm + 1)? {
        4 => 4,
        6 => 16,
        _ => return None,
    };
    // The zero, the family, the address, the length, the time.
    row.split_at_checked(realm + 1 + 1 + address + 1 + 8)
}

/// When the row's interval begins.
pub(crate) fn start(row: &[u8]) -> Option<Timestamp> {
    let (key, _) = split(row)?;
    Some(read_time(key.get(key.len().checked_sub(8)?..)?)?.0)
}

/// When the row's interval ends; [`Timestamp::MAX`] while it lasts.
pub(crate) fn end(row: &[u8]) -> Option<Timestamp> {
    Some(read_time(split(row)?.1)?.0)
}

/// The family (4 or 6) and the length of the row's prefix.
pub(crate) fn kind(row: &[u8]) -> Option<(u8, u8)> {
    let (key, _) = split(row)?;
    let realm = key.iter().position(|byte| *byte == 0)?;
    let length = key.len().checked_sub(9)?;
    Some((*key.get(realm + 1)?, *key.get(length)?))
}

pub(crate) fn decode(row: &[u8]) -> Option<Interval> {
    let zero = row.iter().position(|byte| *byte == 0)?;
    let (realm, rest) = row.split_at_checked(zero)?;
    let realm = Realm::new(str::from_utf8(realm).ok()?).ok()?;
    let (prefix, rest) = Prefix::read(rest.get(1..)?)?;
    let (from, rest) = read_time(rest)?;
    let (to, rest) = read_time(rest)?;
    let (id, rest) = read_long(rest)?;
    let mut customer = Customer::new(id).ok()?;
    let (count, mut rest) = rest.split_first()?;
    for _ in 0..*count {
        let (length, after) = rest.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(*length))?;
        let (value, after) = read_long(after)?;
        customer.insert(str::from_utf8(name).ok()?, value).ok()?;
        rest = after;
    }
    let to = (to < Timestamp::MAX).then_some(to);
    let interval = Interval::new(realm, prefix, from, to, customer).ok()?;
    rest.is_empty().then_some(interval)
}

fn write_time(out: &mut Vec<u8>, time: Timestamp) {
    out.extend_from_slice(&(time.as_micros() ^ i64::MIN).to_be_bytes());
}

fn read_time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (time, rest) = bytes.split_first_chunk::<8>()?;
    let micros = i64::from_be_bytes(*time) ^ i64::MIN;
    Some((Timestamp::from_micros(micros), rest))
}

fn write_long(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn read_long(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    Some((str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::{collection::btree_map, prelude::*};

    pub(crate) fn intervals() -> impl Strategy<Value = Interval> {
        let realm = prop_oneof![Just("a"), Just("ab"), Just("default")];
        let prefix = prop_oneof![
            (0..4_u8, 29..=32_u8)
                .prop_map(|(last, length)| (IpAddr::from([100, 64, 0, last]), length)),
            (0..4_u16, 54..=57_u8).prop_map(|(part, length)| (
                [0x2001, 0xdb8, 0, part << 7, 0, 0, 0, 0].into(),
                length
            )),
        ];
        let fields = btree_map("[a-c]", "[a-zß]{1,9}", 0..3);
        let parts = (
            realm,
            prefix,
            -20..20_i64,
            prop::option::of(1..20_i64),
            "[A-D]",
            fields,
        );
        parts.prop_map(|(realm, (address, length), from, lasts, id, fields)| {
            let mut customer = Customer::new(&id).unwrap();
            for (name, value) in &fields {
                customer.insert(name, value).unwrap();
            }
            Interval::new(
                Realm::new(realm).unwrap(),
                Prefix::around(address, length).unwrap(),
                Timestamp::from_micros(from),
                lasts.map(|lasts| Timestamp::from_micros(from + lasts)),
                customer,
            )
            .unwrap()
        })
    }

    proptest! {
        #[test]
        fn bytes_and_back(interval in intervals()) {
            let row = encode(&interval);
            prop_assert!(row.len() <= LONGEST);
            prop_assert_eq!(decode(&row), Some(interval.clone()));
            prop_assert_eq!(end(&row), Some(interval.span().to));
            prop_assert_eq!(kind(&row).map(|kind| kind.1), Some(interval.prefix().length()));
        }

        #[test]
        fn rows_sort_as_intervals_do(one in intervals(), two in intervals()) {
            let key = |interval: &Interval| (
                interval.realm().clone(),
                interval.prefix().address(),
                interval.prefix().length(),
                interval.from(),
            );
            let (rows, keys) = ((encode(&one), encode(&two)), (key(&one), key(&two)));
            let row_keys = (split(&rows.0).unwrap().0, split(&rows.1).unwrap().0);
            prop_assert_eq!(row_keys.0.cmp(row_keys.1), keys.0.cmp(&keys.1));
        }

        #[test]
        fn any_bytes_are_a_row_or_none(bytes in any::<Vec<u8>>()) {
            if let Some(interval) = decode(&bytes) {
                prop_assert_eq!(decode(&encode(&interval)), Some(interval));
            }
            let _ = (split(&bytes), end(&bytes), kind(&bytes));
        }
    }

    #[test]
    fn a_customer_at_the_longest_fits() {
        let mut customer = Customer::new(&"i".repeat(Customer::LONGEST_ID)).unwrap();
        for number in 0..Customer::MOST_FIELDS {
            let name = format!("{number:064}");
            customer
                .insert(&name, &"v".repeat(Customer::LONGEST_VALUE))
                .unwrap();
        }
        let realm = Realm::new(&"r".repeat(64)).unwrap();
        let prefix = Prefix::parse("2001:db8::1").unwrap();
        let interval = Interval::new(realm, prefix, Timestamp::MIN, None, customer).unwrap();
        let row = encode(&interval);
        assert!(row.len() <= LONGEST);
        assert_eq!(decode(&row), Some(interval));
    }
}
