//! Who is behind the proxies in front of a server, as the headers say that these set.
//!
//! Anybody can send such a header, so it is believed only as far as trusted proxies vouch for it:
//! each names who connected to it, and its word counts if its own address is a trusted one. The
//! walk goes from the server outward; the first address that is no proxy's is the client. What
//! stands further out in the header is the client's own claim.
//!
//! A port is taken only where the element that names the client carries it: that of the hop is of
//! another connection. `X-Forwarded-Port` is the port that the client connected *to*, unless the
//! operator says otherwise.

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;

use crate::address;

/// Which proxies in front of a server are believed, and in what.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The networks of the proxies. Without any, no header is believed.
    pub proxies: Vec<IpNet>,
    /// The headers that these proxies set, or remove where a client sent them. Empty: every one
    /// that a line has, but [`Header::ForwardedPort`]; then they must agree in all they say.
    pub headers: Vec<Header>,
}

impl Trust {
    /// Whether any proxy is believed.
    pub(crate) const fn is_any(&self) -> bool {
        !self.proxies.is_empty()
    }

    /// Whether this is the address of a proxy that is believed.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies
            .iter()
            .any(|network| network.contains(&address))
    }

    fn believes(&self, header: Header) -> bool {
        if self.headers.is_empty() {
            header != Header::ForwardedPort
        } else {
            self.headers.contains(&header)
        }
    }
}

/// A header in which a proxy tells who connected to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Header {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`: addresses, the nearest last, some with a port.
    ForwardedFor,
    /// `X-Real-IP`: one address.
    RealIp,
    /// `Client-IP`: one address.
    ClientIp,
    /// `X-Forwarded-Port`: usually the port that was connected *to*.
    ForwardedPort,
}

impl Header {
    pub(crate) const ALL: [Self; 5] = [
        Self::Forwarded,
        Self::ForwardedFor,
        Self::RealIp,
        Self::ClientIp,
        Self::ForwardedPort,
    ];

    /// As HTTP writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "Forwarded",
            Self::ForwardedFor => "X-Forwarded-For",
            Self::RealIp => "X-Real-IP",
            Self::ClientIp => "Client-IP",
            Self::ForwardedPort => "X-Forwarded-Port",
        }
    }

    /// The header of this name in any case, `_` for `-` as nginx's variables have it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let same = |known: &str| {
            let bytes = name.bytes().map(|byte| match byte {
                b'_' => b'-',
                byte => byte.to_ascii_lowercase(),
            });
            bytes.eq(known.bytes().map(|byte| byte.to_ascii_lowercase()))
        };
        Self::ALL.into_iter().find(|header| same(header.name()))
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Header {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::named(name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("'{name}' is no header that names a client; known are {known}")
        })
    }
}

/// The headers of one request, as they came.
#[derive(Debug, Default)]
pub(crate) struct Headers<'a>([Option<Cow<'a, [u8]>>; Header::ALL.len()]);

impl<'a> Headers<'a> {
    /// A dash is what logs write for a header that was not there.
    pub(crate) fn set(&mut self, header: Header, text: Cow<'a, [u8]>) {
        let is_there = !matches!(text.trim_ascii(), b"" | b"-");
        self.0[header as usize] = is_there.then_some(text);
    }

    /// Who is behind `hop`, an address that is trusted. `None` where that is not known.
    pub(crate) fn client(&self, trust: &Trust) -> Option<(IpAddr, Option<u16>)> {
        let mut client: Option<Found> = None;
        for header in Header::ALL {
            let Some(text) = self.text(header, trust) else {
                continue;
            };
            let found = match header {
                Header::Forwarded => walk(forwarded(text)?.into_iter().rev(), trust)?,
                Header::ForwardedFor => {
                    walk(text.rsplit(|byte| *byte == b',').map(plain_node), trust)?
                }
                Header::RealIp | Header::ClientIp => walk([plain_node(text)].into_iter(), trust)?,
                Header::ForwardedPort => continue,
            };
            client = Some(match client {
                None => found,
                Some(before) => before.and(found, trust)?,
            });
        }
        let client = client?;
        Some((client.address, client.port.or(self.port(&client, trust))))
    }

    fn text(&self, header: Header, trust: &Trust) -> Option<&[u8]> {
        let text = self.0[header as usize].as_deref()?;
        trust.believes(header).then_some(text)
    }

    /// The port of `X-Forwarded-Port`, which the nearest hop sets: it is that of who connected to
    /// this hop.
    fn port(&self, client: &Found, trust: &Trust) -> Option<u16> {
        let text = self.text(Header::ForwardedPort, trust)?;
        address::port(text.trim_ascii()).filter(|_| client.passed == 0)
    }
}

/// A client, and how many proxies were passed on the way to its name.
#[derive(Debug, Clone, Copy)]
struct Found {
    address: IpAddr,
    port: Option<u16>,
    passed: usize,
}

impl Found {
    /// What two headers say together: nothing if they name two clients, since one of them is a
    /// client's own. A port that only one of them has may be just as well, unless the operator
    /// says that the proxies set both.
    fn and(self, other: Self, trust: &Trust) -> Option<Self> {
        let port = match (self.port, other.port) {
            (Some(one), Some(two)) => (one == two).then_some(one),
            (one, two) if !trust.headers.is_empty() => one.or(two),
            _ => None,
        };
        (self.address == other.address).then_some(Self {
            port,
            passed: self.passed.min(other.passed),
            ..self
        })
    }
}

/// Someone who connected to a proxy, as it names them; `None` where it hides them or what it wrote
/// cannot be read.
type Node = Option<(IpAddr, Option<u16>)>;

/// Goes outward past the trusted proxies. Where all are trusted nobody says whether the outermost
/// is a client or a proxy that keeps silent.
fn walk(nearest_first: impl Iterator<Item = Node>, trust: &Trust) -> Option<Found> {
    for (node, passed) in nearest_first.zip(0..) {
        let (address, port) = node?;
        if !trust.is_proxy(address) {
            return Some(Found {
                address,
                port: port.filter(|port| *port != 0),
                passed,
            });
        }
    }
    None
}

/// An element of `X-Forwarded-For`: an address, or an address and a port. `2001:db8::1:4242` may
/// be either and is taken for an address, which is what the header is for.
fn plain_node(element: &[u8]) -> Node {
    let element = element.trim_ascii();
    if let Some(address) = address::parse(element) {
        return Some((address, None));
    }
    let (address, port) = address::endpoint(element)?;
    Some((address, Some(port)))
}

/// The elements of a `Forwarded` header (RFC 7239 §4), the nearest last; `None` if it is not well
/// formed from its beginning: then a client may have opened a quote that a proxy's words close.
fn forwarded(text: &[u8]) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut rest = text.trim_ascii();
    loop {
        let mut node: Option<Node> = None;
        loop {
            let (name, value, after) = parameter(rest)?;
            // RFC 7239 §4: each parameter once an element.
            if name.eq_ignore_ascii_case(b"for") && node.replace(node_of(&value)).is_some() {
                return None;
            }
            rest = after.trim_ascii_start();
            match rest.strip_prefix(b";") {
                Some(after) => rest = after,
                None => break,
            }
        }
        // An element without `for` names nobody.
        nodes.push(node.flatten());
        rest = match rest {
            [] => return Some(nodes),
            [b',', after @ ..] => after.trim_ascii_start(),
            _ => return None,
        };
    }
}

/// A parameter's name and value, and what follows it.
type Parameter<'a> = (&'a [u8], Cow<'a, [u8]>, &'a [u8]);

/// `name=value` or `name="value"`.
fn parameter(text: &[u8]) -> Option<Parameter<'_>> {
    let equals = memchr::memchr(b'=', text)?;
    let (name, value) = (text.get(..equals)?, text.get(equals + 1..)?);
    if name.is_empty() || !name.iter().all(|byte| is_token_byte(*byte)) {
        return None;
    }
    if let Some(quoted) = value.strip_prefix(b"\"") {
        let (inner, after) = quoted_string(quoted)?;
        return Some((name, Cow::Owned(inner), after));
    }
    // Not every proxy puts quotes around an endpoint, as RFC 7239 §4 wants it.
    let ends = |byte: &u8| matches!(*byte, b';' | b',' | b'"' | b' ' | b'\t');
    let end = value.iter().position(ends).unwrap_or(value.len());
    let (value, after) = value.split_at(end);
    (!value.is_empty()).then_some((name, Cow::Borrowed(value), after))
}

/// RFC 7230 §3.2.6.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// The text up to the closing quote, its escapes taken off, and what follows.
fn quoted_string(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut inner = Vec::new();
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some((inner, text.get(at + 1..)?)),
            b'\\' => {
                inner.push(*text.get(at + 1)?);
                at += 2;
            }
            byte => {
                inner.push(*byte);
                at += 1;
            }
        }
    }
}

/// `192.0.2.43`, `192.0.2.43:47011`, `[2001:db8::1]`, `[2001:db8::1]:4711`; `unknown` and
/// `_hidden` are nobody, and a port may be hidden alone (RFC 7239 §6).
fn node_of(value: &[u8]) -> Node {
    let (name, port) = if value.starts_with(b"[") {
        let end = memchr::memchr(b']', value)? + 1;
        let port = match value.get(end..)? {
            b"" => None,
            rest => Some(rest.strip_prefix(b":")?),
        };
        (value.get(..end)?, port)
    } else {
        let mut parts = value.splitn(2, |byte| *byte == b':');
        (parts.next()?, parts.next())
    };
    let address = address::parse(name)?;
    match port {
        None => Some((address, None)),
        Some(port) if port.starts_with(b"_") => Some((address, None)),
        Some(port) => Some((address, Some(address::port(port)?))),
    }
}

/// A value with what a server did to its quotes and other bytes undone: `\x22`, `\"`, `\u0022`.
pub(crate) fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let escaped = text.get(at + 1);
        let coded = match escaped {
            _ if *byte != b'\\' => None,
            Some(b'x') => code(text, at + 2, 2),
            Some(b'u') => code(text, at + 2, 4),
            _ => None,
        };
        match (coded, escaped) {
            (Some((byte, length)), _) => {
                plain.push(byte);
                at += 2 + length;
            }
            (None, Some(escaped)) if *byte == b'\\' => {
                plain.push(*escaped);
                at += 2;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    Cow::Owned(plain)
}

/// The byte that so many hexadecimal digits name.
fn code(text: &[u8], at: usize, digits: usize) -> Option<(u8, usize)> {
    let text = std::str::from_utf8(text.get(at..at + digits)?).ok()?;
    let value = u16::from_str_radix(text, 16).ok()?;
    Some((u8::try_from(value).ok()?, digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trust(headers: &[Header]) -> Trust {
        Trust {
            proxies: ["192.0.2.0/24", "2001:db8:ff::/48"]
                .map(|network| network.parse().unwrap())
                .to_vec(),
            headers: headers.to_vec(),
        }
    }

    fn told(headers: &[(Header, &str)], trust: &Trust) -> String {
        let mut all = Headers::default();
        for (header, text) in headers {
            all.set(*header, Cow::Borrowed(text.as_bytes()));
        }
        match all.client(trust) {
            None => "unknown".to_owned(),
            Some((address, None)) => address.to_string(),
            Some((address, Some(port))) => format!("{address} port {port}"),
        }
    }

    #[test]
    fn the_first_address_that_is_no_proxys_is_the_client() {
        for (text, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.66, 203.0.113.7", "203.0.113.7"),
            ("203.0.113.66, 203.0.113.7, 192.0.2.9", "203.0.113.7"),
            ("192.0.2.66,192.0.2.9", "unknown"),
            ("203.0.113.7:49152", "203.0.113.7 port 49152"),
            ("203.0.113.7:0", "203.0.113.7"),
            ("203.0.113.7:49152, 192.0.2.9:80", "203.0.113.7 port 49152"),
            ("[2001:db8::1]:4711", "2001:db8::1 port 4711"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:db8:0:0:0:0:0:1:4711", "2001:db8::1 port 4711"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("203.0.113.7, unknown", "unknown"),
            ("203.0.113.7, ", "unknown"),
            ("203.0.113.7, example.org", "unknown"),
            ("203.0.113.7:65536", "unknown"),
            ("-", "unknown"),
            ("", "unknown"),
        ] {
            let told = told(&[(Header::ForwardedFor, text)], &trust(&[]));
            assert_eq!(told, expected, "{text}");
        }
    }

    #[test]
    fn forwarded_elements() {
        for (text, expected) in [
            ("for=203.0.113.7", "203.0.113.7"),
            (
                "For=\"203.0.113.7:47011\";proto=https",
                "203.0.113.7 port 47011",
            ),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1 port 4711"),
            ("for=\"[2001:db8::1]\"", "2001:db8::1"),
            (
                "proto=http;by=\"[2001:db8:ff::1]\";for=\"[2001:db8::1]:4711\"",
                "2001:db8::1 port 4711",
            ),
            (
                "for=203.0.113.66, for=203.0.113.7;by=192.0.2.1 , for=192.0.2.9",
                "203.0.113.7",
            ),
            ("for=203.0.113.7:4711", "203.0.113.7 port 4711"),
            ("for=\"203.0.113.7:_hidden\"", "203.0.113.7"),
            ("for=_hidden, for=192.0.2.9", "unknown"),
            ("for=unknown", "unknown"),
            ("for=\"unknown:4711\"", "unknown"),
            ("for=\"_gazonk:4711\"", "unknown"),
            ("for=203.0.113.7, by=192.0.2.1", "unknown"),
            ("for=203.0.113.7;for=203.0.113.8", "unknown"),
            ("for=2001:db8::1", "unknown"),
            ("for=\"\"", "unknown"),
            ("for=203.0.113.7,", "unknown"),
            // A quote that the client left open swallows what the proxy says after it.
            ("for=\"x, for=203.0.113.7", "unknown"),
            ("for=\"x, for=\"[2001:db8::1]:4711\"", "unknown"),
            ("for=\"x\\, for=\"203.0.113.7:1\";y=\"", "unknown"),
            ("203.0.113.7", "unknown"),
        ] {
            let told = told(&[(Header::Forwarded, text)], &trust(&[]));
            assert_eq!(told, expected, "{text}");
        }
    }

    #[test]
    fn headers_that_disagree_name_nobody() {
        use Header::{Forwarded, ForwardedFor, ForwardedPort, RealIp};
        let both = |one, two| [(Forwarded, one), (ForwardedFor, two)];
        let told_by = |headers: &[_]| told(headers, &trust(&[]));
        assert_eq!(told_by(&both("for=203.0.113.7", "203.0.113.8")), "unknown");
        assert_eq!(told_by(&both("for=_x", "203.0.113.7")), "unknown");
        assert_eq!(told_by(&both("-", "203.0.113.7")), "203.0.113.7");
        // The client may have sent the one of the two that has a port.
        let one_port = both("for=\"203.0.113.7:4711\"", "203.0.113.7");
        assert_eq!(told_by(&one_port), "203.0.113.7");
        assert_eq!(
            told(&one_port, &trust(&[Forwarded, ForwardedFor])),
            "203.0.113.7 port 4711"
        );
        assert_eq!(told(&one_port, &trust(&[ForwardedFor])), "203.0.113.7");
        assert_eq!(
            told_by(&both("for=\"203.0.113.7:4711\"", "203.0.113.7:4712")),
            "203.0.113.7"
        );
        assert_eq!(told_by(&[(RealIp, "203.0.113.7")]), "203.0.113.7");
        // A single address says nothing of who is behind it.
        assert_eq!(told_by(&[(RealIp, "192.0.2.9")]), "unknown");
        let with_port = [(ForwardedFor, "203.0.113.7"), (ForwardedPort, "443")];
        assert_eq!(told_by(&with_port), "203.0.113.7");
        assert_eq!(
            told(&with_port, &trust(&[ForwardedFor, ForwardedPort])),
            "203.0.113.7 port 443"
        );
        let further = [
            (ForwardedFor, "203.0.113.7, 192.0.2.9"),
            (ForwardedPort, "443"),
        ];
        assert_eq!(
            told(&further, &trust(&[ForwardedFor, ForwardedPort])),
            "203.0.113.7"
        );
    }

    #[test]
    fn without_a_trusted_proxy_nothing_is_believed() {
        let nobody = Trust::default();
        assert!(!nobody.is_any());
        assert!(!nobody.is_proxy("192.0.2.9".parse().unwrap()));
    }

    #[test]
    fn what_servers_escape_is_read_back() {
        for (text, expected) in [
            (
                r"for=\x22[2001:db8::1]:4711\x22",
                "for=\"[2001:db8::1]:4711\"",
            ),
            (r#"for=\"x\\y\""#, "for=\"x\\y\""),
            (r"\u0022\x", "\"x"),
            ("plain", "plain"),
            ("\\", "\\"),
        ] {
            assert_eq!(unescaped(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn names_are_known_in_any_spelling() {
        assert_eq!(Header::named("x_forwarded_for"), Some(Header::ForwardedFor));
        assert_eq!("FORWARDED".parse(), Ok(Header::Forwarded));
        assert!("X-Forwarded-Host".parse::<Header>().is_err());
    }

    fn outsider() -> impl Strategy<Value = (IpAddr, Option<u16>)> {
        let address = prop_oneof![
            any::<u8>().prop_map(|last| IpAddr::from([203, 0, 113, last])),
            any::<u16>().prop_map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last])),
        ];
        (address, proptest::option::of(1_u16..))
    }

    fn written(address: IpAddr, port: Option<u16>) -> String {
        match (address, port) {
            (_, None) => address.to_string(),
            (IpAddr::V4(_), Some(port)) => format!("{address}:{port}"),
            (IpAddr::V6(_), Some(port)) => format!("[{address}]:{port}"),
        }
    }

    proptest! {
        /// Whatever a client sends, what the nearest trusted proxy appends decides.
        #[test]
        fn a_client_cannot_choose_who_it_is(
            claim in "[ -~]{0,40}",
            (address, port) in outsider(),
            proxies in 0_u8..4,
        ) {
            let mut text = format!("{claim}, {}", written(address, port));
            for proxy in 0..proxies {
                text += &format!(", 192.0.2.{proxy}");
            }
            let expected = told(&[(Header::ForwardedFor, &written(address, port))], &trust(&[]));
            prop_assert_eq!(told(&[(Header::ForwardedFor, &text)], &trust(&[])), expected);
        }

        /// In `Forwarded` a client may make itself unknown, never somebody else.
        #[test]
        fn a_client_cannot_quote_itself_into_another(
            claim in "(for=|by=|\"|,|;| |\\\\|=|192\\.0\\.2\\.9|203\\.0\\.113\\.66:4242|x){0,12}",
            (address, port) in outsider(),
        ) {
            let bracketed = match (address, port) {
                (IpAddr::V6(_), None) => format!("[{address}]"),
                _ => written(address, port),
            };
            let text = format!("{claim}, for=\"{bracketed}\";proto=https");
            let expected = match port {
                None => address.to_string(),
                Some(port) => format!("{address} port {port}"),
            };
            let told = told(&[(Header::Forwarded, &text)], &trust(&[]));
            prop_assert!(told == expected || told == "unknown", "{text}: {told}");
        }

        #[test]
        fn nothing_panics(texts in proptest::array::uniform5(any::<Vec<u8>>())) {
            let mut headers = Headers::default();
            for (header, text) in Header::ALL.into_iter().zip(&texts) {
                headers.set(header, unescaped(text));
            }
            if let Some((address, _)) = headers.client(&trust(&Header::ALL)) {
                prop_assert!(!trust(&[]).is_proxy(address));
            }
        }
    }
}
