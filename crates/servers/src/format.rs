//! The formats that can be read, by name or by the server's own format string.

use std::{fmt, sync::Arc, time::Duration};

use portledger_model::Moment;
use thiserror::Error;

use crate::{
    Recorded,
    fields::{End, Side},
    lines::{OWN, Own},
    pattern::{
        Element, Escaping, Field, Pattern, TimeForm, Traits, apache, cloud, envoy, haproxy,
        lighttpd,
        nginx::{self, Module},
        squid, tomcat, traefik, varnish,
    },
};

/// What lines look like. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Format {
    name: Arc<str>,
    pub(crate) kind: Kind,
    /// It is not known which of two servers wrote it, and so of which moment its time is.
    pub(crate) moment_unknown: bool,
    /// The least resolution of its times: that of the coarsest clock among those servers.
    pub(crate) clock: Duration,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Pattern(Arc<Pattern>),
    /// The same behind what syslog puts before it, or without.
    Syslog(Arc<Pattern>),
    Own(&'static Own),
}

/// Why a format cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    /// A name that no format has.
    #[error(
        "no format is named '{name}'; known are {known}, and SERVER:FORMAT with the server's own format string, where SERVER is one of {SERVER_NAMES}"
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
        "the format writes no client address, so its lines say nothing of who connected: it needs $remote_addr (nginx), %h or %a (Apache and its like), %>a (Squid), %ci (HAProxy) or %DOWNSTREAM_REMOTE_ADDRESS% (Envoy)"
    )]
    NoAddress,
    /// The format has no time.
    #[error(
        "the format writes no time, and without one a port says nothing: it needs $time_iso8601 or $msec (nginx), %t (Apache and its like), %ts.%03tu (Squid), %tr or %t (HAProxy) or %START_TIME% (Envoy)"
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
    /// The text of a time's form that cannot be read back.
    #[error("byte {place} of the format: the time's form cannot be read back: {reason}")]
    TimeText {
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
        name: "tomcat-common",
        about: "Tomcat's pattern=\"common\": no port",
        compile: || tomcat::compile("common"),
    },
    Named {
        name: "tomcat-combined",
        about: "Tomcat's pattern=\"combined\": no port",
        compile: || tomcat::compile("combined"),
    },
    Named {
        name: "tomcat-combined-port",
        about: "the same with %{remote}p as the last column",
        compile: || tomcat::compile(&format!("{} %{{remote}}p", tomcat::COMBINED)),
    },
    Named {
        name: "lighttpd-combined",
        about: "lighttpd's default access log, with the virtual host second: no port",
        compile: || lighttpd::compile(lighttpd::COMBINED),
    },
    Named {
        name: "lighttpd-combined-port",
        about: "the same with %{remote}p as the last column",
        compile: || lighttpd::compile(&format!("{} %{{remote}}p", lighttpd::COMBINED)),
    },
    Named {
        name: "varnish-combined",
        about: "varnishncsa's default access log: no port",
        compile: || varnish::compile(varnish::COMBINED),
    },
    Named {
        name: "varnish-combined-port",
        about: "the same with %{VSL:ReqStart[2]}x as the last column",
        compile: || varnish::compile(&format!("{} %{{VSL:ReqStart[2]}}x", varnish::COMBINED)),
    },
    Named {
        name: "squid",
        about: "Squid's own access log: no port",
        compile: || squid::compile(squid::NATIVE),
    },
    Named {
        name: "squid-port",
        about: "Squid's own access log with %>p as the last column; not with follow_x_forwarded_for",
        compile: || squid::compile(&format!("{} %>p", squid::NATIVE)),
    },
    Named {
        name: "squid-common",
        about: "Squid's format common: no port",
        compile: || squid::compile(squid::COMMON),
    },
    Named {
        name: "squid-combined",
        about: "Squid's format combined: no port",
        compile: || squid::compile(squid::COMBINED),
    },
    Named {
        name: "squid-combined-port",
        about: "Squid's format combined with %>p as the last column; not with follow_x_forwarded_for",
        compile: || squid::compile(&format!("{} %>p", squid::COMBINED)),
    },
    Named {
        name: "squid-referrer",
        about: "Squid's format referrer: no port",
        compile: || squid::compile(squid::REFERRER),
    },
    Named {
        name: "traefik-common",
        about: "Traefik's access log in its common format: no port",
        compile: traefik::common_format,
    },
    Named {
        name: "envoy-istio",
        about: "Envoy's access log as Istio sets it, with address:port",
        compile: || envoy::compile(envoy::ISTIO),
    },
    Named {
        name: "aws-alb",
        about: "Amazon's Application Load Balancer, with address:port",
        compile: cloud::alb,
    },
    Named {
        name: "aws-nlb-tls",
        about: "Amazon's Network Load Balancer with TLS, with address:port; needs a zone",
        compile: cloud::nlb_tls,
    },
    Named {
        name: "aws-elb",
        about: "Amazon's Classic Load Balancer, with address:port",
        compile: cloud::elb,
    },
    Named {
        name: "connection",
        about: "one connection a line: epoch_ms ip port server_ip server_port request_id",
        compile: connection,
    },
];

/// A server with format strings: what stands before the colon, and how they are compiled.
type Server = (&'static str, fn(&str) -> Result<Pattern, FormatError>);

const SERVERS: &[Server] = &[
    ("nginx", |string| nginx::compile(string, Module::Http)),
    ("apache", apache::compile),
    ("tomcat", tomcat::compile),
    ("lighttpd", lighttpd::compile),
    ("squid", squid::compile),
    ("varnishncsa", varnish::compile),
    ("envoy", envoy::compile),
    (HAPROXY, haproxy::compile),
];

const HAPROXY: &str = "haproxy";

/// Every server that has format strings, for people.
pub(crate) const SERVER_NAMES: &str =
    "nginx, apache, tomcat, lighttpd, squid, varnishncsa, envoy, haproxy";

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
            clock: Duration::ZERO,
        })
    }

    /// A format by its name, or by a server's own format string after the server's name and a
    /// colon: `nginx:`, `apache:`, `tomcat:`, `lighttpd:`, `squid:`, `varnishncsa:`, `envoy:`,
    /// `haproxy:`.
    ///
    /// # Errors
    /// When no format has the name, or the format string gives no address or no time or cannot be
    /// read back.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let Some((server, string)) = text.split_once(':') else {
            return Self::named(text);
        };
        let Some((_, compile)) = SERVERS.iter().find(|(name, _)| *name == server) else {
            return Self::named(text);
        };
        let kind = match (server, pattern(compile(string)?)) {
            // HAProxy writes to syslog.
            (HAPROXY, Kind::Pattern(pattern)) => Kind::Syslog(pattern),
            (_, kind) => kind,
        };
        Ok(Self {
            name: text.into(),
            kind,
            moment_unknown: false,
            clock: Duration::ZERO,
        })
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
            clock: Duration::ZERO,
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
            clock: Duration::ZERO,
        })
    }

    /// One of several formats that look alike in every line. Where their times are of different
    /// moments of the request, its sightings say only that the endpoint was in use then.
    pub(crate) fn any_of(first: &Self, others: &[Self]) -> Self {
        let pattern = |format: &Self| match &format.kind {
            Kind::Pattern(pattern) => Some(Arc::clone(pattern)),
            Kind::Syslog(_) | Kind::Own(_) => None,
        };
        let times = |format: &Self| pattern(format).map(|pattern| pattern.times());
        let mut name = first.name.to_string();
        for other in others {
            name += " or ";
            name += other.name();
        }
        let clocks = others.iter().filter_map(pattern).map(|other| other.clock());
        Self {
            name: name.into(),
            kind: first.kind.clone(),
            moment_unknown: others.iter().any(|other| times(other) != times(first)),
            clock: clocks.max().unwrap_or_default(),
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
            Kind::Pattern(pattern) | Kind::Syslog(pattern) => Some(pattern.recorded()),
            Kind::Own(_) => None,
        }
    }

    /// Whether lines of this format can carry the port of the address they carry.
    pub fn has_port(&self) -> bool {
        match &self.kind {
            Kind::Pattern(pattern) | Kind::Syslog(pattern) => pattern.has_port(),
            Kind::Own(_) => true,
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
        ..Traits::HTTP
    };
    Pattern::new(elements, &places, traits)
}
