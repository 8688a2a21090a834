//! ICMP in softwires, and ICMPv6 about them.

use std::net::Ipv6Addr;

use portledger_model::Transport;
use portledger_ports::RealmIndex;

use super::{Entered, Softwires, outer};
use crate::{
    DropReason, HEADROOM, Nat,
    header::{ICMP, TCP, UDP, long, word},
    hosts::Host,
    icmp, inner,
    rewrite::End,
    tunnel::{About, Trouble},
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

impl Softwires {
    /// A message about a packet of ours on its way to a B4, where it quotes one that may well have
    /// been sent.
    pub(super) fn about_softwire(
        &mut self,
        nat: &mut Nat,
        realm: RealmIndex,
        source: Ipv6Addr,
        message: &[u8],
    ) -> Result<Entered, DropReason> {
        let About {
            trouble,
            end,
            inner,
        } = outer::about(message, source, self.config.address)?;
        if !self.ends.contains(realm, end) {
            return Err(DropReason::NoMapping);
        }
        let host = sent_to(nat, realm, end, inner).ok_or(DropReason::NoMapping)?;
        match trouble {
            // RFC 8201: it lowers what is sent to that B4.
            Trouble::TooBig(size) => {
                if self.config.learn_mtu {
                    let mtu = u16::try_from(size).unwrap_or(u16::MAX);
                    self.paths.learn(&host, mtu, nat.now());
                }
                Ok(Entered::Taken)
            }
            Trouble::Unreachable => self.unreachable(nat, host, inner),
        }
    }

    /// RFC 2473 §8.3: whoever sent what was in it is told, as if the host's own network had.
    fn unreachable(&self, nat: &mut Nat, host: Host, about: &[u8]) -> Result<Entered, DropReason> {
        if !nat.may_tell() {
            return Ok(Entered::Taken);
        }
        let source = self.config.nat.own_address;
        let error = icmp::error(source, icmp::Error::HostUnreachable, about);
        let mut whole = [&[0; HEADROOM][..], &error].concat();
        let number = admit(nat, &mut whole[HEADROOM..], host)?;
        Ok(Entered::Whole(whole, number))
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
        // Of an error nobody is told (RFC 1122 §3.2.2).
        ICMP if icmp::is_query(payload[0]) => (Transport::Icmp, word(payload, 4)),
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
