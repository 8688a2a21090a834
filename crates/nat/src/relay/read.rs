//! Reading IPv4 packets that stay IPv4 on their way: no more of them is looked at than says whose
//! they are.

use std::net::Ipv4Addr;

use crate::{
    DropReason,
    header::{Fragment, ICMP, TCP, UDP, word},
    icmp::is_query,
    translate::{Datagram, Incoming, header_v4, quoted_v4, shown_ports},
};

const IGMP: u8 = 2;
const IPV4: u8 = 4;
const IPV6: u8 = 41;

/// Reads the IPv4 packet at the beginning of `bytes`.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Result<Incoming<Ipv4Addr>, DropReason> {
    let mut outer = header_v4(bytes)?;
    let payload = &bytes[usize::from(outer.header)..outer.total as usize];
    let mut quoted = None;
    match outer.protocol {
        // A link's own, and tunnels in a tunnel.
        IGMP => return Err(DropReason::Protocol),
        IPV4 | IPV6 => return Err(DropReason::NestedTunnel),
        _ if outer.fragment == Fragment::Later => {}
        TCP | UDP => outer.ports = Some(shown_ports(&outer, payload)?),
        ICMP => {
            (outer.ports, quoted) = icmp(payload)?;
            // An error is never so large that it must be cut (RFC 1812 §4.3.2.3).
            if quoted.is_some() && outer.fragment != Fragment::Whole {
                return Err(DropReason::Malformed);
            }
        }
        _ => {}
    }
    Ok(Incoming { outer, quoted })
}

type Seen = (Option<(u16, u16)>, Option<Datagram<Ipv4Addr>>);

/// RFC 7596 §8.1, RFC 7597 §8.2: a query's identifier stands for a port, and an error is known by
/// what it quotes.
fn icmp(message: &[u8]) -> Result<Seen, DropReason> {
    let Some(head) = message.first_chunk::<8>() else {
        return Err(DropReason::Malformed);
    };
    if is_query(head[0]) {
        let identifier = word(head, 4);
        return Ok((Some((identifier, identifier)), None));
    }
    match head[0] {
        // Unreachable, source quench, redirect, time exceeded, parameter problem.
        3 | 4 | 5 | 11 | 12 => Ok((None, Some(quoted_v4(&message[8..], is_query)?))),
        _ => Err(DropReason::IcmpType),
    }
}
