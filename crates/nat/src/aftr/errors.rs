//! ICMP in softwires, and ICMPv6 about them.

use std::net::Ipv6Addr;

use portledger_model::Transport;
use portledger_ports::RealmIndex;

use super::{Entered, Softwires, outer};
use crate::{
    DropReason, Nat,
    checksum::sum,
    header::{ICMP, TCP, UDP, long, word},
    hosts::Host,
    inner,
    rewrite::End,
};

/// Takes an ICMP error that came out of a softwire. Whichever host or router behind the B4 it
/// comes from, it is about a packet to the host that the quoted packet names (RFC 5508 REQ-5).
pub(super) fn admit(nat: &Nat, data: &mut [u8], from: Host) -> Result<u32, DropReason> {
    let quoted = inner::quoted(data).ok_or(DropReason::IcmpChecksum)?;
    let about = Host {
        behind: long(quoted, 16),
        ..from
    };
    // Nothing was ever delivered to a host that nothing names.
    let number = nat.known_number(&about).ok_or(DropReason::NoMapping)?;
    inner::set_quoted_end(data, End::Destination, number);
    inner::set_end(data, End::Source, number);
    Ok(number)
}

/// Packet Too Big (RFC 4443 §3.2).
const TOO_BIG: u8 = 2;

impl Softwires {
    /// A message about a packet of ours on its way to a B4: one that was too big lowers what is
    /// sent to that B4 (RFC 8201), where it quotes a packet that may well have been sent.
    pub(super) fn too_big(
        &mut self,
        nat: &Nat,
        realm: RealmIndex,
        source: Ipv6Addr,
        message: &[u8],
    ) -> Result<Entered, DropReason> {
        let Some(&[TOO_BIG, ..]) = message.first_chunk::<8>() else {
            return Err(DropReason::IcmpType);
        };
        if !is_right(message, source, self.config.address) {
            return Err(DropReason::IcmpChecksum);
        }
        let packet = message.get(8..).and_then(outer::quoted);
        let (from, to, inner) = packet.ok_or(DropReason::Malformed)?;
        if from != self.config.address || !self.ends.contains(realm, to) {
            return Err(DropReason::NoMapping);
        }
        let host = sent_to(nat, realm, to, inner).ok_or(DropReason::NoMapping)?;
        if self.config.learn_mtu {
            let mtu = u16::try_from(long(message, 4)).unwrap_or(u16::MAX);
            self.paths.learn(&host, mtu, nat.now());
        }
        Ok(Entered::Taken)
    }
}

/// The host to which a quoted packet was sent, where that has a mapping for it. Whoever does not
/// see the packets of a softwire does not know these.
fn sent_to(nat: &Nat, realm: RealmIndex, end: Ipv6Addr, inner: &[u8]) -> Option<Host> {
    let fixed = inner.first_chunk::<20>()?;
    let payload = inner.get(usize::from(fixed[0] & 0x0F) * 4..)?;
    if word(fixed, 6) & 0x1FFF != 0 || payload.len() < 8 {
        return None;
    }
    let (transport, port) = match fixed[9] {
        TCP => (Transport::Tcp, word(payload, 2)),
        UDP => (Transport::Udp, word(payload, 2)),
        ICMP => (Transport::Icmp, word(payload, 4)),
        _ => return None,
    };
    let host = Host {
        realm,
        address: end,
        behind: long(fixed, 16),
    };
    let number = nat.known_number(&host)?;
    nat.has_mapping(realm, transport, number, port)
        .then_some(host)
}

/// Whether an ICMPv6 message's checksum is right (RFC 4443 §2.3, RFC 8200 §8.1).
fn is_right(message: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> bool {
    let pseudo = sum(&[source.octets(), destination.octets()].concat(), 58);
    let length = u32::try_from(message.len()).unwrap_or(0);
    sum(message, u32::from(pseudo) + length) == 0xFFFF
}
