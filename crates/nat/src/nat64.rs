//! Stateful NAT64 (RFC 6146): hosts that speak IPv6 reach hosts that speak IPv4.
//!
//! The engine's mappings are the RFC's binding information bases, its sessions the session
//! tables, one of each for every transport; what a packet looks like on either side is
//! [`translate`](crate::translate)'s.

mod config;
mod established;
mod unsummed;

pub use config::{Nat64Config, Nat64ConfigError};

use std::net::{Ipv4Addr, Ipv6Addr};

use portledger_model::{Timestamp, Transport};
use portledger_ports::RealmIndex;

use crate::{
    DropReason, Nat, Output, Side, Slot, Stateful,
    header::{ICMP, TCP, UDP, long, word},
    hosts::{Host, Numbers},
    prefixes::Prefixes,
    reassembly::{Bounds, Reassembly},
    stateful::{Entered, Left, Sender, StagedSender, sealed},
    translate::{
        self, Answer, Done, ICMP6, Incoming, Mapped, Pair, Plain4, Plain6, Prefix, Refused,
        Translator, answer_v4, answer_v6, read_v4, read_v6,
    },
};

/// A stateful NAT64: one shard.
///
/// A subscriber is an IPv6 prefix ([`SubscriberKind::Prefix`](portledger_ports::SubscriberKind)),
/// whichever of its addresses its hosts use.
///
/// ```
/// use portledger_model::Timestamp;
/// use portledger_nat::translate::Prefix;
/// use portledger_nat::{HEADROOM, Nat64, Nat64Config, Output, Side, Slot, Verdict};
/// use portledger_ports::{Config as PortsConfig, Pool};
///
/// let ports = PortsConfig::new(Pool::parse(&["203.0.113.7"]).unwrap());
/// let (inside, own) = ("2001:db8:a::/48".parse().unwrap(), "2001:db8:ffff::64".parse().unwrap());
/// let prefix = Prefix::new("2001:db8:64::".parse().unwrap(), 96).unwrap();
/// let config = Nat64Config::new(ports, prefix, &[inside], own);
/// let mut nat64 = Nat64::new(config, [7; 32]).unwrap();
///
/// // A UDP datagram from 2001:db8:a:1::9, port 40000, to 198.51.100.1, port 53.
/// let mut buffer = [0; HEADROOM + 48];
/// buffer[HEADROOM..].copy_from_slice(&[
///     0x60, 0, 0, 0, 0, 8, 17, 64, 0x20, 1, 0x0d, 0xb8, 0, 0x0a, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9,
///     0x20, 1, 0x0d, 0xb8, 0, 0x64, 0, 0, 0, 0, 0, 0, 198, 51, 100, 1,
///     0x9c, 0x40, 0, 53, 0, 8, 0xe2, 0x44,
/// ]);
/// let mut slots = [Slot::new(&mut buffer, HEADROOM..HEADROOM + 48)];
/// let mut output = Output::default();
/// nat64.batch(Timestamp::from_secs(1), Side::Inside, &mut slots, &mut output);
/// assert!(matches!(slots[0].verdict, Verdict::Forward { to: Side::Outside, .. }));
/// assert_eq!(slots[0].bytes()[12..20], [203, 0, 113, 7, 198, 51, 100, 1]);
/// assert_eq!(output.events.len(), 1); // the block was allocated, to 2001:db8:a:1::/64
/// ```
pub type Nat64 = Stateful<Translation>;

/// IPv6 on the inside, translated.
#[derive(Debug)]
pub struct Translation {
    prefix: Prefix,
    inside: Prefixes,
    own_v6: Ipv6Addr,
    own_v4: Ipv4Addr,
    translator: Translator,
    unsummed: Reassembly,
    fragment_time: std::time::Duration,
}

impl Nat64 {
    /// An empty shard under `config`. `seed` keys every draw and hash: keep it secret, and new at
    /// each start.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: Nat64Config, seed: [u8; 32]) -> Result<Self, Nat64ConfigError> {
        config.check()?;
        let translator = Translator::new(translate::Config {
            // The engine knows whether a packet goes out or comes back in.
            ipv4_mtu: u16::MAX,
            ..config.translation
        })?;
        let Nat64Config {
            mut nat,
            prefix,
            inside,
            own_address,
            translation,
            unsummed,
            unsummed_bytes,
        } = config;
        // RFC 7915 §4: what must not be cut fits with a longer header, or its sender is told.
        nat.mtu.inside = translation.ipv6_mtu - LONGER;
        let form = Translation {
            prefix,
            inside: Prefixes::new(&inside),
            own_v6: own_address,
            own_v4: nat.own_address,
            translator,
            unsummed: Reassembly::new(Bounds {
                datagrams: unsummed,
                of_source: unsummed,
                bytes: unsummed_bytes,
            }),
            fragment_time: nat.timers.fragment,
        };
        let mut nat = Nat::with_hosts(nat, seed)?;
        // What may be cut, the translator cuts.
        nat.set_cut_inside(u16::MAX);
        Ok(Self::around(nat, form))
    }
}

/// What a packet grows by from IPv4 to IPv6.
const LONGER: u16 = 20;

impl sealed::Form for Translation {
    #[inline]
    fn peek(&self, slot: &Slot<'_>) -> Option<Sender> {
        let head = slot.bytes().first_chunk::<48>()?;
        let &source = head[8..24].first_chunk::<16>()?;
        Some(Sender {
            host: host(slot.realm, source.into()),
            endpoint: match head[6] {
                TCP => Some((Transport::Tcp, word(head, 40))),
                UDP => Some((Transport::Udp, word(head, 40))),
                ICMP6 => Some((Transport::Icmp, word(head, 44))),
                _ => None,
            },
        })
    }

    fn realm_of(&self, source: Ipv6Addr) -> Option<RealmIndex> {
        self.inside.realm_of(source)
    }

    #[inline]
    fn enter(
        &mut self,
        nat: &mut Nat,
        slot: &mut Slot<'_>,
        staged: Option<&StagedSender>,
        output: &mut Output,
    ) -> Result<Entered, DropReason> {
        if let Some(number) = staged.and_then(|staged| self.enter_plain(nat, slot, staged)) {
            return Ok(Entered::Packet(number));
        }
        let read = read_v6(slot.bytes()).and_then(|incoming| {
            let mapped = self.admit(nat, slot.realm, &incoming, staged)?;
            let number = mapped.outer.source.to_bits();
            self.translator
                .to_v4(slot, &incoming, &mapped, 0)
                .inspect_err(|_| nat.forget_unheld(number))?;
            Ok(number)
        });
        read.map(Entered::Packet).map_err(|refused| {
            self.answer(nat, slot, refused, output);
            refused.reason
        })
    }

    #[inline]
    fn arrive(&mut self, nat: &mut Nat, slot: &Slot<'_>, output: &mut Output) {
        let head = slot.bytes().first_chunk::<20>();
        if head.is_some_and(|head| head[0] & 0x0F > 5 || !is_translated(head[9])) {
            Self::refuse(nat, slot, output);
        }
    }

    #[inline]
    fn leave(
        &mut self,
        numbers: &Numbers,
        now: Timestamp,
        slot: &mut Slot<'_>,
    ) -> Result<Left, DropReason> {
        if self.leave_plain(numbers, slot) {
            return Ok(Left::InPlace);
        }
        let incoming = read_v4(slot.bytes()).map_err(|refused| refused.reason)?;
        let outer = &incoming.outer;
        if outer.protocol == UDP
            && outer.fragment != translate::Fragment::Whole
            && let Some(left) = self.leave_unsummed(numbers, now, slot, &incoming)?
        {
            return Ok(left);
        }
        self.leave_as(numbers, slot, &incoming)
    }

    fn expire(&mut self, now: Timestamp) -> u64 {
        self.unsummed.expire(now.as_micros())
    }

    fn is_waiting(&self) -> bool {
        !self.unsummed.is_empty()
    }

    fn bytes(&self) -> usize {
        self.unsummed.bytes()
    }
}

impl Translation {
    /// The short way of what needs nothing but another header. `None` where there is more to it.
    #[inline]
    fn enter_plain(&self, nat: &Nat, slot: &mut Slot<'_>, staged: &StagedSender) -> Option<u32> {
        let plain = Plain6::read(slot.bytes())?;
        let destination = self.prefix.extract(plain.destination)?;
        // Who is new goes the long way; who has a number has been looked at.
        let number = nat.known(staged.hash, &staged.host)?;
        let takes = self.translator.takes_plain_v6(&plain, slot.offload);
        if !takes || !self.prefix.allows(destination) {
            return None;
        }
        let pair = Pair {
            source: Ipv4Addr::from_bits(number),
            destination,
        };
        self.translator
            .plain_to_v4(slot, &plain, pair, plain.source_port, 0)
            .then_some(number)
    }

    /// The short way back. `false` where there is more to it: then nothing was done.
    #[inline]
    fn leave_plain(&self, numbers: &Numbers, slot: &mut Slot<'_>) -> bool {
        let Some(plain) = Plain4::read(slot.bytes()) else {
            return false;
        };
        let Some(host) = numbers.get(plain.destination.to_bits()) else {
            return false;
        };
        let takes = self.translator.takes_plain_v4(&plain, slot.offload);
        if !takes || plain.source == self.own_v4 || !self.prefix.allows(plain.source) {
            return false;
        }
        let pair = Pair {
            source: self.prefix.embed(plain.source),
            destination: host.address,
        };
        let port = plain.destination_port;
        self.translator.plain_to_v6(slot, &plain, pair, port)
    }

    /// RFC 6146 §3.5: which packets are translated at all, and the IPv4 ends of one that is.
    fn admit(
        &self,
        nat: &mut Nat,
        realm: RealmIndex,
        incoming: &Incoming<Ipv6Addr>,
        staged: Option<&StagedSender>,
    ) -> Result<Mapped<Ipv4Addr>, Refused> {
        let outer = &incoming.outer;
        // RFC 6146 §3.5, §5.4: no packet of ours, or of another NAT64's, comes in once more.
        if self.prefix.contains(outer.source) {
            return Err(Refused::silently(DropReason::Spoofed));
        }
        // An error may be of any router on the way; that of whom it is about is looked at below.
        if incoming.quoted.is_none() && !self.inside.contains(realm, outer.source) {
            return Err(Refused::silently(DropReason::NotASubscriber));
        }
        let destination = self
            .prefix
            .extract(outer.destination)
            .ok_or(Refused::silently(DropReason::NotForwardable))?;
        if !self.prefix.allows(destination) {
            return Err(Refused::silently(DropReason::WellKnownPrefix));
        }
        if let Some(quoted) = &incoming.quoted {
            // Whoever it is from, it is about a packet to the host that it quotes. Nothing was
            // ever delivered to a host that nothing names.
            let about = host(realm, quoted.destination);
            let number = nat
                .known_number(&about)
                .ok_or(Refused::silently(DropReason::NoMapping))?;
            let source = self
                .prefix
                .extract(quoted.source)
                .ok_or(Refused::silently(DropReason::NoMapping))?;
            let number = Ipv4Addr::from_bits(number);
            return Ok(Mapped {
                outer: Pair {
                    source: number,
                    destination,
                },
                quoted: Some(Pair {
                    source,
                    destination: number,
                }),
            });
        }
        if !is_translated(outer.protocol) {
            // RFC 6146 §3.4.
            let told = Refused::telling(DropReason::Protocol, Answer::PortUnreachable);
            return Err(told.unless(outer.fragment == translate::Fragment::Later));
        }
        let host = host(realm, outer.source);
        let hash = match staged {
            Some(staged) if staged.host == host => staged.hash,
            _ => nat.hash_host(&host),
        };
        let number = nat
            .number(hash, host)
            .ok_or(Refused::silently(DropReason::MappingLimit))?;
        Ok(Mapped {
            outer: Pair {
                source: Ipv4Addr::from_bits(number),
                destination,
            },
            quoted: None,
        })
    }

    /// Brings an IPv4 packet for a numbered host into IPv6.
    fn leave_as(
        &self,
        numbers: &Numbers,
        slot: &mut Slot<'_>,
        incoming: &Incoming<Ipv4Addr>,
    ) -> Result<Left, DropReason> {
        let outer = &incoming.outer;
        let host_of = |number: Ipv4Addr| {
            let host = numbers.get(number.to_bits()).ok_or(DropReason::NoMapping)?;
            Ok::<Ipv6Addr, DropReason>(host.address)
        };
        let is_own = outer.source == self.own_v4;
        if !is_own && !self.prefix.allows(outer.source) {
            return Err(DropReason::WellKnownPrefix);
        }
        let mapped = Mapped {
            outer: Pair {
                source: if is_own {
                    self.own_v6
                } else {
                    self.prefix.embed(outer.source)
                },
                destination: host_of(outer.destination)?,
            },
            quoted: match &incoming.quoted {
                None => None,
                Some(quoted) => Some(Pair {
                    source: host_of(quoted.source)?,
                    destination: self.prefix.embed(quoted.destination),
                }),
            },
        };
        let done = self
            .translator
            .to_v6(slot, incoming, &mapped)
            .map_err(|refused| refused.reason)?;
        Ok(match done {
            Done::InPlace => {
                if is_own {
                    no_mapping_is_no_address(slot);
                }
                Left::InPlace
            }
            Done::Instead(pieces) => Left::Instead(pieces),
        })
    }

    /// Tells the sender of a refused IPv6 packet why, within the rate, where it is a subscriber.
    #[cold]
    fn answer(&self, nat: &mut Nat, slot: &Slot<'_>, refused: Refused, output: &mut Output) {
        let sender = slot.bytes().get(8..24).and_then(<[u8]>::first_chunk::<16>);
        let (Some(answer), Some(&sender)) = (refused.answer, sender) else {
            return;
        };
        if !self.inside.contains(slot.realm, sender.into()) {
            return;
        }
        let source = self.own_v6;
        nat.tell_around(Side::Inside, slot.realm, output, || {
            answer_v6(source, answer, slot.bytes())
        });
    }

    /// Tells the sender of an IPv4 packet why it goes no further, within the rate. It ends in the
    /// engine or behind it, which say nothing.
    #[cold]
    fn refuse(nat: &mut Nat, slot: &Slot<'_>, output: &mut Output) {
        let answer = match read_v4(slot.bytes()) {
            // RFC 7915 §4.1: a source route is not followed. The engine leaves options alone.
            Err(Refused {
                reason: DropReason::SourceRoute,
                answer: Some(answer),
            }) => answer,
            // RFC 6146 §3.4.
            Ok(Incoming { outer, .. })
                if !is_translated(outer.protocol)
                    && outer.fragment != translate::Fragment::Later
                    && !nat.is_external(outer.source) =>
            {
                Answer::ProtocolUnreachable
            }
            _ => return,
        };
        let destination = Ipv4Addr::from_bits(long(slot.bytes(), 16));
        if nat.is_external(destination) {
            nat.tell_around(Side::Outside, slot.realm, output, || {
                answer_v4(destination, answer, slot.bytes())
            });
        }
    }
}

/// The protocols of which RFC 6146 §3 speaks; ICMPv6 has ICMP's number here.
const fn is_translated(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | ICMP)
}

const fn host(realm: RealmIndex, address: Ipv6Addr) -> Host {
    Host {
        realm,
        address,
        behind: 0,
    }
}

/// RFC 6146 §3.5.1.1: who gets no mapping is told "address unreachable", where RFC 7915 would make
/// "no route" of the engine's "host unreachable".
fn no_mapping_is_no_address(slot: &mut Slot<'_>) {
    use crate::{checksum::Delta, header::set_word};
    let Some(message) = slot
        .buffer
        .get_mut(slot.packet.clone())
        .and_then(|packet| packet.get_mut(40..))
    else {
        return;
    };
    if let [1, 0, ..] = message {
        let sum = Delta::default()
            .word(0x0100, 0x0103)
            .apply(word(message, 2));
        message[1] = 3;
        set_word(message, 2, sum);
    }
}
