//! ICMP errors of the relay's own.

use std::net::Ipv4Addr;

use super::Relay;
use crate::{
    Output, Side,
    header::Fragment,
    ipv6::address,
    translate::{Answer, Incoming, Refused, answer_v4, answer_v6, is_host_v6},
};

impl Relay {
    /// Tells the sender of a packet that was refused, where it may be told anything.
    #[inline]
    pub(super) fn tell(&mut self, to: Side, about: &[u8], refused: Refused, output: &mut Output) {
        let Some(answer) = refused.answer else {
            return;
        };
        // RFC 4443 §2.4 (e): to nobody but one host.
        if to == Side::Inside && !is_host_v6(address(about, 8)) {
            return;
        }
        let is_wanted = match answer {
            Answer::SourcePolicy => self.config.refusals.spoofed,
            Answer::Unreachable => self.config.refusals.unreachable,
            _ => true,
        };
        if !is_wanted || !self.budget.spend(self.now) {
            self.counters.icmp_withheld += u64::from(is_wanted);
            return;
        }
        let data = match to {
            Side::Inside => answer_v6(self.config.address, answer, about),
            Side::Outside => answer_v4(self.config.own_address, answer, about),
        };
        if let Some(data) = data {
            self.counters.icmp_sent += 1;
            self.emit(to, data, output);
        }
    }

    /// Tells the sender of an IPv4 packet that came out of a softwire, through the softwire.
    #[cold]
    pub(super) fn tell_v4(
        &mut self,
        answer: Answer,
        incoming: &Incoming<Ipv4Addr>,
        about: &[u8],
        output: &mut Output,
    ) {
        // RFC 1122 §3.2.2: of no error, and of no fragment but the first.
        if incoming.quoted.is_some() || incoming.outer.fragment == Fragment::Later {
            return;
        }
        if !self.budget.spend(self.now) {
            self.counters.icmp_withheld += 1;
            return;
        }
        if let Some(data) = answer_v4(self.config.own_address, answer, about) {
            self.counters.icmp_sent += 1;
            self.send_v4(data, output);
        }
    }

    /// Sends an IPv4 packet of the relay's own, to whichever side it is for.
    pub(super) fn send_v4(&mut self, data: Vec<u8>, output: &mut Output) {
        if self.is_for_customer(&data) {
            self.released.push((Side::Outside, data));
        } else {
            self.emit(Side::Outside, data, output);
        }
    }
}
