//! The list behind `docs/conformance.md`: what each RFC asks, in our own words, and where the
//! answer is tried.

use Level::{May, Must, MustNot, Recommended, Should, ShouldNot};
use Status::{Configurable, Met, NotApplicable, NotMet};

use crate::{
    mistakes, rfc4787, rfc5382, rfc5508, rfc6052, rfc6146, rfc6333, rfc6333_icmp, rfc6888, rfc7422,
    rfc7596, rfc7597, rfc7597_fragments, rfc7599, rfc7768, rfc7857, rfc7915, rfc7915_icmp,
    translation,
};

/// One requirement of one RFC.
pub struct Requirement {
    pub rfc: u16,
    pub number: &'static str,
    pub level: Level,
    pub asks: &'static str,
    pub status: Status,
    /// The tests that try it: name, and the function itself, so that none can be missing.
    pub tests: &'static [(&'static str, fn())],
}

#[derive(Debug, Clone, Copy)]
pub enum Level {
    Must,
    MustNot,
    Should,
    ShouldNot,
    Recommended,
    May,
}

impl Level {
    pub const fn text(self) -> &'static str {
        match self {
            Must => "MUST",
            MustNot => "MUST NOT",
            Should => "SHOULD",
            ShouldNot => "SHOULD NOT",
            Recommended => "RECOMMENDED",
            May => "MAY",
        }
    }
}

/// Whether a requirement is met, with a remark where there is one to make.
#[derive(Debug, Clone, Copy)]
pub enum Status {
    Met(&'static str),
    /// By this option.
    Configurable(&'static str),
    NotMet(&'static str),
    NotApplicable(&'static str),
}

/// What the list's RFCs are called.
pub const TITLES: &[(u16, &str)] = &[
    (4787, "NAT behavioural requirements for unicast UDP"),
    (5382, "NAT behavioural requirements for TCP"),
    (5508, "NAT behavioural requirements for ICMP"),
    (6888, "Common requirements for carrier-grade NATs"),
    (7857, "Updates to the behavioural requirements"),
    (7768, "Port management to reduce logging"),
    (7422, "Deterministic address mapping"),
    (6052, "IPv6 addresses that hold IPv4 addresses"),
    (7915, "Translation of IP and ICMP packets"),
    (6146, "Stateful NAT64"),
    (6333, "DS-Lite: the AFTR"),
    (7785, "DS-Lite: subscribers by prefix"),
    (7597, "MAP-E: the border relay"),
    (7599, "MAP-T: the border relay"),
    (7596, "Lightweight 4over6: the lwAFTR"),
];

macro_rules! requirements {
    ($($rfc:literal { $($number:literal $level:ident $asks:literal $status:expr, [$($test:path),*];)+ })+) => {
        /// All of them, in the order of the document.
        pub const REQUIREMENTS: &[Requirement] = &[
            $($(Requirement {
                rfc: $rfc,
                number: $number,
                level: $level,
                asks: $asks,
                status: $status,
                tests: &[$((stringify!($test), $test as fn())),*],
            },)+)+
        ];
    };
}

requirements! {
    4787 {
        "REQ-1" Must "One external endpoint for an internal one, whatever the destination." Met(""), [rfc4787::req_1_mapping_is_endpoint_independent];
        "REQ-2" Recommended "All of a host's endpoints on one external address." Met("when the address is full, on a further one; `paired-strict` refuses instead"), [rfc4787::req_2_pooling_is_paired];
        "REQ-3" MustNot "Two internal endpoints on one external endpoint." Met(""), [rfc4787::req_3_no_external_endpoint_is_overloaded];
        "REQ-3a" Recommended "A source port below 1024 stays below, one above stays above." NotMet("blocks begin at 1024: the ports below are too few for blocks, and RFC 7768 draws from a range of its own"), [rfc4787::req_3a_port_class_is_not_kept];
        "REQ-4" Recommended "An even port stays even, an odd one odd." Configurable("`preserve_parity`; off by default, as RFC 7857 §8 allows"), [rfc4787::req_4_parity_is_kept_where_it_is_configured];
        "REQ-5" MustNot "A mapping ends within two minutes of its last packet." Met("also at start-up: a shorter timer is refused"), [rfc4787::req_5_udp_timer_is_never_below_two_minutes];
        "REQ-5a" May "Ports 0 to 1023 may have a shorter timer of their own." Configurable("`udp_by_port`; none by default"), [rfc4787::req_5a_well_known_ports_may_have_a_shorter_timer, rfc4787::req_5a_a_short_timer_shortens_no_other_session];
        "REQ-5b" May "The timer can be configured." Configurable("`timers.udp`"), [rfc4787::req_5b_the_udp_timer_is_configurable];
        "REQ-5c" Recommended "Five minutes or more by default." Met("300 s"), [rfc4787::req_5c_the_default_is_five_minutes];
        "REQ-6" Must "Packets from the inside keep a mapping." Met(""), [rfc4787::req_6_packets_from_the_inside_refresh];
        "REQ-6a" May "Packets from the outside may keep it too." Configurable("`inbound_refresh`; off by default: a stranger should not keep a subscriber's port"), [rfc4787::req_6a_packets_from_the_outside_refresh_where_it_is_configured];
        "REQ-7" Must "External addresses that are assigned dynamically do not clash with internal ones." Met("the pool is configured, and refused where it overlaps a realm"), [rfc4787::req_7_an_external_address_that_is_also_internal_is_refused];
        "REQ-8" Recommended "Endpoint-independent filtering for transparency, address-dependent filtering for strictness." Met("the former by default"), [rfc4787::req_8_filtering_is_endpoint_independent_by_default];
        "REQ-8a" May "The filter can be configured." Configurable("`filtering`, by transport"), [rfc4787::req_8a_filtering_can_be_address_dependent];
        "REQ-9" Must "Hairpinning." Met("between realms too"), [rfc4787::req_9_hairpinning, rfc4787::req_9_hairpinning_obeys_the_filter_and_crosses_realms];
        "REQ-9a" Must "A hairpinned packet comes from its sender's external endpoint." Met(""), [rfc4787::req_9a_hairpinned_packets_come_from_the_external_endpoint];
        "REQ-10" Should "Application level gateways for UDP are off." Met("there are none"), [rfc4787::req_10_payloads_are_left_alone];
        "REQ-10a" Recommended "Each gateway can be switched by itself." NotApplicable("there are none"), [];
        "REQ-11" Must "Mapping and filtering never change with circumstances." Met(""), [rfc4787::req_11_behaviour_never_changes_under_pressure];
        "REQ-12" MustNot "An ICMP message ends a mapping." Met(""), [rfc4787::req_12_icmp_never_ends_a_mapping];
        "REQ-12a" ShouldNot "ICMP messages are filtered by their source." Met(""), [rfc4787::req_12a_icmp_errors_are_not_filtered_by_their_source];
        "REQ-12b" Should "Destination unreachable comes through." Met(""), [rfc4787::req_12b_destination_unreachable_comes_through];
        "REQ-13" Must "A packet too large for the next link, with DF, is answered with the size that fits." Met("where `mtu` is set; otherwise the system does it"), [rfc4787::req_13_too_large_and_not_to_be_cut_is_answered, rfc4787::req_13_from_the_outside_too];
        "REQ-13a" Must "Without DF it is cut, and the pieces leave in order." Met(""), [rfc4787::req_13a_too_large_and_to_be_cut_is_cut_in_order, translation::partial_checksums_are_completed_before_a_packet_is_cut, translation::later_fragments_are_not_cut_where_they_must_not_be];
        "REQ-14" Must "Fragments pass in order and out of order." Met("each by itself: none is put together"), [rfc4787::req_14_fragments_in_and_out_of_order, rfc4787::req_14_hairpinned_fragments, rfc4787::req_14_fragments_share_the_fate_of_their_first, rfc5382::fragmented_segments_both_ways, rfc5508::fragmented_queries_both_ways];
        "REQ-14a" MustNot "Waiting fragments let an attacker exhaust the NAT or get around it." Met("`fragmented`, `fragment_bytes`, 80 a datagram, 2 s; hidden or overlapping TCP headers are dropped"), [rfc4787::req_14a_waiting_fragments_are_bounded, rfc4787::req_14a_a_first_fragment_that_hides_its_ports_is_dropped];
    }
    5382 {
        "REQ-1" Must "Endpoint-independent mapping." Met("a mapping lasts as long as its last connection"), [rfc5382::req_1_mapping_is_endpoint_independent, rfc5382::req_1_a_mapping_lasts_as_long_as_its_last_session];
        "REQ-2" Must "All valid sequences of packets, for connections from either side." Met(""), [rfc5382::req_2_an_ordinary_connection, rfc5382::req_2_a_connection_from_the_outside, rfc5382::req_2_retransmissions_and_resets_come_through, rfc5382::req_2_a_new_connection_on_the_ports_of_a_closed_one];
        "REQ-2a" Must "Simultaneous open." Met(""), [rfc5382::req_2a_simultaneous_open];
        "REQ-3" Recommended "Endpoint-independent filtering for transparency, address-dependent filtering for strictness." Met("the former by default"), [rfc5382::req_3_filtering_is_endpoint_independent_by_default];
        "REQ-3a" May "The filter can be configured." Configurable("`filtering`, by transport"), [rfc5382::req_3a_filtering_can_be_address_dependent];
        "REQ-4" MustNot "An unsolicited SYN is answered within six seconds; a SYN from the inside silences the answer, otherwise port unreachable SHOULD follow." Met("as many as `incoming_syns`; a hairpinned SYN to nobody is dropped without an answer"), [rfc5382::req_4_an_unsolicited_syn_is_answered_after_six_seconds, rfc5382::req_4_a_held_syn_is_dropped_silently_when_the_inside_opens];
        "REQ-4a" Must "No answer where the policy forbids one." Met("`icmp_rate`, and none to what is no single host"), [rfc5382::req_4_a_syn_from_no_single_host_is_not_answered, rfc5508::req_9_own_errors_keep_to_their_rate];
        "REQ-5" MustNot "An established connection is forgotten within 2 h 4 min, one that opens or closes within 4 min." Met("7,440 s and 240 s"), [rfc5382::req_5_an_established_connection_is_kept_for_two_hours_and_four_minutes, rfc5382::req_5_transitory_connections_are_kept_for_four_minutes, rfc5382::req_5_the_timer_follows_the_state];
        "REQ-5a" May "The timers can be configured." Configurable("`tcp_established`, `tcp_opening`, `tcp_closing`; not below their least"), [rfc5382::req_5a_timers_are_configurable_but_not_below_their_least];
        "REQ-6" Recommended "Application level gateways for TCP are off, but for FTP's." Met("there are none, not for FTP either: passive mode needs none"), [rfc5382::req_6_payloads_are_left_alone];
        "REQ-7" MustNot "Two internal endpoints on one external endpoint." Met(""), [rfc5382::req_7_no_external_endpoint_is_overloaded];
        "REQ-8" Must "Hairpinning." Met(""), [rfc5382::req_8_hairpinning];
        "REQ-8a" Must "A hairpinned packet comes from its sender's external endpoint." Met(""), [rfc5382::req_8_hairpinning];
        "REQ-9" Should "ICMP destination unreachable is translated." Met(""), [rfc5382::req_9_icmp_errors_about_tcp_are_translated];
        "REQ-10" MustNot "An ICMP message ends a mapping or a connection." Met(""), [rfc5382::req_10_icmp_never_ends_a_connection];
        "(static)" May "Ports forwarded for good: from both sides, never ending, and their connections timed out like others." Configurable("`static_mappings`"), [rfc5382::static_mappings_work_both_ways_for_ever, rfc5382::static_mappings_forget_their_connections, rfc5382::static_mappings_of_one_internal_endpoint_are_refused];
    }
    5508 {
        "REQ-1" Must "Queries from the inside and their answers pass." Met("echo, timestamp, information, address mask"), [rfc5508::req_1_queries_and_their_answers_pass];
        "REQ-1a" Must "One external identifier for an internal one, whatever the destination." Met(""), [rfc5508::req_1a_the_identifier_is_mapped_endpoint_independently];
        "REQ-2" MustNot "A query mapping ends within 60 s." Met(""), [rfc5508::req_2_a_query_is_kept_for_sixty_seconds];
        "REQ-2a" Recommended "The timer can be configured." Configurable("`timers.icmp`"), [rfc5508::req_2a_the_query_timer_is_configurable];
        "REQ-3" Should "An error with a wrong checksum is dropped." Met(""), [rfc5508::req_3_an_error_with_a_wrong_checksum_is_dropped];
        "REQ-3a" Should "So is one that quotes a header with a wrong checksum." Met(""), [rfc5508::req_3a_a_quoted_header_with_a_wrong_checksum_is_dropped];
        "REQ-3b" Must "Options of the quoted header are skipped." Met(""), [rfc5508::req_3b_options_of_the_quoted_header_are_skipped];
        "REQ-3c" ShouldNot "The quoted transport's checksum is checked." Met("it is updated by difference"), [rfc5508::req_3c_the_quoted_transport_checksum_is_not_checked, rfc5508::quoted_udp_without_a_checksum];
        "REQ-3d" Must "Padding and extensions (RFC 4884) are left out of it." Met("they are carried unchanged"), [rfc5508::req_3d_padding_and_extensions_are_carried];
        "REQ-4" Must "An error from the outside: dropped without a mapping, else the quoted headers as they were sent, type and code unchanged, to the quoted sender." Met("but for the quoted identification, which nobody keeps"), [rfc5508::req_4_errors_from_the_outside, rfc5508::req_4_the_largest_size_that_fits_is_carried, rfc5508::req_4_what_cannot_be_read_is_dropped, rfc5508::large_errors_keep_to_the_link];
        "REQ-5" Must "The same for an error from the inside." Met(""), [rfc5508::req_5_errors_from_the_inside];
        "REQ-5c" Should "Outside it comes from an address of the NAT." Met("the one of the mapping it is about"), [rfc5508::req_5c_errors_come_from_the_external_address];
        "REQ-6" MustNot "An error about a query refreshes or deletes its session." Met(""), [rfc5508::req_6_errors_refresh_and_delete_nothing];
        "REQ-7" Must "A Basic NAT hairpins queries." NotApplicable("this is a NAPT; see RFC 7857 §12"), [rfc5508::req_7_hairpinned_queries];
        "REQ-7a" Must "Every NAT hairpins errors." Met(""), [rfc5508::req_7a_hairpinned_errors];
        "REQ-8" Should "A refused mapping is answered with code 13." Configurable("`icmp_refusal`; code 1 by default, as the later RFC 6888 REQ-11 asks"), [rfc5508::req_8_a_refused_mapping_can_be_answered_with_code_13];
        "REQ-9" May "Own ICMP messages can be limited by policy." Configurable("`icmp_rate`, `icmp_refusal`"), [rfc5508::req_9_own_errors_keep_to_their_rate];
        "REQ-10" Must "ICMP messages of a router: time exceeded, redirect and so on." NotApplicable("the system that forwards packets to the engine and from it counts hops and routes, and sends these"), [];
        "REQ-11" May "Other ICMP messages are dropped." Met(""), [rfc5508::req_11_other_messages_are_dropped];
    }
    6888 {
        "REQ-1" Must "The requirements of each transport that is forwarded." Met("TCP, UDP, ICMP; others are dropped"), [rfc6888::req_1_every_transport_has_its_own_mappings];
        "REQ-2" Must "Paired pooling by default." Met("`pooling`"), [rfc6888::req_2_pooling_is_paired_by_default_and_can_be_changed];
        "REQ-3" ShouldNot "The pool has limits of size or contiguity." Met("65,536 addresses a device"), [rfc6888::req_3_the_pool_may_have_gaps];
        "REQ-4" Must "External ports of a subscriber are limited." Met("`limits.blocks`"), [rfc6888::req_4_external_ports_of_a_subscriber_are_limited];
        "REQ-4A" Must "The limits can be configured." Configurable("`limits.blocks`, `limits.ports`"), [rfc6888::req_4a_b_limits_are_configurable_by_transport];
        "REQ-4B" May "By transport." Configurable("`limits.ports`"), [rfc6888::req_4a_b_limits_are_configurable_by_transport];
        "REQ-4C" Recommended "One subscriber cannot use up the NAT's time: a rate of new mappings." Configurable("`limits.rate`"), [rfc6888::req_4c_the_rate_of_new_mappings_is_limited];
        "REQ-5" Should "State is limited by mapping and by subscriber." Met("`sessions_per_mapping`; a subscriber's mappings by its ports; the tables by `mappings` and `sessions`"), [rfc6888::req_5_state_is_limited, rfc5382::static_mappings_forget_their_connections];
        "REQ-6" Must "Translation can be off for destination addresses or ports." Configurable("`exempt`, by address"), [rfc6888::req_6_translation_can_be_off_for_destinations];
        "REQ-7" Recommended "Endpoint-independent filtering." Met("by default"), [rfc4787::req_8_filtering_is_endpoint_independent_by_default, rfc5382::req_3_filtering_is_endpoint_independent_by_default];
        "REQ-8" ShouldNot "A port is used again within 120 s." Met("for blocks, and so between subscribers: `guard_time`. Inside its block a subscriber may use a port again at once: TCP is tracked (exception A), and the port stays with the same subscriber as in exception B"), [rfc6888::req_8_a_block_rests_for_two_minutes_between_two_holders, rfc6888::req_8_inside_its_block_a_subscriber_may_use_a_port_again_at_once];
        "REQ-8 (end)" Must "How long ports are held, and how many at most, can be configured." NotMet("the time can; the number cannot: a block that has not rested is never given on, whatever the pressure"), [rfc7768::section_2_no_block_is_given_on_before_its_guard_time];
        "REQ-9" Must "Subscribers control mappings by a protocol, preferably PCP." NotMet("not yet"), [];
        "REQ-10" Should "The equipment is manageable, preferably by a standard MIB." Met("counters and sizes; no MIB"), [rfc6888::req_10_everything_is_counted];
        "REQ-11A" Must "A packet that gets no mapping is dropped." Met(""), [rfc6888::req_11_exhaustion_drops_answers_tells_and_takes_nothing_away];
        "REQ-11B" Should "Its sender is told host unreachable." Met("`icmp_refusal`, within `icmp_rate`"), [rfc6888::req_11_exhaustion_drops_answers_tells_and_takes_nothing_away];
        "REQ-11C" Should "So is the management." Met("as an event, once until it has eased; a full table of mappings is a counter"), [rfc6888::req_11_a_quota_is_told_once, rfc6888::req_11_exhaustion_drops_answers_tells_and_takes_nothing_away, mistakes::refusals_are_no_log_storm];
        "REQ-11D" MustNot "Mappings that exist are deleted to make room." Met(""), [rfc6888::req_11_exhaustion_drops_answers_tells_and_takes_nothing_away, mistakes::pressure_evicts_nothing];
        "REQ-12" ShouldNot "Destinations are logged." Met("no event can hold one"), [rfc6888::req_12_no_destination_is_logged];
        "REQ-13" Should "Ports are used as fully as possible." Met(""), [rfc6888::req_13_every_port_is_used, mistakes::the_last_block_is_for_whoever_asks];
        "REQ-14" Should "Little is logged." Met("two events a block"), [rfc6888::req_14_one_event_for_a_block_not_for_a_mapping];
        "REQ-15" Should "Ports are hard to guess." Met("drawn by a keyed generator"), [rfc6888::req_15_ports_are_hard_to_guess, mistakes::neither_block_nor_port_is_the_last_one_plus_one];
        "Section 4" Should "The log says transport, subscriber, external address and port, and time." Met("a block's record holds for all transports"), [rfc6888::section_4_the_log_says_who_held_what_and_when, mistakes::every_transport_is_in_the_log];
    }
    7857 {
        "Section 2" Should "TCP sessions follow the state machine of RFC 6146." Met("and a SYN from either side begins anew after both FINs"), [rfc7857::section_2_sessions_follow_the_state_machine_of_rfc_6146, rfc7857::a_connection_older_than_the_nat_is_picked_up_where_it_is_configured];
        "Section 2.1" Should "Opening and closing have timers of their own; opening may be below four minutes." Configurable("`tcp_opening`, `tcp_closing`"), [rfc7857::section_2_1_opening_and_closing_have_timers_of_their_own];
        "Section 2.2" Must "A RST is translated, and the session kept for four minutes more." Met(""), [rfc7857::section_2_2_a_reset_is_translated_and_the_session_kept_for_four_minutes];
        "Section 3" May "Ports overlap where destinations differ." NotMet("an option we do not take: one external endpoint has one holder, or no log could name it"), [rfc4787::req_3_no_external_endpoint_is_overloaded];
        "Section 4" Should "Paired pooling copes with a full address." Met("another address is used too; `paired-strict` refuses"), [rfc7857::section_4_pooling_is_paired_softly];
        "Section 5" Should "Mappings depend on the transport by default." Met(""), [rfc7857::section_5_mappings_depend_on_the_transport];
        "Section 6" Should "So does filtering." Met(""), [rfc7857::section_6_filtering_depends_on_the_transport];
        "Section 7" Should "Whether packets from the outside refresh can be configured." Configurable("`inbound_refresh`"), [rfc4787::req_6a_packets_from_the_outside_refresh_where_it_is_configured];
        "Section 7.1" ShouldNot "Errors and RSTs in answer refresh." Met(""), [rfc7857::section_7_1_errors_and_resets_in_answer_do_not_refresh];
        "Section 8" May "Parity is off." Configurable("`preserve_parity`"), [rfc7857::section_8_parity_may_be_off];
        "Section 9" Should "Ports are drawn as RFC 6056 says." Met("at random over all free ports of the blocks in use (§3.3.2)"), [rfc7857::section_9_ports_are_drawn_at_random];
        "Section 10" Should "Identifications are handled as RFC 6864 §5.3.1 says." Met("new ones from the inside, where they mean something"), [rfc7857::section_10_identifications_are_rewritten_where_they_mean_something];
        "Section 11" May "A query mapping ends with its last session." Met(""), [rfc7857::section_11_a_query_mapping_ends_with_its_last_session];
        "Section 12" Must "Queries and errors are hairpinned by every NAT." NotMet("errors are; a query has one identifier, which cannot name both its sender's mapping and its receiver's, so that it reaches only whoever has the same external one, such as the sender itself"), [rfc7857::section_12_hairpinned_icmp];
    }
    7768 {
        "Section 2: allocation" Must "A block is allocated, and logged, when a subscriber first needs a port, and further ones on demand." Met(""), [rfc7768::section_2_a_block_is_allocated_by_the_first_packet, rfc7768::log_before_use];
        "Section 2: release" Should "A block without a port in use is given back after a configured time." Configurable("`block_idle`"), [rfc7768::section_2_an_idle_block_is_given_back_after_its_time];
        "Section 2: guard" MustNot "A block goes to another subscriber before its guard time." Met("`guard_time`; also over a restart and a change of the block size"), [rfc7768::section_2_no_block_is_given_on_before_its_guard_time, rfc7768::after_a_restart_holders_keep_their_blocks, rfc7768::after_a_restart_what_rested_rests_on, rfc7768::after_a_restart_with_other_blocks_every_port_rests, rfc7768::after_a_crash_that_lost_events_every_block_rests, mistakes::a_newcomer_never_gets_a_live_block];
        "Section 2: clocks" Should "The guard time covers what clocks are off." Met("a configuration in which it does not is refused"), [rfc7768::section_2_the_guard_time_covers_the_clocks_errors];
        "Section 2: selection" Should "The block idle for longest is left out unless no other has a port." Met("by the last packet in either direction"), [rfc7768::section_2_the_longest_idle_block_is_left_out];
        "Section 2: blocks" Should "Blocks are drawn at random among those that have rested." Met(""), [rfc7768::section_2_blocks_are_drawn_at_random];
        "Section 2: ports" Should "Ports are drawn at random over all blocks of a subscriber." Met(""), [rfc7768::section_2_ports_are_drawn_over_all_blocks];
    }
    7422 {
        "Section 2.2" Must "The RFC's example: 16 subscribers on an address, two shares for the dynamic pool." Met(""), [rfc7422::section_2_2_the_example];
        "Section 2: logging" Should "The use of a range is not logged." Met("once for good, so that the ledger needs no history of rules"), [rfc7422::section_2_a_range_is_logged_once_and_for_good, rfc7422::section_2_a_restart_changes_nothing];
        "Section 2: dynamic pool" Should "Further ports come from a dynamic pool, and those are logged." Met("in blocks, as RFC 7768 has it"), [rfc7422::section_2_further_ports_come_from_the_dynamic_pool];
        "Section 2: inputs" Must "Only addresses of the rule have a range." Met(""), [rfc7422::section_2_who_is_not_in_the_rule_is_not_translated];
        "Section 4: change" Should "A change of the rule is logged." Met("ranges that it takes away are told as released; they do not rest, so wait for the guard time between two rules"), [rfc7422::section_4_a_changed_rule_closes_what_it_no_longer_gives];
    }
    6052 {
        "Section 2.1" Must "The well-known prefix is 64:ff9b::/96." Met(""), [rfc6052::section_2_1_the_well_known_prefix];
        "Section 2.2: prefixes" Must "A prefix is 32, 40, 48, 56, 64 or 96 bits long." Met("another one is refused"), [rfc6052::section_2_2_prefixes_have_one_of_six_lengths];
        "Section 2.2: octet" Must "Bits 64 to 71 are zero." Met("an address in which they are not is none"), [rfc6052::section_2_2_bits_64_to_71_are_zero];
        "Section 2.2: suffix" Should "The suffix is zero, and ignored." Met(""), [rfc6052::section_2_2_a_suffix_is_zero_and_ignored];
        "Section 2.3" Must "Addresses are composed and taken apart as the tables of section 2.4 show." Met(""), [rfc6052::section_2_3_the_tables_of_the_rfc];
        "Section 3.1" MustNot "A non-global IPv4 address stands behind the well-known prefix." Met("`Prefix::allows`, which whoever maps addresses asks"), [rfc6052::section_3_1_no_private_address_behind_the_well_known_prefix];
    }
    7915 {
        "Section 1.2: ICMP" MustNot "Fragments of ICMP are translated." Met(""), [rfc7915_icmp::section_1_2_fragmented_icmp_is_dropped];
        "Section 1.4" Must "As a router: what is too large is cut, or answered." Met(""), [rfc7915::section_4_1_what_may_be_cut_is_cut_to_the_lowest_mtu, rfc7915::section_4_1_what_may_not_be_cut_is_answered_with_the_size_that_fits, rfc7915::section_5_what_may_not_be_cut_is_answered_with_the_size_that_fits];
        "Section 4: Fragment header" MustNot "A packet that is no fragment gets a Fragment header." Met(""), [rfc7915::section_4_no_fragment_header_but_for_fragments];
        "Section 4: order" Should "A flow's packets leave in their order." Met("each is translated when it comes"), [rfc7915::section_4_1_fragments_keep_offset_flag_and_identification];
        "Section 4.1: header" Must "The fields of the IPv6 header." Met(""), [rfc7915::section_4_1_the_header_to_ipv6, rfc7915::bytes_behind_a_packet_are_left_behind, rfc7915::a_slot_without_room_is_refused];
        "Section 4.1: traffic class" Should "It can be set instead of copied." Configurable("`traffic_class`"), [rfc7915::section_4_1_the_traffic_class_can_be_set];
        "Section 4.1: hop limit" Must "One hop is taken off, and zero is answered." Configurable("`counts_as_hop`; off by default: the system that forwards to the device takes one off"), [rfc7915::section_4_1_hops_are_counted_where_it_is_configured_and_checked_for_zero];
        "Section 4.1: source" Should "What no host can send from is dropped in silence." Met("also from errors, which the RFC lets through for troubleshooting"), [rfc7915::section_4_1_no_host_s_source_is_dropped_in_silence];
        "Section 4.1: options" Must "IPv4 options are ignored." Met(""), [rfc7915::section_4_1_options_are_ignored];
        "Section 4.1: source route" Must "One with places to go is dropped, and answered with 3/5." Met(""), [rfc7915::section_4_1_a_source_route_with_places_to_go_is_refused];
        "Section 4.1: lowest MTU" Must "What may be cut is cut to a configured size, 1,280 by default." Configurable("`lowest_ipv6_mtu`"), [rfc7915::section_4_1_what_may_be_cut_is_cut_to_the_lowest_mtu, rfc7915::section_4_1_a_fragment_is_cut_further_in_its_place, rfc7915::section_4_1_a_checksum_left_to_the_device_is_completed_before_a_packet_is_cut];
        "Section 4.1: too big" Must "With DF, what is too large for the next link is answered." Met("`ipv6_mtu`; otherwise the system does it"), [rfc7915::section_4_1_what_may_not_be_cut_is_answered_with_the_size_that_fits, rfc7915::section_4_1_what_the_device_cuts_into_segments_is_measured_by_its_segments];
        "Section 4.1: fragments" Must "Offset, flag and identification go over." Met(""), [rfc7915::section_4_1_fragments_keep_offset_flag_and_identification];
        "Section 4.2: queries" Must "Echo is translated; all other queries, and IGMP, are dropped in silence." Met(""), [rfc7915_icmp::section_4_2_queries];
        "Section 4.2: errors" Must "Types, codes and pointers by the tables." Met(""), [rfc7915_icmp::section_4_2_every_type_and_code_of_errors];
        "Section 4.2: sizes" Must "Too big tells the size that fits, by RFC 1191's plateaus where the router told none, and never less than 1,280." Met(""), [rfc7915_icmp::section_4_2_the_size_in_packet_too_big];
        "Section 4.2: extensions" Must "The length attribute of RFC 4884 is adjusted; what has no room is left out." Met("also where ICMPv6 has no such attribute"), [rfc7915_icmp::section_4_2_extensions_are_kept_and_their_place_is_told, rfc7915_icmp::section_4_3_errors_stay_within_the_least_mtu];
        "Section 4.3" Must "The packet in error is translated, but for its hops; one that quotes another is dropped." Met("short ones too"), [rfc7915_icmp::section_4_3_the_packet_in_error_is_translated, rfc7915_icmp::section_4_3_a_fragment_in_error_has_its_fragment_header, rfc7915_icmp::section_4_3_an_error_in_an_error_is_dropped, rfc7915_icmp::section_4_3_errors_with_a_wrong_checksum_are_dropped];
        "Section 4.4" Should "A packet that is dropped is answered with 3/13, unless otherwise said; errors never." Met("whether and how often is left to whoever translates"), [rfc7915::section_4_5_udp_without_a_checksum_is_dropped_where_it_is_configured, rfc7915::section_4_1_a_source_route_with_places_to_go_is_refused];
        "Section 4.5: UDP" Should "UDP without a checksum is dropped, or gets one." Configurable("`udp_without_checksum`; it gets one by default"), [rfc7915::section_4_5_udp_without_a_checksum_gets_one, rfc7915::section_4_5_a_computed_zero_is_sent_as_all_ones, rfc7915::section_4_5_udp_without_a_checksum_is_dropped_where_it_is_configured];
        "Section 4.5: fragments of UDP" Should "A first fragment without a checksum is dropped." Met(""), [rfc7915::section_4_5_a_fragment_of_udp_without_a_checksum_is_dropped];
        "Section 4.5: transports" Must "All transports are forwarded." Met("but for numbers that name an extension header or ICMPv6 in IPv6, which no IPv4 host may forge"), [rfc7915::section_4_5_all_transports_are_forwarded];
        "Section 5.1: header" Must "The fields of the IPv4 header." Met(""), [rfc7915::section_5_1_the_header_to_ipv4];
        "Section 5.1: type of service" Should "It can be set instead of copied." Configurable("`type_of_service`"), [rfc7915::section_5_1_the_type_of_service_can_be_set];
        "Section 5.1: DF" Must "Set above 1,260 bytes, clear below." Met(""), [rfc7915::section_5_1_dont_fragment_is_set_above_1260_bytes];
        "Section 5.1: extension headers" Must "Hop-by-hop and destination options and finished Routing headers are skipped." Met("eight at most"), [rfc7915::section_5_1_extension_headers_are_skipped];
        "Section 5.1: Routing header" MustNot "One with segments left is translated; it is answered with 4/0." Met(""), [rfc7915::section_5_1_a_routing_header_with_segments_left_is_refused];
        "Section 5.1.1" Must "Offset, flag and identification go over, and DF is clear." Met(""), [rfc7915::section_5_1_1_fragments_keep_offset_flag_and_identification, rfc7915::section_5_1_1_a_whole_packet_with_a_fragment_header_keeps_its_identification];
        "Section 5.1.1: extension headers" Should "Behind a Fragment header they are dropped, but for ESP." Met(""), [rfc7915::section_5_1_1_an_extension_header_behind_the_fragment_header_is_refused];
        "Section 5.2: messages" Must "Echo is translated; all other messages are dropped in silence." Met(""), [rfc7915_icmp::section_5_2_informational_messages];
        "Section 5.2: errors" Must "Types, codes and pointers by the tables." Met(""), [rfc7915_icmp::section_5_2_every_type_and_code_of_errors];
        "Section 5.2: sizes" Must "Fragmentation needed tells the size that fits, with the Fragment header counted." Met(""), [rfc7915_icmp::section_5_2_the_size_in_fragmentation_needed];
        "Section 5.3" Must "The packet in error is translated, but for its hops." Met("short ones too"), [rfc7915_icmp::section_5_3_the_packet_in_error_is_translated, rfc7915_icmp::section_5_3_a_fragment_in_error_is_a_fragment, rfc7915_icmp::section_5_3_what_a_short_quotation_does_not_show_stays_hidden];
        "Section 5.5" Must "The checksums of TCP, UDP and ICMP are updated." Met("by difference: one that was wrong stays wrong"), [rfc7915::section_5_5_a_checksum_that_was_wrong_stays_wrong];
    }
    6146 {
        "Section 3.1" Must "Each transport has its table of bindings." Met(""), [rfc6146::section_3_1_each_transport_has_a_table_of_its_own];
        "Section 3.1: static" May "Bindings that are configured." Configurable("`static_mappings`"), [rfc6146::section_3_1_static_entries_work_both_ways];
        "Section 3.4: errors" Must "An ICMP error is known by the packet that it quotes." Met(""), [rfc6146::section_3_4_errors_are_known_by_what_they_quote];
        "Section 3.4: fragments" Must "Fragments are handled, out of order too, for at least two seconds, within bounds." Met(""), [rfc6146::section_3_4_fragments_pass_in_any_order_both_ways, rfc6146::section_5_3_what_waits_is_bounded];
        "Section 3.4: checksums" Must "UDP over IPv4 without a checksum gets one, where there are fragments by putting them together." Met("bounded by `unsummed`"), [rfc6146::section_3_4_udp_without_a_checksum_gets_one];
        "Section 3.4: protocols" Should "Another protocol is dropped and its sender told: ICMPv6 1/4, ICMP 3/2." Met("within `icmp_rate`"), [rfc6146::section_3_4_other_protocols_are_refused];
        "Section 3.5" Must "Only packets to the prefix and to the pool are translated; what comes from the prefix is dropped in silence." Met("and only subscribers' packets"), [rfc6146::section_3_5_what_is_translated_at_all];
        "Section 3.5.1: lifetime" Must "UDP sessions last at least two minutes, five by default." Met("`timers.udp`"), [rfc6146::section_3_5_1_udp_lasts_five_minutes_and_never_less_than_two];
        "Section 3.5.1: filtering" May "Filtering by the remote address." Configurable("`filtering`"), [rfc6146::section_3_5_1_filtering_by_address_is_a_choice];
        "Section 3.5.1.1" Should "A host has one IPv4 address; well-known ports are kept apart, parity is kept." Configurable("one address by `pooling`; parity by `preserve_parity`, off by default (RFC 7857 section 3); ports below 1024 are not given to anybody unless `port_range` has them"), [rfc6146::section_3_5_1_1_a_host_keeps_its_ipv4_address_and_ports_are_its_own];
        "Section 3.5.1.1: none left" Should "Who gets no mapping is told that the address is unreachable." Configurable("`icmp_refusal`"), [rfc6146::section_3_5_1_1_who_gets_no_mapping_is_told];
        "Section 3.5.2" Must "TCP sessions follow the state machine." Met(""), [rfc6146::section_3_5_2_tcp_has_its_states];
        "Section 3.5.2: probes" May "An established session that times out is probed." NotMet("no packet is made that neither end has sent"), [];
        "Section 3.5.2.2" Must "Simultaneous open; a SYN that is not expected is answered after six seconds." Met(""), [rfc6146::section_3_5_2_2_simultaneous_open];
        "Section 3.5.3" Must "ICMP queries have identifiers of their own, for 60 s by default." Met("`timers.icmp`"), [rfc6146::section_3_5_3_queries_have_identifiers_of_their_own];
        "Section 3.5.4" Must "Addresses by RFC 6052, with every prefix length." Met(""), [rfc6146::section_3_5_4_addresses_of_every_prefix_length];
        "Section 3.7" Must "Packets are translated as RFC 7915 says." Met(""), [rfc6146::section_3_7_packets_are_translated_as_rfc_7915_says, rfc6146::section_3_7_sizes_of_links, rfc6146::section_3_7_a_router_inside_lowers_what_a_remote_host_sends, rfc6146::section_3_7_a_source_route_is_refused_and_told];
        "Section 3.8" Must "Hairpinning." Met("of errors too"), [rfc6146::section_3_8_hairpinning];
        "Section 4" Must "The constants." Met(""), [rfc6146::section_4_constants_are_kept];
        "Section 5.2" Must "Mappings do not depend on the remote endpoint." Met("RFC 4787, RFC 5382 and RFC 5508 hold, their tests run through a NAT64 too (`modes.rs`)"), [rfc6146::section_5_2_mapping_does_not_depend_on_the_endpoint];
        "Section 5.3" Must "What waits is bounded." Met(""), [rfc6146::section_5_3_what_waits_is_bounded];
        "Section 5.4" Must "Nothing loops." Met(""), [rfc6146::section_3_5_what_is_translated_at_all];
        "(subscribers)" May "A subscriber is an IPv6 prefix, of 64 bits unless configured." Configurable("`subscribers`"), [rfc6146::a_subscriber_is_a_prefix];
        "(configuration)" Must "What cannot work is refused." Met(""), [rfc6146::what_cannot_work_is_refused];
    }
    6333 {
        "Section 6.2" Must "IPv4 in IPv6 as RFC 2473 has it." Met("extension headers are walked over, a tunnel in a tunnel is dropped"), [rfc6333::section_6_2_packets_come_and_go_in_ipv6, rfc6333::rfc_2473_extension_headers_are_walked_over_and_tunnels_in_tunnels_are_not, rfc6333::rfc_2473_what_lies_behind_the_packet_is_not_in_it];
        "Section 6.3: fragmentation" Must "What is too large for the link is cut after it was put into IPv6." Met("the IPv4 packet is never touched, whatever its don't fragment bit says"), [rfc6333::section_6_3_what_is_too_large_is_cut_outside];
        "Section 6.3: reassembly" Must "What a B4 has cut is put together." Met("bounded in number, bytes, time, and by softwire"), [rfc6333::section_6_3_what_was_cut_outside_is_put_together, rfc6333::section_6_3_fragments_are_bounded_and_kept_for_a_while];
        "Section 6.3: path MTU" May "A Packet Too Big lowers what is sent into a softwire (RFC 8201)." Configurable("`learn_mtu`, on by default: where it quotes what may have been sent, never below 1280, for ten minutes"), [rfc6333_icmp::rfc_8201_a_packet_too_big_lowers_what_is_sent_for_a_while, rfc6333_icmp::rfc_8201_what_nobody_sent_lowers_nothing];
        "Section 6.5" Should "ICMP errors into the softwire come from 192.0.0.1." Configurable("`own_address`"), [rfc6333_icmp::section_6_5_errors_come_from_the_well_known_address];
        "Section 6.6" Must "A mapping belongs to a softwire and an address behind it." Met(""), [rfc6333::section_6_6_one_address_behind_two_softwires, rfc6333::realms_may_have_the_same_softwires];
        "Section 7.1: errors" Must "An error inside a softwire is told to the original source (RFC 2473 section 8)." Met("as 3/1, where it quotes what may have been sent, within `icmp_rate`; a Packet Too Big is told to nobody: what is too large is cut (section 6.3)"), [rfc6333_icmp::rfc_2473_errors_in_a_softwire_are_told_to_the_original_source, rfc6333_icmp::rfc_2473_what_says_nothing_of_the_way_is_told_to_nobody];
        "Section 7.1" Must "Traffic classes are carried over both ways." Met("marks of congestion by RFC 6040"), [rfc6333::section_7_1_classes_are_carried_over_both_ways];
        "Section 8.2" Should "The translation keeps to RFC 4787, RFC 5382 and RFC 5508." Met("their tests run through softwires too (`modes.rs`)"), [rfc6333_icmp::section_8_2_errors_go_to_the_softwire_whose_packet_they_quote, rfc6333::section_8_2_hairpinning_leads_from_softwire_to_softwire];
        "Section 8.3" May "Application-level gateways." NotApplicable("there are none"), [];
        "Section 8.5" May "Ports are forwarded to a host behind a B4." Configurable("`static_mappings`"), [rfc6333::section_8_5_static_mappings_lead_into_a_softwire];
        "Section 11" Should "Only subscribers' softwires are taken, and only the addresses that may be behind them." Met("`softwires`, `inside`"), [rfc6333::section_11_only_softwires_of_subscribers_are_taken];
        "(segment size)" May "The TCP segment size is lowered." Configurable("`mss`"), [rfc6333::the_segment_size_can_be_lowered_both_ways];
        "(configuration)" Must "What cannot work is refused." Met(""), [rfc6333::what_cannot_work_is_refused];
    }
    7785 {
        "Section 3" Should "A subscriber is known by a prefix, of 56 bits unless configured." Configurable("`subscribers`"), [rfc6333::rfc_7785_recommendation_2_limits_are_by_prefix, rfc6333::rfc_7785_a_changed_b4_address_in_its_prefix_keeps_the_block];
        "Recommendation 2" Should "Limits are by prefix and not by softwire." Met(""), [rfc6333::rfc_7785_recommendation_2_limits_are_by_prefix];
    }
    7597 {
        "Section 5.1" Must "A port is whose port set identifier it holds." Met("also of one that is told beside the rule"), [rfc7597::section_5_3_each_port_finds_its_holder, rfc7597::section_5_2_a_psid_may_be_told_beside_the_rule];
        "Section 5.3" Must "Packets to a customer go to its MAP address, by address and port." Met(""), [rfc7597::section_5_3_each_port_finds_its_holder];
        "Section 7.2" Must "What is relayed comes from the relay's address, an anycast one too." Met(""), [rfc7597::section_7_2_the_relay_s_address_is_the_source_of_what_it_relays];
        "Section 8" Must "Encapsulation as RFC 2473 has it." Met("classes and marks of congestion are carried over (RFC 2983, RFC 6040)"), [rfc7597::section_8_packets_are_unwrapped_and_wrapped, rfc7597::rfc_2473_extension_headers_are_walked_over_and_tunnels_in_tunnels_dropped, rfc7597::rfc_2473_hops_are_counted_where_it_is_configured, rfc7597::rfc_2473_what_lies_behind_the_packet_is_not_in_it, rfc7597::rfc_6040_marks_of_congestion_are_carried_over];
        "Section 8: hairpinning" May "Packets from one customer to another pass the relay." Configurable("`hairpinning`, on by default"), [rfc7597::section_8_hairpinned_packets_are_wrapped_again];
        "Section 8.1: rule" Must "The longest match selects the rule." Met("by IPv4 address, in both directions: a port has one holder"), [rfc7597::section_8_1_the_longest_match_holds_in_both_directions, rfc7597::section_7_2_the_relay_s_address_is_the_source_of_what_it_relays];
        "Section 8.1: source" Must "A source that is not the customer's own is dropped in silence, and counted." Met("`refusals.spoofed` tells the customer instead; what shows no port passes for whole addresses only"), [rfc7597::section_8_1_a_source_that_is_not_the_customer_s_is_dropped_and_counted, rfc7597::section_8_1_where_it_is_configured_a_liar_is_told, rfc7597::section_8_1_an_error_s_source_and_what_it_quotes_are_checked, rfc7597_fragments::section_8_1_fragments_are_checked_by_their_first, rfc7597::section_8_1_from_the_outside_nobody_is_a_customer, rfc7597::section_8_what_has_no_ports_passes_for_whole_addresses_only];
        "Section 8.2: identifier" Must "An ICMP identifier is taken for a port." Met(""), [rfc7597::section_8_2_icmp_finds_its_customer, rfc7597::section_8_2_errors_in_pieces_are_dropped, rfc7597::section_8_1_a_source_that_is_not_the_customer_s_is_dropped_and_counted];
        "Section 8.2: errors" Should "Errors inside the tunnel are told to the original source (RFC 2473 section 8)." Met("where they quote what the relay may have sent"), [rfc7597::section_8_2_errors_inside_the_tunnel_are_told_to_the_original_source];
        "Section 8.3" May "The TCP segment size is lowered." Configurable("`mss`"), [rfc7597::section_8_3_the_segment_size_can_be_lowered];
        "Section 8.3.1" Must "What is too large for the domain is answered with DF, and cut in IPv6 without (RFC 2473 section 7.2)." Met("`honour_dont_fragment` off cuts it in any case"), [rfc7597_fragments::section_8_3_1_what_is_too_large_is_answered_or_cut_outside, rfc7597_fragments::section_8_3_1_what_was_cut_in_ipv6_is_put_together];
        "Section 8.3.1: path MTU" ShouldNot "A relay at an anycast address learns the path's MTU by default." Met("it never does: `mtu.inside` is configured"), [rfc7597::section_8_2_errors_inside_the_tunnel_are_told_to_the_original_source];
        "Section 8.3.2" Must "Fragments from the outside are put together, or forwarded by what their first one showed." Met("the latter; `followed` bounds them"), [rfc7597_fragments::section_8_3_2_later_fragments_follow_their_first, rfc7597_fragments::section_8_3_2_waiting_fragments_are_bounded, rfc7597_fragments::section_10_no_customer_takes_all_that_fragments_may_take, rfc7597_fragments::section_10_nothing_waits_for_strangers];
        "Section 8.3.3" May "A customer edge gives fragments an identification of its port set." NotApplicable("the customer edge's; the relay leaves it alone"), [rfc7597_fragments::section_8_3_3_what_leaves_is_cut_to_the_next_link];
    }
    7599 {
        "Section 5.1" Must "The Internet lies behind the default mapping rule's prefix, of 64 bits by default and 96 at most." Met("RFC 6052 section 3.1 is kept too"), [rfc7599::section_5_1_only_the_default_mapping_rule_s_prefix_leads_out, rfc7599::section_8_4_packets_become_ipv6, rfc7599::rfc_6052_no_private_address_behind_the_well_known_prefix];
        "Section 6" Must "The interface identifier of MAP, with the whole IPv4 address (erratum 5225)." Met(""), [rfc7599::section_6_a_prefix_of_ipv4_addresses_keeps_its_host_bits];
        "Section 8.3: source" Must "A source port outside the customer's range is dropped and counted." Met("and so is any other lie about the source"), [rfc7599::section_8_3_a_source_that_is_not_the_customer_s_is_dropped_counted_and_told, rfc7599::section_10_3_fragments_from_the_inside_are_checked_and_keep_their_identification];
        "Section 8.3: answer" Should "It is answered with ICMPv6 1/5." Configurable("`refusals.spoofed`, on by default, within `icmp_rate`"), [rfc7599::section_8_3_a_source_that_is_not_the_customer_s_is_dropped_counted_and_told, rfc7599::section_13_answers_keep_to_their_rate];
        "Section 8.3: translation" Must "Addresses by the rules, headers by RFC 7915." Met(""), [rfc7599::section_8_3_packets_become_ipv4];
        "Section 8.4" Must "To a customer by address and port, from the Internet's prefix." Met(""), [rfc7599::section_8_4_packets_become_ipv6, rfc7599::section_8_4_identifications_of_one_pair_do_not_repeat];
        "Section 9: identifier" Should "An ICMP identifier is taken for a port." Met(""), [rfc7599::section_8_4_packets_become_ipv6, rfc7599::section_9_other_icmp_messages_are_dropped];
        "Section 9: whole addresses" Must "Other ICMP for an address that is not shared goes by the address alone." Met("an error must quote a packet of that address"), [rfc7599::section_9_errors_about_a_whole_address_go_by_it_alone];
        "Section 9: shared addresses" Must "Other ICMP for a shared address goes by the address alone, too." NotMet("without a port that leads to whoever has the PSID 0, whosever packet it is about: another's path would stay too narrow, and he would be told whom another speaks to. An error goes by the port of the packet that it quotes, as RFC 7596 section 8.1 has it, and what shows none is dropped"), [rfc7599::section_9_errors_from_the_outside_find_their_customer, rfc7599::section_9_errors_about_a_whole_address_go_by_it_alone];
        "Section 9: errors" Must "ICMP is translated as RFC 7915 says." Met("routers without an IPv4 address have the relay's (RFC 6791)"), [rfc7599::section_9_errors_from_the_inside_are_translated_with_what_they_quote, rfc7599::section_9_packet_too_big_in_both_directions];
        "Section 10.1" Should "Fragmentation as RFC 7915 has it." Met(""), [rfc7599::section_10_1_what_may_be_cut_is_cut];
        "Section 10.2" Should "Fragments from the outside are put together, or forwarded by what their first one showed." Met("the latter"), [rfc7599::section_10_2_later_fragments_follow_their_first];
        "Section 12.2" May "Packets from one customer to another pass the relay." Configurable("`hairpinning`, on by default"), [rfc7599::section_12_2_hairpinned_packets_are_translated_twice];
    }
    7596 {
        "Section 6.1" Must "A binding has an IPv6 address, an IPv4 address and a port set." Met("sets of any form; a table in which a port has two holders is refused"), [rfc7596::section_6_1_no_port_has_two_holders, rfc7596::section_6_1_port_sets_of_any_form];
        "Section 6.1: lifetime" Must "The table follows the provisioning." NotMet("it is configured: a change takes a new relay, which loses nothing but fragments"), [];
        "Section 6.2: RFC 6333" Must "Encapsulation, fragmentation and traffic classes as the AFTR of DS-Lite has them." Met("but for what must not be cut, which is answered as RFC 2473 section 7.2 says; `honour_dont_fragment` off cuts it"), [rfc7596::rfc_6333_section_6_3_fragmentation_is_outside, rfc7597::section_8_packets_are_unwrapped_and_wrapped];
        "Section 6.2: outbound" Must "Only what matches a binding by both addresses and port is forwarded." Met(""), [rfc7596::section_6_2_what_matches_a_binding_is_forwarded, rfc7596::section_6_2_what_matches_none_is_dropped_counted_and_told];
        "Section 6.2: policy" May "What does not is answered with ICMPv6 1/5." Configurable("`refusals.spoofed`, on by default"), [rfc7596::section_6_2_what_matches_none_is_dropped_counted_and_told];
        "Section 6.2: inbound" Must "What matches none is dropped; it MAY be answered with 3/1." Configurable("`refusals.unreachable`, on by default"), [rfc7596::section_6_2_what_nobody_has_is_dropped_and_told];
        "Section 6.2: hairpinning" Must "Hairpinning, by choice." Configurable("`hairpinning`, on by default"), [rfc7596::section_6_2_hairpinning_by_choice, rfc7596::section_6_2_hairpinned_fragments_find_their_way];
        "Section 8" Must "ICMPv6 as RFC 2473 has it." Met(""), [rfc7596::section_8_icmpv6_errors_are_handled_as_rfc_2473_says, rfc7597::section_8_2_errors_inside_the_tunnel_are_told_to_the_original_source];
        "Section 8.1: queries" Must "A query goes by its identifier." Met("timestamp, information and address mask queries do, too, which the RFC would drop"), [rfc7596::section_8_1_queries_by_their_identifier];
        "Section 8.1: errors" Must "An error goes by the source port of what it quotes." Met(""), [rfc7596::section_8_1_errors_by_what_they_quote];
        "Section 8.1: others" Must "All other messages are dropped." Met(""), [rfc7596::section_8_1_all_other_messages_are_dropped];
        "Section 9" Must "ICMPv6 errors are limited in their rate." Configurable("`icmp_rate`"), [rfc7596::section_9_answers_keep_to_their_rate];
    }
}
