//! `[[export]]`: where events go besides the ledger.

use std::{path::PathBuf, time::Duration};

use portledger_service::{
    export::{
        IpfixOver, Keep, LinesOver, Peer, PeerError, Sends, StreamFraming, SyslogOver, TargetName,
        TargetNameError, Tls,
    },
    tls::{self, Identity, TlsError, Trust},
};
use portledger_wire::syslog::TimeQuality;
use serde::Deserialize;
use thiserror::Error;

use super::Time;

/// One target, checked; TLS is made of its files when the NAT runs.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) name: TargetName,
    pub(crate) keep: Keep,
    sending: Sending,
}

#[derive(Debug)]
enum Sending {
    Open(Open),
    Secure {
        to: Peer,
        form: Secure,
        files: TlsFiles,
    },
}

#[derive(Debug)]
enum Open {
    Syslog(SyslogOver),
    Other(Sends),
}

/// What goes over TLS.
#[derive(Debug)]
enum Secure {
    Ipfix { domain: u32 },
    Syslog,
    Json,
}

#[derive(Debug)]
struct TlsFiles {
    trust: Trust,
    identity: Option<Identity>,
    server_name: String,
}

/// A table that makes no sense; each message begins with the key that is wrong.
#[derive(Debug, Error)]
pub(crate) enum ExportError {
    #[error(transparent)]
    Name(#[from] TargetNameError),
    #[error("target: {0}")]
    Target(#[from] PeerError),
    #[error("transport: {format} does not go over {transport}; it goes over {goes}")]
    Way {
        format: &'static str,
        transport: &'static str,
        goes: &'static str,
    },
    #[error("{key}: means nothing for this format and transport; it is for {meant}")]
    Meaningless {
        key: &'static str,
        meant: &'static str,
    },
    #[error(
        "ca: TLS needs to know whom to believe: give the authorities' certificates as 'ca', or the collector's own as 'pinned', not both"
    )]
    Trust,
    #[error("certificate: it goes together with its 'key'")]
    Identity,
    #[error("{key}: {problem}")]
    Range {
        key: &'static str,
        problem: &'static str,
    },
    #[error("'{0}' is there twice")]
    Twice(TargetName),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportTable {
    name: String,
    format: FormatName,
    transport: TransportName,
    target: String,
    observation_domain: Option<u32>,
    template_refresh: Option<Time>,
    framing: Option<FramingName>,
    ca: Option<PathBuf>,
    pinned: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    server_name: Option<String>,
    keep: Option<Time>,
    keep_records: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FormatName {
    Ipfix,
    NetFlow9,
    Syslog,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TransportName {
    Udp,
    Tcp,
    Tls,
    File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FramingName {
    OctetCounting,
    LineFeed,
}

/// RFC 7011 §8.4 leaves the interval to the exporter; collectors expect minutes.
const REFRESH: Duration = Duration::from_secs(60);

impl Export {
    /// What it sends, with its TLS made of the files. `quality` is the device's clock's.
    pub(crate) fn sends(&self, quality: TimeQuality) -> Result<Sends, TlsError> {
        Ok(match &self.sending {
            Sending::Open(Open::Other(sends)) => sends.clone(),
            Sending::Open(Open::Syslog(over)) => Sends::Syslog {
                quality,
                over: over.clone(),
            },
            Sending::Secure { to, form, files } => {
                let (to, tls) = (to.clone(), files.tls()?);
                match form {
                    Secure::Ipfix { domain } => Sends::Ipfix {
                        domain: *domain,
                        over: IpfixOver::Tls(to, tls),
                    },
                    Secure::Syslog => Sends::Syslog {
                        quality,
                        over: SyslogOver::Tls(to, tls),
                    },
                    Secure::Json => Sends::JsonLines(LinesOver::Tls(to, tls)),
                }
            }
        })
    }
}

impl TlsFiles {
    fn tls(&self) -> Result<Tls, TlsError> {
        Ok(Tls {
            config: tls::client_config(&self.trust, self.identity.as_ref())?,
            name: tls::server_name(&self.server_name)?,
        })
    }
}

/// The tables, checked. An error comes with the name of the table it is in.
pub(super) fn checked(tables: Vec<ExportTable>) -> Result<Vec<Export>, (String, ExportError)> {
    let mut exports: Vec<Export> = Vec::with_capacity(tables.len());
    for table in tables {
        let named = table.name.clone();
        let export = table.checked().map_err(|error| (named.clone(), error))?;
        if exports.iter().any(|known| known.name == export.name) {
            return Err((named, ExportError::Twice(export.name)));
        }
        exports.push(export);
    }
    Ok(exports)
}

impl ExportTable {
    fn checked(self) -> Result<Export, ExportError> {
        self.refuse_meaningless()?;
        let second = Duration::from_secs(1);
        for (key, time) in [
            ("template_refresh", self.template_refresh),
            ("keep", self.keep),
        ] {
            if time.is_some_and(|time| time.0 < second) {
                let problem = "shorter than 1 s";
                return Err(ExportError::Range { key, problem });
            }
        }
        if self.keep_records == Some(0) {
            let (key, problem) = ("keep_records", "nothing could ever be sent");
            return Err(ExportError::Range { key, problem });
        }
        let default = Keep::default();
        Ok(Export {
            name: TargetName::new(&self.name)?,
            keep: Keep {
                time: self.keep.map(|time| time.0).or(default.time),
                records: self.keep_records,
            },
            sending: self.sending()?,
        })
    }

    fn sending(self) -> Result<Sending, ExportError> {
        use FormatName::{Ipfix, Json, NetFlow9, Syslog};
        use TransportName::{File, Tcp, Tls, Udp};

        let domain = self.observation_domain.unwrap_or(1);
        let refresh = self.template_refresh.map_or(REFRESH, |time| time.0);
        let to = || self.target.parse::<Peer>();
        let other = |sends| Ok(Sending::Open(Open::Other(sends)));
        let syslog = |over| Ok(Sending::Open(Open::Syslog(over)));
        match (self.format, self.transport) {
            (Ipfix, Udp) => other(Sends::Ipfix {
                domain,
                over: IpfixOver::Udp { to: to()?, refresh },
            }),
            (Ipfix, Tcp) => other(Sends::Ipfix {
                domain,
                over: IpfixOver::Tcp(to()?),
            }),
            (NetFlow9, Udp) => other(Sends::NetFlow9 {
                source: domain,
                to: to()?,
                refresh,
            }),
            (Syslog, Udp) => syslog(SyslogOver::Udp(to()?)),
            (Syslog, Tcp) => syslog(SyslogOver::Tcp(to()?, self.framing())),
            (Json, Tcp) => other(Sends::JsonLines(LinesOver::Tcp(to()?))),
            (Json, File) => other(Sends::JsonLines(LinesOver::File(self.target.into()))),
            (Ipfix, Tls) => self.secure(Secure::Ipfix { domain }),
            (Syslog, Tls) => self.secure(Secure::Syslog),
            (Json, Tls) => self.secure(Secure::Json),
            (Ipfix | Syslog, File) | (NetFlow9, Tcp | Tls | File) | (Json, Udp) => {
                Err(ExportError::Way {
                    format: self.format.name(),
                    transport: self.transport.name(),
                    goes: self.format.goes(),
                })
            }
        }
    }

    fn framing(&self) -> StreamFraming {
        match self.framing {
            Some(FramingName::LineFeed) => StreamFraming::LineFeed,
            Some(FramingName::OctetCounting) | None => StreamFraming::OctetCounting,
        }
    }

    fn secure(self, form: Secure) -> Result<Sending, ExportError> {
        let to: Peer = self.target.parse()?;
        let trust = match (self.ca, self.pinned) {
            (Some(path), None) => Trust::Authorities(path),
            (None, Some(path)) => Trust::Pinned(path),
            _ => return Err(ExportError::Trust),
        };
        let identity = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (None, None) => None,
            _ => return Err(ExportError::Identity),
        };
        let server_name = self.server_name.unwrap_or_else(|| to.host.clone());
        let files = TlsFiles {
            trust,
            identity,
            server_name,
        };
        Ok(Sending::Secure { to, form, files })
    }

    /// A key that changes nothing may be a mistake about another one.
    fn refuse_meaningless(&self) -> Result<(), ExportError> {
        let is_flow = matches!(self.format, FormatName::Ipfix | FormatName::NetFlow9);
        let is_tls = self.transport == TransportName::Tls;
        let is_udp = self.transport == TransportName::Udp;
        let is_framed = self.format == FormatName::Syslog && self.transport == TransportName::Tcp;
        let keys = [
            (
                "observation_domain",
                self.observation_domain.is_some() && !is_flow,
                "ipfix and netflow9",
            ),
            (
                "template_refresh",
                self.template_refresh.is_some() && !(is_flow && is_udp),
                "ipfix and netflow9 over udp",
            ),
            (
                "framing",
                self.framing.is_some() && !is_framed,
                "syslog over tcp; over tls, RFC 5425 has octet counting",
            ),
            ("ca", self.ca.is_some() && !is_tls, "tls"),
            ("pinned", self.pinned.is_some() && !is_tls, "tls"),
            ("certificate", self.certificate.is_some() && !is_tls, "tls"),
            ("key", self.key.is_some() && !is_tls, "tls"),
            ("server_name", self.server_name.is_some() && !is_tls, "tls"),
        ];
        match keys
            .into_iter()
            .find(|(_, is_meaningless, _)| *is_meaningless)
        {
            Some((key, _, meant)) => Err(ExportError::Meaningless { key, meant }),
            None => Ok(()),
        }
    }
}

impl FormatName {
    const fn name(self) -> &'static str {
        match self {
            Self::Ipfix => "ipfix",
            Self::NetFlow9 => "netflow9",
            Self::Syslog => "syslog",
            Self::Json => "json",
        }
    }

    const fn goes(self) -> &'static str {
        match self {
            Self::Ipfix | Self::Syslog => "udp, tcp and tls",
            Self::NetFlow9 => "udp",
            Self::Json => "tcp and tls, or to a file",
        }
    }
}

impl TransportName {
    const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::File => "file",
        }
    }
}
