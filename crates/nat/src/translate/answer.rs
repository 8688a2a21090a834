//! ICMP errors of the translator's own (RFC 7915 §4.4, §5.4).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    LEAST_IPV6_MTU,
    transport::{ICMP6, pseudo_header},
};
use crate::{
    checksum::sum,
    header::{set_long, set_word, word},
    icmp,
    ipv6::{self, HEADER as IPV6_HEADER},
};

/// What the sender of a refused packet may be told, in the family in which it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Communication administratively prohibited: 3/13, 1/1.
    Prohibited,
    /// Too big, and what would fit: 3/4, 2/0.
    TooBig(u32),
    /// No hop is left: 11/0, 3/0.
    HopsExceeded,
    /// Nobody is there: 3/1, and 1/3 in IPv6.
    Unreachable,
    /// Nobody there takes such packets: 3/3, and 1/4 in IPv6.
    PortUnreachable,
    /// Nobody there speaks this protocol: 3/2, and nothing in IPv6.
    ProtocolUnreachable,
    /// The source route cannot be followed: 3/5, and nothing in IPv6.
    SourceRouteFailed,
    /// A field of the header that is wrong, by its place: 4/0 in IPv6, and nothing in IPv4.
    ParameterProblem(u32),
    /// The source address failed ingress or egress policy: 1/5 in IPv6, 3/13 in IPv4.
    SourcePolicy,
}

/// The answer to the sender of the IPv4 packet `about`, from `source`. `None` where IPv4 has no
/// such answer.
pub fn answer_v4(source: Ipv4Addr, answer: Answer, about: &[u8]) -> Option<Vec<u8>> {
    let error = match answer {
        Answer::Prohibited | Answer::SourcePolicy => icmp::Error::AdministrativelyProhibited,
        Answer::TooBig(size) => icmp::Error::TooBig(u16::try_from(size).unwrap_or(u16::MAX)),
        Answer::HopsExceeded => icmp::Error::HopsExceeded,
        Answer::Unreachable => icmp::Error::HostUnreachable,
        Answer::PortUnreachable => icmp::Error::PortUnreachable,
        Answer::ProtocolUnreachable => icmp::Error::ProtocolUnreachable,
        Answer::SourceRouteFailed => icmp::Error::SourceRouteFailed,
        Answer::ParameterProblem(_) => return None,
    };
    Some(icmp::error(source, error, about))
}

/// The answer to the sender of the IPv6 packet `about`, from `source` (RFC 4443 §3). `None` where
/// IPv6 has no such answer.
pub fn answer_v6(source: Ipv6Addr, answer: Answer, about: &[u8]) -> Option<Vec<u8>> {
    let (kind, code, rest) = match answer {
        Answer::Prohibited => (1, 1, 0),
        Answer::Unreachable => (1, 3, 0),
        Answer::PortUnreachable => (1, 4, 0),
        Answer::SourcePolicy => (1, 5, 0),
        Answer::TooBig(size) => (2, 0, size),
        Answer::HopsExceeded => (3, 0, 0),
        Answer::ParameterProblem(pointer) => (4, 0, pointer),
        Answer::ProtocolUnreachable | Answer::SourceRouteFailed => return None,
    };
    let total = (IPV6_HEADER + usize::from(word(about, 4))).min(about.len());
    // RFC 4443 §2.4 (c): as much as fits into the least MTU.
    let quoted = &about[..total.min(usize::from(LEAST_IPV6_MTU) - IPV6_HEADER - 8)];
    let sender = ipv6::address(about, 8);
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    set_long(&mut message, 4, rest);
    message.extend_from_slice(quoted);
    let pseudo = pseudo_header(source, sender, message.len(), ICMP6);
    let checksum = !sum(&message, u32::from(pseudo));
    set_word(&mut message, 2, checksum);
    let mut packet = ipv6::header(0, message.len(), ICMP6, 64, source, sender).to_vec();
    packet.append(&mut message);
    Some(packet)
}
