//! All subscribers of a segment by number, in little memory.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use portledger_model::{Realm, Subscriber};

use crate::{
    SubscriberNumber,
    format::{Malformed, thrift::Parsed},
};

/// All subscribers of a segment by number: 4 bytes each where all have IPv4 addresses, else 17.
///
/// Who answers a million questions looks numbers up here. A [`Subscriber`] takes ten times the
/// memory, and is made of those that are to be named.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Subscribers {
    /// Each realm after the number of its first subscriber: subscribers of one stand together.
    realms: Vec<(u32, Realm)>,
    internals: Internals,
}

#[derive(Clone, PartialEq, Eq)]
enum Internals {
    V4(Vec<Ipv4Addr>),
    Any(Vec<IpAddr>),
}

impl Default for Internals {
    fn default() -> Self {
        Self::V4(Vec::new())
    }
}

impl Subscribers {
    /// How many there are.
    pub const fn len(&self) -> usize {
        match &self.internals {
            Internals::V4(all) => all.len(),
            Internals::Any(all) => all.len(),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The subscriber of that number.
    pub fn get(&self, number: SubscriberNumber) -> Option<Subscriber> {
        let internal = self.internal(number)?;
        Some(Subscriber::new(self.realm(number)?.clone(), internal))
    }

    /// The realm of the subscriber of that number.
    pub fn realm(&self, SubscriberNumber(number): SubscriberNumber) -> Option<&Realm> {
        if number as usize >= self.len() {
            return None;
        }
        let after = self.realms.partition_point(|&(first, _)| first <= number);
        let (_, realm) = self.realms.get(after.checked_sub(1)?)?;
        Some(realm)
    }

    /// The internal address of the subscriber of that number: personal data.
    #[inline]
    pub fn internal(&self, SubscriberNumber(number): SubscriberNumber) -> Option<IpAddr> {
        match &self.internals {
            Internals::V4(all) => all.get(number as usize).copied().map(IpAddr::V4),
            Internals::Any(all) => all.get(number as usize).copied(),
        }
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = Subscriber> {
        let ends = self.realms.iter().skip(1).map(|&(first, _)| first);
        let ends = ends.chain([self.len() as u32]);
        self.realms
            .iter()
            .zip(ends)
            .flat_map(|((first, realm), end)| {
                let internals =
                    (*first..end).filter_map(|number| self.internal(SubscriberNumber(number)));
                internals.map(|internal| Subscriber::new(realm.clone(), internal))
            })
    }

    /// None yet, with room for `count`.
    pub(crate) fn with_room(count: usize) -> Self {
        Self {
            realms: Vec::new(),
            internals: Internals::V4(Vec::with_capacity(count)),
        }
    }

    /// Those that are added from now on are of this realm.
    pub(crate) fn turn_to(&mut self, name: &str) -> Parsed<()> {
        match self.realms.last() {
            Some((_, realm)) if realm.as_str() == name => {}
            _ => {
                let realm = Realm::new(name).map_err(|_| NEITHER)?;
                self.realms.push((self.len() as u32, realm));
            }
        }
        Ok(())
    }

    /// Adds the address that a text says, of which `parser` has seen the one before.
    pub(crate) fn push(&mut self, parser: &mut Parser, shared: usize, text: &[u8]) -> Parsed<()> {
        match (parser.v4(shared, text), &mut self.internals) {
            (Some(internal), Internals::V4(all)) => all.push(internal),
            (Some(internal), Internals::Any(all)) => all.push(internal.into()),
            (None, _) => self.push_any(text)?,
        }
        Ok(())
    }

    #[cold]
    fn push_any(&mut self, text: &[u8]) -> Parsed<()> {
        let text = str::from_utf8(text).ok();
        let internal: Option<IpAddr> = text.and_then(|text| text.parse().ok());
        let internal = internal.ok_or(NEITHER)?;
        if let Internals::V4(all) = &mut self.internals {
            let room = all.capacity();
            let mut any = Vec::with_capacity(room);
            any.extend(all.drain(..).map(IpAddr::V4));
            self.internals = Internals::Any(any);
        }
        if let Internals::Any(all) = &mut self.internals {
            all.push(internal);
        }
        Ok(())
    }
}

const NEITHER: Malformed = Malformed("not a realm and an address");

/// Subscribers are not shown.
impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribers")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Reads IPv4 addresses that are sorted as texts: what a text shares with the one before it is not
/// read again.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// After each dot of the last text: the number so far, and the place.
    dots: [(u32, usize); 3],
    /// How many of these there are.
    count: usize,
}

impl Parser {
    /// The address that `text` says, of which the first `shared` bytes are those of the text before.
    /// `None` where it is none of IPv4, or written in a way that needs a closer look.
    #[inline]
    fn v4(&mut self, shared: usize, text: &[u8]) -> Option<Ipv4Addr> {
        let known = self.dots.get(..self.count).unwrap_or(&[]);
        let kept = known.iter().take_while(|&&(_, at)| at <= shared);
        let (mut count, (mut number, start)) = kept.fold((0, (0, 0)), |(n, _), &dot| (n + 1, dot));
        self.count = 0;
        let (mut part, mut digits) = (0, 0);
        for (at, &byte) in text.iter().enumerate().skip(start) {
            match byte {
                // No part begins with a zero that means nothing.
                b'0'..=b'9' if part > 0 || digits == 0 => {
                    part = part * 10 + u32::from(byte - b'0');
                    digits += 1;
                    if part > 255 {
                        return None;
                    }
                }
                b'.' if digits > 0 => {
                    number = number << 8 | part;
                    *self.dots.get_mut(count)? = (number, at + 1);
                    count += 1;
                    (part, digits) = (0, 0);
                }
                _ => return None,
            }
        }
        self.count = count;
        (count == 3 && digits > 0).then(|| Ipv4Addr::from_bits(number << 8 | part))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shared(before: &[u8], text: &[u8]) -> usize {
        before.iter().zip(text).take_while(|(a, b)| a == b).count()
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            (0..3_u32, 0..600_u32).prop_map(|(a, b)| Ipv4Addr::from_bits(a << 24 | b).to_string()),
            any::<Ipv4Addr>().prop_map(|address| address.to_string()),
            "[0-2]{1,3}(\\.[0-9]{0,3}){2,4}",
            "[0-9.:a]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn a_text_is_read_as_the_standard_library_reads_it(texts in prop::collection::vec(text(), 0..60), sorted in any::<bool>(), share in 0..=3_usize) {
            let mut texts = texts;
            if sorted {
                texts.sort();
            }
            let (mut parser, mut before) = (Parser::default(), String::new());
            for text in texts {
                // What is shared may be said to be less.
                let shared = shared(before.as_bytes(), text.as_bytes()) * share / 3;
                prop_assert_eq!(parser.v4(shared, text.as_bytes()), text.parse().ok());
                before = text;
            }
        }
    }

    #[test]
    fn subscribers_of_both_families_and_several_realms_keep_their_numbers() {
        let (mut all, mut parser) = (Subscribers::with_room(4), Parser::default());
        let said = [
            ("a", "100.64.0.1"),
            ("a", "100.64.0.2"),
            ("b", "100.64.0.2"),
            ("b", "2001:db8::1"),
            ("c", "100.64.0.2"),
        ];
        for (realm, internal) in said {
            all.turn_to(realm).unwrap();
            all.push(&mut parser, 0, internal.as_bytes()).unwrap();
        }
        let expected: Vec<_> = said
            .iter()
            .map(|(realm, internal)| {
                Subscriber::new(Realm::new(realm).unwrap(), internal.parse().unwrap())
            })
            .collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), expected);
        for (number, one) in (0..).zip(expected) {
            assert_eq!(all.get(SubscriberNumber(number)), Some(one));
        }
        assert_eq!(all.get(SubscriberNumber(5)), None);
        assert!(all.push(&mut parser, 0, b"100.64.0.256").is_err());
        assert!(all.turn_to("").is_err());
    }

    #[test]
    fn debug_shows_no_address() {
        let mut all = Subscribers::with_room(1);
        all.turn_to("a").unwrap();
        all.push(&mut Parser::default(), 0, b"100.64.9.1").unwrap();
        assert_eq!(format!("{all:?}"), "Subscribers { len: 1, .. }");
    }
}
