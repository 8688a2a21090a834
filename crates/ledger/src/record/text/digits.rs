//! Numbers and addresses, written without formatting, which takes several times as long.

use std::net::Ipv4Addr;

pub(super) fn write_address(address: Ipv4Addr, out: &mut Vec<u8>) {
    let mut text = [b'.'; 16];
    let mut length = 0;
    for octet in address.octets() {
        let [digits @ .., count] = OCTETS[usize::from(octet)];
        text[length..length + 3].copy_from_slice(&digits);
        length += usize::from(count);
        text[length] = b'.';
        length += 1;
    }
    append(&text, length - 1, out);
}

/// Appends the first `length` bytes of `text`. All are copied, since the compiler knows how many
/// these are, and the rest is cut off again.
fn append<const N: usize>(text: &[u8; N], length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length;
    out.extend_from_slice(text);
    out.truncate(end);
}

/// [`digits`] of a number below 65,536.
pub(super) fn port(port: u16, out: &mut Vec<u8>) {
    let value = u32::from(port);
    let mut text = [b'0'; 8];
    text[3] += (value / 10_000) as u8;
    text[4..6].copy_from_slice(two(value / 100 % 100));
    text[6..].copy_from_slice(two(value % 100));
    let length = match value {
        10_000.. => 5,
        1_000.. => 4,
        100.. => 3,
        10.. => 2,
        _ => 1,
    };
    // To the left, in one number: its lowest byte is written first.
    let text = u64::from_le_bytes(text) >> (64 - 8 * length);
    append(&text.to_le_bytes(), length as usize, out);
}

pub(super) fn number(name: &[u8], value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    digits(value, out);
}

fn digits(mut value: u64, out: &mut Vec<u8>) {
    let mut text = [0; 20];
    let mut at = text.len();
    while value >= 10 {
        at -= 2;
        text[at..at + 2].copy_from_slice(two((value % 100) as u32));
        value /= 100;
    }
    // The highest of an odd number of digits; where the number is none, its one.
    if value > 0 || at == text.len() {
        at -= 1;
        text[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&text[at..]);
}

/// The two digits of a number below 100.
pub(super) fn two(number: u32) -> &'static [u8; 2] {
    &PAIRS[number as usize % 100]
}

static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// The digits of each octet from the left, and how many these are.
static OCTETS: [[u8; 4]; 256] = {
    let mut octets = [[0; 4]; 256];
    let mut octet = 0;
    while octet < 256 {
        let [hundreds, tens, ones] = [octet / 100, octet / 10 % 10, octet % 10];
        let [hundreds, tens, ones] = [b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8];
        octets[octet] = if octet >= 100 {
            [hundreds, tens, ones, 3]
        } else if octet >= 10 {
            [tens, ones, 0, 2]
        } else {
            [ones, 0, 0, 1]
        };
        octet += 1;
    }
    octets
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_is_written_as_everywhere_else(value: u64, shift in 0..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            digits(value, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }

        #[test]
        fn a_port_is_written_as_everywhere_else(value: u16, shift in 0..16) {
            let value = value >> shift;
            let mut out = Vec::new();
            port(value, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }

        #[test]
        fn an_address_is_written_as_everywhere_else(address: u32) {
            let address = Ipv4Addr::from_bits(address);
            let mut out = Vec::new();
            write_address(address, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), address.to_string());
        }
    }
}
