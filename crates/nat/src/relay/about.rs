//! ICMPv6 errors about packets on their way through a softwire (RFC 2473 §8).

use std::net::Ipv6Addr;

use super::Relay;
use crate::{
    DropReason, Output,
    header::Fragment,
    icmp::is_query,
    translate::{Answer, answer_v4, quoted_v4},
    tunnel::{self, About, HEADER, Trouble},
};

/// What an IPv4 packet may have without being cut, whatever is told (RFC 8201 §4).
const LEAST: u32 = 1_280 - HEADER as u32;

impl Relay {
    /// Relays an error about a packet of ours to whoever sent what was in it (RFC 2473 §8.3).
    pub(super) fn about_tunnel(
        &mut self,
        source: Ipv6Addr,
        message: &[u8],
        output: &mut Output,
    ) -> Result<(), DropReason> {
        let About {
            trouble,
            end,
            inner,
        } = tunnel::about(message, source, self.config.address)?;
        let datagram = quoted_v4(inner, is_query)?;
        // Only what we may have sent: nobody is told by a stranger's message of a packet that
        // would never have gone that way.
        let port = datagram.ports.map(|(_, port)| port);
        let is_ours = self.holders.find(datagram.destination, port) == Some(end);
        if !is_ours || datagram.fragment == Fragment::Later {
            return Err(DropReason::NoMapping);
        }
        let answer = match trouble {
            // RFC 2473 §7.2 (b), §8.3: of a packet that may be cut nobody needs to be told.
            Trouble::TooBig(_) if !datagram.dont_fragment => return Err(DropReason::TooBig),
            Trouble::TooBig(size) => {
                let size = size.saturating_sub(HEADER as u32);
                Answer::TooBig(size.clamp(LEAST, u32::from(u16::MAX)))
            }
            Trouble::Unreachable => Answer::Unreachable,
        };
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
