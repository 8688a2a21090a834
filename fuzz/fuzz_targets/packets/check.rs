//! What must hold of whatever comes out of the engine.

use portledger_model::Transport;
use portledger_nat::{Counters, DropReason, Emitted, Offload, Output, RealmIndex, Side, Verdict};

use crate::{
    build::{Built, Known},
    held::{Held, Internal},
    packet::{ICMP, TCP, UDP, View, set_word, sum, word},
    scene::{EXEMPT, EXTERNAL, Scene, is_internal},
};

/// Holds a packet to its verdict. Gives the mapping that it went out through.
pub(crate) fn verdict(
    scene: &Scene,
    before: &Built,
    after: &Built,
    verdict: Verdict,
    held: &Held,
) -> Option<Known> {
    match verdict {
        Verdict::Drop(reason) => {
            assert_ne!(reason, DropReason::NotSeen, "every packet is looked at");
            None
        }
        Verdict::Kept => None,
        Verdict::Forward {
            to,
            realm,
            after: event,
        } => {
            assert!(
                event.0 <= held.told(),
                "waits for an event that was never told"
            );
            let was = View::read(&before.data).expect("what is broken is dropped");
            let is = View::read(&after.data).expect("what goes out is well-formed");
            let way = Way {
                from: before,
                was,
                is,
                to,
                realm,
            };
            way.check(scene, &after.data, held)
        }
    }
}

/// Holds a packet of the engine's own to what is asked of it.
pub(crate) fn emitted(scene: &Scene, emitted: &Emitted, told: u64) {
    let view = View::read(&emitted.data).expect("what the engine makes is well-formed");
    assert_eq!(view.bytes.len(), emitted.data.len());
    assert!(view.bytes.len() <= scene.mtu(emitted.to), "{view:?}");
    assert!(emitted.after.0 <= told);
    assert!(
        view.offset + view.payload.len() <= 65_535 - view.header,
        "{view:?}"
    );
    match emitted.to {
        Side::Outside => assert!(EXTERNAL.contains(&view.source), "{view:?}"),
        Side::Inside => assert!(is_internal(view.destination), "{view:?}"),
    }
    if view.is_icmp_error() {
        assert_eq!(view.balance(), Some(0), "{view:?}");
    }
}

/// Where a packet alone in its batch was replaced, the pieces put together are the packet.
pub(crate) fn pieces(before: &Built, verdict: Verdict, output: &Output) {
    let Some(was) = View::read(&before.data) else {
        return;
    };
    if verdict != Verdict::Kept || !was.is_whole() {
        return;
    }
    let views = output.packets.iter().map(|piece| View::read(&piece.data));
    let mut views: Vec<View<'_>> = views.map(|view| view.expect("checked before")).collect();
    views.sort_by_key(|view| view.offset);
    let first = views.first().expect("a packet is replaced by something");
    let mut whole = first.bytes[..first.header].to_vec();
    for view in &views {
        assert_eq!(
            view.offset,
            whole.len() - first.header,
            "pieces leave nothing out"
        );
        whole.extend(view.payload);
    }
    assert!(views.last().is_some_and(|last| !last.more));
    let total = whole.len() as u16;
    set_word(&mut whole, 2, total);
    set_word(&mut whole, 6, 0);
    set_word(&mut whole, 10, 0);
    let header_sum = sum(&whole[..first.header]);
    set_word(&mut whole, 10, !header_sum);
    let whole = View::read(&whole).expect("made well-formed just now");
    assert_eq!(whole.payload.len(), was.payload.len());
    if before.offload == Offload::None || was.protocol == ICMP {
        assert_eq!(whole.balance(), was.balance());
    } else if was.partial_balance() == Some(0) {
        assert_eq!(
            whole.balance(),
            Some(0),
            "nobody completes the checksum of a fragment"
        );
    }
}

/// A packet's way through the NAT.
struct Way<'a> {
    from: &'a Built,
    was: View<'a>,
    is: View<'a>,
    to: Side,
    realm: RealmIndex,
}

impl Way<'_> {
    fn check(&self, scene: &Scene, after: &[u8], held: &Held) -> Option<Known> {
        let total = self.was.bytes.len();
        assert_eq!(
            after[total..],
            self.from.data[total..],
            "nothing behind a packet is touched"
        );
        if self.is_exempt() {
            assert_eq!(after, self.from.data, "what is exempt is not touched");
            return None;
        }
        if !matches!(self.from.offload, Offload::Segments(_)) {
            assert!(total <= scene.mtu(self.to) || self.is.is_icmp_error());
        }
        self.check_addresses();
        self.check_rest();
        if self.was.is_icmp_error() {
            self.check_error();
            return None;
        }
        self.check_checksum();
        self.check_holders(held)
    }

    fn is_exempt(&self) -> bool {
        match self.from.side {
            Side::Inside => self.was.destination == EXEMPT,
            Side::Outside => self.was.source == EXEMPT && is_internal(self.was.destination),
        }
    }

    /// No internal address outside, no subscriber's packet from elsewhere.
    fn check_addresses(&self) {
        let (was, is) = (&self.was, &self.is);
        match self.from.side {
            Side::Inside => {
                assert!(is_internal(was.source), "{was:?}");
                assert!(EXTERNAL.contains(&is.source), "{is:?}");
            }
            Side::Outside => {
                assert_eq!(self.to, Side::Inside);
                assert_eq!(is.source, was.source);
                assert!(
                    !is_internal(is.source) && !EXTERNAL.contains(&is.source),
                    "{is:?}"
                );
            }
        }
        match self.to {
            Side::Outside => {
                assert_eq!(is.destination, was.destination);
                assert!(!EXTERNAL.contains(&is.destination), "{is:?}");
            }
            Side::Inside => {
                assert!(EXTERNAL.contains(&was.destination), "{was:?}");
                assert!(is_internal(is.destination), "{is:?}");
            }
        }
    }

    /// Only what translation is about is changed.
    fn check_rest(&self) {
        let (was, is) = (&self.was, &self.is);
        let mut expected = was.bytes.to_vec();
        let mut may_change = |at: usize, length: usize| {
            let end = (at + length).min(expected.len());
            expected[at..end].copy_from_slice(&is.bytes[at..end]);
        };
        let payload = was.header;
        may_change(10, 2);
        if self.from.side == Side::Inside {
            may_change(4, 2);
            may_change(12, 4);
        }
        if self.to == Side::Inside {
            may_change(16, 4);
        }
        match was.transport() {
            _ if was.is_icmp_error() => {
                may_change(payload + 2, 2);
                may_change(payload + 8, was.payload.len() - 8);
            }
            Some(ICMP) => may_change(payload + 2, 4),
            Some(_) => {
                may_change(
                    payload + was.checksum_at().expect("TCP and UDP have one"),
                    2,
                );
                if self.from.side == Side::Inside {
                    may_change(payload, 2);
                }
                if self.to == Side::Inside {
                    may_change(payload + 2, 2);
                }
            }
            None => {}
        }
        assert_eq!(expected, is.bytes);
    }

    /// A right checksum stays right, a wrong one wrong, and none none.
    fn check_checksum(&self) {
        let (was, is) = (&self.was, &self.is);
        if self.from.offload == Offload::None || was.protocol == ICMP {
            assert_eq!(was.balance(), is.balance(), "{was:?} {is:?}");
            assert_eq!(
                was.balance_of_first(),
                is.balance_of_first(),
                "{was:?} {is:?}"
            );
        } else {
            assert_eq!(
                was.partial_balance(),
                is.partial_balance(),
                "{was:?} {is:?}"
            );
        }
    }

    fn check_error(&self) {
        assert_eq!(self.is.balance(), Some(0), "{:?}", self.is);
        let was = self
            .was
            .quoted()
            .expect("an error without a quote is dropped");
        let is = self.is.quoted().expect("the quote stays well-formed");
        match self.from.side {
            Side::Inside => assert!(EXTERNAL.contains(&is.destination), "{is:?}"),
            Side::Outside => assert_eq!(is.destination, was.destination),
        }
        match self.to {
            Side::Outside => assert_eq!(is.source, was.source),
            Side::Inside => assert!(is_internal(is.source), "{is:?}"),
        }
        if was
            .checksum_at()
            .is_some_and(|at| was.payload.len() >= at + 2)
        {
            assert_eq!(
                was.balance_of_first(),
                is.balance_of_first(),
                "{was:?} {is:?}"
            );
        }
    }

    /// By the event log, the ports used are their users'.
    fn check_holders(&self, held: &Held) -> Option<Known> {
        let (protocol, was_source, was_destination) = ends(&self.was)?;
        let (_, is_source, is_destination) = ends(&self.is)?;
        let transport = match protocol {
            TCP => Transport::Tcp,
            UDP => Transport::Udp,
            _ => Transport::Icmp,
        };
        let internal = |realm, address, port| Internal {
            realm,
            address,
            port,
        };
        if self.to == Side::Inside {
            let holder = internal(self.realm, self.is.destination, is_destination);
            // An ICMP identifier changes twice on a hairpinned way; the one between is not seen.
            if protocol != ICMP || self.from.side == Side::Outside {
                held.assert_holds(holder, (self.was.destination, was_destination), transport);
            }
        }
        if self.from.side == Side::Outside {
            return None;
        }
        if protocol == ICMP && self.to == Side::Inside {
            return None;
        }
        let holder = internal(self.from.realm, self.was.source, was_source);
        held.assert_holds(holder, (self.is.source, is_source), transport);
        Some(Known {
            protocol,
            internal: (self.was.source, was_source),
            external: (self.is.source, is_source),
            remote: (self.was.destination, was_destination),
        })
    }
}

/// Protocol, source port, destination port; the identifier twice for ICMP.
fn ends(view: &View<'_>) -> Option<(u8, u16, u16)> {
    match view.transport()? {
        ICMP => Some((ICMP, word(view.payload, 4), word(view.payload, 4))),
        protocol => Some((protocol, word(view.payload, 0), word(view.payload, 2))),
    }
}

/// Keeps the engine's counters to what was seen of it.
#[derive(Default)]
pub(crate) struct Tally {
    before: Counters,
    kept: u64,
    emitted: u64,
    late_drops: u64,
}

impl Tally {
    /// After a call: every packet in exactly one counter.
    pub(crate) fn batch(&mut self, counters: &Counters, verdicts: &[Verdict], output: &Output) {
        let of = |wanted: fn(&Verdict) -> bool| {
            verdicts.iter().filter(|verdict| wanted(verdict)).count() as u64
        };
        let forwarded = of(|verdict| matches!(verdict, Verdict::Forward { .. }));
        let dropped = of(|verdict| matches!(verdict, Verdict::Drop(_)));
        let emitted = output.packets.len() as u64;
        let sent = |counters: &Counters| counters.to_inside + counters.to_outside;
        let came = |counters: &Counters| counters.from_inside + counters.from_outside;
        assert_eq!(sent(counters) - sent(&self.before), forwarded + emitted);
        assert_eq!(came(counters) - came(&self.before), verdicts.len() as u64);
        for &reason in DropReason::ALL {
            let counted = counters.dropped(reason) - self.before.dropped(reason);
            let seen = verdicts
                .iter()
                .filter(|&&verdict| verdict == Verdict::Drop(reason))
                .count();
            assert!(
                counted >= seen as u64,
                "{reason:?}: {counted} counted, {seen} seen"
            );
            // Besides, fragments that waited are dropped, which have no verdict.
            self.late_drops += counted - seen as u64;
        }
        self.kept += verdicts.len() as u64 - forwarded - dropped;
        self.emitted += emitted;
        self.before = counters.clone();
    }

    /// When nothing waits any more: what was kept has gone out or was dropped.
    pub(crate) fn end(&self, counters: &Counters, may_cut: bool) {
        let waited = counters.fragments_kept;
        let replaced = self.kept - waited;
        let made = self.emitted - counters.icmp_sent;
        if may_cut {
            assert!(made + self.late_drops >= waited + replaced);
        } else {
            assert_eq!((made + self.late_drops, replaced), (waited, 0));
        }
        assert_eq!(counters.mappings_opened, counters.mappings_ended);
    }
}
