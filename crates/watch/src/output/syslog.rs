//! The system's logger, or another host's: each entry a message. Another host gets RFC 5424's; a
//! local socket RFC 3164's without time and host, which every logger there reads: rsyslog takes the
//! version of the newer form for the name of a program.

use std::{
    fmt, io,
    io::Write as _,
    net::{SocketAddr, UdpSocket},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    time::Duration,
};

use portledger_model::Timestamp;
use portledger_servers::connection_log::{Entry, Mark, PROGRAM, Says, Watched};

use super::{Lost, Output, OutputError, Unwritten, Written};

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A local socket, `/dev/log` most likely.
    Local(PathBuf),
    /// Another host, over UDP (RFC 5426). What is lost on the way nobody notices.
    Udp(SocketAddr),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Udp(address) => write!(f, "udp:{address}"),
        }
    }
}

/// Facility local0, severity informational (RFC 5424 §6.2.1).
const PRIORITY: u8 = 16 * 8 + 6;
/// How long the logger may keep us waiting before a message counts as not written. The kernel
/// keeps first packets meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);

/// A logger.
#[derive(Debug)]
pub struct Syslog {
    target: Target,
    host: String,
    socket: Socket,
    message: Vec<u8>,
    unwritten: Unwritten,
    failed: Option<io::Error>,
    written: Written,
}

#[derive(Debug)]
enum Socket {
    /// Connected, until the logger restarts.
    Local(Option<UnixDatagram>),
    Udp(UdpSocket),
}

impl Syslog {
    /// Connects to the logger; `host` is the name of this machine.
    ///
    /// # Errors
    /// Where nobody listens at a local socket, or no socket can be had.
    pub fn open(target: Target, host: &str) -> Result<Self, OutputError> {
        let opened = match &target {
            Target::Local(path) => connected(path).map(|socket| Socket::Local(Some(socket))),
            Target::Udp(address) => udp(*address).map(Socket::Udp),
        };
        let socket = opened.map_err(|error| OutputError::Syslog {
            target: target.to_string(),
            error,
        })?;
        // RFC 5424 §6.2.4: printable ASCII without spaces.
        let host: String = host
            .chars()
            .filter(char::is_ascii_graphic)
            .take(255)
            .collect();
        Ok(Self {
            target,
            host: if host.is_empty() {
                "-".to_owned()
            } else {
                host
            },
            socket,
            message: Vec::new(),
            unwritten: Unwritten::default(),
            failed: None,
            written: Written::default(),
        })
    }

    fn send(&mut self, entry: &Entry) -> io::Result<()> {
        let (at, kind) = match entry {
            Entry::Connection(record) => (record.at, "connection"),
            Entry::Mark(mark) => (mark.at, "mark"),
        };
        self.message.clear();
        match &self.socket {
            // RFC 3164 §4.3.2: a message without a time gets one from whoever takes it.
            Socket::Local(_) => write!(self.message, "<{PRIORITY}>{PROGRAM}: {entry}")?,
            // RFC 5424 §6: time with microseconds, host, program, no process, kind, no structured
            // data.
            Socket::Udp(_) => write!(
                self.message,
                "<{PRIORITY}>1 {at} {} {PROGRAM} - {kind} - {entry}",
                self.host
            )?,
        }
        match &mut self.socket {
            Socket::Udp(socket) => socket.send(&self.message).map(drop),
            Socket::Local(socket) => {
                let connect = || match &self.target {
                    Target::Local(path) => connected(path),
                    Target::Udp(_) => Err(io::ErrorKind::NotConnected.into()),
                };
                // A logger that restarted has another socket under the same name.
                for attempt in 0..2 {
                    let open = match socket.take() {
                        Some(open) => open,
                        None => connect()?,
                    };
                    match open.send(&self.message) {
                        Ok(_) => {
                            *socket = Some(open);
                            return Ok(());
                        }
                        Err(error) if is_gone(&error) && attempt == 0 => {}
                        Err(error) => {
                            *socket = Some(open).filter(|_| !is_gone(&error));
                            return Err(error);
                        }
                    }
                }
                Err(io::ErrorKind::NotConnected.into())
            }
        }
    }

    fn put(&mut self, entry: &Entry) {
        match self.send(entry) {
            Ok(()) => self.written.lines += 1,
            Err(error) => {
                let lost = Lost::of(entry);
                self.written.unwritten += lost.connections;
                self.unwritten.add(lost);
                self.failed = Some(error);
            }
        }
    }
}

impl Output for Syslog {
    fn write(&mut self, entry: &Entry) {
        // Once it failed, no more is tried before the next flush: a logger that hangs would keep
        // us from the packets for its whole time with each message.
        if self.failed.is_some() {
            let lost = Lost::of(entry);
            self.written.unwritten += lost.connections;
            self.unwritten.add(lost);
            return;
        }
        self.put(entry);
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        if let Some(left_out) = self.unwritten.0 {
            let mark = Mark {
                at: left_out.to,
                says: Says::LeftOut(left_out),
            };
            match self.send(&Entry::Mark(mark)) {
                Ok(()) => {
                    self.written.lines += 1;
                    self.unwritten.0 = None;
                    // That it failed is said once.
                    if let Some(error) = self.failed.take() {
                        return Err(self.refused(error));
                    }
                }
                Err(error) => {
                    let again = io::Error::new(error.kind(), error.to_string());
                    self.failed = Some(error);
                    return Err(self.refused(again));
                }
            }
        }
        Ok(())
    }

    fn rotate(&mut self, _: Timestamp, _: &Watched) -> Result<(), OutputError> {
        Ok(())
    }

    fn reopen(&mut self, _: Timestamp, _: &Watched) -> Result<(), OutputError> {
        Ok(())
    }

    fn written(&self) -> Written {
        self.written
    }
}

impl Syslog {
    fn refused(&self, error: io::Error) -> OutputError {
        OutputError::Syslog {
            target: self.target.to_string(),
            error,
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotFound
    )
}

fn connected(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if address.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use portledger_model::Transport;
    use portledger_servers::connection_log::Record;

    use super::*;

    fn connection(port: u16) -> Entry {
        Entry::Connection(Record {
            at: Timestamp::from_micros(1_795_258_402_123_456),
            transport: Transport::Tcp,
            client: ("203.0.113.7".parse().unwrap(), port),
            server: ("192.0.2.80".parse().unwrap(), 443),
            told: None,
        })
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 500];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_entry_is_a_message_and_a_loggers_absence_is_told_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let logger = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::open(Target::Local(path.clone()), "www 1").unwrap();
        syslog.write(&connection(1));
        syslog.flush().unwrap();
        let mut text = heard(&logger) + "\n";

        drop(logger);
        std::fs::remove_file(&path).unwrap();
        syslog.write(&connection(2));
        syslog.write(&connection(3));
        assert!(syslog.flush().is_err());
        let logger = UnixDatagram::bind(&path).unwrap();
        assert!(syslog.flush().is_err(), "that it failed is said");
        syslog.flush().unwrap();
        syslog.write(&connection(4));
        text += &(heard(&logger) + "\n");
        text += &heard(&logger);
        insta::assert_snapshot!(text);
        let expected = Written {
            lines: 3,
            unwritten: 2,
            rotated: 0,
        };
        assert_eq!(syslog.written(), expected);
    }

    #[test]
    fn over_udp() {
        let logger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let target = Target::Udp(logger.local_addr().unwrap());
        let mut syslog = Syslog::open(target, "").unwrap();
        syslog.write(&connection(1));
        let mut bytes = [0; 500];
        let length = logger.recv(&mut bytes).unwrap();
        assert_eq!(
            std::str::from_utf8(&bytes[..length]).unwrap(),
            "<134>1 2026-11-21T10:53:22.123456Z - portledger-watch - connection - 1795258402.123456 203.0.113.7 1 192.0.2.80 443 tcp"
        );
    }
}
