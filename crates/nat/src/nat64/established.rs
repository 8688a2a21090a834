//! The shortest way: a plain segment of an established connection becomes one of the other family
//! in one step, with the ends that the engine's tables have for it.

use std::net::Ipv4Addr;

use portledger_model::Transport;
use portledger_ports::RealmIndex;

use super::Translation;
use crate::{
    Nat, Side, Slot,
    engine::OtherEnd,
    header::{Ends, TCP, TcpFlags},
    stateful::{StagedSender, sealed},
    translate::{Pair, Plain4, Plain6},
};

impl sealed::Established for Translation {
    /// From the inside. `None` where there is more to it: then nothing was done.
    #[inline]
    fn enter_established(
        &self,
        nat: &mut Nat,
        slot: &mut Slot<'_>,
        staged: &StagedSender,
    ) -> Option<RealmIndex> {
        let head = slot.bytes().first_chunk::<60>()?;
        let plain = Plain6::read(slot.bytes())?;
        let is_plain = plain.protocol == TCP
            && head[52] >> 4 >= 5
            && TcpFlags(head[53]).is_plain()
            && self.translator.takes_plain_v6(&plain, slot.offload);
        if !is_plain || !nat.fits_outside(plain.total()) {
            return None;
        }
        let destination = self.prefix.extract(plain.destination)?;
        // Of whom the engine has a mapping has been looked at; so has where it leads.
        if !nat.is_of(staged.number, &staged.host) {
            return None;
        }
        let OtherEnd {
            address,
            port,
            realm,
        } = nat.established_end(
            Side::Inside,
            staged.candidate,
            slot.realm,
            &Ends {
                source: staged.number,
                destination: destination.to_bits(),
                source_port: plain.source_port,
                destination_port: plain.destination_port,
                transport: Transport::Tcp,
            },
        )?;
        let pair = Pair {
            source: Ipv4Addr::from_bits(address),
            destination,
        };
        // RFC 6864 §5.3.1: where it means something, the NAT chooses it.
        let identification = if plain.may_be_cut() {
            nat.next_identification(address, destination.to_bits(), TCP)
        } else {
            0
        };
        self.translator
            .plain_to_v4(slot, &plain, pair, port, identification)
            .then_some(realm)
    }

    /// To the inside. `None` where there is more to it: then nothing was done.
    #[inline]
    fn leave_established(
        &self,
        nat: &mut Nat,
        slot: &mut Slot<'_>,
        ends: &Ends,
        candidate: u32,
    ) -> Option<RealmIndex> {
        let packet = slot.bytes();
        let head = packet.first_chunk::<40>()?;
        if !nat.is_plain(Side::Outside, head, packet.len(), slot.offload) {
            return None;
        }
        let plain = Plain4::of_checked(head.first_chunk::<28>()?);
        if !self.translator.takes_plain_v4(&plain, slot.offload) || plain.source == self.own_v4 {
            return None;
        }
        let OtherEnd {
            address,
            port,
            realm,
        } = nat.established_end(Side::Outside, candidate, slot.realm, ends)?;
        let pair = Pair {
            source: self.prefix.embed(plain.source),
            destination: nat.numbers()?.get(address)?.address,
        };
        self.translator
            .plain_to_v6(slot, &plain, pair, port)
            .then_some(realm)
    }
}
