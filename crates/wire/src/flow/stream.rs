//! Messages out of a stream: each says its length, in 16 bits (RFC 7011 §10.4.2).

use super::{
    item::Reject,
    message::{IPFIX_HEADER, u16_at},
};

/// What is kept of a stream between two reads: an unfinished message, at most 64 KiB.
#[derive(Debug, Default)]
pub(super) struct Framing {
    partial: Vec<u8>,
    /// The message given out last is still in `partial`.
    is_given: bool,
}

impl Framing {
    /// The next whole message; `None` where it is not whole yet, and `bytes` is then empty.
    ///
    /// # Errors
    /// When the next bytes are no IPFIX message.
    pub(super) fn next<'a, 'b: 'a>(
        &'a mut self,
        bytes: &mut &'b [u8],
    ) -> Result<Option<&'a [u8]>, Reject> {
        if std::mem::take(&mut self.is_given) {
            self.partial.clear();
        }
        if self.partial.is_empty() {
            if let Some(length) = length(bytes)?
                && let Some((whole, rest)) = bytes.split_at_checked(length)
            {
                *bytes = rest;
                return Ok(Some(whole));
            }
            self.partial.extend_from_slice(bytes);
            *bytes = &[];
            return Ok(None);
        }
        // First the four bytes that say how long it is, then as much as that.
        self.fill(4, bytes);
        let Some(length) = length(&self.partial)? else {
            return Ok(None);
        };
        self.fill(length, bytes);
        if self.partial.len() < length {
            return Ok(None);
        }
        self.is_given = true;
        Ok(Some(&self.partial))
    }

    fn fill(&mut self, until: usize, bytes: &mut &[u8]) {
        let missing = until.saturating_sub(self.partial.len()).min(bytes.len());
        let (taken, rest) = bytes.split_at(missing);
        self.partial.extend_from_slice(taken);
        *bytes = rest;
    }
}

/// The length of the message that begins here, where so much of it is there.
fn length(bytes: &[u8]) -> Result<Option<usize>, Reject> {
    let (Some(version), Some(length)) = (u16_at(bytes, 0), u16_at(bytes, 2)) else {
        return Ok(None);
    };
    if version != 10 {
        return Err(Reject::Version(version));
    }
    let length = usize::from(length);
    if length < IPFIX_HEADER {
        return Err(Reject::MessageLength {
            said: length,
            got: bytes.len(),
        });
    }
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(length: usize, fill: u8) -> Vec<u8> {
        let mut bytes = vec![fill; length];
        bytes[..2].copy_from_slice(&10_u16.to_be_bytes());
        bytes[2..4].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        bytes
    }

    proptest! {
        #[test]
        fn however_a_stream_is_cut_its_messages_are_the_same(
            lengths in prop::collection::vec(16_usize..200, 1..10),
            pieces in prop::collection::vec(1_usize..150, 1..40),
        ) {
            let messages: Vec<_> = lengths.iter().zip(0..).map(|(length, fill)| message(*length, fill)).collect();
            let stream = messages.concat();
            let mut framing = Framing::default();
            let (mut rest, mut got) = (&stream[..], Vec::new());
            for piece in pieces.iter().cycle() {
                let (mut now, later) = rest.split_at((*piece).min(rest.len()));
                rest = later;
                while let Some(whole) = framing.next(&mut now).unwrap() {
                    got.push(whole.to_vec());
                }
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(got, messages);
        }
    }

    #[test]
    fn what_is_no_ipfix_is_refused_before_its_length_is_believed() {
        let mut bytes: &[u8] = &[0, 9, 255, 255];
        assert_eq!(Framing::default().next(&mut bytes), Err(Reject::Version(9)));
        let mut bytes: &[u8] = &[0, 10, 0, 15];
        assert!(Framing::default().next(&mut bytes).is_err());
    }
}
