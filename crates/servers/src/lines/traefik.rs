//! Traefik's access log as JSON, after its documentation: `StartUTC` is when the request came, and
//! `Duration`, in nanoseconds, how long it took.

use std::{borrow::Cow, time::Duration};

use portledger_model::Moment;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Family, Row, set_endpoint, set_header, set_side, set_time, text};
use crate::{
    Header, Reason,
    fields::{Fields, Side, Times},
    forwarded::Headers,
    time::Fraction,
};

/// Traefik's lines.
#[derive(Debug)]
pub(super) struct Traefik;

impl Family for Traefik {
    type Row<'a> = Line<'a>;
}

#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow, rename = "ClientAddr")]
    endpoint: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "ClientHost")]
    address: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "ClientPort")]
    port: Option<&'a RawValue>,
    #[serde(borrow, rename = "StartUTC")]
    start: Cow<'a, str>,
    #[serde(rename = "Duration")]
    nanoseconds: Option<u64>,
    #[serde(borrow, rename = "request_Forwarded")]
    forwarded: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "request_X-Forwarded-For")]
    forwarded_for: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "request_X-Real-Ip")]
    real_ip: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "request_X-Forwarded-Port")]
    forwarded_port: Option<Cow<'a, str>>,
}

impl<'a> Row<'a> for Line<'a> {
    fn fill<'b>(&'b self, fields: &mut Fields, headers: &mut Headers<'b>) -> Result<Times, Reason> {
        set_time(&mut fields.start, &self.start)?;
        // Go leaves out the zeros at the end of a fraction: it is always exact.
        fields.start.fraction = Some(Fraction {
            micros: fields.start.fraction.map_or(0, |fraction| fraction.micros),
            step: Duration::from_micros(1),
        });
        match (&self.endpoint, &self.address) {
            (Some(endpoint), _) => set_endpoint(fields, Side::Remote, endpoint)?,
            (None, Some(address)) => {
                set_side(fields, Side::Remote, address, self.port.map(text))?;
            }
            (None, None) => {}
        }
        let step = Duration::from_micros(1);
        fields.duration = self
            .nanoseconds
            .map(|nanoseconds| (Duration::from_nanos(nanoseconds), step));
        for (header, value) in [
            (Header::Forwarded, &self.forwarded),
            (Header::ForwardedFor, &self.forwarded_for),
            (Header::RealIp, &self.real_ip),
            (Header::ForwardedPort, &self.forwarded_port),
        ] {
            if let Some(value) = value {
                set_header(headers, header, value);
            }
        }
        Ok(Times::Start(Moment::RequestStart))
    }
}
