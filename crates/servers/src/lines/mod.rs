//! Lines that no format string describes: a file each server, or each kind of table.

mod apache_error;
mod connection;
mod csv;
mod sshd;
mod syslog;

use std::fmt;

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
        name: "connection",
        about: "one connection a line, as portledger watch writes it: epoch_ms ip port server_ip server_port request_id",
        start: || Box::new(connection::Connection::new()),
    },
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
        name: "csv",
        about: "a table with a header: address, port, time and, where known, transport and destination",
        start: || Box::new(csv::Table::default()),
    },
];
