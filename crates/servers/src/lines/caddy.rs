//! Caddy's access log.
//!
//! `remote_ip` and `remote_port` are of who connected (`remote_addr` before Caddy 2.5); `client_ip`,
//! which Caddy 2.7 adds, is who that speaks for by Caddy's own `trusted_proxies`, and has no port.

use std::{borrow::Cow, time::Duration};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{END, Family, Row, set_endpoint, set_side, set_time, text};
use crate::{
    Header, Reason,
    fields::{Fields, Side, Times},
    forwarded::Headers,
};

/// Caddy's lines.
#[derive(Debug)]
pub(super) struct Caddy;

impl Family for Caddy {
    type Row<'a> = Line<'a>;
}

#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    ts: &'a RawValue,
    #[serde(borrow)]
    request: Request<'a>,
    duration: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    remote_ip: Option<Cow<'a, str>>,
    #[serde(borrow)]
    remote_port: Option<Cow<'a, str>>,
    #[serde(borrow)]
    remote_addr: Option<Cow<'a, str>>,
    #[serde(borrow)]
    client_ip: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    headers: ForwardedHeaders<'a>,
}

/// A header that came several times has several values.
#[derive(Debug, Default, Deserialize)]
struct ForwardedHeaders<'a> {
    #[serde(borrow, rename = "Forwarded")]
    forwarded: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, rename = "X-Forwarded-For")]
    forwarded_for: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, rename = "X-Real-Ip")]
    real_ip: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, rename = "Client-Ip")]
    client_ip: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, rename = "X-Forwarded-Port")]
    forwarded_port: Option<Vec<Cow<'a, str>>>,
}

impl<'a> Row<'a> for Line<'a> {
    fn fill<'b>(&'b self, fields: &mut Fields, headers: &mut Headers<'b>) -> Result<Times, Reason> {
        set_time(&mut fields.end, text(self.ts))?;
        let request = &self.request;
        let side = match (&request.client_ip, &request.remote_ip) {
            (Some(client), Some(remote)) if client != remote => {
                set_side(fields, Side::Remote, client, None)?;
                Side::Hop
            }
            _ => Side::Remote,
        };
        match (&request.remote_ip, &request.remote_addr) {
            (Some(address), _) => set_side(fields, side, address, request.remote_port.as_deref())?,
            (None, Some(endpoint)) => set_endpoint(fields, side, endpoint)?,
            (None, None) => {}
        }
        fields.duration = self
            .duration
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(|duration| (duration, Duration::from_micros(1)));
        let all = &request.headers;
        for (header, values) in [
            (Header::Forwarded, &all.forwarded),
            (Header::ForwardedFor, &all.forwarded_for),
            (Header::RealIp, &all.real_ip),
            (Header::ClientIp, &all.client_ip),
            (Header::ForwardedPort, &all.forwarded_port),
        ] {
            if let Some(values) = values {
                headers.set(header, Cow::Owned(values.join(", ").into_bytes()));
            }
        }
        Ok(END)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn every_way_of_naming_the_client() {
        insta::assert_snapshot!(read_lines(
            "caddy",
            None,
            &[
                r#"{"level":"info","ts":1795977150.0999742,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"203.0.113.7","remote_port":"2026","proto":"HTTP/1.1","uri":"/","headers":{"User-Agent":["\"remote_port\":\"4242\""]}},"duration":0.001061964,"status":200}"#,
                r#"{"ts":1795977150.5,"request":{"remote_addr":"[2001:db8::7]:49152"},"duration":2.5}"#,
                r#"{"ts":"2026-11-29T13:32:42.420-0500","request":{"remote_ip":"192.0.2.9","remote_port":"4242","client_ip":"203.0.113.7"}}"#,
                r#"{"ts":"2026-11-29T13:32:42.420-0500","request":{"remote_ip":"203.0.113.7","remote_port":"49152","client_ip":"203.0.113.7"}}"#,
                r#"{"ts":"2026/11/29 13:32:42.420","request":{"remote_ip":"203.0.113.7","remote_port":"49152"}}"#,
                r#"{"ts":1795977150.5,"request":{"remote_ip":"203.0.113.7","remote_port":"49152","remote_port":"4242"}}"#,
                r#"{"ts":1795977150.5,"request":{"remote_ip":"203.0.113.7","remote_port":"70000"}}"#,
                r#"{"ts":"yesterday","request":{"remote_ip":"203.0.113.7","remote_port":"49152"}}"#,
                r#"{"ts":1795977150.5,"msg":"no request"}"#,
            ],
        ));
    }
}
