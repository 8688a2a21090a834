//! The state of a TCP connection as a NAT sees it: RFC 6146 §3.5.2, which RFC 7857 §2 extends to
//! all NATs. "Inside" is the RFC's V6 side, "outside" its V4 side.

use crate::{Side, header::TcpFlags};

/// The state of a session. UDP and ICMP sessions are only ever [`State::Open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub(crate) enum State {
    /// No session.
    #[default]
    Closed,
    /// UDP and ICMP: in use.
    Open,
    /// The outside has sent a SYN.
    OutsideInit,
    /// The inside has sent a SYN.
    InsideInit,
    /// Both have.
    Established,
    /// The outside has sent a FIN.
    OutsideFin,
    /// The inside has.
    InsideFin,
    /// Both have.
    BothFin,
    /// Somebody has sent a RST, or the connection was picked up in its middle.
    Transitory,
}

/// Which timer rules a state (RFC 7857 §2.1: opening and closing are configured apart).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    Open,
    Opening,
    Established,
    Closing,
}

impl State {
    pub(crate) const fn timer(self) -> Timer {
        match self {
            Self::Closed | Self::Open => Timer::Open,
            Self::OutsideInit | Self::InsideInit => Timer::Opening,
            Self::Established | Self::OutsideFin | Self::InsideFin => Timer::Established,
            Self::BothFin | Self::Transitory => Timer::Closing,
        }
    }

    /// The state after a first packet from `side`, where it opens a session.
    pub(crate) fn opened_by(side: Side, flags: TcpFlags, pick_up: bool) -> Option<Self> {
        match side {
            _ if flags.rst() => None,
            Side::Inside if flags.syn() => Some(Self::InsideInit),
            Side::Outside if flags.syn() && !flags.ack() => Some(Self::OutsideInit),
            // A connection older than this NAT: its server will answer with a RST, and the
            // client learns of it at once instead of waiting for its own time-out.
            Side::Inside if pick_up && !flags.fin() => Some(Self::Transitory),
            _ => None,
        }
    }

    /// The state after a further packet from `side`, and whether that packet restarts the timer.
    pub(crate) fn after(self, side: Side, flags: TcpFlags) -> (Self, bool) {
        use Side::{Inside, Outside};
        match self {
            Self::InsideInit => match side {
                Outside if flags.syn() => (Self::Established, true),
                Inside if flags.syn() => (Self::InsideInit, true),
                _ => (Self::InsideInit, false),
            },
            Self::OutsideInit => match side {
                Inside if flags.syn() => (Self::Established, true),
                Outside if flags.syn() => (Self::OutsideInit, true),
                _ => (Self::OutsideInit, false),
            },
            // RFC 7857 §2.2: after a RST the session is kept for the transitory time, so that a
            // lost RST can be sent again; it does not refresh by itself.
            Self::Established | Self::OutsideFin | Self::InsideFin if flags.rst() => {
                (Self::Transitory, true)
            }
            Self::Established => match side {
                Inside if flags.fin() => (Self::InsideFin, true),
                Outside if flags.fin() => (Self::OutsideFin, true),
                _ => (Self::Established, true),
            },
            Self::OutsideFin if side == Inside && flags.fin() => (Self::BothFin, true),
            Self::InsideFin if side == Outside && flags.fin() => (Self::BothFin, true),
            Self::OutsideFin | Self::InsideFin => (self, true),
            // A port reused for a new connection between the same ends.
            Self::BothFin if side == Inside && flags.syn() && !flags.ack() => {
                (Self::InsideInit, true)
            }
            Self::BothFin if side == Outside && flags.syn() && !flags.ack() => {
                (Self::OutsideInit, true)
            }
            Self::BothFin => (Self::BothFin, false),
            // RFC 6146 §3.5.2.2, TRANS: whatever is no RST shows that the connection lives.
            Self::Transitory if side == Inside && flags.syn() && !flags.ack() => {
                (Self::InsideInit, true)
            }
            Self::Transitory if flags.rst() => (Self::Transitory, false),
            Self::Transitory => (Self::Established, true),
            Self::Closed | Self::Open => (self, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: TcpFlags = TcpFlags(0x02);
    const SYN_ACK: TcpFlags = TcpFlags(0x12);
    const ACK: TcpFlags = TcpFlags(0x10);
    const FIN: TcpFlags = TcpFlags(0x11);
    const RST: TcpFlags = TcpFlags(0x04);

    fn run(first: (Side, TcpFlags), rest: &[(Side, TcpFlags)]) -> State {
        let state = State::opened_by(first.0, first.1, false).unwrap();
        rest.iter()
            .fold(state, |state, &(side, flags)| state.after(side, flags).0)
    }

    #[test]
    fn three_way_handshake_and_close() {
        use Side::{Inside, Outside};
        let open = [(Outside, SYN_ACK), (Inside, ACK)];
        assert_eq!(run((Inside, SYN), &open), State::Established);
        let closed = [&open[..], &[(Inside, FIN), (Outside, ACK), (Outside, FIN)]].concat();
        assert_eq!(run((Inside, SYN), &closed), State::BothFin);
    }

    /// RFC 5382 REQ-2a: both ends send a SYN before either has seen the other's.
    #[test]
    fn simultaneous_open() {
        use Side::{Inside, Outside};
        assert_eq!(
            run((Inside, SYN), &[(Outside, SYN), (Inside, SYN_ACK)]),
            State::Established
        );
        assert_eq!(
            run((Outside, SYN), &[(Inside, SYN), (Outside, SYN_ACK)]),
            State::Established
        );
    }

    #[test]
    fn a_reset_keeps_the_session_for_the_transitory_time() {
        use Side::{Inside, Outside};
        let reset = [(Outside, SYN_ACK), (Outside, RST)];
        assert_eq!(run((Inside, SYN), &reset), State::Transitory);
        assert_eq!(
            State::Transitory.after(Outside, RST),
            (State::Transitory, false)
        );
        assert_eq!(
            State::Transitory.after(Inside, ACK),
            (State::Established, true)
        );
    }

    #[test]
    fn what_opens_no_session() {
        assert_eq!(State::opened_by(Side::Outside, ACK, true), None);
        assert_eq!(State::opened_by(Side::Outside, SYN_ACK, true), None);
        assert_eq!(State::opened_by(Side::Inside, RST, true), None);
        assert_eq!(State::opened_by(Side::Inside, ACK, false), None);
        assert_eq!(
            State::opened_by(Side::Inside, ACK, true),
            Some(State::Transitory)
        );
    }
}
