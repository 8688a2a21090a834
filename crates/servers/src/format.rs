//! The formats that can be read, by name or by the server's own format string.

use std::{fmt, sync::Arc};

use portledger_model::{Moment, Transport};
use thiserror::Error;

use crate::{
    Recorded,
    fields::{End, Side},
    lines::{Described, OWN, Own, described},
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
    Own(&'static Own),
    Described(Described),
}

/// Why a format cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    /// A name that no format has.
    #[error(
        "no format is named '{name}'; known are {known}, nginx:FORMAT, apache:FORMAT, postgresql:PREFIX and proftpd:FORMAT with the server's own format string"
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
        "the format writes no client address, so its lines say nothing of who connected: it needs $remote_addr (nginx), %h or %a (Apache, ProFTPD), or %r or %h (PostgreSQL)"
    )]
    NoAddress,
    /// The format has no time.
    #[error(
        "the format writes no time, and without one a port says nothing: it needs $time_iso8601 or $msec (nginx), %t (Apache, ProFTPD) or %m (PostgreSQL)"
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

/// A named format that is a format string.
struct Named {
    name: &'static str,
    about: &'static str,
    compile: fn() -> Result<Pattern, FormatError>,
}

const NAMED: &[Named] = &[
    Named {
        name: "nginx-combined",
        about: "nginx's default access log: no port",
        compile: || nginx::compile(nginx::COMBINED, Module::Http),
    },
    Named {
        name: "nginx-combined-port",
        about: "nginx's default with $remote_port as the last column",
        compile: || nginx::compile(&format!("{} $remote_port", nginx::COMBINED), Module::Http),
    },
    Named {
        name: "apache-common",
        about: "Apache httpd's Common Log Format: no port",
        compile: || apache::compile(apache::COMMON),
    },
    Named {
        name: "apache-combined",
        about: "Apache httpd's combined access log: no port",
        compile: || apache::compile(APACHE_COMBINED),
    },
    Named {
        name: "apache-combined-port",
        about: "Apache httpd's combined access log with %{remote}p as the last column",
        compile: || apache::compile(&format!("{APACHE_COMBINED} %{{remote}}p")),
    },
    Named {
        name: "apache-vhost-combined",
        about: "Apache httpd's combined access log after the virtual host: no port",
        compile: || apache::compile(&format!("%v:%p {APACHE_COMBINED}")),
    },
    Named {
        name: "apache-vhost-combined-port",
        about: "the same with %{remote}p as the last column",
        compile: || apache::compile(&format!("%v:%p {APACHE_COMBINED} %{{remote}}p")),
    },
    Named {
        name: "connection",
        about: "one connection a line: epoch_ms ip port server_ip server_port request_id",
        compile: connection,
    },
];

/// The formats with a name, and what each is.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let named = NAMED.iter().map(|named| (named.name, named.about));
    named.chain(OWN.iter().map(|own| (own.name, own.about)))
}

impl Format {
    /// A format by its name, one of [`names`].
    ///
    /// # Errors
    /// When no format has the name.
    pub fn named(name: &str) -> Result<Self, FormatError> {
        let kind = if let Some(named) = NAMED.iter().find(|named| named.name == name) {
            pattern((named.compile)()?)
        } else if let Some(own) = OWN.iter().find(|own| own.name == name) {
            Kind::Own(own)
        } else {
            let known: Vec<_> = names().map(|(name, _)| name).collect();
            return Err(FormatError::Name {
                name: name.to_owned(),
                known: known.join(", "),
            });
        };
        Ok(Self {
            name: name.into(),
            kind,
            moment_unknown: false,
        })
    }

    /// A format by its name, or by a server's own format string after `nginx:`, `apache:`,
    /// `postgresql:` or `proftpd:`.
    ///
    /// # Errors
    /// When no format has the name, or the format string gives no address or no time or cannot be
    /// read back.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        match text.split_once(':') {
            Some(("nginx", string)) => Self::nginx(string),
            Some(("apache", string)) => Self::apache(string),
            Some((server, string)) => match described(server, string) {
                Some(described) => Ok(Self {
                    name: text.into(),
                    kind: Kind::Described(described?),
                    moment_unknown: false,
                }),
                None => Self::named(text),
            },
            None => Self::named(text),
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

    /// What every line of a format string says; `None` where lines are read by code of their own,
    /// and what they say depends on the server's settings.
    pub fn recorded(&self) -> Option<Recorded> {
        match &self.kind {
            Kind::Pattern(pattern) => Some(pattern.recorded()),
            Kind::Described(described) => described.recorded(),
            Kind::Own(_) => None,
        }
    }

    /// Whether lines of this format can carry the port of the address they carry.
    pub fn has_port(&self) -> bool {
        match &self.kind {
            Kind::Pattern(pattern) => pattern.has_port(),
            Kind::Own(_) => true,
            Kind::Described(described) => described.has_port(),
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
