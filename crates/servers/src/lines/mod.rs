//! Lines that no format string describes: a file each server, or each kind of table.

mod apache_error;
mod caddy;
mod csv;
mod envoy_json;
mod haproxy;
mod json;
mod sshd;
mod syslog;
mod traefik;
mod w3c;

use std::fmt;

pub(crate) use haproxy::BehindSyslog;

use crate::{Options, reader::Outcome};

/// Reads the lines of one log, in order, and may remember what earlier ones said: of a table its
/// header, of a session its endpoint.
pub(crate) trait Lines: fmt::Debug + Send {
    /// Reads one line without its end, which is not blank. What is remembered is bounded, whatever
    /// the lines are.
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome;
}

/// A format of lines that are read by code of their own.
#[derive(Debug)]
pub(crate) struct Own {
    /// What `--format` calls it.
    pub(crate) name: &'static str,
    /// What it is, for people.
    pub(crate) about: &'static str,
    /// A reader for one log.
    pub(crate) start: fn() -> Box<dyn Lines>,
}

/// All of them.
pub(crate) const OWN: &[Own] = &[
    Own {
        name: "apache-error",
        about: "Apache httpd's error log, which has [client address:port] by default; needs a zone",
        start: || Box::new(apache_error::ApacheError),
    },
    Own {
        name: "sshd",
        about: "OpenSSH through journald, rsyslog or -E; needs a zone where its lines have none",
        start: || Box::new(sshd::Sshd),
    },
    Own {
        name: "haproxy",
        about: "HAProxy's own formats, mixed or not, behind a syslog header or without; needs a zone",
        start: || Box::new(haproxy::HaProxy::new()),
    },
    Own {
        name: "caddy",
        about: "Caddy's access log (JSON), which has the port",
        start: || Box::new(json::Rows::<caddy::Caddy>::default()),
    },
    Own {
        name: "traefik-json",
        about: "Traefik's access log as JSON, which has the port",
        start: || Box::new(json::Rows::<traefik::Traefik>::default()),
    },
    Own {
        name: "envoy-json",
        about: "Envoy's access log as JSON with the usual keys (start_time, downstream_remote_address)",
        start: || Box::new(json::Rows::<envoy_json::Envoy>::default()),
    },
    Own {
        name: "iis",
        about: "IIS's W3C log; the port by a custom field of REMOTE_PORT, named by --port-field",
        start: || Box::new(w3c::Table::new(w3c::Flavour::Iis)),
    },
    Own {
        name: "httperr",
        about: "HTTP.sys's error log, which has the port",
        start: || Box::new(w3c::Table::new(w3c::Flavour::HttpErr)),
    },
    Own {
        name: "cloudfront",
        about: "Amazon CloudFront's standard log, which has the port",
        start: || Box::new(w3c::Table::new(w3c::Flavour::CloudFront)),
    },
    Own {
        name: "csv",
        about: "a table with a header: address, port, time and, where known, transport and destination",
        start: || Box::new(csv::Table::default()),
    },
];
