//! Octets that are meant for people, or not.

/// Octets as text: as they are where they are UTF-8 that can be printed, else as `0x` and hex. So
/// that a name keeps its look, nothing reaches a terminal as a command, and no two are the same.
pub(crate) fn readable(octets: &[u8]) -> Box<str> {
    match str::from_utf8(octets) {
        Ok(text) if !text.starts_with("0x") && !text.chars().any(char::is_control) => text.into(),
        _ => {
            let mut text = String::with_capacity(2 + octets.len() * 2);
            text.push_str("0x");
            for octet in octets {
                for digit in [octet >> 4, octet & 15] {
                    text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
                }
            }
            text.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_printed_is_hex() {
        assert_eq!(&*readable("Zoë".as_bytes()), "Zoë");
        assert_eq!(&*readable(b"\x00\xffa"), "0x00ff61");
        assert_eq!(&*readable(b"0x61"), "0x30783631");
        assert_eq!(&*readable(b""), "");
    }
}
