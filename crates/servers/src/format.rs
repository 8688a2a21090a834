//! The formats that can be read, by name or by the server's own format string.

use std::{fmt, sync::Arc};

use portledger_model::{Moment, Transport};
use thiserror::Error;

use crate::{
    fields::{End, Side},
    pattern::{
        Element, Escaping, Field, Pattern, TimeForm, Traits, apache,
        nginx::{self, Module},
    },
};

/// What lines look like. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Format {
    name: Arc<str>,
    pub(crate) kind: Kind,
    /// It is not known which of two servers wrote it, and so of which moment its time is.
    pub(crate) moment_unknown: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Pattern(Arc<Pattern>),
    ApacheError,
    Sshd,
    Csv,
}

/// Why a format cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    /// A name that no format has.
    #[error(
        "no format is named '{name}'; known are {known}, nginx:FORMAT and apache:FORMAT with the server's own format string"
    )]
    Name {
        /// What was given.
        name: String,
        /// Every name.
        known: String,
    },
    /// A configuration uses a format that it does not define.
    #[error("the configuration defines no format '{name}' that can be read")]
    Undefined {
        /// The name.
        name: String,
    },
    /// The format has no client address.
    #[error(
        "the format writes no client address, so its lines say nothing of who connected: it needs $remote_addr (nginx) or %h or %a (Apache)"
    )]
    NoAddress,
    /// The format has no time.
    #[error(
        "the format writes no time, and without one a port says nothing: it needs $time_iso8601 or $msec (nginx) or %t (Apache)"
    )]
    NoTime,
    /// The format has a time without a part of the date or of the hour.
    #[error("the format's time lacks {missing}")]
    PartialTime {
        /// What is missing.
        missing: &'static str,
    },
    /// Two fields without text between them.
    #[error(
        "byte {place} of the format: nothing stands between this field and the one before it, so nobody can tell where one ends"
    )]
    Adjacent {
        /// The byte of the format string, from 1.
        place: usize,
    },
    /// Something in the format that is not known.
    #[error("byte {place} of the format: {what} cannot be read")]
    Unknown {
        /// What.
        what: String,
        /// The byte of the format string, from 1.
        place: usize,
    },
    /// A strftime text that cannot be read back.
    #[error("byte {place} of the format: the strftime text cannot be read back: {reason}")]
    Strftime {
        /// Why.
        reason: &'static str,
        /// The byte of the format string, from 1.
        place: usize,
    },
}

const APACHE_COMBINED: &str = r#"%h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#;

/// The formats with a name, and what each is.
pub fn names() -> &'static [(&'static str, &'static str)] {
    &[
        ("nginx-combined", "nginx's default access log: no port"),
        (
            "nginx-combined-port",
            "nginx's default with $remote_port as the last column",
        ),
        ("apache-common", "Apache httpd's Common Log Format: no port"),
        (
            "apache-combined",
            "Apache httpd's combined access log: no port",
        ),
        (
            "apache-combined-port",
            "Apache httpd's combined access log with %{remote}p as the last column",
        ),
        (
            "apache-vhost-combined",
            "Apache httpd's combined access log after the virtual host: no port",
        ),
        (
            "apache-vhost-combined-port",
            "the same with %{remote}p as the last column",
        ),
        (
            "apache-error",
            "Apache httpd's error log, which has [client address:port] by default; needs a zone",
        ),
        (
            "sshd",
            "OpenSSH through journald, rsyslog or -E; needs a zone where its lines have none",
        ),
        (
            "connection",
            "one connection a line: epoch_ms ip port server_ip server_port request_id",
        ),
        (
            "csv",
            "a table with a header: address, port, time and, where known, transport and destination",
        ),
    ]
}

impl Format {
    /// A format by its name, one of [`names`].
    ///
    /// # Errors
    /// When no format has the name.
    pub fn named(name: &str) -> Result<Self, FormatError> {
        let kind = match name {
            "nginx-combined" => pattern(nginx::compile(nginx::COMBINED, Module::Http)?),
            "nginx-combined-port" => {
                let text = format!("{} $remote_port", nginx::COMBINED);
                pattern(nginx::compile(&text, Module::Http)?)
            }
            "apache-common" => pattern(apache::compile(apache::COMMON)?),
            "apache-combined" => pattern(apache::compile(APACHE_COMBINED)?),
            "apache-combined-port" => {
                pattern(apache::compile(&format!("{APACHE_COMBINED} %{{remote}}p"))?)
            }
            "apache-vhost-combined" => {
                pattern(apache::compile(&format!("%v:%p {APACHE_COMBINED}"))?)
            }
            "apache-vhost-combined-port" => pattern(apache::compile(&format!(
                "%v:%p {APACHE_COMBINED} %{{remote}}p"
            ))?),
            "connection" => pattern(connection()?),
            "apache-error" => Kind::ApacheError,
            "sshd" => Kind::Sshd,
            "csv" => Kind::Csv,
            _ => {
                let known: Vec<_> = names().iter().map(|(name, _)| *name).collect();
                return Err(FormatError::Name {
                    name: name.to_owned(),
                    known: known.join(", "),
                });
            }
        };
        Ok(Self {
            name: name.into(),
            kind,
            moment_unknown: false,
        })
    }

    /// A format by its name, or by a server's own format string after `nginx:` or `apache:`.
    ///
    /// # Errors
    /// When no format has the name, or the format string gives no address or no time or cannot be
    /// read back.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        match text.split_once(':') {
            Some(("nginx", string)) => Self::nginx(string),
            Some(("apache", string)) => Self::apache(string),
            _ => Self::named(text),
        }
    }

    /// The text of a `log_format` of nginx's `http` block, without the configuration's quotes.
    ///
    /// # Errors
    /// As [`Format::parse`].
    pub fn nginx(string: &str) -> Result<Self, FormatError> {
        Self::nginx_of(string, Module::Http)
    }

    pub(crate) fn nginx_of(string: &str, module: Module) -> Result<Self, FormatError> {
        Ok(Self {
            name: format!("nginx:{string}").into(),
            kind: pattern(nginx::compile(string, module)?),
            moment_unknown: false,
        })
    }

    /// The text of an Apache `LogFormat`.
    ///
    /// # Errors
    /// As [`Format::parse`].
    pub fn apache(string: &str) -> Result<Self, FormatError> {
        Ok(Self {
            name: format!("apache:{string}").into(),
            kind: pattern(apache::compile(string)?),
            moment_unknown: false,
        })
    }

    /// One of two formats that look alike in every line, whose times are of different moments of
    /// the request: its sightings say only that the endpoint was in use then.
    pub(crate) fn either(one: &Self, other: &Self) -> Self {
        Self {
            name: format!("{} or {}", one.name, other.name).into(),
            kind: one.kind.clone(),
            moment_unknown: true,
        }
    }

    /// The name, or the format string with its server before it: what [`Format::parse`] takes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether lines of this format can carry the port of the address they carry.
    pub fn has_port(&self) -> bool {
        match &self.kind {
            Kind::Pattern(pattern) => pattern.has_port(),
            Kind::ApacheError | Kind::Sshd | Kind::Csv => true,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn pattern(pattern: Pattern) -> Kind {
    Kind::Pattern(Arc::new(pattern))
}

/// `epoch_ms ip port server_ip server_port request_id`: the log beside one that must not change.
fn connection() -> Result<Pattern, FormatError> {
    let fields = [
        Field::Time(TimeForm::EpochMillis, End::End),
        Field::Address(Side::Remote),
        Field::Port(Side::Remote),
        Field::ServerAddress,
        Field::ServerPort,
        Field::Text,
    ];
    let mut elements = Vec::new();
    for field in fields {
        if !elements.is_empty() {
            elements.push(Element::Literal(b" ".to_vec()));
        }
        elements.push(Element::Field(field));
    }
    let places: Vec<usize> = (0..elements.len()).collect();
    let traits = Traits {
        escaping: Escaping::None,
        end: Moment::Logged,
        transport: Some(Transport::Tcp),
    };
    Pattern::new(elements, &places, traits)
}
