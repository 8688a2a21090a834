//! The subscribers and devices of a segment by number.

use std::{cmp::Ordering, collections::BTreeMap, io::Write as _, net::Ipv4Addr, sync::OnceLock};

use portledger_model::{Device, Internal, Realm, Subscriber};

use crate::{DeviceNumber, Error, SubscriberNumber};

/// The subscribers and devices of a segment, each once, by number.
#[derive(Debug, Clone, Default)]
pub struct Dictionary {
    subscribers: Vec<Subscriber>,
    devices: Vec<Device>,
    /// The numbers in the subscribers' own order, made when one is first looked for: the file's
    /// order would have two addresses written as text for each comparison.
    in_order: OnceLock<Vec<u32>>,
}

impl PartialEq for Dictionary {
    fn eq(&self, other: &Self) -> bool {
        (&self.subscribers, &self.devices) == (&other.subscribers, &other.devices)
    }
}

impl Eq for Dictionary {}

impl Dictionary {
    /// Numbers subscribers by realm, then by what they are known by as a text (the order of the file,
    /// in which any reader finds them); devices by name. Doubles are dropped.
    ///
    /// # Errors
    /// When there are more than 2^32 - 1 subscribers or 65,536 devices.
    pub fn new(
        subscribers: impl IntoIterator<Item = Subscriber>,
        devices: impl IntoIterator<Item = Device>,
    ) -> Result<Self, Error> {
        let subscribers: Vec<_> = subscribers.into_iter().collect();
        let subscribers: Vec<_> = subscribers.iter().collect();
        Ok(Self::numbering(&subscribers, devices)?.0)
    }

    /// As [`Dictionary::new`], with the number of each of the subscribers, in the order in which
    /// they were given: for those who would look up each of them.
    ///
    /// # Errors
    /// As [`Dictionary::new`].
    pub fn numbering(
        subscribers: &[&Subscriber],
        devices: impl IntoIterator<Item = Device>,
    ) -> Result<(Self, Vec<SubscriberNumber>), Error> {
        let mut devices: Vec<_> = devices.into_iter().collect();
        devices.sort_unstable();
        devices.dedup();
        let mut numbers = vec![SubscriberNumber(0); subscribers.len()];
        let mut distinct: Vec<Subscriber> = Vec::new();
        for (place, subscriber) in in_file_order(subscribers) {
            if distinct.last() != Some(subscriber) {
                distinct.push(subscriber.clone());
            }
            if let Some(number) = numbers.get_mut(place) {
                // That they fit is looked at below.
                *number = SubscriberNumber(distinct.len().saturating_sub(1) as u32);
            }
        }
        let dictionary = Self::from_parts(distinct, devices);
        dictionary.fits()?;
        Ok((dictionary, numbers))
    }

    fn fits(&self) -> Result<(), Error> {
        let many = [
            (self.subscribers.len(), "subscribers", u64::from(u32::MAX)),
            (self.devices.len(), "devices", 1 << 16),
        ];
        match many
            .into_iter()
            .find(|&(count, _, limit)| count as u64 > limit)
        {
            Some((_, what, limit)) => Err(Error::TooLarge { what, limit }),
            None => Ok(()),
        }
    }

    /// What was read from a segment, in its order.
    pub(crate) const fn from_parts(subscribers: Vec<Subscriber>, devices: Vec<Device>) -> Self {
        Self {
            subscribers,
            devices,
            in_order: OnceLock::new(),
        }
    }

    /// The subscribers, by number.
    pub fn subscribers(&self) -> &[Subscriber] {
        &self.subscribers
    }

    /// The devices, by number.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The subscriber of that number.
    pub fn subscriber(&self, number: SubscriberNumber) -> Option<&Subscriber> {
        self.subscribers.get(number.0 as usize)
    }

    /// The device of that number.
    pub fn device(&self, number: DeviceNumber) -> Option<&Device> {
        self.devices.get(usize::from(number.0))
    }

    /// The number of a subscriber.
    pub fn number_of(&self, subscriber: &Subscriber) -> Option<SubscriberNumber> {
        let in_order = self.in_order.get_or_init(|| {
            let mut numbers: Vec<u32> = (0..).take(self.subscribers.len()).collect();
            numbers.sort_unstable_by_key(|number| self.subscribers.get(*number as usize));
            numbers
        });
        let of = |number: &u32| {
            self.subscribers
                .get(*number as usize)
                .cmp(&Some(subscriber))
        };
        let place = in_order.binary_search_by(of).ok()?;
        in_order.get(place).copied().map(SubscriberNumber)
    }

    /// The number of a device.
    pub fn number_of_device(&self, device: &Device) -> Option<DeviceNumber> {
        let place = self.devices.binary_search(device);
        place
            .ok()
            .and_then(|place| u16::try_from(place).ok())
            .map(DeviceNumber)
    }
}

/// The subscribers in the order of the file, each with its place among those given.
///
/// Texts are compared as the number that their first 16 bytes make: all of an IPv4 address, whose
/// last byte is then zero, since it has 15 characters at most.
fn in_file_order<'a>(
    subscribers: &[&'a Subscriber],
) -> impl Iterator<Item = (usize, &'a Subscriber)> {
    let ranks = ranks(subscribers);
    let mut rank = Remembered::default();
    let mut keyed: Vec<_> = subscribers
        .iter()
        .enumerate()
        .map(|(place, subscriber)| {
            let rank = rank.of(subscriber.realm(), &ranks);
            (
                rank,
                InternalText::new(subscriber).start(),
                place,
                *subscriber,
            )
        })
        .collect();
    // A stable sort: dictionaries that are put together are in order one by one, which it sees.
    keyed.sort_by(|(a_rank, a_start, _, a), (b_rank, b_start, _, b)| {
        let starts = (a_rank, a_start).cmp(&(b_rank, b_start));
        starts.then_with(|| {
            if *a_start as u8 == 0 {
                return Ordering::Equal;
            }
            InternalText::new(a)
                .as_str()
                .cmp(InternalText::new(b).as_str())
        })
    });
    keyed
        .into_iter()
        .map(|(_, _, place, subscriber)| (place, subscriber))
}

/// The realms, each with its place in their order.
fn ranks<'a>(subscribers: &[&'a Subscriber]) -> BTreeMap<&'a Realm, u32> {
    let mut last = None;
    let mut ranks = BTreeMap::new();
    for subscriber in subscribers {
        let realm = subscriber.realm();
        if last != Some(realm) {
            ranks.insert(realm, 0);
            last = Some(realm);
        }
    }
    for (rank, place) in ranks.values_mut().zip(0..) {
        *rank = place;
    }
    ranks
}

/// The rank that was asked for last: neighbours nearly always have one realm.
#[derive(Default)]
struct Remembered<'a>(Option<(&'a Realm, u32)>);

impl<'a> Remembered<'a> {
    fn of(&mut self, realm: &'a Realm, ranks: &BTreeMap<&'a Realm, u32>) -> u32 {
        if let Some((last, rank)) = self.0
            && last == realm
        {
            return rank;
        }
        let rank = ranks.get(realm).copied().unwrap_or(0);
        self.0 = Some((realm, rank));
        rank
    }
}

/// What a subscriber is known by, as the text that the file keeps, without an allocation: a
/// million are sorted by it.
#[derive(Clone, Copy)]
pub(crate) struct InternalText {
    bytes: [u8; Self::LONGEST],
    length: u8,
}

impl InternalText {
    const LONGEST: usize = Internal::LONGEST;

    pub(crate) fn new(subscriber: &Subscriber) -> Self {
        let mut bytes = [0; Self::LONGEST];
        let length = match subscriber.internal() {
            Internal::Address(address) => write_v4(address, &mut bytes),
            other => {
                let mut rest = &mut bytes[..];
                // Every text fits, so that nothing can fail here.
                let _ = write!(rest, "{other}");
                Self::LONGEST - rest.len()
            }
        };
        Self {
            bytes,
            length: length as u8,
        }
    }

    /// The first 16 bytes as a number, in whose order the texts are; shorter ones end in zeros.
    fn start(&self) -> u128 {
        let start = self.bytes.first_chunk();
        start.map_or(0, |bytes| u128::from_be_bytes(*bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.length)).unwrap_or(&[]);
        std::str::from_utf8(text).unwrap_or("")
    }
}

/// Writes an address without the machinery of `fmt`, which takes ten times as long. Returns how
/// many bytes it has.
fn write_v4(address: Ipv4Addr, bytes: &mut [u8; InternalText::LONGEST]) -> usize {
    let mut length = 0;
    for octet in address.octets() {
        if octet >= 100 {
            bytes[length] = b'0' + octet / 100;
            length += 1;
        }
        if octet >= 10 {
            bytes[length] = b'0' + octet / 10 % 10;
            length += 1;
        }
        bytes[length] = b'0' + octet % 10;
        bytes[length + 1] = b'.';
        length += 2;
    }
    // Not the last point.
    length -= 1;
    bytes[length] = 0;
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use portledger_model::Ipv6Prefix;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv6Addr};

    fn any_subscriber() -> impl Strategy<Value = Subscriber> {
        let realm = prop::sample::select(&["default", "vrf-1", "vrf-10", "a"][..]);
        let near = (0..8_u32).prop_map(|n| IpAddr::from(Ipv4Addr::from_bits(0x6440_0008 + n)));
        // Texts that are alike beyond their first 16 bytes.
        let long = (0..40_u128).prop_map(|n| {
            IpAddr::from(Ipv6Addr::from_bits(
                0x2001_0db8_1111_2222_3333_4444_5555_0000 + n,
            ))
        });
        let anywhere = any::<u32>().prop_map(|n| IpAddr::from(Ipv4Addr::from_bits(n)));
        let mapped = any::<u32>()
            .prop_map(|n| Ipv4Addr::from_bits(n).to_ipv6_mapped())
            .prop_map(IpAddr::from);
        let address = prop_oneof![near, long, anywhere, mapped].prop_map(Internal::from);
        let prefix = (0..4_u128, 40..=128_u8).prop_map(|(n, length)| {
            let address = Ipv6Addr::from_bits((0x2001_0db8 << 96) + (n << 64) + n);
            Ipv6Prefix::around(address, length).unwrap()
        });
        let prefix = (prefix, any::<bool>()).prop_map(|(prefix, softwire)| match softwire {
            true => Internal::Softwire(prefix),
            false => Internal::Prefix(prefix),
        });
        (realm, prop_oneof![2 => address, 1 => prefix])
            .prop_map(|(realm, internal)| Subscriber::of(Realm::new(realm).unwrap(), internal))
    }

    proptest! {
        #[test]
        fn numbers_are_in_the_order_of_realm_and_text(all in prop::collection::vec(any_subscriber(), 0..80)) {
            let borrowed: Vec<_> = all.iter().collect();
            let (dictionary, numbers) = Dictionary::numbering(&borrowed, []).unwrap();
            let mut plain = all.clone();
            plain.sort_by_key(|one| (one.realm().clone(), one.internal().to_string()));
            plain.dedup();
            prop_assert_eq!(dictionary.subscribers(), plain);
            for (subscriber, number) in all.iter().zip(numbers) {
                prop_assert_eq!(dictionary.subscriber(number), Some(subscriber));
                prop_assert_eq!(dictionary.number_of(subscriber), Some(number));
            }
        }
    }

    fn subscriber(internal: &str) -> Subscriber {
        Subscriber::of(Realm::default(), internal.parse().unwrap())
    }

    #[test]
    fn numbers_follow_the_text_of_the_address() {
        let all = ["100.64.9.1", "100.64.10.1", "2001:db8::1", "100.64.9.1"].map(subscriber);
        let dictionary = Dictionary::new(all, []).unwrap();
        let numbered = ["100.64.10.1", "100.64.9.1", "2001:db8::1"].map(subscriber);
        assert_eq!(dictionary.subscribers(), numbered);
        for (number, subscriber) in (0..).zip(&numbered) {
            assert_eq!(
                dictionary.number_of(subscriber),
                Some(SubscriberNumber(number))
            );
        }
        assert_eq!(dictionary.number_of(&subscriber("100.64.9.2")), None);
    }

    #[test]
    fn every_text_fits() {
        for text in [
            "1111:2222:3333:4444:5555:6666:7777:8888",
            "::ffff:255.255.255.255",
            "255.255.255.255",
            "1111:2222:3333:4444:5555:6666:7777:8888/127",
            "softwire 1111:2222:3333:4444:5555:6666:7777:8888/127",
        ] {
            assert_eq!(InternalText::new(&subscriber(text)).as_str(), text);
        }
    }

    #[test]
    fn debug_shows_no_address() {
        let dictionary = Dictionary::new([subscriber("100.64.9.1")], []).unwrap();
        assert!(!format!("{dictionary:?}").contains("100.64"));
    }
}
