//! Sessions: how long they last, and what a packet does to them.

use std::time::Duration;

use portledger_model::Transport;

use super::Nat;
use crate::{
    DropReason, Filtering, Side, Timers,
    header::TcpFlags,
    mapping::{Kind, Mapping, Session},
    tcp::{State, Timer},
    wheel::{NONE, Tick},
};

/// The timers in whole seconds, rounded up.
#[derive(Debug)]
pub(super) struct Seconds {
    udp: u32,
    udp_by_port: Vec<(u16, u32)>,
    icmp: u32,
    established: u32,
    opening: u32,
    closing: u32,
}

impl Seconds {
    pub(super) fn new(timers: &Timers) -> Self {
        Self {
            udp: whole(timers.udp),
            udp_by_port: timers
                .udp_by_port
                .iter()
                .map(|&(p, t)| (p, whole(t)))
                .collect(),
            icmp: whole(timers.icmp),
            established: whole(timers.tcp_established),
            opening: whole(timers.tcp_opening),
            closing: whole(timers.tcp_closing),
        }
    }

    /// Whether `port` has a time of its own (RFC 4787 REQ-5a).
    fn is_special(&self, port: u16) -> bool {
        port <= 1_023 && self.udp_by_port.iter().any(|&(special, _)| special == port)
    }

    /// How long a session lasts without a packet that counts.
    fn timeout(&self, transport: Transport, only_port: u16, state: State) -> u32 {
        match (transport, state.timer()) {
            (Transport::Tcp, Timer::Open | Timer::Opening) => self.opening,
            (Transport::Tcp, Timer::Established) => self.established,
            (Transport::Tcp, Timer::Closing) => self.closing,
            (Transport::Icmp, _) => self.icmp,
            (Transport::Udp, _) if only_port == 0 => self.udp,
            (Transport::Udp, _) => self
                .udp_by_port
                .iter()
                .find(|&&(special, _)| special == only_port)
                .map_or(self.udp, |&(_, seconds)| seconds),
        }
    }

    /// The first second in which a session may be ended. Its last packet came some time within
    /// its own second, so one more is added: no timer is ever shorter than configured.
    pub(super) fn deadline(&self, mapping: &Mapping, session: &Session) -> Tick {
        let timeout = self.timeout(mapping.transport, mapping.only_port, session.state);
        session.last.after(timeout.saturating_add(1))
    }
}

fn whole(duration: Duration) -> u32 {
    let up = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(up).unwrap_or(u32::MAX)
}

/// The remote end of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: u32,
    pub(super) port: u16,
}

impl Nat {
    /// Notes a TCP packet of `side` in its session, opening one where it may.
    pub(super) fn tcp_session(
        &mut self,
        number: u32,
        side: Side,
        peer: Peer,
        flags: TcpFlags,
    ) -> Result<(), DropReason> {
        let tick = self.tick;
        if let Some(at) = self.table.session(number, peer.address, peer.port) {
            let session = self.table.session_mut(number, at);
            let (state, restarts) = session.state.after(side, flags);
            let sooner = state.timer() != session.state.timer();
            session.state = state;
            if restarts {
                session.last = tick;
            }
            if sooner {
                self.reschedule(number, at);
            }
            return Ok(());
        }
        let opened = State::opened_by(side, flags, self.config.tcp_pick_up);
        let state = opened.ok_or(match side {
            Side::Inside => DropReason::NotOpening,
            Side::Outside => DropReason::NoSession,
        })?;
        self.open_session(
            number,
            Session {
                peer: peer.address,
                peer_port: peer.port,
                state,
                last: tick,
            },
            side,
        )
    }

    /// Notes a UDP or ICMP packet from the inside.
    pub(super) fn plain_session(&mut self, number: u32, peer: Peer) -> Result<(), DropReason> {
        let tick = self.tick;
        let mapping = self.table.get_mut(number);
        if mapping.transport == Transport::Udp {
            let was_new = mapping.first.state == State::Closed && mapping.more == NONE;
            if was_new && self.seconds.is_special(peer.port) {
                mapping.only_port = peer.port;
            } else if mapping.only_port != peer.port {
                mapping.only_port = 0;
            }
        }
        // Without address-dependent filtering nobody asks who the peers are: none is kept.
        let address = match self.filtering(number) {
            Filtering::EndpointIndependent => 0,
            Filtering::AddressDependent => peer.address,
        };
        if let Some(at) = self.table.session(number, address, 0) {
            self.table.session_mut(number, at).last = tick;
            return Ok(());
        }
        self.open_session(
            number,
            Session {
                peer: address,
                peer_port: 0,
                state: State::Open,
                last: tick,
            },
            Side::Inside,
        )
    }

    /// Notes a UDP or ICMP packet from the outside: it refreshes only where the operator wants
    /// it (RFC 4787 REQ-6).
    pub(super) fn plain_inbound(&mut self, number: u32, peer: Peer) {
        if !self.config.inbound_refresh {
            return;
        }
        let address = match self.filtering(number) {
            Filtering::EndpointIndependent => 0,
            Filtering::AddressDependent => peer.address,
        };
        let tick = self.tick;
        if let Some(at) = self.table.session(number, address, 0) {
            self.table.session_mut(number, at).last = tick;
        }
    }

    pub(super) fn filtering(&self, number: u32) -> Filtering {
        self.config.filtering[self.table.get(number).transport.index()]
    }

    /// RFC 4787 REQ-8: under address-dependent filtering, only who was sent to may answer.
    pub(super) fn passes_filter(&self, number: u32, peer: u32) -> bool {
        let mapping = self.table.get(number);
        // Whoever configures a port forwarding wants it reached from anywhere.
        mapping.kind == Kind::Static
            || self.filtering(number) == Filtering::EndpointIndependent
            || self.table.knows_address(number, peer)
    }

    fn open_session(
        &mut self,
        number: u32,
        session: Session,
        side: Side,
    ) -> Result<(), DropReason> {
        let most = self.config.limits.sessions_per_mapping;
        let at = self
            .table
            .add_session(number, session, side, most)
            .ok_or(DropReason::SessionLimit)?;
        self.reschedule(number, at);
        Ok(())
    }

    /// Moves a mapping to the deadline of one of its sessions, where that is earlier than what it
    /// waits for.
    fn reschedule(&mut self, number: u32, at: crate::mapping::SessionRef) {
        let session = *self.table.session_mut(number, at);
        let deadline = self.seconds.deadline(self.table.get(number), &session);
        self.table.hasten(number, deadline);
    }
}
