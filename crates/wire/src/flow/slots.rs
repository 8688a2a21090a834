//! Which fields of a record matter, and how they are read from where a template puts them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::elements::*;

/// A field that says something of a NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Slot {
    Protocol,
    SourcePort,
    SourceV4,
    SourceV6,
    SourceV6Length,
    DestinationPort,
    DestinationV4,
    DestinationV6,
    PostSourcePort,
    PostSourceV4,
    PostSourceV6,
    PostDestinationPort,
    PostDestinationV4,
    PostDestinationV6,
    NatEvent,
    FirewallEvent,
    EndReason,
    VrfId,
    NatInstance,
    InternalRealm,
    PoolId,
    RangeStart,
    RangeEnd,
    RangeStep,
    RangeCount,
    Quota,
    Threshold,
    Detail,
    SystemInit,
    ObservedSeconds,
    ObservedMillis,
    ObservedMicros,
    ObservedNanos,
    StartSeconds,
    StartMillis,
    StartMicros,
    StartNanos,
    StartDelta,
    StartUptime,
    EndSeconds,
    EndMillis,
    EndMicros,
    EndNanos,
    EndDelta,
    EndUptime,
    NokiaService,
    NokiaSubscriber,
}

impl Slot {
    pub(super) const COUNT: usize = Self::NokiaSubscriber as usize + 1;

    /// The slot of an element, and which lengths it may have.
    pub(super) const fn of(enterprise: u32, number: u16) -> Option<(Self, Width)> {
        use Width::{Text, Unsigned, V4, V6};
        Some(match (enterprise, number) {
            (IANA, PROTOCOL_IDENTIFIER) => (Self::Protocol, Unsigned),
            (IANA, SOURCE_TRANSPORT_PORT) => (Self::SourcePort, Unsigned),
            (IANA, SOURCE_IPV4_ADDRESS) => (Self::SourceV4, V4),
            (IANA, SOURCE_IPV6_ADDRESS) => (Self::SourceV6, V6),
            (IANA, SOURCE_IPV6_PREFIX_LENGTH) => (Self::SourceV6Length, Unsigned),
            (IANA, DESTINATION_TRANSPORT_PORT) => (Self::DestinationPort, Unsigned),
            (IANA, DESTINATION_IPV4_ADDRESS) => (Self::DestinationV4, V4),
            (IANA, DESTINATION_IPV6_ADDRESS) => (Self::DestinationV6, V6),
            (IANA, POST_NAPT_SOURCE_TRANSPORT_PORT) => (Self::PostSourcePort, Unsigned),
            (IANA, POST_NAT_SOURCE_IPV4_ADDRESS) => (Self::PostSourceV4, V4),
            (IANA, POST_NAT_SOURCE_IPV6_ADDRESS) => (Self::PostSourceV6, V6),
            (IANA, POST_NAPT_DESTINATION_TRANSPORT_PORT) => (Self::PostDestinationPort, Unsigned),
            (IANA, POST_NAT_DESTINATION_IPV4_ADDRESS) => (Self::PostDestinationV4, V4),
            (IANA, POST_NAT_DESTINATION_IPV6_ADDRESS) => (Self::PostDestinationV6, V6),
            (IANA, NAT_EVENT) => (Self::NatEvent, Unsigned),
            (IANA, FIREWALL_EVENT) => (Self::FirewallEvent, Unsigned),
            (IANA, FLOW_END_REASON) => (Self::EndReason, Unsigned),
            (IANA, INGRESS_VRF_ID) => (Self::VrfId, Unsigned),
            (IANA, NAT_INSTANCE_ID) => (Self::NatInstance, Unsigned),
            (IANA, INTERNAL_ADDRESS_REALM) => (Self::InternalRealm, Text),
            (IANA, NAT_POOL_ID) => (Self::PoolId, Unsigned),
            (IANA, PORT_RANGE_START) => (Self::RangeStart, Unsigned),
            (IANA, PORT_RANGE_END) => (Self::RangeEnd, Unsigned),
            (IANA, PORT_RANGE_STEP_SIZE) => (Self::RangeStep, Unsigned),
            (IANA, PORT_RANGE_NUM_PORTS) => (Self::RangeCount, Unsigned),
            (IANA, NAT_QUOTA_EXCEEDED_EVENT) => (Self::Quota, Unsigned),
            (IANA, NAT_THRESHOLD_EVENT) => (Self::Threshold, Unsigned),
            (IANA, APPLICATION_DESCRIPTION) => (Self::Detail, Text),
            (IANA, SYSTEM_INIT_TIME_MILLISECONDS) => (Self::SystemInit, Unsigned),
            (IANA, OBSERVATION_TIME_SECONDS) => (Self::ObservedSeconds, Unsigned),
            (IANA, OBSERVATION_TIME_MILLISECONDS) => (Self::ObservedMillis, Unsigned),
            (IANA, OBSERVATION_TIME_MICROSECONDS) => (Self::ObservedMicros, Unsigned),
            (IANA, OBSERVATION_TIME_NANOSECONDS) => (Self::ObservedNanos, Unsigned),
            (IANA, FLOW_START_SECONDS) => (Self::StartSeconds, Unsigned),
            (IANA, FLOW_START_MILLISECONDS) => (Self::StartMillis, Unsigned),
            (IANA, FLOW_START_MICROSECONDS) => (Self::StartMicros, Unsigned),
            (IANA, FLOW_START_NANOSECONDS) => (Self::StartNanos, Unsigned),
            (IANA, FLOW_START_DELTA_MICROSECONDS) => (Self::StartDelta, Unsigned),
            (IANA, FLOW_START_SYS_UP_TIME) => (Self::StartUptime, Unsigned),
            (IANA, FLOW_END_SECONDS) => (Self::EndSeconds, Unsigned),
            (IANA, FLOW_END_MILLISECONDS) => (Self::EndMillis, Unsigned),
            (IANA, FLOW_END_MICROSECONDS) => (Self::EndMicros, Unsigned),
            (IANA, FLOW_END_NANOSECONDS) => (Self::EndNanos, Unsigned),
            (IANA, FLOW_END_DELTA_MICROSECONDS) => (Self::EndDelta, Unsigned),
            (IANA, FLOW_END_SYS_UP_TIME) => (Self::EndUptime, Unsigned),
            (NOKIA, NOKIA_INSIDE_SERVICE) => (Self::NokiaService, Unsigned),
            (NOKIA, NOKIA_SUBSCRIBER) => (Self::NokiaSubscriber, Text),
            _ => return None,
        })
    }
}

/// Which lengths a field may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// A number in network order; fewer bytes than its type has are allowed (RFC 7011 §6.2).
    Unsigned,
    /// An IPv4 address.
    V4,
    /// An IPv6 address.
    V6,
    /// Bytes, as many as there are.
    Text,
}

impl Width {
    /// Whether a field of this kind may be so long in a template.
    pub(super) const fn allows(self, length: u16) -> bool {
        match self {
            Self::Unsigned => length >= 1 && length <= 8,
            Self::V4 => length == 4,
            Self::V6 => length == 16,
            Self::Text => true,
        }
    }
}

/// Where a field is inside a record; a length of 0 is nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u16,
    pub(super) length: u16,
}

/// Where each field is inside a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places([Place; Slot::COUNT]);

impl Places {
    pub(super) const NONE: Self = Self(
        [Place {
            offset: 0,
            length: 0,
        }; Slot::COUNT],
    );

    /// Says where a field is. An element may stand twice in a template (RFC 7011 §8): the first
    /// is taken, which is the outermost.
    pub(super) const fn put(&mut self, slot: Slot, offset: u16, length: u16) {
        let place = &mut self.0[slot as usize];
        if place.length == 0 {
            *place = Place { offset, length };
        }
    }

    pub(super) const fn has(&self, slot: Slot) -> bool {
        self.0[slot as usize].length > 0
    }
}

/// One record: bytes, and where its fields are.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) places: &'a Places,
}

impl<'a> Row<'a> {
    pub(super) fn bytes(self, slot: Slot) -> Option<&'a [u8]> {
        let place = self.places.0[slot as usize];
        if place.length == 0 {
            return None;
        }
        let offset = usize::from(place.offset);
        self.bytes.get(offset..offset + usize::from(place.length))
    }

    #[inline]
    pub(super) fn unsigned(self, slot: Slot) -> Option<u64> {
        match *self.bytes(slot)? {
            [a] => Some(u64::from(a)),
            [a, b] => Some(u64::from(u16::from_be_bytes([a, b]))),
            [a, b, c, d] => Some(u64::from(u32::from_be_bytes([a, b, c, d]))),
            [a, b, c, d, e, f, g, h] => Some(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
            ref other if other.len() < 8 => Some(
                other
                    .iter()
                    .fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
            ),
            _ => None,
        }
    }

    /// A port; `None` too where the field holds more than a port can be.
    pub(super) fn port(self, slot: Slot) -> Option<u16> {
        self.unsigned(slot).and_then(|port| port.try_into().ok())
    }

    /// An IPv4 address; exporters fill with zeros what they do not know.
    pub(super) fn v4(self, slot: Slot) -> Option<Ipv4Addr> {
        match *self.bytes(slot)? {
            [0, 0, 0, 0] => None,
            [a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
            _ => None,
        }
    }

    /// An IPv6 address; exporters fill with zeros what they do not know.
    pub(super) fn v6(self, slot: Slot) -> Option<Ipv6Addr> {
        let octets: [u8; 16] = self.bytes(slot)?.try_into().ok()?;
        let address = Ipv6Addr::from(octets);
        (!address.is_unspecified()).then_some(address)
    }

    /// An address of either family, IPv4 first.
    pub(super) fn address(self, v4: Slot, v6: Slot) -> Option<IpAddr> {
        self.v4(v4)
            .map(IpAddr::V4)
            .or_else(|| self.v6(v6).map(IpAddr::V6))
    }
}
