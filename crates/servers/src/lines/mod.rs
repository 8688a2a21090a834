//! Lines that no format string describes: a file each server, or each kind of table.

mod abuse;
mod apache_error;
mod caddy;
mod connection;
mod csv;
mod database;
mod directory;
mod dns;
mod entry;
mod envoy_json;
mod ftp;
mod haproxy;
mod json;
mod mail;
mod other;
mod programs;
mod session;
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

    /// What the column is called that was taken for the port's, where operators call it what they
    /// like.
    fn port_column(&self) -> Option<&str> {
        None
    }

    /// What the lines add up to at their end, where a sighting takes more than one.
    fn end(&mut self, _: &Options) -> Option<Outcome> {
        None
    }
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

pub(crate) use abuse::MARKS;
pub(crate) use database::postgresql_prefix::Prefixed;
pub(crate) use ftp::proftpd;
pub(crate) use programs::{EVERY, is_of_syslog};
pub(crate) use syslog::header as syslog_header;

use programs::Syslog;

/// All of them.
pub(crate) const OWN: &[Own] = &[
    Own {
        name: "connection",
        about: "one connection a line, as portledger watch writes it, into files or through syslog: epoch_ms ip port server_ip server_port request_id",
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
    Own {
        name: EVERY,
        about: "a syslog file of several programs, each line read by whose it is: sshd, portledger watch and the mail, database, DNS, FTP and LDAP servers below that have a syslog form",
        start: || Box::new(Syslog::of(programs::KNOWN)),
    },
    Own {
        name: "postfix",
        about: "Postfix through syslog: the port with smtpd_client_port_logging, and always of postscreen",
        start: || Box::new(Syslog::of(&[mail::postfix::KNOWN])),
    },
    Own {
        name: "sendmail",
        about: "sendmail through syslog: the port in the Port_Stat lines of RFC 7768, Appendix A.3",
        start: || Box::new(Syslog::of(&[mail::sendmail::KNOWN])),
    },
    Own {
        name: "exim",
        about: "Exim's main log, or Exim through syslog: the port with +incoming_port; needs a zone without log_timezone",
        start: || Box::new(mail::exim::MainLog::new()),
    },
    Own {
        name: "dovecot",
        about: "Dovecot through syslog: the port and the time of the connect from the session's id, by default",
        start: || Box::new(Syslog::of(&[mail::dovecot::KNOWN])),
    },
    Own {
        name: "cyrus",
        about: "Cyrus IMAP through syslog: the port in its event notifications, of logins that succeed",
        start: || Box::new(Syslog::of(&[mail::cyrus::KNOWN])),
    },
    Own {
        name: "uw-imap",
        about: "UW IMAP through syslog: no port",
        start: || Box::new(Syslog::of(&[mail::uw_imap::KNOWN])),
    },
    Own {
        name: "exchange-smtp",
        about: "Exchange's SMTP receive protocol log",
        start: || Box::<mail::exchange::ReceiveLog>::default(),
    },
    Own {
        name: "postgresql",
        about: "PostgreSQL's log with the prefix '%m [%p] ' or Debian's, or through syslog: the client from log_connections; another prefix as postgresql:PREFIX",
        start: || Box::new(database::postgresql::Log::new()),
    },
    Own {
        name: "postgresql-csv",
        about: "PostgreSQL's csvlog, which has the port by default",
        start: || Box::<database::postgresql_tables::Csv>::default(),
    },
    Own {
        name: "postgresql-json",
        about: "PostgreSQL's jsonlog, which has the port by default",
        start: || Box::new(database::postgresql_tables::Json),
    },
    Own {
        name: "mariadb-audit",
        about: "the file of MariaDB's server_audit: the port since 12.0; needs a zone",
        start: || Box::<database::mariadb::Audit>::default(),
    },
    Own {
        name: "mysql-error",
        about: "MariaDB's and MySQL's error log: failed logins, no port; MariaDB's needs a zone",
        start: || Box::new(database::mariadb::ErrorLog),
    },
    Own {
        name: "mssql-errorlog",
        about: "Microsoft SQL Server's ERRORLOG: failed logins, no port; needs a zone",
        start: || Box::new(database::mssql::ErrorLog),
    },
    Own {
        name: "oracle-listener",
        about: "Oracle's listener log, text or XML; needs a zone where no line with an offset stands above",
        start: || Box::<database::oracle::ListenerLog>::default(),
    },
    Own {
        name: "bind",
        about: "BIND's channels or BIND through syslog: queries (querylog yes) and what it denies; needs a zone without iso8601-utc or syslog",
        start: || Box::new(dns::bind::Log::new()),
    },
    Own {
        name: "proftpd",
        about: "ProFTPD's SystemLog or ProFTPD through syslog: no port; an ExtendedLog as proftpd:FORMAT; needs a zone",
        start: || Box::new(proftpd::SystemLog::new()),
    },
    Own {
        name: "vsftpd",
        about: "vsftpd's own log: no port; needs a zone (GMT without use_localtime)",
        start: || Box::new(ftp::vsftpd::Log::new()),
    },
    Own {
        name: "pure-ftpd",
        about: "pure-ftpd through syslog: no port",
        start: || Box::new(Syslog::of(&[ftp::pure_ftpd::KNOWN])),
    },
    Own {
        name: "slapd",
        about: "OpenLDAP's slapd through syslog at loglevel stats: connections, and the logins on them",
        start: || Box::new(Syslog::of(&[directory::slapd::KNOWN])),
    },
    Own {
        name: "mosquitto",
        about: "Mosquitto's log; needs a zone with log_timestamp_format",
        start: || Box::new(other::mosquitto::Log),
    },
    Own {
        name: "redis",
        about: "Redis at loglevel verbose; needs a zone",
        start: || Box::new(other::redis::Log),
    },
    Own {
        name: "memcached",
        about: "what memcached sends after 'watch connevents'",
        start: || Box::new(other::memcached::Watch),
    },
    Own {
        name: "arf",
        about: "abuse reports by mail (RFC 5965), with the Source-Port of RFC 6692: one, a mailbox, or the feedback report alone",
        start: || Box::<abuse::arf::Arf>::default(),
    },
    Own {
        name: "xarf",
        about: "abuse reports in X-ARF: JSON of version 4 and before, one or many, or the older mail",
        start: || Box::<abuse::xarf::Xarf>::default(),
    },
];
