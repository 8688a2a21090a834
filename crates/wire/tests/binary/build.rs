//! Messages by hand.

/// An IPFIX message (RFC 7011 §3.1).
pub(crate) fn ipfix(number: u32, sent: u32, domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let length = u16::try_from(16 + body.len()).unwrap();
    let mut message = vec![0, 10];
    message.extend(length.to_be_bytes());
    message.extend(sent.to_be_bytes());
    message.extend(number.to_be_bytes());
    message.extend(domain.to_be_bytes());
    message.extend(body);
    message
}

/// A NetFlow v9 message (RFC 3954 §5.1) of a device that booted 1,000 s before.
pub(crate) fn netflow9(number: u32, sent: u32, source: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![0, 9, 0, 1];
    message.extend(1_000_000_u32.to_be_bytes());
    message.extend(sent.to_be_bytes());
    message.extend(number.to_be_bytes());
    message.extend(source.to_be_bytes());
    message.extend(sets.concat());
    message
}

pub(crate) fn set(id: u16, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + contents.len()).unwrap();
    [&id.to_be_bytes(), &length.to_be_bytes(), contents].concat()
}

pub(crate) fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A template record; both protocols write it alike without enterprises.
pub(crate) fn template(number: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let mut template = words(&[number, u16::try_from(fields.len()).unwrap()]);
    for (element, length) in fields {
        template.extend(words(&[*element, *length]));
    }
    template
}

/// Time, event, inside, outside, ports: a block as RFC 8158 has it.
pub(crate) const BLOCK: [(u16, u16); 6] =
    [(323, 8), (230, 1), (8, 4), (225, 4), (361, 2), (362, 2)];

/// A record of [`BLOCK`].
pub(crate) fn block(millis: u64, event: u8, inside: [u8; 4], first: u16, last: u16) -> Vec<u8> {
    let mut record = millis.to_be_bytes().to_vec();
    record.push(event);
    record.extend(inside);
    record.extend([203, 0, 113, 7]);
    record.extend(words(&[first, last]));
    record
}
