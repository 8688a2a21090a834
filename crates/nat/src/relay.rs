//! Border relays without sessions: MAP-E (RFC 7597), MAP-T (RFC 7599) and the lwAFTR of
//! lightweight 4over6 (RFC 7596).
//!
//! The customers' own devices do the NAT44. A relay knows by arithmetic or by a table which IPv6
//! address has which IPv4 address and ports, and does two things: it lets no packet out that is
//! not from its customer's own address and port, and it finds whose a packet is that comes in.
//!
//! ```text
//!   inside: IPv6                                                outside: IPv4
//!   ──► outward   unwrap, or translate; the source must be the customer's own ──►
//!   ◄── inward    find the customer by address and port; wrap, or translate   ◄──
//!        └─────── hairpin: out of one softwire and into another ───────┘
//! ```
//!
//! The three differ in who says who has what ([`Customers`]) and in how IPv4 crosses the IPv6
//! network ([`Carriage`]). There is no event: what a port's holder is follows from the
//! configuration, which is what has to be recorded.

mod about;
mod bindings;
mod config;
mod followed;
mod holders;
mod inward;
mod outward;
mod plain;
mod read;
mod rules;
mod tell;

pub use config::{Carriage, Customers, FollowedLimits, Refusals, RelayConfig, RelayConfigError};

use std::net::Ipv4Addr;

use portledger_model::Timestamp;
use portledger_ports::{EventNumber, RealmIndex};

use crate::{
    Counters, DropReason, Emitted, HEADROOM, Output, Side, Slot, Verdict,
    budget::Budget,
    header::Fragment,
    reassembly::{Bounds, Reassembly},
    translate::{Datagram, Prefix, Translator},
    tunnel::Identifications,
};
use followed::{Fate, Followed, Key};
use holders::Holders;

/// One border relay. It holds nothing but fragments, for seconds.
#[derive(Debug)]
pub struct Relay {
    config: RelayConfig,
    holders: Holders,
    /// Of a relay that translates.
    translation: Option<(Prefix, Translator)>,
    /// Whether nothing is to be changed in packets but what all of them need.
    has_short_way: bool,
    followed: Followed,
    reassembly: Reassembly,
    /// Of packets that are cut in IPv6.
    identifications: Identifications,
    /// Of IPv4 packets that were IPv6.
    counters_v4: Box<[u16; COUNTERS]>,
    key: u64,
    budget: Budget,
    counters: Counters,
    now: Timestamp,
    /// Fragments whose first has come, to be looked at again.
    released: Vec<(Side, Vec<u8>)>,
}

/// Counters of IPv4 identifications, by a hash of the ends (RFC 6864 §4.3): a power of two.
const COUNTERS: usize = 2_048;

/// What a step came to: the packet is in its slot and goes on, or it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Forward(Side),
    Kept,
}

impl Relay {
    /// A relay under `config`. `seed` keys the identifications of what it cuts: keep it secret, and
    /// new at each start.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: RelayConfig, seed: [u8; 32]) -> Result<Self, RelayConfigError> {
        let translation = config.check()?;
        let holders = Holders::new(&config)?;
        let limits = config.reassembly;
        let bounds = Bounds {
            datagrams: limits.datagrams,
            of_source: limits.of_softwire,
            bytes: limits.bytes,
        };
        let [.., a, b, c, d, e, f, g, h] = seed;
        Ok(Self {
            holders,
            has_short_way: config.mss.is_none() && !config.counts_as_hop,
            translation,
            followed: Followed::new(config.followed),
            reassembly: Reassembly::new(bounds),
            identifications: Identifications::new(seed),
            counters_v4: Box::new([0; COUNTERS]),
            key: u64::from_be_bytes([a, b, c, d, e, f, g, h]) | 1,
            budget: Budget::new(config.icmp_rate),
            counters: Counters::default(),
            now: Timestamp::MIN,
            released: Vec::new(),
            config,
        })
    }

    /// Carries the packets in `slots`, which came from one side, and sets their verdicts. A side is
    /// told by its family: the inside is IPv6, the outside IPv4.
    ///
    /// `now` is the time of their arrival; one that is earlier than an earlier call's is taken for
    /// that one's.
    pub fn batch(
        &mut self,
        now: Timestamp,
        from: Side,
        slots: &mut [Slot<'_>],
        output: &mut Output,
    ) {
        self.advance(now);
        match from {
            Side::Inside => self.counters.from_inside += slots.len() as u64,
            Side::Outside => self.counters.from_outside += slots.len() as u64,
        }
        for slot in slots {
            slot.verdict = match self.carry(from, slot, output) {
                Ok(Step::Forward(to)) => {
                    self.count_to(to);
                    Verdict::Forward {
                        to,
                        realm: RealmIndex(0),
                        after: EventNumber(0),
                    }
                }
                Ok(Step::Kept) => Verdict::Kept,
                Err(reason) => {
                    self.counters.count_drop(reason);
                    Verdict::Drop(reason)
                }
            };
            while let Some((from, data)) = self.released.pop() {
                self.carry_own(from, &data, output);
            }
        }
    }

    /// Lets time pass: fragments that waited in vain are dropped.
    pub fn advance(&mut self, now: Timestamp) {
        if now <= self.now {
            return;
        }
        self.now = now;
        let now = now.as_micros();
        for _ in 0..self.followed.expire(now) + self.reassembly.expire(now) {
            self.counters.count_drop(DropReason::FragmentTimeout);
        }
    }

    /// Whether fragments wait, so that [`Relay::advance`] will have something to do.
    pub fn is_waiting(&self) -> bool {
        self.followed.next_end().is_some() || !self.reassembly.is_empty()
    }

    /// Bytes of fragments that wait.
    pub const fn fragment_bytes(&self) -> usize {
        self.followed.bytes() + self.reassembly.bytes()
    }

    /// What has been done so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether packets become IPv6 and IPv4, rather than being wrapped.
    pub const fn is_translating(&self) -> bool {
        self.translation.is_some()
    }

    /// Whose an IPv4 packet to this address is: for a driver whose sides share one device.
    pub fn is_customers(&self, address: Ipv4Addr) -> bool {
        self.holders.cover(address)
    }

    /// One packet. A refused one is as it came, so that its sender can be told, unless it was on its
    /// way into another softwire.
    #[inline]
    fn carry(
        &mut self,
        from: Side,
        slot: &mut Slot<'_>,
        output: &mut Output,
    ) -> Result<Step, DropReason> {
        if self.has_short_way
            && let Some(step) = self.plain(from, slot)
        {
            return Ok(step);
        }
        let packet = slot.packet.clone();
        let carried = match from {
            Side::Inside => self.outward(slot, output),
            Side::Outside => self.inward(slot, Side::Outside, output),
        };
        carried.map_err(|refused| {
            slot.packet = packet;
            self.tell(from, slot.bytes(), refused, output);
            refused.reason
        })
    }

    /// Carries a packet that is the relay's own: a fragment that was kept, or a message.
    fn carry_own(&mut self, from: Side, data: &[u8], output: &mut Output) {
        let mut buffer = vec![0; HEADROOM + data.len()];
        buffer[HEADROOM..].copy_from_slice(data);
        let range = HEADROOM..buffer.len();
        let mut slot = Slot::new(&mut buffer, range);
        match self.carry(from, &mut slot, output) {
            Ok(Step::Forward(to)) => {
                let data = slot.bytes().to_vec();
                self.emit(to, data, output);
            }
            Ok(Step::Kept) => {}
            Err(reason) => self.counters.count_drop(reason),
        }
    }

    fn emit(&mut self, to: Side, data: Vec<u8>, output: &mut Output) {
        self.count_to(to);
        output.packets.push(Emitted {
            data,
            to,
            realm: RealmIndex(0),
            after: EventNumber(0),
        });
    }

    const fn count_to(&mut self, to: Side) {
        match to {
            Side::Inside => self.counters.to_inside += 1,
            Side::Outside => self.counters.to_outside += 1,
        }
    }

    /// What becomes of a packet by its ports, which a later fragment has from its first (RFC 7597
    /// §8.3.2). `None` where it waits for it, as `packet` gives it. `decide` is asked with the ports
    /// that are shown.
    #[inline]
    fn by_ports<A>(
        &mut self,
        from: Side,
        key: impl FnOnce() -> Key,
        datagram: &Datagram<A>,
        packet: impl FnOnce() -> Option<Vec<u8>>,
        decide: impl Fn(&Holders, Option<(u16, u16)>) -> Result<Fate, DropReason>,
    ) -> Result<Option<Fate>, DropReason> {
        match datagram.fragment {
            Fragment::Whole => decide(&self.holders, datagram.ports).map(Some),
            Fragment::First => {
                let decided = decide(&self.holders, datagram.ports);
                let fate = decided.unwrap_or(Fate::Dropped);
                let expires = self.now.after(self.config.followed.time).as_micros();
                let waiting = self.followed.settle(expires, key(), fate);
                let waiting = waiting.into_iter().rev().map(|data| (from, data));
                self.released.extend(waiting);
                decided.map(Some)
            }
            Fragment::Later => {
                match decide(&self.holders, None) {
                    // Whoever has all ports of an address needs none.
                    Ok(fate) => return Ok(Some(fate)),
                    // But for the port, nothing is wrong.
                    Err(DropReason::SoftwirePort | DropReason::NoMapping) => {}
                    Err(reason) => return Err(reason),
                }
                let key = key();
                match self.followed.fate(&key) {
                    Some(Fate::Dropped) => Err(DropReason::FragmentOfDropped),
                    Some(fate) => Ok(Some(fate)),
                    None => {
                        let expires = self.now.after(self.config.followed.time).as_micros();
                        let packet = packet().ok_or(DropReason::FragmentOfDropped)?;
                        self.followed.keep(expires, key, packet)?;
                        self.counters.fragments_kept += 1;
                        Ok(None)
                    }
                }
            }
        }
    }
}
