//! What the engine counts: every packet ends in one of these.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// Why a packet was dropped. Each has a counter of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DropReason { $($(#[$doc])+ $name,)+ }

        impl DropReason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name in JSON and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

drop_reasons! {
    /// Never given to the engine.
    NotSeen = "not_seen",
    /// Shorter than its own header says.
    Truncated = "truncated",
    /// Not IPv4.
    NotIpv4 = "not_ipv4",
    /// Header fields that contradict each other, or a first fragment that hides its ports.
    Malformed = "malformed",
    /// The IPv4 header checksum is wrong.
    HeaderChecksum = "header_checksum",
    /// The checksum of an ICMP error, or of the header it quotes, is wrong (RFC 5508 REQ-3).
    IcmpChecksum = "icmp_checksum",
    /// A transport that is not translated.
    Protocol = "protocol",
    /// An ICMP message that is neither query nor error (RFC 5508 REQ-11).
    IcmpType = "icmp_type",
    /// From or to port 0.
    PortZero = "port_zero",
    /// From the inside, from an address that is no subscriber's.
    NotASubscriber = "not_a_subscriber",
    /// To an address that no packet can be forwarded to (multicast, loopback, broadcast, or one
    /// of the inside).
    NotForwardable = "not_forwardable",
    /// From the outside, to an address that is not one of the external ones.
    NotExternal = "not_external",
    /// From the outside, from an address that only the inside may use or that is no host's.
    Spoofed = "spoofed",
    /// No mapping for the endpoint.
    NoMapping = "no_mapping",
    /// The filter lets nothing in from this address (RFC 4787 REQ-8).
    Filtered = "filtered",
    /// TCP from the outside that belongs to no connection and opens none.
    NoSession = "no_session",
    /// TCP from the inside that belongs to no connection and opens none.
    NotOpening = "not_opening",
    /// No rested block is left.
    PoolExhausted = "pool_exhausted",
    /// The subscriber is at its limit of blocks or ports.
    SubscriberLimit = "subscriber_limit",
    /// The subscriber opens mappings faster than it may.
    RateLimit = "rate_limit",
    /// The table of mappings is full.
    MappingLimit = "mapping_limit",
    /// The table of sessions is full, or a mapping has too many (RFC 6888 REQ-5).
    SessionLimit = "session_limit",
    /// Too many fragments wait for their first (RFC 4787 REQ-14a).
    FragmentLimit = "fragment_limit",
    /// Fragments of one datagram overlap or contradict each other (RFC 5722).
    FragmentOverlap = "fragment_overlap",
    /// The first fragment did not come in time.
    FragmentTimeout = "fragment_timeout",
    /// The first fragment of the datagram was dropped.
    FragmentOfDropped = "fragment_of_dropped",
    /// Too large for the next link, and not to be fragmented (RFC 4787 REQ-13).
    TooBig = "too_big",
    /// Not IPv6.
    NotIpv6 = "not_ipv6",
    /// IPv6 extension headers that are too many, that must not be skipped (RFC 8200 §4.2), or that
    /// follow a Fragment header (RFC 7915 §5.1.1).
    ExtensionHeaders = "extension_headers",
    /// A Routing header or a source route that has places to go yet (RFC 8200 §4.4, RFC 7915
    /// §4.1).
    SourceRoute = "source_route",
    /// IPv6 from the inside that is no softwire's, or not to this end of it.
    NotATunnel = "not_a_tunnel",
    /// A tunnel in a tunnel.
    NestedTunnel = "nested_tunnel",
    /// Marked by the IPv6 network as having met congestion, without being able to tell its sender
    /// (RFC 6040 §4.2).
    Congested = "congested",
    /// The driver left no room around the packet.
    NoRoom = "no_room",
    /// To the NAT itself from the inside, and hairpinning leads nowhere.
    HairpinNoMapping = "hairpin_no_mapping",
    /// A fragment of an ICMP message, to be translated to the other family (RFC 7915 §1.2).
    FragmentedIcmp = "fragmented_icmp",
    /// UDP over IPv4 without a checksum, to be translated to IPv6 (RFC 7915 §4.5).
    UdpWithoutChecksum = "udp_without_checksum",
    /// A non-global IPv4 address behind the well-known prefix (RFC 6052 §3.1).
    WellKnownPrefix = "well_known_prefix",
    /// No hop is left.
    HopLimit = "hop_limit",
    /// From the inside, from an IPv6 address that no rule and no binding knows.
    UnknownSoftwire = "unknown_softwire",
    /// From the inside, from an IPv6 address in a customer's prefix that is not the customer's
    /// (RFC 7597 §6).
    SoftwireAddress = "softwire_address",
    /// From the inside, from an IPv4 address that the customer does not have (RFC 7597 §8.1).
    SoftwireSource = "softwire_source",
    /// From the inside, from a port or with an ICMP identifier that the customer does not have
    /// (RFC 7597 §8.1).
    SoftwirePort = "softwire_port",
    /// From one customer to another, where the operator lets none pass.
    HairpinningOff = "hairpinning_off",
}

/// What the engine has done since it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came from the inside.
    pub from_inside: u64,
    /// Packets that came from the outside.
    pub from_outside: u64,
    /// Packets sent on to the inside, hairpinned ones and the engine's own included.
    pub to_inside: u64,
    /// Packets sent on to the outside, the engine's own included.
    pub to_outside: u64,
    /// Of these, hairpinned.
    pub hairpinned: u64,
    /// Packets passed on untranslated, to or from an exempt destination (RFC 6888 REQ-6).
    pub exempt: u64,
    /// Fragments kept until their first came.
    pub fragments_kept: u64,
    /// ICMP errors of the engine's own.
    pub icmp_sent: u64,
    /// ICMP errors not sent, to keep to the rate.
    pub icmp_withheld: u64,
    /// Mappings opened.
    pub mappings_opened: u64,
    /// Mappings ended.
    pub mappings_ended: u64,
    dropped: Vec<u64>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            from_inside: 0,
            from_outside: 0,
            to_inside: 0,
            to_outside: 0,
            hairpinned: 0,
            exempt: 0,
            fragments_kept: 0,
            icmp_sent: 0,
            icmp_withheld: 0,
            mappings_opened: 0,
            mappings_ended: 0,
            dropped: vec![0; DropReason::ALL.len()],
        }
    }
}

impl Counters {
    /// Packets dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Packets dropped, by reason, without the reasons that never occurred.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL
            .iter()
            .map(|&reason| (reason, self.dropped(reason)))
            .filter(|&(_, count)| count > 0)
    }

    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count += 1;
        }
    }
}
