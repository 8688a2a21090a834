//! A question: an endpoint and when.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use portledger_model::{External, Sighting, Span, Timestamp, Transport};

use crate::{Correction, Reason, Refusal};

/// The step of a [`Timestamp`].
pub(crate) const TICK: Duration = Duration::from_micros(1);

/// Who held this shared endpoint at that time? What is `None` is not known, and matches all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The shared address.
    pub address: Ipv4Addr,
    /// The external port.
    pub port: Option<u16>,
    /// The transport.
    pub transport: Option<Transport>,
    /// When, by the clock of whoever saw it.
    pub at: Timestamp,
    /// The other instant that the same local time names, in the hour that clocks repeat.
    pub or_at: Option<Timestamp>,
    /// The step of that clock: the true instant is at or after `at` and this much later at most.
    pub resolution: Duration,
    /// How long before `at` the endpoint had been in use.
    pub lasted: Duration,
    /// How far that clock may be off, either way.
    pub within: Duration,
}

impl Query {
    /// What a person asks: an instant, give or take `within`. An IPv4-mapped IPv6 address, which
    /// is how dual-stack servers write IPv4 clients (RFC 4291 §2.5.5.2), is the IPv4 address.
    ///
    /// # Errors
    /// [`Reason::NotShared`] when the address is IPv6.
    pub fn new(
        address: IpAddr,
        port: Option<u16>,
        transport: Option<Transport>,
        at: Timestamp,
        within: Duration,
    ) -> Result<Self, Refusal> {
        let IpAddr::V4(address) = address.to_canonical() else {
            return Err(Reason::NotShared.of_question());
        };
        Ok(Self {
            address,
            port,
            transport,
            at,
            or_at: None,
            resolution: Duration::ZERO,
            lasted: Duration::ZERO,
            within,
        })
    }

    /// What a sighting asks, by a clock that may be off by `within` either way.
    ///
    /// # Errors
    /// With the sighting's place: [`Reason::NoTime`] when its zone is missing,
    /// [`Reason::NotShared`] when its address is IPv6.
    pub fn from_sighting(sighting: &Sighting, within: Duration) -> Result<Self, Refusal> {
        sighting
            .at
            .ok_or(Reason::NoTime.of_question())
            .and_then(|at| {
                Self::new(
                    sighting.address,
                    sighting.port,
                    sighting.transport,
                    at,
                    within,
                )
            })
            .map(|query| Self {
                or_at: sighting.or_at,
                resolution: sighting.resolution,
                lasted: sighting.lasted.unwrap_or_default(),
                ..query
            })
            .map_err(|refusal| refusal.at(&sighting.source))
    }

    /// The same question after the clock is put right: its times are moved by the middle of the
    /// interval of shifts, and its window is wider by half of it, so that it holds every instant
    /// that the interval allows.
    #[must_use]
    pub fn shifted(&self, correction: impl Into<Correction>) -> Self {
        let correction = correction.into();
        let shifts = correction.at(self.at);
        let or = self.or_at.map(|at| (at, correction.at(at)));
        let half = or.map_or(shifts.half_width(), |(_, or)| {
            or.half_width().max(shifts.half_width())
        });
        Self {
            at: shifts.move_to_middle(self.at),
            or_at: or.map(|(at, shifts)| shifts.move_to_middle(at)),
            within: self.within.saturating_add(half),
            ..self.clone()
        }
    }

    /// The endpoint.
    pub fn endpoint(&self) -> External {
        External {
            address: self.address,
            port: self.port,
            transport: self.transport,
        }
    }

    /// The instants that the time may name: one, or two in the hour that clocks repeat.
    pub(crate) fn instants(&self) -> impl Iterator<Item = Timestamp> {
        [self.at]
            .into_iter()
            .chain(self.or_at.filter(|or_at| *or_at != self.at))
    }

    /// By what questions are put in the order in which a ledger lies: by address, port and time;
    /// the rest brings those that are the same next to each other.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        (
            (self.address, self.port, self.at),
            (self.or_at, self.transport),
            (self.resolution, self.lasted, self.within),
        )
    }

    /// When the endpoint was in use if `instant` is right: both ends of
    /// `[instant - lasted - within, instant + resolution + within]` are inside.
    pub(crate) fn window(&self, instant: Timestamp) -> Span {
        Span::new(
            instant.before(self.lasted.saturating_add(self.within)),
            instant
                .after(self.resolution.saturating_add(self.within))
                .after(TICK),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shifts;
    use crate::testing::{at, sighting};

    #[test]
    fn an_ipv6_address_is_refused_with_the_place_and_without_the_address() {
        let mut seen = sighting("2026-11-01T12:00:00Z");
        seen.address = "2001:db8::7".parse().unwrap();
        let refusal = Query::from_sighting(&seen, Duration::ZERO).unwrap_err();
        assert_eq!(refusal.reason, Reason::NotShared);
        assert!(refusal.to_string().starts_with("access.log, line 7: "));
        assert!(!refusal.to_string().contains("2001:db8"));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        let mut seen = sighting("2026-11-01T12:00:00Z");
        seen.address = "::ffff:203.0.113.7".parse().unwrap();
        let query = Query::from_sighting(&seen, Duration::ZERO).unwrap();
        assert_eq!(query.address, Ipv4Addr::new(203, 0, 113, 7));
    }

    #[test]
    fn a_time_without_a_zone_is_refused_and_says_what_to_give() {
        let mut seen = sighting("2026-11-01T12:00:00Z");
        seen.at = None;
        let refusal = Query::from_sighting(&seen, Duration::ZERO).unwrap_err();
        assert_eq!(refusal.reason, Reason::NoTime);
        assert!(refusal.to_string().contains("--zone"));
    }

    #[test]
    fn the_window_holds_the_whole_connection_and_the_step_of_the_clock() {
        let mut seen = sighting("2026-11-01T12:00:00Z");
        seen.lasted = Some(Duration::from_secs(30));
        let query = Query::from_sighting(&seen, Duration::from_secs(2)).unwrap();
        let window = query.window(query.at);
        assert_eq!(window.from, at("2026-11-01T11:59:28Z"));
        assert_eq!(window.to, at("2026-11-01T12:00:03Z").after(TICK));
    }

    #[test]
    fn a_shift_moves_to_the_middle_and_widens_by_half() {
        let query = Query::from_sighting(
            &sighting("2026-11-01T12:00:00Z"),
            Duration::from_millis(500),
        )
        .unwrap();
        let one = query.shifted(Shifts::exactly(-3_000_000));
        assert_eq!(one.at, at("2026-11-01T11:59:57Z"));
        assert_eq!(one.within, query.within);

        let some = Shifts::new(-3_000_000, 1_000_001).unwrap();
        let many = query.shifted(some);
        assert_eq!(many.at, at("2026-11-01T11:59:59Z"));
        assert_eq!(many.within, Duration::from_millis(2_500));
    }
}
