//! The subscribers and devices of a segment by number.

use std::sync::OnceLock;

use portledger_model::{Device, Subscriber};

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
    /// Numbers subscribers by realm, then by internal address as a text (the order of the file,
    /// in which any reader finds them); devices by name. Doubles are dropped.
    ///
    /// # Errors
    /// When there are more than 2^32 - 1 subscribers or 65,536 devices.
    pub fn new(
        subscribers: impl IntoIterator<Item = Subscriber>,
        devices: impl IntoIterator<Item = Device>,
    ) -> Result<Self, Error> {
        let mut subscribers: Vec<_> = subscribers
            .into_iter()
            .map(|subscriber| (Internal::new(&subscriber), subscriber))
            .collect();
        subscribers.sort_unstable_by(|(a_text, a), (b_text, b)| {
            (a.realm(), a_text.as_str()).cmp(&(b.realm(), b_text.as_str()))
        });
        let mut subscribers: Vec<_> = subscribers.into_iter().map(|(_, all)| all).collect();
        subscribers.dedup();
        let mut devices: Vec<_> = devices.into_iter().collect();
        devices.sort_unstable();
        devices.dedup();
        let dictionary = Self::from_parts(subscribers, devices);
        dictionary.fits()?;
        Ok(dictionary)
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

/// An internal address as the text that the file keeps, without an allocation: a million are
/// sorted by it.
#[derive(Clone, Copy)]
pub(crate) struct Internal {
    bytes: [u8; Self::LONGEST],
    length: u8,
}

impl Internal {
    /// An IPv6 address that ends in an IPv4 address.
    const LONGEST: usize = 45;

    pub(crate) fn new(subscriber: &Subscriber) -> Self {
        use std::io::Write as _;

        let mut bytes = [0; Self::LONGEST];
        let mut rest = &mut bytes[..];
        // Every address fits, so that nothing can fail here.
        let _ = write!(rest, "{}", subscriber.internal());
        let length = (Self::LONGEST - rest.len()) as u8;
        Self { bytes, length }
    }

    pub(crate) fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.length)).unwrap_or(&[]);
        std::str::from_utf8(text).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portledger_model::Realm;

    fn subscriber(internal: &str) -> Subscriber {
        Subscriber::new(Realm::default(), internal.parse().unwrap())
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
    fn every_address_fits_its_text() {
        for text in [
            "1111:2222:3333:4444:5555:6666:7777:8888",
            "::ffff:255.255.255.255",
            "255.255.255.255",
        ] {
            assert_eq!(Internal::new(&subscriber(text)).as_str(), text);
        }
    }

    #[test]
    fn debug_shows_no_address() {
        let dictionary = Dictionary::new([subscriber("100.64.9.1")], []).unwrap();
        assert!(!format!("{dictionary:?}").contains("100.64"));
    }
}
