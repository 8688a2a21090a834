//! The values of fields, each read from the start of a text: the value and how many bytes it took.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portledger_model::{Timestamp, Transport};

use super::fields::{DurationForm, FoundTime, FoundTransport, TimeForm};
use crate::syslog::scan;

/// An address at the start of `text`.
pub(super) fn address(text: &[u8]) -> Option<(IpAddr, usize)> {
    if let Some((address, used)) = ipv4(text) {
        // "2001.." cannot come here; "10::1" can: a colon right behind less than four parts.
        return Some((IpAddr::V4(address), used));
    }
    let used = text
        .iter()
        .take(45)
        .take_while(|b| b.is_ascii_hexdigit() || b":.".contains(b))
        .count();
    let text = std::str::from_utf8(text.get(..used)?).ok()?;
    let address: Ipv6Addr = text.parse().ok()?;
    Some((IpAddr::V6(address), used))
}

/// Four numbers of at most three digits; unlike the standard library's this takes no more of the
/// text than the address.
fn ipv4(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let mut octets = [0_u8; 4];
    let mut at = 0;
    for (place, octet) in octets.iter_mut().enumerate() {
        if place > 0 {
            (text.get(at)? == &b'.').then_some(())?;
            at += 1;
        }
        let mut value = 0_u16;
        let start = at;
        while let Some(digit) = text
            .get(at)
            .filter(|b| b.is_ascii_digit() && at < start + 3)
        {
            value = value * 10 + u16::from(digit - b'0');
            at += 1;
        }
        // "010" is eight to some and ten to others.
        let leading_zero = at > start + 1 && text.get(start) == Some(&b'0');
        if at == start || leading_zero {
            return None;
        }
        *octet = u8::try_from(value).ok()?;
    }
    let ends = text.get(at).is_none_or(|next| !next.is_ascii_digit());
    ends.then_some((Ipv4Addr::from(octets), at))
}

/// An address with what may hang on it: `%0` (F5's route domain), `:80` or `/80`, `:1024-1535`.
pub(super) struct Endpoint<'a> {
    pub(super) address: IpAddr,
    pub(super) domain: Option<&'a [u8]>,
    pub(super) first: Option<u16>,
    pub(super) last: Option<u16>,
    pub(super) used: usize,
}

pub(super) fn endpoint(text: &[u8]) -> Option<Endpoint<'_>> {
    let (address, mut used) = address(text)?;
    let mut domain = None;
    if text.get(used) == Some(&b'%')
        && let Some((_, length)) = digits(text.get(used + 1..)?, 5)
    {
        domain = text.get(used + 1..used + 1 + length);
        used += 1 + length;
    }
    let mut number_behind = |separators: &[u8]| {
        let separator = text.get(used).filter(|b| separators.contains(b));
        let (number, length) = separator.and_then(|_| port(text.get(used + 1..)?))?;
        used += 1 + length;
        Some(number)
    };
    let first = number_behind(b":/");
    let last = first.and_then(|_| number_behind(b"-"));
    Some(Endpoint {
        address,
        domain,
        first,
        last,
        used,
    })
}

fn digits(text: &[u8], most: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    let mut used = 0;
    while let Some(digit) = text.get(used).filter(|b| b.is_ascii_digit()) {
        if used == most {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
        used += 1;
    }
    (used > 0).then_some((value, used))
}

pub(super) fn port(text: &[u8]) -> Option<(u16, usize)> {
    let (value, used) = digits(text, 5)?;
    Some((u16::try_from(value).ok()?, used))
}

pub(super) fn number(text: &[u8]) -> Option<(u32, usize)> {
    let (value, used) = digits(text, 10)?;
    Some((u32::try_from(value).ok()?, used))
}

/// A name, or a protocol number.
pub(super) fn transport(text: &[u8], end: Option<u8>) -> Option<(FoundTransport, usize)> {
    let word = word(text, end);
    let one = |transport| Some((FoundTransport::One(transport), word.len()));
    if let Some((number, used)) = digits(word, 3)
        && used == word.len()
    {
        let number = u8::try_from(number).ok()?;
        // ICMPv6 inside is ICMP outside (RFC 6146 §3.5.3).
        let number = if number == 58 { 1 } else { number };
        return Transport::from_protocol_number(number)
            .map_or(Some((FoundTransport::Other, used)), one);
    }
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is("tcp") {
        one(Transport::Tcp)
    } else if is("udp") {
        one(Transport::Udp)
    } else if is("icmp") || is("icmpv6") || is("icmp6") || is("ipv6-icmp") {
        one(Transport::Icmp)
    } else if !word.is_empty() && word.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-') {
        Some((FoundTransport::Other, word.len()))
    } else {
        None
    }
}

/// Up to white space, the byte that the pattern has next, or what ends a word.
pub(super) fn word(text: &[u8], end: Option<u8>) -> &[u8] {
    let length = text
        .iter()
        .take_while(|&&b| match end {
            Some(end) => b != end && !b.is_ascii_whitespace(),
            None => !b.is_ascii_whitespace() && !b",;)]\"".contains(&b),
        })
        .count();
    text.get(..length).unwrap_or_default()
}

pub(super) fn time_in(text: &[u8], form: TimeForm) -> Option<(FoundTime, usize)> {
    let instant =
        |micros: i64, used| Some((FoundTime::Instant(Timestamp::from_micros(micros)), used));
    match form {
        TimeForm::Date(order) => {
            let (time, used) = scan::scan(text, order)?;
            Some((FoundTime::Written(time), used))
        }
        TimeForm::Epoch => {
            let (seconds, mut used) = digits(text, 11)?;
            let mut micros = i64::try_from(seconds).ok()? * 1_000_000;
            if text.get(used) == Some(&b'.')
                && let Some((_, length)) = digits(text.get(used + 1..)?, 9)
            {
                let mut scale = 100_000;
                for digit in text.get(used + 1..used + 1 + length.min(6))? {
                    micros += i64::from(digit - b'0') * scale;
                    scale /= 10;
                }
                used += 1 + length;
            }
            instant(micros, used)
        }
        TimeForm::EpochMillis => {
            let (millis, used) = digits(text, 14)?;
            instant(i64::try_from(millis).ok()? * 1_000, used)
        }
        TimeForm::EpochAny => {
            let (number, used) = digits(text, 19)?;
            let number = i64::try_from(number).ok()?;
            let micros = match used {
                0..=11 => number * 1_000_000,
                12..=14 => number * 1_000,
                15..=17 => number,
                _ => number / 1_000,
            };
            instant(micros, used)
        }
        TimeForm::EpochHex => {
            let prefix = if text.starts_with(b"0x") || text.starts_with(b"0X") {
                2
            } else {
                0
            };
            let mut seconds = 0_i64;
            let mut used = prefix;
            while let Some(digit) = text.get(used).and_then(|b| char::from(*b).to_digit(16)) {
                if used == prefix + 16 || seconds > 0xff_ffff_ffff {
                    return None;
                }
                seconds = seconds * 16 + i64::from(digit);
                used += 1;
            }
            (used > prefix).then_some(())?;
            instant(seconds * 1_000_000, used)
        }
    }
}

/// Microseconds.
pub(super) fn duration(text: &[u8], form: DurationForm) -> Option<(u64, usize)> {
    match form {
        DurationForm::Seconds => digits(text, 10).map(|(s, used)| (s * 1_000_000, used)),
        DurationForm::Millis => digits(text, 13).map(|(ms, used)| (ms * 1_000, used)),
        DurationForm::Clock => {
            let (mut seconds, mut at) = digits(text, 6)?;
            for _ in 0..2 {
                (text.get(at)? == &b':').then_some(())?;
                let (part, used) = digits(text.get(at + 1..)?, 2)?;
                seconds = seconds * 60 + part;
                at += 1 + used;
            }
            Some((seconds * 1_000_000, at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_ends_where_it_ends() {
        let at = |text: &str| address(text.as_bytes()).map(|(a, used)| (a.to_string(), used));
        assert_eq!(at("10.0.0.1:57938"), Some(("10.0.0.1".into(), 8)));
        assert_eq!(at("2001:db8::1 x"), Some(("2001:db8::1".into(), 11)));
        assert_eq!(at("3002:0:0:0:0:0:0:1 ->"), Some(("3002::1".into(), 18)));
        for wrong in [
            "10.0.0.256",
            "10.0.0.1234",
            "010.0.0.1",
            "10.0.0",
            "x",
            "",
            ":::",
        ] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_in_every_form() {
        let at = |text: &str, form| match time_in(text.as_bytes(), form) {
            Some((FoundTime::Instant(at), used)) => Some((at.as_micros(), used)),
            _ => None,
        };
        assert_eq!(
            at("1795247969.213692]", TimeForm::Epoch),
            Some((1_795_247_969_213_692, 17))
        );
        assert_eq!(
            at("1562092616047\"", TimeForm::EpochMillis),
            Some((1_562_092_616_047_000, 13))
        );
        assert_eq!(
            at("0x6a44007a", TimeForm::EpochHex),
            Some((0x6a44_007a * 1_000_000, 10))
        );
        assert_eq!(
            at("624b0492\"", TimeForm::EpochHex),
            Some((0x624b_0492 * 1_000_000, 8))
        );
        assert_eq!(at("ffffffffffffffffff", TimeForm::EpochHex), None);
        let micros = 1_795_247_969_213_000;
        for text in ["1795247969213", "1795247969213000", "1795247969213000000"] {
            assert_eq!(at(text, TimeForm::EpochAny), Some((micros, text.len())));
        }
        assert_eq!(
            duration(b"1:02:03 x", DurationForm::Clock),
            Some((3_723_000_000, 7))
        );
    }
}
