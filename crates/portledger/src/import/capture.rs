//! NAT events in a capture: IPFIX, NetFlow v9 and syslog in UDP datagrams.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::Read,
    net::IpAddr,
};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use portledger_dataplane::capture::{CaptureError, Reader, ip_packet};
use portledger_model::Timestamp;
use portledger_wire::flow::{Item, Limits, Medium, Session};

use crate::failure::Failure;

/// How many exporters of one capture are told apart.
const EXPORTERS: usize = 1_024;

/// One datagram of a capture.
pub(super) struct Datagram<'a> {
    /// The packet's number in the capture, from 1.
    pub(super) number: u64,
    /// When it was captured.
    pub(super) at: Timestamp,
    flow: Flow,
    pub(super) payload: &'a [u8],
}

/// Who sends to whom: a transport session (RFC 7011 §2).
type Flow = ((IpAddr, u16), (IpAddr, u16));

impl Datagram<'_> {
    /// Who sent it.
    pub(super) const fn source(&self) -> IpAddr {
        self.flow.0.0
    }

    /// Whether it is a message of IPFIX or NetFlow v9, by its first field, the version.
    pub(super) fn is_flow_message(&self) -> bool {
        matches!(self.payload, [0, 9 | 10, ..])
    }

    /// Whether it may be a line of syslog.
    pub(super) fn is_text(&self) -> bool {
        self.payload.first() == Some(&b'<')
    }
}

/// Hands over the datagrams of a capture while `each` wants more. Returns where it broke off.
pub(super) fn datagrams(
    name: &str,
    input: impl Read,
    mut each: impl FnMut(Datagram<'_>) -> Result<bool, Failure>,
) -> Result<Option<CaptureError>, Failure> {
    let mut reader = Reader::new(name.to_owned(), input)?;
    loop {
        let frame = match reader.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(None),
            Err(broken) => return Ok(Some(broken)),
        };
        let Ok(packet) = ip_packet(frame.link, frame.data) else {
            continue;
        };
        let (number, at) = (frame.number, frame.at);
        let Some((flow, payload)) = udp(packet.bytes) else {
            continue;
        };
        let datagram = Datagram {
            number,
            at,
            flow,
            payload,
        };
        if !each(datagram)? {
            return Ok(None);
        }
    }
}

fn udp(packet: &[u8]) -> Option<(Flow, &[u8])> {
    let packet = SlicedPacket::from_ip(packet).ok()?;
    let Some(NetSlice::Ipv4(ip)) = &packet.net else {
        return None;
    };
    let (source, destination) = (ip.header().source_addr(), ip.header().destination_addr());
    match packet.transport? {
        TransportSlice::Udp(udp) => {
            let from = (source.into(), udp.source_port());
            let to = (destination.into(), udp.destination_port());
            Some(((from, to), udp.payload()))
        }
        _ => None,
    }
}

/// The exporters of a capture.
#[derive(Default)]
pub(super) struct Exporters(HashMap<Flow, Session>);

impl Exporters {
    /// Reads a message; `false` where there is no room for another exporter.
    pub(super) fn read(&mut self, datagram: &Datagram<'_>, mut each: impl FnMut(Item)) -> bool {
        let room = self.0.len() < EXPORTERS;
        let session = match self.0.entry(datagram.flow) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) if room => {
                unknown.insert(Session::new(Medium::Datagrams, Limits::default()))
            }
            Entry::Vacant(_) => return false,
        };
        session.datagram(datagram.payload, datagram.at, &mut each);
        true
    }

    /// Nothing more will come: what each exporter's session still says.
    pub(super) fn finish(&mut self, at: Timestamp) -> Vec<(IpAddr, Vec<Item>)> {
        let each = self.0.iter_mut().map(|(((source, _), _), session)| {
            let mut items = Vec::new();
            session.finish(at, &mut |item| items.push(item));
            (*source, items)
        });
        each.collect()
    }
}
