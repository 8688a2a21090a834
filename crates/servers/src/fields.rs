//! What a line gave, on its way to a sighting.

use std::{net::IpAddr, ops::Range, sync::Arc, time::Duration};

use portledger_model::{Destination, Moment, Sighting, Source, Transport};

use crate::{
    Options, Reason, Trust, address,
    forwarded::{Header, Headers},
    time::{Instant, Pieces},
};

/// Whose end of which connection an address or a port is of. A sighting takes both from one side:
/// one hop's address with another's port would name a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The client's, as a PROXY protocol header tells it: `$proxy_protocol_addr`.
    Told,
    /// The client's, as the server takes it: `$remote_addr`, `%a`, `%h`.
    Remote,
    /// The hop's that connected to this server: `$realip_remote_addr`, `%{c}a`.
    Hop,
}

impl Side {
    /// Best first.
    pub(crate) const ALL: [Self; 3] = [Self::Told, Self::Remote, Self::Hop];
}

/// Which end of a request a time is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Start,
    End,
}

/// What a line gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields {
    addresses: [Option<(address::Written, usize)>; 3],
    ports: [Option<u16>; 3],
    /// Where the headers that name a client stand in the line.
    headers: [Option<(usize, usize)>; Header::ALL.len()],
    /// Whether these matter: some proxy is trusted.
    pub(crate) looks_behind: bool,
    /// Where they stand, in lines of a pattern.
    pub(crate) port_places: [Range<usize>; 3],
    pub(crate) destination: Destination,
    pub(crate) start: Pieces,
    pub(crate) end: Pieces,
    /// Where the time stands, for an error about it.
    pub(crate) time_at: usize,
    pub(crate) duration: Option<(Duration, Step)>,
    pub(crate) transport: Option<Transport>,
}

/// The step in which a duration is written.
pub(crate) type Step = Duration;

/// A reason and the byte, from 0, that it is about.
pub(crate) type Fault = (usize, Reason);

/// A sighting, and whether its port was written as 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) sighting: Sighting,
    pub(crate) port_zero: bool,
}

impl Fields {
    /// Of a log all of whose lines are of connections over `transport`.
    pub(crate) fn over(transport: Option<Transport>) -> Self {
        Self {
            transport,
            ..Self::default()
        }
    }

    pub(crate) fn set_address(&mut self, side: Side, written: address::Written, at: usize) {
        self.addresses[side as usize] = Some((written, at));
    }

    pub(crate) fn set_port(&mut self, side: Side, port: Option<u16>) {
        self.ports[side as usize] = port;
    }

    pub(crate) fn set_header(&mut self, header: Header, from: usize, to: usize) {
        if self.looks_behind {
            self.headers[header as usize] = Some((from, to));
        }
    }

    /// Where a header that names a client begins and ends.
    pub(crate) fn header(&self, header: Header) -> Option<(usize, usize)> {
        self.headers[header as usize]
    }

    /// Takes the client from the headers where a trusted proxy connected.
    pub(crate) fn look_behind(&mut self, headers: &Headers<'_>, trust: &Trust) {
        let Ok((side, address)) = self.client(trust) else {
            return;
        };
        if trust.is_proxy(address)
            && let Some((client, port)) = headers.client(trust)
        {
            self.addresses[side as usize] =
                self.addresses[side as usize].map(|(_, at)| (address::Written::Ip(client), at));
            self.ports[side as usize] = port;
        }
    }

    /// Whether both name the same endpoints and times, wherever these stand.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let addresses = |fields: &Self| {
            fields
                .addresses
                .map(|found| found.map(|(written, _)| written))
        };
        addresses(self) == addresses(other)
            && self.ports == other.ports
            && self.headers == other.headers
            && self.destination == other.destination
            && (self.start, self.end) == (other.start, other.end)
            && (self.duration, self.transport) == (other.duration, other.transport)
    }

    pub(crate) fn pieces(&mut self, end: End) -> &mut Pieces {
        match end {
            End::Start => &mut self.start,
            End::End => &mut self.end,
        }
    }

    /// The sighting that the fields add up to, where the format's times are of `times`.
    pub(crate) fn sighting(
        &self,
        times: Times,
        options: &Options,
        line: u64,
    ) -> Result<Found, Fault> {
        let timed = self
            .timed(times, options)
            .map_err(|reason| (self.time_at, reason));
        self.timed_sighting(timed, options, line)
    }

    /// The same where the format's one time is in whole seconds and names `instant`.
    #[inline]
    pub(crate) fn sighting_at(
        &self,
        times: Times,
        instant: Instant,
        options: &Options,
        line: u64,
    ) -> Result<Found, Fault> {
        let (moment, lasted) = match times {
            Times::End(moment) | Times::None(moment) => {
                (moment, self.duration.map(|(duration, _)| duration))
            }
            // Of a start in whole seconds no end can be told.
            Times::Start(moment) => (moment, None),
            Times::Both => (Moment::RequestStart, None),
        };
        let timed = Timed {
            instant,
            moment,
            lasted,
        };
        self.timed_sighting(Ok(timed), options, line)
    }

    #[inline]
    fn timed_sighting(
        &self,
        timed: Result<Timed, Fault>,
        options: &Options,
        line: u64,
    ) -> Result<Found, Fault> {
        let (side, address) = self.client(&options.trust)?;
        if options.trust.is_proxy(address) {
            let at = self.addresses[side as usize].map_or(0, |(_, at)| at);
            return Err((at, Reason::BehindProxy));
        }
        let written = self.port(side, address);
        let timed = timed?;
        Ok(Found {
            port_zero: written == Some(0),
            sighting: Sighting {
                source: Source {
                    file: Arc::clone(&options.file),
                    line,
                },
                address,
                // RFC 6335 §6: port 0 is reserved, so it stands for a port that is not known.
                port: written.filter(|port| *port != 0),
                transport: self.transport,
                destination: self.destination,
                at: timed.instant.at,
                or_at: timed.instant.or_at,
                resolution: timed.instant.resolution,
                zone: timed.instant.zone,
                moment: timed.moment,
                lasted: timed.lasted,
            },
        })
    }

    #[inline]
    fn client(&self, trust: &Trust) -> Result<(Side, IpAddr), Fault> {
        // As nearly all lines are.
        if let [None, Some((address::Written::Ip(address), _)), _] = self.addresses {
            return Ok((Side::Remote, address));
        }
        self.any_client(trust)
    }

    fn any_client(&self, trust: &Trust) -> Result<(Side, IpAddr), Fault> {
        let mut fault = (0, Reason::NoAddress);
        for side in Side::ALL {
            if side == Side::Told && !self.believes_told(trust) {
                continue;
            }
            let Some((written, at)) = self.addresses[side as usize] else {
                continue;
            };
            match written {
                address::Written::Ip(address) => return Ok((side, address)),
                // A dash: a later side may know.
                address::Written::Nothing => fault = (at, Reason::NoAddress),
                address::Written::Unix => return Err((at, Reason::UnixSocket)),
                address::Written::Other => return Err((at, Reason::HostName)),
            }
        }
        Err(fault)
    }

    /// The side's own port, or the hop's where nobody is between: both have one address.
    fn port(&self, side: Side, address: IpAddr) -> Option<u16> {
        let is_hop = match self.addresses[Side::Hop as usize] {
            Some((address::Written::Ip(hop), _)) => side == Side::Remote && hop == address,
            _ => false,
        };
        let own = self.ports[side as usize];
        own.or(self.ports[Side::Hop as usize].filter(|_| is_hop))
    }

    /// Whether what a PROXY protocol header told counts. A server that takes such headers takes
    /// them from whoever connects: where proxies are named, they must come from one of these.
    fn believes_told(&self, trust: &Trust) -> bool {
        let of = |side: Side| match self.addresses[side as usize] {
            Some((address::Written::Ip(address), _)) => Some(address),
            _ => None,
        };
        // The server has believed it already where both are the same.
        let peer = of(Side::Hop)
            .or_else(|| of(Side::Remote).filter(|_| of(Side::Remote) != of(Side::Told)));
        !trust.is_any() || peer.is_none_or(|peer| trust.is_proxy(peer))
    }

    fn timed(&self, times: Times, options: &Options) -> Result<Timed, Reason> {
        match times {
            Times::End(moment) => {
                let instant = self.end.instant(options)?;
                Ok(Timed {
                    instant,
                    moment,
                    lasted: self.duration.map(|(duration, _)| duration),
                })
            }
            Times::Start(moment) => self.timed_by_start(moment, options),
            Times::Both => {
                let (start, end) = (self.start.instant(options)?, self.end.instant(options)?);
                // The start may be certain where the end has no zone, or is in a repeated hour.
                if end.at.is_none() || (end.or_at.is_some() && start.or_at.is_none()) {
                    return self.timed_by_start(Moment::RequestStart, options);
                }
                let between = match (start.at, end.at) {
                    (Some(from), Some(to)) if is_exact(start.resolution) => Some(to.since(from)),
                    _ => None,
                };
                Ok(Timed {
                    instant: end,
                    moment: Moment::RequestEnd,
                    lasted: between
                        .filter(|_| self.duration.is_none_or(|(_, step)| !is_exact(step)))
                        .or(self.duration.map(|(duration, _)| duration)),
                })
            }
            Times::None(moment) => Ok(Timed {
                instant: Instant::NONE,
                moment,
                lasted: None,
            }),
        }
    }

    /// The start and a duration make the end where both are fine enough to be added up; else the
    /// sighting is of the start, and how long the endpoint was in use after it is not told.
    fn timed_by_start(&self, start_moment: Moment, options: &Options) -> Result<Timed, Reason> {
        let start = self.start.instant(options)?;
        match (start.at, self.duration) {
            (Some(at), Some((duration, step))) if is_exact(step) && is_exact(start.resolution) => {
                Ok(Timed {
                    instant: Instant {
                        at: Some(at.after(duration)),
                        or_at: start.or_at.map(|at| at.after(duration)),
                        resolution: start.resolution + uncertainty(step),
                        zone: start.zone,
                    },
                    moment: match start_moment {
                        Moment::RequestStart => Moment::RequestEnd,
                        _ => Moment::Logged,
                    },
                    lasted: Some(duration),
                })
            }
            _ => Ok(Timed {
                instant: start,
                moment: start_moment,
                lasted: None,
            }),
        }
    }
}

/// Of which moments a format writes the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Start(Moment),
    End(Moment),
    Both,
    None(Moment),
}

struct Timed {
    instant: Instant,
    moment: Moment,
    lasted: Option<Duration>,
}

/// What a duration written in this step adds to what is not known of an end. Servers count in
/// microseconds: to those it adds nothing.
fn uncertainty(step: Step) -> Duration {
    if step > Duration::from_micros(1) {
        step
    } else {
        Duration::ZERO
    }
}

fn is_exact(step: Duration) -> bool {
    step <= Duration::from_millis(1)
}
