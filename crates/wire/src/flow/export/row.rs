//! An event as the fields of its record.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portledger_model::{Internal, Level, PortRange, Realm, Subscriber, Timestamp};

use super::{ExportError, ExportSettings, Precision};
use crate::{
    EventTime, Holding, Kind, NatEvent, Phase, Told,
    flow::{clock::to_ntp_micros, elements::*, life},
};

/// The value of a field.
#[derive(Debug)]
pub(super) enum Value {
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Realm(Realm),
    Text(String),
    /// Always the same text.
    Note(&'static str),
}

/// The fields of one record, in the order of its template. Kept from record to record.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) fields: Vec<(u16, Value)>,
    pub(super) is_options: bool,
}

impl Row {
    /// Writes an event over what was there.
    pub(super) fn fill(
        &mut self,
        event: &NatEvent,
        settings: ExportSettings,
    ) -> Result<(), ExportError> {
        self.fields.clear();
        let (EventTime::Told(at) | EventTime::Late { told: at, .. }) = event.at else {
            return Err(ExportError::NoTime);
        };
        let life = life::life_text(&event.told);
        self.is_options = life.is_some();
        if life.is_some() {
            self.put(OBSERVATION_DOMAIN_ID, Value::U32(settings.domain));
        }
        let precision = settings.precision;
        let (element, time) = match precision {
            Precision::Milliseconds => (OBSERVATION_TIME_MILLISECONDS, time(at, precision)?),
            Precision::Microseconds => (OBSERVATION_TIME_MICROSECONDS, time(at, precision)?),
        };
        self.put(element, Value::U64(time));
        match (&event.told, life) {
            (_, Some(life)) => self.put(APPLICATION_DESCRIPTION, Value::Text(life)),
            (Told::Ports(holding), None) => self.holding(at, holding, precision)?,
            (
                Told::Address {
                    phase,
                    subscriber,
                    external,
                },
                None,
            ) => {
                self.event(if *phase == Phase::Ended { 15 } else { 14 });
                self.inside(Some(subscriber))?;
                self.note_softwire(Some(subscriber));
                self.outside(*external)?;
                if *phase == Phase::Held {
                    self.since(0, precision);
                }
            }
            (
                Told::PoolExhausted {
                    pool,
                    blocks,
                    resting,
                },
                None,
            ) => {
                self.event(12);
                self.pool(*pool, &[("blocks", *blocks), ("resting", *resting)]);
            }
            (
                Told::PoolThreshold {
                    level,
                    pool,
                    in_use,
                    blocks,
                },
                None,
            ) => {
                self.event(18);
                let threshold = match level {
                    Level::High => 1,
                    Level::Low => 2,
                };
                self.put(NAT_THRESHOLD_EVENT, Value::U32(threshold));
                self.pool(*pool, &[("in_use", *in_use), ("blocks", *blocks)]);
            }
            (Told::LimitReached { subscriber, limit }, None) => {
                self.event(13);
                // RFC 8158 §4.2: 3 is the maximum of entries per user, 1 the device's of sessions.
                let quota = if subscriber.is_some() { 3 } else { 1 };
                self.put(NAT_QUOTA_EXCEEDED_EVENT, Value::U32(quota));
                self.inside(subscriber.as_ref())?;
                let text = life::limit_text(*limit, is_softwire(subscriber.as_ref()));
                self.put(APPLICATION_DESCRIPTION, Value::Text(text));
            }
            (Told::Rule { .. } | Told::RuleEnded(_), None) => return Err(ExportError::Rule),
            // A life event has its text.
            (Told::Started(_) | Told::Stopped | Told::Heartbeat | Told::Lost { .. }, None) => {}
        }
        Ok(())
    }

    fn holding(
        &mut self,
        at: Timestamp,
        holding: &Holding,
        precision: Precision,
    ) -> Result<(), ExportError> {
        let subscriber = holding.subscriber.as_ref();
        // A softwire's translation is one of IPv4 to IPv4.
        let is_nat64 = subscriber.is_some_and(|of| matches!(of.internal(), Internal::Prefix(_)));
        let created = match (holding.kind, is_nat64) {
            (Kind::Block, _) => 16,
            (Kind::Session { .. }, false) => 4,
            (Kind::Session { .. }, true) => 6,
            (Kind::Mapping { .. }, false) => 8,
            (Kind::Mapping { .. }, true) => 10,
        };
        self.event(created + u8::from(holding.phase == Phase::Ended));
        self.inside(subscriber)?;
        self.note_softwire(subscriber);
        self.outside(holding.external)?;
        // Whoever knows single ports only reads 227; what is more than one port cannot stand there.
        if holding.kind == Kind::Block || holding.ports.count() > 1 {
            self.range(holding.ports);
        } else {
            let port = Value::U16(holding.ports.first());
            self.put(POST_NAPT_SOURCE_TRANSPORT_PORT, port);
        }
        let since = match (holding.phase, holding.since) {
            (Phase::Begun, None) | (Phase::Ended, None) => None,
            (Phase::Begun, Some(since)) if since == at => None,
            (Phase::Held | Phase::Ended, Some(since)) if since <= at => {
                Some(time(since, precision)?)
            }
            (_, Some(since)) => return Err(ExportError::Since { at, since }),
            (Phase::Held, None) => Some(0),
        };
        if let Some(since) = since {
            self.since(since, precision);
        }
        if let Some(transport) = holding.transport {
            let number = transport.protocol_number();
            self.put(PROTOCOL_IDENTIFIER, Value::U8(number));
        }
        let (internal_port, destination) = match holding.kind {
            Kind::Block => (None, None),
            Kind::Mapping { internal_port } => (internal_port, None),
            Kind::Session {
                internal_port,
                destination,
            } => (internal_port, destination),
        };
        if let Some(port) = internal_port {
            self.put(SOURCE_TRANSPORT_PORT, Value::U16(port));
        }
        if let Some(destination) = destination {
            let elements = (DESTINATION_IPV4_ADDRESS, DESTINATION_IPV6_ADDRESS);
            self.address(destination.ip(), elements)?;
            self.put(DESTINATION_TRANSPORT_PORT, Value::U16(destination.port()));
        }
        Ok(())
    }

    /// All four: some collectors read begin and end, some begin, step and number.
    fn range(&mut self, ports: PortRange) {
        self.put(PORT_RANGE_START, Value::U16(ports.first()));
        self.put(PORT_RANGE_END, Value::U16(ports.last()));
        self.put(PORT_RANGE_STEP_SIZE, Value::U16(1));
        // All 65,536 do not fit, and 0 is "not told".
        let count = u16::try_from(ports.count()).unwrap_or(0);
        self.put(PORT_RANGE_NUM_PORTS, Value::U16(count));
    }

    fn event(&mut self, number: u8) {
        self.put(NAT_EVENT, Value::U8(number));
    }

    fn since(&mut self, value: u64, precision: Precision) {
        let element = match precision {
            Precision::Milliseconds => FLOW_START_MILLISECONDS,
            Precision::Microseconds => FLOW_START_MICROSECONDS,
        };
        self.put(element, Value::U64(value));
    }

    fn inside(&mut self, subscriber: Option<&Subscriber>) -> Result<(), ExportError> {
        let Some(subscriber) = subscriber else {
            return Ok(());
        };
        let elements = (SOURCE_IPV4_ADDRESS, SOURCE_IPV6_ADDRESS);
        let internal = subscriber.internal();
        self.address(internal.network(), elements)?;
        if let Some(prefix) = internal.prefix().filter(|prefix| !prefix.is_address()) {
            self.put(SOURCE_IPV6_PREFIX_LENGTH, Value::U8(prefix.length()));
        }
        if subscriber.realm().as_str() != DEFAULT_REALM {
            let realm = Value::Realm(subscriber.realm().clone());
            self.put(INTERNAL_ADDRESS_REALM, realm);
        }
        Ok(())
    }

    /// No element says it.
    fn note_softwire(&mut self, subscriber: Option<&Subscriber>) {
        if is_softwire(subscriber) {
            self.put(APPLICATION_DESCRIPTION, Value::Note(life::SOFTWIRE));
        }
    }

    fn outside(&mut self, external: Ipv4Addr) -> Result<(), ExportError> {
        let elements = (POST_NAT_SOURCE_IPV4_ADDRESS, POST_NAT_SOURCE_IPV6_ADDRESS);
        self.address(IpAddr::V4(external), elements)
    }

    fn address(&mut self, address: IpAddr, (v4, v6): (u16, u16)) -> Result<(), ExportError> {
        if address.is_unspecified() {
            return Err(ExportError::ZeroAddress);
        }
        match address {
            IpAddr::V4(address) => self.put(v4, Value::V4(address)),
            IpAddr::V6(address) => self.put(v6, Value::V6(address)),
        }
        Ok(())
    }

    fn pool(&mut self, pool: Option<u32>, numbers: &[(&str, Option<u32>)]) {
        if let Some(pool) = pool {
            self.put(NAT_POOL_ID, Value::U32(pool));
        }
        if numbers.iter().any(|(_, number)| number.is_some()) {
            let text = life::pool_text(numbers);
            self.put(APPLICATION_DESCRIPTION, Value::Text(text));
        }
    }

    fn put(&mut self, element: u16, value: Value) {
        self.fields.push((element, value));
    }
}

fn is_softwire(subscriber: Option<&Subscriber>) -> bool {
    subscriber.is_some_and(|subscriber| subscriber.internal().is_softwire())
}

/// The name of [`Realm::default`], which is left out.
const DEFAULT_REALM: &str = "default";

/// A time as its field holds it; 0 would be "not told".
fn time(at: Timestamp, precision: Precision) -> Result<u64, ExportError> {
    let value = match precision {
        Precision::Milliseconds => u64::try_from(at.as_millis()).ok(),
        Precision::Microseconds => to_ntp_micros(at),
    };
    let last = Timestamp::from_secs(4_233_600_000);
    value
        .filter(|value| *value != 0 && at > Timestamp::EPOCH && at < last)
        .ok_or(ExportError::Time(at))
}
