//! ICMPv6 errors about packets on their way through a softwire (RFC 2473 §8).

use std::net::Ipv6Addr;

use super::{Relay, read::read_quoted};
use crate::{
    DropReason, Output,
    checksum::sum,
    header::{Fragment, long},
    translate::{Answer, answer_v4, pseudo_header},
    tunnel,
};

/// The types of ICMPv6 errors (RFC 4443 §3).
const UNREACHABLE: u8 = 1;
const TOO_BIG: u8 = 2;
const PARAMETER_PROBLEM: u8 = 4;
const ICMP6: u8 = 58;

impl Relay {
    /// Relays an error about a packet of ours to whoever sent what was in it (RFC 2473 §8.1, §8.2).
    pub(super) fn about_tunnel(
        &mut self,
        source: Ipv6Addr,
        message: &[u8],
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let Some(head) = message.first_chunk::<8>() else {
            return Err(DropReason::Malformed);
        };
        let kind = head[0];
        if !(UNREACHABLE..=PARAMETER_PROBLEM).contains(&kind) {
            return Err(DropReason::IcmpType);
        }
        let pseudo = pseudo_header(source, self.config.address, message.len(), ICMP6);
        if sum(message, u32::from(pseudo)) != 0xFFFF {
            return Err(DropReason::IcmpChecksum);
        }
        let (from, to, inner) = tunnel::quoted(&message[8..]).ok_or(DropReason::Malformed)?;
        let datagram = read_quoted(inner)?;
        // Only what we may have sent: nobody is told by a stranger's message of a packet that
        // would never have gone that way.
        let port = datagram.ports.map(|(_, port)| port);
        let is_ours = from == self.config.address
            && self.holders.find(datagram.destination, port) == Some(to);
        if !is_ours {
            return Err(DropReason::NoMapping);
        }
        let answer = match kind {
            // RFC 2473 §8.2: of a packet that may be cut nobody needs to be told.
            TOO_BIG if !datagram.dont_fragment => return Err(DropReason::TooBig),
            TOO_BIG => {
                let size = long(message, 4).saturating_sub(40);
                Answer::TooBig(size.clamp(1_240, u32::from(u16::MAX)))
            }
            // Whatever is wrong in the tunnel, the sender only knows that it leads to nobody.
            _ => Answer::Unreachable,
        };
        if datagram.fragment == Fragment::Later {
            return Err(DropReason::NoMapping);
        }
        if !self.budget.spend(self.now) {
            self.counters.icmp_withheld += 1;
            return Ok(());
        }
        if let Some(data) = answer_v4(self.config.own_address, answer, inner) {
            self.counters.icmp_sent += 1;
            self.send_v4(data, output);
        }
        Ok(())
    }
}
