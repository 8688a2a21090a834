//! The PROXY protocol, versions 1 and 2: what a load balancer writes at the head of a connection
//! so that the server learns of the client.
//!
//! The names of sections are those of HAProxy's `proxy-protocol.txt`. A header is not
//! authenticated: whoever may connect may write one. Take it only from balancers you know.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portledger_model::Transport;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The connection is a client's.
    Client(Client),
    /// It is the balancer's own, such as a check of health (§2.2, `LOCAL`).
    Local,
    /// The balancer does not know the client, or the client has no IP endpoint.
    Unknown,
}

/// A client, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// What it speaks to the balancer.
    pub transport: Transport,
    /// Its own end.
    pub client: (IpAddr, u16),
    /// The end that it connected to.
    pub front: (IpAddr, u16),
}

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The bytes begin with something else, or contradict themselves.
    Malformed,
    /// They are the beginning of a header.
    Cut,
}

/// §2.2: no protocol begins with it.
pub const SIGNATURE_2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// §2.1: how the older one begins.
pub const SIGNATURE_1: &[u8; 6] = b"PROXY ";

/// §2.1: with its end of line, a header of version 1 has no more bytes than this.
pub const LONGEST_1: usize = 107;

/// Reads the header that `bytes` begin with. Of version 2 all but the addresses may be missing at
/// the end: nothing that is told here stands behind them.
///
/// # Errors
/// Where there is none.
pub fn parse(bytes: &[u8]) -> Result<Header, Fault> {
    if let Some(rest) = bytes.strip_prefix(SIGNATURE_2) {
        version_2(rest)
    } else if let Some(rest) = bytes.strip_prefix(SIGNATURE_1) {
        version_1(rest)
    } else if SIGNATURE_2.starts_with(bytes) || SIGNATURE_1.starts_with(bytes) {
        Err(Fault::Cut)
    } else {
        Err(Fault::Malformed)
    }
}

/// `TCP4 203.0.113.7 192.0.2.1 40123 443\r\n`
fn version_1(rest: &[u8]) -> Result<Header, Fault> {
    let most = LONGEST_1 - SIGNATURE_1.len();
    let line = rest.get(..most.min(rest.len())).unwrap_or_default();
    let Some(end) = memchr::memmem::find(line, b"\r\n") else {
        return Err(if rest.len() < most {
            Fault::Cut
        } else {
            Fault::Malformed
        });
    };
    let line = line.get(..end).unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Fault::Malformed)?;
    // §2.1: what follows UNKNOWN is to be ignored.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(Header::Unknown);
    }
    line_1(line).map(Header::Client).ok_or(Fault::Malformed)
}

fn line_1(line: &str) -> Option<Client> {
    let mut words = line.split(' ');
    let family = words.next()?;
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (client, front) = (address()?, address()?);
    let (client_port, front_port) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then_some(Client {
        transport: Transport::Tcp,
        client: (client.to_canonical(), client_port),
        front: (front.to_canonical(), front_port),
    })
}

/// §2.1: decimal, without leading zeros.
fn port(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let has_zero = word.len() > 1 && word.starts_with('0');
    word.parse().ok().filter(|_| is_plain && !has_zero)
}

/// §2.2: version and command, family and transport, length, addresses.
fn version_2(rest: &[u8]) -> Result<Header, Fault> {
    let Some(([command, family, high, low], rest)) = rest.split_first_chunk() else {
        let version_is_wrong = rest.first().is_some_and(|command| command >> 4 != 2);
        return Err(if version_is_wrong {
            Fault::Malformed
        } else {
            Fault::Cut
        });
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    match command {
        // "The receiver must accept this connection as valid and must use the real connection
        // endpoints and discard the protocol block".
        0x20 => return Ok(Header::Local),
        0x21 => {}
        _ => return Err(Fault::Malformed),
    }
    let transport = match family & 15 {
        0 => return Ok(Header::Unknown),
        1 => Transport::Tcp,
        2 => Transport::Udp,
        _ => return Err(Fault::Malformed),
    };
    let ends = match family >> 4 {
        1 => ends::<4>(rest, length)?,
        2 => ends::<16>(rest, length)?,
        // AF_UNSPEC and AF_UNIX.
        0 | 3 => return Ok(Header::Unknown),
        _ => return Err(Fault::Malformed),
    };
    let [client, front] = ends;
    Ok(Header::Client(Client {
        transport,
        client,
        front,
    }))
}

/// Source address, destination address, source port, destination port.
fn ends<const N: usize>(rest: &[u8], length: usize) -> Result<[(IpAddr, u16); 2], Fault>
where
    IpAddr: From<[u8; N]>,
{
    if length < 2 * N + 4 {
        return Err(Fault::Malformed);
    }
    let read = || {
        let (client, rest) = rest.split_first_chunk::<N>()?;
        let (front, rest) = rest.split_first_chunk::<N>()?;
        let [a, b, c, d] = *rest.first_chunk()?;
        Some([
            (
                IpAddr::from(*client).to_canonical(),
                u16::from_be_bytes([a, b]),
            ),
            (
                IpAddr::from(*front).to_canonical(),
                u16::from_be_bytes([c, d]),
            ),
        ])
    };
    read().ok_or(Fault::Cut)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(client: &str, front: &str) -> Header {
        let endpoint = |text: &str| {
            let socket: std::net::SocketAddr = text.parse().unwrap();
            (socket.ip(), socket.port())
        };
        Header::Client(Client {
            transport: Transport::Tcp,
            client: endpoint(client),
            front: endpoint(front),
        })
    }

    #[test]
    fn headers_of_version_1() {
        let v4 = told("203.0.113.7:40123", "192.0.2.1:443");
        let v6 = told("[2001:db8::7]:40123", "[2001:db8::1]:443");
        for (text, expected) in [
            (
                "PROXY TCP4 203.0.113.7 192.0.2.1 40123 443\r\nGET /",
                Ok(v4),
            ),
            ("PROXY TCP6 2001:db8::7 2001:db8::1 40123 443\r\n", Ok(v6)),
            ("PROXY UNKNOWN\r\n", Ok(Header::Unknown)),
            ("PROXY UNKNOWN what so ever\r\n", Ok(Header::Unknown)),
            ("PROXY TCP4 203.0.113.7 192.0.2.1 40123 44", Err(Fault::Cut)),
            ("PRO", Err(Fault::Cut)),
            ("", Err(Fault::Cut)),
            ("GET / HTTP/1.1\r\n", Err(Fault::Malformed)),
            (
                "PROXY TCP4 2001:db8::7 2001:db8::1 1 443\r\n",
                Err(Fault::Malformed),
            ),
            (
                "PROXY TCP4 203.0.113.7 192.0.2.1 040123 443\r\n",
                Err(Fault::Malformed),
            ),
            (
                "PROXY TCP4 203.0.113.7 192.0.2.1 +1 443\r\n",
                Err(Fault::Malformed),
            ),
            (
                "PROXY TCP4 203.0.113.7  192.0.2.1 1 443\r\n",
                Err(Fault::Malformed),
            ),
            (
                "PROXY TCP4 203.0.113.7 192.0.2.1 1 443 \r\n",
                Err(Fault::Malformed),
            ),
            (
                "PROXY TCP4 203.0.113.7 192.0.2.1 1 65536\r\n",
                Err(Fault::Malformed),
            ),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
        let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat();
        assert_eq!(parse(&endless), Err(Fault::Malformed));
    }

    fn version_2(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        [SIGNATURE_2.as_slice(), &[command, family, high, low], rest].concat()
    }

    #[test]
    fn headers_of_version_2() {
        let addresses = [203, 0, 113, 7, 192, 0, 2, 1, 0x9C, 0xBB, 1, 0xBB];
        let client = Ok(told("203.0.113.7:40123", "192.0.2.1:443"));
        let udp = parse(&version_2(0x21, 0x12, 12, &addresses));
        assert!(matches!(udp, Ok(Header::Client(client)) if client.transport == Transport::Udp));
        for (bytes, expected) in [
            (version_2(0x21, 0x11, 12, &addresses), client),
            // With more behind it that was not captured.
            (version_2(0x21, 0x11, 300, &addresses), client),
            (
                version_2(0x21, 0x11, 300, &addresses[..11]),
                Err(Fault::Cut),
            ),
            (version_2(0x21, 0x11, 11, &addresses), Err(Fault::Malformed)),
            (version_2(0x20, 0x00, 0, &[]), Ok(Header::Local)),
            (version_2(0x20, 0x11, 12, &addresses), Ok(Header::Local)),
            (version_2(0x21, 0x00, 0, &[]), Ok(Header::Unknown)),
            (version_2(0x21, 0x31, 216, &[0; 216]), Ok(Header::Unknown)),
            (version_2(0x11, 0x11, 12, &addresses), Err(Fault::Malformed)),
            (version_2(0x22, 0x11, 12, &addresses), Err(Fault::Malformed)),
            (version_2(0x21, 0x41, 12, &addresses), Err(Fault::Malformed)),
            (version_2(0x21, 0x13, 12, &addresses), Err(Fault::Malformed)),
        ] {
            assert_eq!(parse(&bytes), expected, "{bytes:x?}");
        }
        let mapped = [
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 203, 0, 113, 7],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1],
        ];
        let mapped = [mapped.concat().as_slice(), &[0x9C, 0xBB, 1, 0xBB]].concat();
        assert_eq!(parse(&version_2(0x21, 0x21, 36, &mapped)), client);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            client: [u8; 16], front: [u8; 16], ports: (u16, u16), is_v4: bool, after: Vec<u8>,
        ) {
            let address = |bytes: [u8; 16]| match is_v4 {
                true => IpAddr::from(*bytes.first_chunk::<4>().unwrap()),
                false => IpAddr::from(bytes),
            };
            let (source, target) = (address(client), address(front));
            let canonical = |address: IpAddr, port| (address.to_canonical(), port);
            let expected = Ok(Header::Client(Client {
                transport: Transport::Tcp,
                client: canonical(source, ports.0),
                front: canonical(target, ports.1),
            }));
            let family = if is_v4 { "TCP4" } else { "TCP6" };
            let mut text = format!("PROXY {family} {source} {target} {} {}\r\n", ports.0, ports.1).into_bytes();
            text.extend(&after);
            prop_assert_eq!(parse(&text), expected);

            let size = if is_v4 { 4 } else { 16 };
            let mut rest = [&client[..size], &front[..size]].concat();
            rest.extend(ports.0.to_be_bytes());
            rest.extend(ports.1.to_be_bytes());
            let length = u16::try_from(rest.len() + after.len().min(600)).unwrap();
            rest.extend(after);
            let bytes = version_2(0x21, if is_v4 { 0x11 } else { 0x21 }, length, &rest);
            prop_assert_eq!(parse(&bytes), expected);
        }

        /// A header in pieces is cut until it is whole: never another client meanwhile.
        #[test]
        fn the_beginning_of_a_header_names_nobody(cut in 0_usize..44) {
            let text = b"PROXY TCP4 203.0.113.7 192.0.2.1 40123 443\r\n";
            prop_assert_eq!(text.len(), 44);
            prop_assert_eq!(parse(&text[..cut]), Err(Fault::Cut));
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>, which in 0_usize..3) {
            let begin: [&[u8]; 3] = [b"", SIGNATURE_1, SIGNATURE_2];
            let _ = parse(&[begin[which], &bytes].concat());
            let _ = parse(&[SIGNATURE_2.as_slice(), &[0x21, 0x11], &bytes].concat());
        }
    }
}
