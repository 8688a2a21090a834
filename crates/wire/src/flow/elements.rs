//! Numbers of the IANA registry "IP Flow Information Export (IPFIX) Entities" that NAT logs use.
//!
//! NetFlow v9 has the same numbers for what it shares with IPFIX (RFC 7012 §4).

/// Of which kind a record's field is: an enterprise (0 is IANA) and a number.
pub(super) const IANA: u32 = 0;
/// The fields of a NetFlow v9 scope are numbered apart (RFC 3954 §6.1) and mean nothing here.
pub(super) const V9_SCOPE: u32 = u32::MAX;
/// Nokia (once TiMetra), whose NATs tell the inside in elements of their own.
pub(super) const NOKIA: u32 = 637;

pub(super) const PROTOCOL_IDENTIFIER: u16 = 4;
pub(super) const SOURCE_TRANSPORT_PORT: u16 = 7;
pub(super) const SOURCE_IPV4_ADDRESS: u16 = 8;
pub(super) const DESTINATION_TRANSPORT_PORT: u16 = 11;
pub(super) const DESTINATION_IPV4_ADDRESS: u16 = 12;
pub(super) const FLOW_END_SYS_UP_TIME: u16 = 21;
pub(super) const FLOW_START_SYS_UP_TIME: u16 = 22;
pub(super) const SOURCE_IPV6_ADDRESS: u16 = 27;
pub(super) const DESTINATION_IPV6_ADDRESS: u16 = 28;
pub(super) const SOURCE_IPV6_PREFIX_LENGTH: u16 = 29;
pub(super) const APPLICATION_DESCRIPTION: u16 = 94;
pub(super) const FLOW_END_REASON: u16 = 136;
pub(super) const OBSERVATION_DOMAIN_ID: u16 = 149;
pub(super) const FLOW_START_SECONDS: u16 = 150;
pub(super) const FLOW_END_SECONDS: u16 = 151;
pub(super) const FLOW_START_MILLISECONDS: u16 = 152;
pub(super) const FLOW_END_MILLISECONDS: u16 = 153;
pub(super) const FLOW_START_MICROSECONDS: u16 = 154;
pub(super) const FLOW_END_MICROSECONDS: u16 = 155;
pub(super) const FLOW_START_NANOSECONDS: u16 = 156;
pub(super) const FLOW_END_NANOSECONDS: u16 = 157;
pub(super) const FLOW_START_DELTA_MICROSECONDS: u16 = 158;
pub(super) const FLOW_END_DELTA_MICROSECONDS: u16 = 159;
pub(super) const SYSTEM_INIT_TIME_MILLISECONDS: u16 = 160;
pub(super) const POST_NAT_SOURCE_IPV4_ADDRESS: u16 = 225;
pub(super) const POST_NAT_DESTINATION_IPV4_ADDRESS: u16 = 226;
pub(super) const POST_NAPT_SOURCE_TRANSPORT_PORT: u16 = 227;
pub(super) const POST_NAPT_DESTINATION_TRANSPORT_PORT: u16 = 228;
pub(super) const NAT_EVENT: u16 = 230;
pub(super) const FIREWALL_EVENT: u16 = 233;
pub(super) const INGRESS_VRF_ID: u16 = 234;
pub(super) const POST_NAT_SOURCE_IPV6_ADDRESS: u16 = 281;
pub(super) const POST_NAT_DESTINATION_IPV6_ADDRESS: u16 = 282;
pub(super) const NAT_POOL_ID: u16 = 283;
pub(super) const OBSERVATION_TIME_SECONDS: u16 = 322;
pub(super) const OBSERVATION_TIME_MILLISECONDS: u16 = 323;
pub(super) const OBSERVATION_TIME_MICROSECONDS: u16 = 324;
pub(super) const OBSERVATION_TIME_NANOSECONDS: u16 = 325;
pub(super) const PORT_RANGE_START: u16 = 361;
pub(super) const PORT_RANGE_END: u16 = 362;
pub(super) const PORT_RANGE_STEP_SIZE: u16 = 363;
pub(super) const PORT_RANGE_NUM_PORTS: u16 = 364;
pub(super) const NAT_INSTANCE_ID: u16 = 463;
pub(super) const INTERNAL_ADDRESS_REALM: u16 = 464;
pub(super) const NAT_QUOTA_EXCEEDED_EVENT: u16 = 466;
pub(super) const NAT_THRESHOLD_EVENT: u16 = 467;

/// Nokia: the service the subscriber is in.
pub(super) const NOKIA_INSIDE_SERVICE: u16 = 91;
/// Nokia: the subscriber, as `NAME@ADDRESS`.
pub(super) const NOKIA_SUBSCRIBER: u16 = 93;
