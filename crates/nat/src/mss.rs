//! Lowering the segment size that a TCP connection begins with, so that its segments fit a path
//! that is narrower than both ends know.

use crate::{
    Offload,
    checksum::Delta,
    header::{TCP, TcpFlags, set_word, word},
};

/// The option's kind and length (RFC 9293 §3.7.1).
const MSS: [u8; 2] = [2, 4];

/// Lowers the maximum segment size in a SYN to `most`, where it announces more. A SYN without one
/// is left alone: 536 bytes fit everywhere (RFC 9293 §3.7.1).
pub(crate) fn clamp(data: &mut [u8], most: u16, offload: Offload) {
    let Some(ip) = data.first_chunk::<20>() else {
        return;
    };
    if ip[9] != TCP || word(ip, 6) & 0x1FFF != 0 {
        return;
    }
    let at = usize::from(ip[0] & 0x0F) * 4;
    let Some(tcp) = data.get_mut(at..) else {
        return;
    };
    let Some(fixed) = tcp.first_chunk::<20>() else {
        return;
    };
    if !TcpFlags(fixed[13]).syn() {
        return;
    }
    let end = usize::from(fixed[12] >> 4) * 4;
    let Some(option) = tcp.get(20..end).and_then(find) else {
        return;
    };
    let value_at = 20 + option + 2;
    let value = word(tcp, value_at);
    if value <= most {
        return;
    }
    // An option may begin at an odd place; its words are then across those of the sum.
    let delta = if value_at % 2 == 0 {
        Delta::default().word(value, most)
    } else {
        Delta::default().word(value.swap_bytes(), most.swap_bytes())
    };
    set_word(tcp, value_at, most);
    // What the device sums yet is not in the field.
    if offload == Offload::None {
        set_word(tcp, 16, delta.apply(word(tcp, 16)));
    }
}

/// Where the option begins among these options.
fn find(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match options.get(at..)? {
            // The end of the list.
            [] | [0, ..] => return None,
            [1, ..] => at += 1,
            [kind, length, _, _, ..] if [*kind, *length] == MSS => return Some(at),
            [_, length, ..] if *length >= 2 => at += usize::from(*length),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::checksum;
    use proptest::prelude::*;

    fn syn(options: &[u8]) -> Vec<u8> {
        let mut data = vec![0_u8; 40];
        (data[0], data[9]) = (0x45, TCP);
        data[32] = u8::try_from(5 + options.len() / 4).unwrap() << 4;
        data[33] = 0x02;
        data.extend(options);
        let sum = checksum(&data[20..]);
        set_word(&mut data, 36, sum);
        data
    }

    #[test]
    fn only_what_is_larger_is_lowered() {
        for (options, expected) in [
            ([2, 4, 5, 180, 1, 1, 1, 0], [2, 4, 5, 100, 1, 1, 1, 0]),
            ([2, 4, 5, 99, 1, 1, 1, 0], [2, 4, 5, 99, 1, 1, 1, 0]),
            // At an odd place.
            ([1, 2, 4, 5, 180, 1, 1, 0], [1, 2, 4, 5, 100, 1, 1, 0]),
            ([3, 3, 7, 2, 4, 5, 180, 0], [3, 3, 7, 2, 4, 5, 100, 0]),
            // Behind the end, and without a length that leads anywhere.
            ([0, 2, 4, 5, 180, 1, 1, 0], [0, 2, 4, 5, 180, 1, 1, 0]),
            ([8, 0, 2, 4, 5, 180, 1, 0], [8, 0, 2, 4, 5, 180, 1, 0]),
        ] {
            let mut data = syn(&options);
            clamp(&mut data, 5 * 256 + 100, Offload::None);
            assert_eq!(data[40..], expected);
            assert_eq!(checksum(&data[20..]), 0);
        }
    }

    /// The field holds the pseudo-header's sum, in which no option is.
    #[test]
    fn a_checksum_that_is_left_to_the_device_stays() {
        let mut data = syn(&[2, 4, 5, 180, 1, 1, 1, 0]);
        let field = word(&data, 36);
        clamp(&mut data, 1_000, Offload::Checksum);
        assert_eq!((word(&data, 36), word(&data, 42)), (field, 1_000));
    }

    proptest! {
        #[test]
        fn no_options_lead_astray(options in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 3, 4, 5, 255]), 0..40), most in any::<u16>()) {
            let options: Vec<u8> = options.chunks_exact(4).flatten().copied().collect();
            let mut data = syn(&options);
            clamp(&mut data, most, Offload::None);
            prop_assert_eq!(checksum(&data[20..]), 0);
        }
    }
}
