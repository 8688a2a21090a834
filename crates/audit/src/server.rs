//! What this room knows how to do with one kind of server, and which servers it knows.

mod apache;
mod aws;
mod bind;
mod caddy;
mod cyrus;
mod dovecot;
mod envoy;
mod exchange;
mod exim;
mod haproxy;
mod iis;
mod lighttpd;
mod memcached;
mod mosquitto;
mod mssql;
mod mysql;
mod nginx;
mod openldap;
mod openssh;
mod oracle;
mod postfix;
mod postgresql;
mod proftpd;
mod pure_ftpd;
mod redis;
mod sendmail;
mod squid;
mod tomcat;
mod traefik;
mod tree;
mod uw_imap;
mod varnish;
mod vsftpd;
mod words;

use thiserror::Error;

use crate::{
    Change, Facts, Finding, Records,
    machine::{Machine, ReadError},
};

/// One kind of server: how it is found, what it logs, what to change. A file each below `server/`.
pub trait Server: Sync {
    /// What is known of it before any machine is looked at.
    fn facts(&self) -> &'static Facts;

    /// Why and how, for people: Markdown, the same as the page in `docs/servers`.
    fn guide(&self) -> &'static str;

    /// The main configuration files at which distributions put it, as patterns for
    /// [`Machine::glob`]: each that exists is an instance.
    fn usual_places(&self) -> &'static [&'static str];

    /// Whether a configuration file that somebody named is of this server.
    fn claims(&self, path: &str, text: &str) -> bool;

    /// What the instance whose main configuration is at `path` says: its version, its logs. Reads
    /// the server's own dump of its configuration where it has one and may be started, else files.
    ///
    /// # Errors
    /// When its main configuration cannot be read or understood at all; what can be read in part is
    /// a finding.
    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError>;

    /// The smallest change after which the instance logs port and exact time, as it is thought out:
    /// [`crate::fix`] holds it against what comes of it.
    ///
    /// # Errors
    /// When the server cannot, or the change is not one that a program should make.
    fn plan(&self, machine: &dyn Machine, path: &str, wish: Wish) -> Result<Change, FixError>;

    /// What has to be in every log once the change is made, or it is not offered.
    fn promise(&self) -> Promise {
        Promise::PortAndTime
    }
}

/// What a look at the result of a change has to find in every log that no other covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// The client's address and port, and a certain time.
    PortAndTime,
    /// The port: of the time some servers have no say, or syslog has it.
    Port,
    /// Nothing that a look at files could find.
    Nothing,
}

/// A server as it is set up on a machine.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The server's version, where it can be told.
    pub version: Option<String>,
    /// The configuration files that were read, the main one first.
    pub config: Vec<String>,
    /// What it logs. Empty where it logs nothing about connections.
    pub logs: Vec<Log>,
    /// What stands out.
    pub findings: Vec<Finding>,
}

/// One log of an instance.
#[derive(Debug, Clone)]
pub struct Log {
    /// The file with its absolute path, or what it is instead (`syslog`, `stdout`, a table).
    pub path: String,
    /// Whether `path` is a file that can be looked into.
    pub is_file: bool,
    /// What a line records, by the configuration.
    pub records: Records,
    /// Whether another log of the same connections has what this one lacks, so that this one may stay
    /// as it is.
    pub is_covered: bool,
    /// How its lines are read: a name or a format string that `--format` takes.
    pub format: Option<String>,
}

/// What the operator wants of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// Into the log that is there, where stock readers go on working.
    #[default]
    InPlace,
    /// Into a log of its own beside it, so that nothing that reads the old one can notice.
    Parallel,
}

/// Why an instance cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LookError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A configuration cannot be understood.
    #[error("{0}")]
    Syntax(String),
}

/// Why no change is offered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FixError {
    /// The configuration cannot be read.
    #[error(transparent)]
    Look(#[from] LookError),
    /// This server cannot log the port.
    #[error("{server} cannot log the source port: {instead}")]
    Impossible {
        /// The server's title.
        server: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// It can, and a person has to do it.
    #[error("{why}")]
    ByHand {
        /// Why, and what to do.
        why: String,
    },
}

/// What to do beside a server that cannot.
const WATCH: &str = "run `portledger watch` beside it, which notes each connection's port and time";

/// Every server this room knows, in the order of the survey.
pub fn all() -> &'static [&'static dyn Server] {
    &[
        &apache::Apache,
        &iis::Iis,
        &tomcat::Tomcat,
        &squid::Squid,
        &nginx::Nginx,
        &sendmail::Sendmail,
        &exchange::Exchange,
        &postfix::Postfix,
        &exim::Exim,
        &dovecot::Dovecot,
        &uw_imap::UwImap,
        &oracle::Oracle,
        &mysql::Mysql,
        &mssql::Mssql,
        &postgresql::Postgresql,
        &openssh::OpenSsh,
        &cyrus::Cyrus,
        &haproxy::HaProxy,
        &caddy::Caddy,
        &traefik::Traefik,
        &envoy::Envoy,
        &aws::Alb,
        &aws::Nlb,
        &aws::CloudFront,
        &lighttpd::Lighttpd,
        &varnish::Varnish,
        &bind::Bind,
        &mosquitto::Mosquitto,
        &openldap::Openldap,
        &proftpd::Proftpd,
        &redis::Redis,
        &memcached::Memcached,
        &vsftpd::Vsftpd,
        &pure_ftpd::PureFtpd,
    ]
}

/// The server of this name.
pub fn named(name: &str) -> Option<&'static dyn Server> {
    all()
        .iter()
        .copied()
        .find(|server| server.facts().name == name)
}

/// A server's facts from `data/servers`, read once.
macro_rules! facts {
    ($file:literal) => {{
        static FACTS: std::sync::LazyLock<$crate::Facts> = std::sync::LazyLock::new(|| {
            #[allow(
                clippy::expect_used,
                reason = "the file is part of the program; a test reads each"
            )]
            toml::from_str(include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../data/servers/",
                $file
            )))
            .expect("a server's facts")
        });
        &FACTS
    }};
}
pub(crate) use facts;

/// A server's page in `docs/servers`.
macro_rules! guide {
    ($file:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/servers/",
            $file
        ))
    };
}
pub(crate) use guide;

#[cfg(test)]
mod reads;
