//! Envoy's access log as JSON. Its keys are the operator's; these are the ones that Istio and
//! Envoy's own examples use.

use std::{borrow::Cow, time::Duration};

use portledger_model::Moment;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Family, Row, set_destination, set_endpoint, set_header, set_time, text};
use crate::{
    Header, Reason,
    fields::{Fields, Side, Times},
    forwarded::Headers,
    time::Written,
};

/// Envoy's lines.
#[derive(Debug)]
pub(super) struct Envoy;

impl Family for Envoy {
    type Row<'a> = Line<'a>;
}

#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    start_time: Cow<'a, str>,
    #[serde(borrow)]
    downstream_remote_address: Option<Cow<'a, str>>,
    #[serde(borrow)]
    downstream_direct_remote_address: Option<Cow<'a, str>>,
    #[serde(borrow)]
    downstream_local_address: Option<Cow<'a, str>>,
    #[serde(borrow)]
    duration: Option<&'a RawValue>,
    #[serde(borrow)]
    x_forwarded_for: Option<Cow<'a, str>>,
    #[serde(borrow)]
    forwarded: Option<Cow<'a, str>>,
}

impl<'a> Row<'a> for Line<'a> {
    fn fill<'b>(&'b self, fields: &mut Fields, headers: &mut Headers<'b>) -> Result<Times, Reason> {
        set_time(&mut fields.start, &self.start_time)?;
        // START_TIME is in UTC, whatever form the operator gave it.
        fields.start.zone = fields.start.zone.or(Some(Written::Utc));
        for (side, endpoint) in [
            (Side::Remote, &self.downstream_remote_address),
            (Side::Hop, &self.downstream_direct_remote_address),
        ] {
            if let Some(endpoint) = endpoint {
                set_endpoint(fields, side, endpoint)?;
            }
        }
        if let Some(endpoint) = &self.downstream_local_address {
            set_destination(fields, endpoint);
        }
        let step = Duration::from_millis(1);
        fields.duration = self
            .duration
            .and_then(|value| text(value).parse().ok())
            .map(|millis| (Duration::from_millis(millis), step));
        for (header, value) in [
            (Header::ForwardedFor, &self.x_forwarded_for),
            (Header::Forwarded, &self.forwarded),
        ] {
            if let Some(value) = value {
                set_header(headers, header, value);
            }
        }
        Ok(Times::Start(Moment::RequestStart))
    }
}
