//! Events in the form that a target takes.

use portledger_model::{Device, Timestamp};
use portledger_wire::{
    NatEvent,
    flow::{ExportSettings, Exporter, Precision, Version},
    json_lines,
    syslog::{Export, Sequence},
};

use super::target::{IpfixOver, LinesOver, Sends, StreamFraming, SyslogOver};

/// Bytes after which what goes into a stream or a file is handed on.
const PARCEL: usize = 32 << 10;
/// The longest flow message into a stream.
const STREAM_MESSAGE: usize = 16 << 10;

/// Writes events in one form.
#[derive(Debug)]
pub(super) enum Encoder {
    Flow {
        exporter: Box<Exporter>,
        /// Over UDP numbers go on from one session to the next, so that the collector sees what
        /// it missed; a connection begins anew (RFC 7011 §3.1: within a transport session).
        numbers_go_on: bool,
    },
    Syslog {
        export: Box<Export>,
        sequence: Sequence,
        framing: Framing,
        message: Vec<u8>,
    },
    Lines,
}

/// How syslog messages are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// One a datagram (RFC 5426 §3.1).
    Datagram,
    Stream(StreamFraming),
}

/// What became of the first of some events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoded {
    /// So many are in the parcel.
    pub(super) written: usize,
    /// So many behind them cannot be said in this form.
    pub(super) left_out: usize,
}

impl Encoder {
    pub(super) fn new(sends: &Sends, device: &Device, booted: Timestamp) -> Self {
        match sends {
            Sends::Ipfix { domain, over } => {
                let settings = ExportSettings {
                    version: Version::Ipfix,
                    domain: *domain,
                    precision: Precision::Milliseconds,
                    booted,
                    ..ExportSettings::default()
                };
                match over {
                    IpfixOver::Udp { refresh, .. } => Self::flow(
                        ExportSettings {
                            refresh: Some(*refresh),
                            ..settings
                        },
                        true,
                    ),
                    // RFC 7011 §8: templates last as long as the connection.
                    IpfixOver::Tcp(_) | IpfixOver::Tls(..) => Self::flow(
                        ExportSettings {
                            refresh: None,
                            max_bytes: STREAM_MESSAGE,
                            ..settings
                        },
                        false,
                    ),
                }
            }
            Sends::NetFlow9 {
                source, refresh, ..
            } => Self::flow(
                ExportSettings {
                    version: Version::NetFlow9,
                    domain: *source,
                    refresh: Some(*refresh),
                    booted,
                    ..ExportSettings::default()
                },
                true,
            ),
            Sends::Syslog { quality, over } => Self::Syslog {
                export: Box::new(Export::new(device.clone(), *quality)),
                sequence: Sequence::FIRST,
                framing: match over {
                    SyslogOver::Udp(_) => Framing::Datagram,
                    SyslogOver::Tcp(_, framing) => Framing::Stream(*framing),
                    SyslogOver::Tls(..) => Framing::Stream(StreamFraming::OctetCounting),
                },
                message: Vec::new(),
            },
            Sends::JsonLines(LinesOver::Tcp(_) | LinesOver::Tls(..) | LinesOver::File(_)) => {
                Self::Lines
            }
        }
    }

    fn flow(settings: ExportSettings, numbers_go_on: bool) -> Self {
        Self::Flow {
            exporter: Box::new(Exporter::new(settings)),
            numbers_go_on,
        }
    }

    /// A new connection begins: whoever is there knows nothing yet. Flow messages over UDP go on
    /// from `sequence`.
    pub(super) fn begin(&mut self, from: u32) {
        match self {
            Self::Flow {
                exporter,
                numbers_go_on: true,
            } => exporter.resume(from),
            Self::Flow { exporter, .. } => exporter.restart(),
            Self::Syslog { sequence, .. } => *sequence = Sequence::FIRST,
            Self::Lines => {}
        }
    }

    /// The number of the next flow message, where numbers go on.
    pub(super) fn sequence(&self) -> u32 {
        match self {
            Self::Flow {
                exporter,
                numbers_go_on: true,
            } => exporter.sequence(),
            _ => 0,
        }
    }

    /// Writes the next parcel over what is in `parcel`: a datagram, or a piece of a stream that
    /// ends with a whole message. There is at least one event.
    pub(super) fn parcel(
        &mut self,
        now: Timestamp,
        events: &[NatEvent],
        parcel: &mut Vec<u8>,
    ) -> Encoded {
        parcel.clear();
        let mut written = 0;
        match self {
            Self::Flow { exporter, .. } => match exporter.message(now, events, parcel) {
                Ok(taken) => written = taken,
                Err(_) => {
                    return Encoded {
                        written: 0,
                        left_out: 1,
                    };
                }
            },
            Self::Syslog {
                export,
                sequence,
                framing,
                message,
            } => {
                for event in events {
                    message.clear();
                    export.write(event, now, *sequence, message);
                    *sequence = sequence.next();
                    frame(*framing, message, parcel);
                    written += 1;
                    if *framing == Framing::Datagram || parcel.len() >= PARCEL {
                        break;
                    }
                }
            }
            Self::Lines => {
                for event in events {
                    parcel.extend_from_slice(json_lines::write(event).as_bytes());
                    parcel.push(b'\n');
                    written += 1;
                    if parcel.len() >= PARCEL {
                        break;
                    }
                }
            }
        }
        Encoded {
            written,
            left_out: 0,
        }
    }
}

fn frame(framing: Framing, message: &[u8], parcel: &mut Vec<u8>) {
    match framing {
        Framing::Datagram => parcel.extend_from_slice(message),
        Framing::Stream(StreamFraming::OctetCounting) => {
            parcel.extend_from_slice(message.len().to_string().as_bytes());
            parcel.push(b' ');
            parcel.extend_from_slice(message);
        }
        // Our messages have no line feed inside: every value is a name, a number or a time.
        Framing::Stream(StreamFraming::LineFeed) => {
            parcel.extend_from_slice(message);
            parcel.push(b'\n');
        }
    }
}
