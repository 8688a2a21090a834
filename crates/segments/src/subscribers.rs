//! All subscribers of a segment by number, in little memory.

use std::{fmt, net::Ipv4Addr};

use portledger_model::{Internal, Realm, Subscriber};

use crate::{
    SubscriberNumber,
    format::{Malformed, thrift::Parsed},
};

/// All subscribers of a segment by number: 4 bytes each where all have IPv4 addresses, else 18.
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
    Any(Vec<Internal>),
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
        Some(Subscriber::of(self.realm(number)?.clone(), internal))
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

    /// What the NAT knows the subscriber of that number by: personal data.
    #[inline]
    pub fn internal(&self, SubscriberNumber(number): SubscriberNumber) -> Option<Internal> {
        match &self.internals {
            Internals::V4(all) => all.get(number as usize).copied().map(Internal::Address),
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
                internals.map(|internal| Subscriber::of(realm.clone(), internal))
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

    /// Adds the subscriber who is known so.
    #[inline]
    pub(crate) fn push(&mut self, internal: Internal) {
        match (&mut self.internals, internal) {
            (Internals::V4(all), Internal::Address(internal)) => all.push(internal),
            (Internals::Any(all), internal) => all.push(internal),
            (Internals::V4(_), internal) => self.push_first(internal),
        }
    }

    /// Adds the first that is no IPv4 address.
    #[cold]
    fn push_first(&mut self, internal: Internal) {
        if let Internals::V4(all) = &self.internals {
            let mut any = Vec::with_capacity(all.capacity());
            any.extend(all.iter().copied().map(Internal::Address));
            any.push(internal);
            self.internals = Internals::Any(any);
        }
    }
}

const NEITHER: Malformed = Malformed("not a realm and what a subscriber is known by");

/// Subscribers are not shown.
impl fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribers")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Reads what subscribers are known by, sorted as texts: what a text shares with the one before it is not read
/// again, which is most of it.
pub(crate) struct Parser {
    /// The last text, as far as it goes.
    text: [u8; LONGEST],
    /// What is known after so many bytes of it.
    known: [Known; LONGEST_V4 + 1],
    /// Of how many bytes it is known. No IPv4 address begins with more.
    sound: usize,
}

/// The longest text.
const LONGEST: usize = Internal::LONGEST;
/// The longest text of an IPv4 address.
const LONGEST_V4: usize = 15;

/// The beginning of an IPv4 address.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The parts before the last dot, and how many they are.
    number: u32,
    parts: u8,
    /// The part behind it, and whether it has a digit.
    part: u8,
    begun: bool,
}

impl Known {
    /// With one byte more; `None` where no address goes on so.
    #[inline]
    fn with(self, byte: u8) -> Option<Self> {
        match byte {
            // No part begins with a zero that means nothing.
            b'0'..=b'9' if self.part > 0 || !self.begun => Some(Self {
                part: self.part.checked_mul(10)?.checked_add(byte - b'0')?,
                begun: true,
                ..self
            }),
            b'.' if self.begun && self.parts < 3 => Some(Self {
                number: self.number << 8 | u32::from(self.part),
                parts: self.parts + 1,
                part: 0,
                begun: false,
            }),
            _ => None,
        }
    }

    #[inline]
    fn address(self) -> Option<Ipv4Addr> {
        let whole = self.parts == 3 && self.begun;
        whole.then(|| Ipv4Addr::from_bits(self.number << 8 | u32::from(self.part)))
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            text: [0; LONGEST],
            known: Default::default(),
            sound: 0,
        }
    }
}

impl Parser {
    /// What is meant by the text that shares its first `shared` bytes with the one before, and goes
    /// on with `adds`.
    #[inline]
    pub(crate) fn read(&mut self, shared: usize, adds: &[u8]) -> Parsed<Internal> {
        let length = shared + adds.len();
        let end = self.text.get_mut(shared..length).ok_or(NEITHER)?;
        end.iter_mut().zip(adds).for_each(|(to, &from)| *to = from);
        if let Some(internal) = self.v4(shared, adds) {
            return Ok(Internal::Address(internal));
        }
        let text = self.text.get(..length);
        let text = text.and_then(|text| str::from_utf8(text).ok());
        text.and_then(|text| text.parse().ok()).ok_or(NEITHER)
    }

    #[inline]
    fn v4(&mut self, shared: usize, adds: &[u8]) -> Option<Ipv4Addr> {
        if shared > self.sound {
            return None;
        }
        self.sound = shared;
        let mut known = *self.known.get(shared)?;
        for &byte in adds {
            known = known.with(byte)?;
            *self.known.get_mut(self.sound + 1)? = known;
            self.sound += 1;
        }
        known.address()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use portledger_model::Ipv6Prefix;
    use proptest::prelude::*;

    use super::*;

    fn shared(before: &[u8], text: &[u8]) -> usize {
        before.iter().zip(text).take_while(|(a, b)| a == b).count()
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            (0..3_u32, 0..600_u32).prop_map(|(a, b)| Ipv4Addr::from_bits(a << 24 | b).to_string()),
            any::<Ipv4Addr>().prop_map(|address| address.to_string()),
            any::<Ipv6Addr>().prop_map(|address| address.to_string()),
            (any::<Ipv6Addr>(), 0..=128_u8, any::<bool>()).prop_map(
                |(address, length, softwire)| {
                    let prefix = Ipv6Prefix::around(address, length).unwrap();
                    let internal = if softwire {
                        Internal::Softwire(prefix)
                    } else {
                        Internal::Prefix(prefix)
                    };
                    internal.to_string()
                }
            ),
            "softwire[ 0-2:/]{0,8}",
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
                let found = parser.read(shared, &text.as_bytes()[shared..]);
                prop_assert_eq!(found.ok(), text.parse().ok());
                before = text;
            }
        }
    }

    #[test]
    fn subscribers_of_all_kinds_and_several_realms_keep_their_numbers() {
        let mut all = Subscribers::with_room(4);
        let said = [
            ("a", "100.64.0.1"),
            ("a", "100.64.0.2"),
            ("b", "100.64.0.2"),
            ("b", "2001:db8::1"),
            ("b", "2001:db8:1:2::/64"),
            ("b", "softwire 2001:db8::1"),
            ("c", "100.64.0.2"),
        ];
        for (realm, internal) in said {
            all.turn_to(realm).unwrap();
            all.push(internal.parse().unwrap());
        }
        let expected: Vec<_> = said
            .iter()
            .map(|(realm, internal)| {
                Subscriber::of(Realm::new(realm).unwrap(), internal.parse().unwrap())
            })
            .collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), expected);
        for (number, one) in (0..).zip(expected) {
            assert_eq!(all.get(SubscriberNumber(number)), Some(one));
        }
        assert_eq!(all.get(SubscriberNumber(7)), None);
        assert!(all.turn_to("").is_err());
    }

    #[test]
    fn debug_shows_no_address() {
        let mut all = Subscribers::with_room(1);
        all.turn_to("a").unwrap();
        all.push("100.64.9.1".parse().unwrap());
        assert_eq!(format!("{all:?}"), "Subscribers { len: 1, .. }");
    }
}
