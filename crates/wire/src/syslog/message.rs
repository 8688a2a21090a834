//! One syslog message: the header, taken apart.

use std::fmt;

use super::{
    elements::{Elements, TimeQuality},
    scan::{self, DateOrder},
    time::WrittenTime,
};

/// The number at a message's start: facility times eight, plus severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority(u8);

impl Priority {
    /// Facility local0, severity informational: what NATs use.
    pub const LOCAL0_INFO: Self = Self(16 * 8 + 6);

    /// From the number; `None` above 191 (RFC 5424 §6.2.1).
    pub const fn new(number: u8) -> Option<Self> {
        if number <= 191 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// 0 to 23.
    pub const fn facility(self) -> u8 {
        self.0 / 8
    }

    /// 0 (emergency) to 7 (debug).
    pub const fn severity(self) -> u8 {
        self.0 % 8
    }

    /// The number itself.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// How much of a header a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// RFC 5424, to the letter.
    Rfc5424,
    /// Whatever else: RFC 3164 says that anything may be met.
    Loose,
}

/// A message with its header taken apart. All of it is borrowed from the line; none of it is
/// promised to be UTF-8.
///
/// Reading never fails: what is no header is body. Where relays have put their own header before
/// the device's, the last one is the device's and counts.
///
/// `Debug` shows no body: it holds subscribers' addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// How the header is written.
    pub form: Form,
    /// The number at the start, where there is one.
    pub priority: Option<Priority>,
    /// When it was sent, as the device wrote it.
    pub time: Option<WrittenTime>,
    /// What the device says of its clock (RFC 5424 §7.1; Cisco's `*` and `.`).
    pub quality: TimeQuality,
    /// Its number among the sender's messages, by which a loss is noticed: RFC 5424 §7.3.1
    /// (`sequenceId`, 1 to 2,147,483,647 and then 1 again), or the number that Cisco's devices
    /// write first.
    pub sequence: Option<u64>,
    /// Who sent it.
    pub hostname: Option<&'a [u8]>,
    /// The program (RFC 5424 only).
    pub app_name: Option<&'a [u8]>,
    /// The process (RFC 5424 only).
    pub process: Option<&'a [u8]>,
    /// The kind of message (RFC 5424 only).
    pub message_id: Option<&'a [u8]>,
    /// The structured data (RFC 5424 only).
    pub elements: Elements<'a>,
    /// What follows the header, without a byte-order mark.
    pub body: &'a [u8],
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned());
        f.debug_struct("Message")
            .field("form", &self.form)
            .field("priority", &self.priority)
            .field("time", &self.time)
            .field("quality", &self.quality)
            .field("sequence", &self.sequence)
            .field("hostname", &text(self.hostname))
            .field("app_name", &text(self.app_name))
            .field("message_id", &text(self.message_id))
            .field("body", &format_args!("{} bytes, redacted", self.body.len()))
            .finish_non_exhaustive()
    }
}

const BOM: &[u8] = b"\xef\xbb\xbf";
/// How many headers may stand before each other: the device's and two relays'.
const HEADERS: usize = 3;

impl<'a> Message<'a> {
    /// Takes a line apart.
    pub fn parse(line: &'a [u8]) -> Self {
        let line = line.strip_prefix(BOM).unwrap_or(line);
        rfc5424(line).unwrap_or_else(|| loose(line))
    }

    const fn empty(body: &'a [u8]) -> Self {
        Self {
            form: Form::Loose,
            priority: None,
            time: None,
            quality: TimeQuality::UNSAID,
            sequence: None,
            hostname: None,
            app_name: None,
            process: None,
            message_id: None,
            elements: Elements::NONE,
            body,
        }
    }
}

/// RFC 5424 §6, where the line is of it from the first byte to the last.
fn rfc5424(line: &[u8]) -> Option<Message<'_>> {
    let (priority, rest) = priority(line)?;
    let rest = rest.strip_prefix(b"1 ")?;
    let (time, rest) = word(rest)?;
    let time = match time {
        b"-" => None,
        text => Some(timestamp(text)?),
    };
    let (hostname, rest) = word(rest)?;
    let (app_name, rest) = word(rest)?;
    let (process, rest) = word(rest)?;
    let (message_id, rest) = word(rest)?;
    let (elements, rest) = Elements::scan(rest)?;
    let body = match rest {
        [] => rest,
        [b' ', body @ ..] => body,
        _ => return None,
    };
    let quality = TimeQuality::of(elements);
    Some(Message {
        form: Form::Rfc5424,
        priority: Some(priority),
        // RFC 5424 §7.1.1: an originator that does not know its zone writes an offset all the same.
        time: time.map(|time| match quality.zone_known {
            Some(false) => WrittenTime {
                offset: None,
                ..time
            },
            _ => time,
        }),
        quality,
        sequence: sequence_id(elements),
        hostname: told(hostname),
        app_name: told(app_name),
        process: told(process),
        message_id: told(message_id),
        elements,
        body: body.strip_prefix(BOM).unwrap_or(body),
    })
}

/// `[meta sequenceId="…"]` (RFC 5424 §7.3.1).
fn sequence_id(elements: Elements<'_>) -> Option<u64> {
    let (_, value) = elements
        .get(b"meta")?
        .find(|(name, _)| *name == b"sequenceId")?;
    decimal(value.raw())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.parse().ok().filter(|_| !digits.starts_with('+'))
}

/// A timestamp of RFC 5424 §6.2.3, which is RFC 3339 with a `T` and a zone.
fn timestamp(text: &[u8]) -> Option<WrittenTime> {
    let (time, length) = scan::scan(text, DateOrder::Year)?;
    let strict = length == text.len() && text.get(10) == Some(&b'T') && time.offset.is_some();
    strict.then_some(time)
}

fn told(text: &[u8]) -> Option<&[u8]> {
    (text != b"-").then_some(text)
}

/// Up to the next space, which is left out; at least one byte.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', text).filter(|end| *end > 0)?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn priority(text: &[u8]) -> Option<(Priority, &[u8])> {
    let text = text.strip_prefix(b"<")?;
    let end = text.iter().take(4).position(|&b| b == b'>')?;
    let digits = text.get(..end).filter(|digits| !digits.is_empty())?;
    let mut number = 0_u16;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u16::from(digit - b'0');
    }
    let priority = Priority::new(u8::try_from(number).ok()?)?;
    Some((priority, text.get(end + 1..)?))
}

/// RFC 3164, as devices write it: each part may be missing, and a relay's header may come first.
fn loose(line: &[u8]) -> Message<'_> {
    let mut message = Message::empty(line);
    for _ in 0..HEADERS {
        if !header(&mut message) {
            break;
        }
    }
    let colons = |b: &&u8| b": \t".contains(b);
    let skip = message.body.iter().take_while(colons).count();
    message.body = message.body.get(skip..).unwrap_or_default();
    message
}

/// Takes one header off the body; says whether there was a time in it.
fn header(message: &mut Message<'_>) -> bool {
    let mut rest = message.body.trim_ascii_start();
    if let Some((priority, after)) = priority(rest) {
        message.priority = Some(priority);
        message.body = after;
        rest = after;
    }
    rest = rest.trim_ascii_start();
    // Devices that write a version, but not RFC 5424's timestamp (Huawei, Cisco IOS XR).
    if let Some(after) = rest.strip_prefix(b"1 ").filter(|after| starts_time(after)) {
        rest = after;
    }
    // What may stand before the time: Cisco's sequence number and host, "Daemon.Info", "(FPC 3)".
    let (mut hostname, mut sequence) = (None, None);
    for _ in 0..4 {
        rest = rest.trim_ascii_start();
        if let Some((time, quality, after)) = marked_time(rest) {
            message.time = Some(time);
            message.quality = quality;
            message.sequence = sequence.or(message.sequence);
            message.hostname = hostname.or(message.hostname);
            message.body = after;
            if let Some((host, after)) = host(after) {
                message.hostname = Some(host);
                message.body = after;
            }
            return true;
        }
        let Some((text, after)) = token(rest) else {
            return false;
        };
        if let Some(name) = text.strip_suffix(b":") {
            match decimal(name) {
                Some(number) => sequence = Some(number),
                None => hostname = Some(name),
            }
        } else if text.first() != Some(&b'(') && !is_level(text) && !is_host(text) {
            return false;
        }
        rest = after;
    }
    false
}

/// A time, with what may stand around it: Cisco's marks of an unset (`*`) or unsynchronised (`.`)
/// clock, brackets, a colon.
fn marked_time(text: &[u8]) -> Option<(WrittenTime, TimeQuality, &[u8])> {
    let mut quality = TimeQuality::UNSAID;
    let unmarked = match text {
        [b'*' | b'.', rest @ ..] => {
            quality.synced = Some(false);
            rest
        }
        [b':', rest @ ..] => rest.trim_ascii_start(),
        text => text,
    };
    if !starts_time(unmarked) {
        return None;
    }
    let (time, length) = scan::scan(unmarked, DateOrder::Year)?;
    let rest = unmarked.get(length..)?;
    // A local zone's name names no zone to anybody else; it is not the host.
    let rest = zone_name(rest).unwrap_or(rest);
    Some((time, quality, rest.strip_prefix(b":").unwrap_or(rest)))
}

/// Cheap, before a time is looked for in earnest.
fn starts_time(text: &[u8]) -> bool {
    match text {
        [b'1' | b'2', b'0' | b'9', a, b, b'-' | b'/' | b' ', ..] => {
            a.is_ascii_digit() && b.is_ascii_digit()
        }
        [a, b, c, b' ' | b',', ..] => {
            a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_alphabetic()
        }
        _ => false,
    }
}

/// ` CET:` after a time: letters with a colon behind them.
fn zone_name(text: &[u8]) -> Option<&[u8]> {
    let name = text.strip_prefix(b" ")?;
    let length = name.iter().take_while(|b| b.is_ascii_uppercase()).count();
    let after = name.get(length..)?;
    ((3..=5).contains(&length) && after.starts_with(b": ")).then_some(after)
}

/// The sender's name after a time: a word that is no tag (RFC 3164 §4.1.3: tags end in a colon or
/// a bracket) and no message of its own.
fn host(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut text, mut after) = token(text)?;
    if is_level(text) {
        (text, after) = token(after)?;
    }
    is_host(text).then_some((text, after))
}

/// `Daemon.Info`, as some collectors write the priority.
fn is_level(text: &[u8]) -> bool {
    let mut parts = text
        .strip_prefix(b"<")
        .and_then(|text| text.strip_suffix(b">"))
        .unwrap_or(text)
        .splitn(2, |&b| b == b'.');
    let level: &[&[u8]] = &[
        b"emerg",
        b"alert",
        b"crit",
        b"critical",
        b"err",
        b"error",
        b"warning",
        b"warn",
        b"notice",
        b"info",
        b"debug",
    ];
    let facility: &[&[u8]] = &[
        b"kern", b"user", b"mail", b"daemon", b"auth", b"syslog", b"lpr", b"news", b"cron",
        b"local", b"kernel", b"system",
    ];
    match (parts.next(), parts.next()) {
        (Some(first), Some(second)) => {
            let name = first.trim_ascii_end();
            let digits = name.iter().rev().take_while(|b| b.is_ascii_digit()).count();
            let name = name.get(..name.len() - digits).unwrap_or_default();
            facility.iter().any(|f| name.eq_ignore_ascii_case(f))
                && level.iter().any(|l| second.eq_ignore_ascii_case(l))
        }
        _ => false,
    }
}

/// Names and addresses; what has a space, an equals sign, a bracket or an arrow is a message.
fn is_host(text: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b".-_:%/".contains(b);
    text.len() <= 255
        && text.iter().all(allowed)
        && text.last() != Some(&b':')
        && text.iter().any(u8::is_ascii_alphanumeric)
}

/// The next word; a parenthesis is one word whatever is in it.
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let end = if text.first() == Some(&b'(') {
        memchr::memchr(b')', text)? + 1
    } else {
        memchr::memchr2(b' ', b'\t', text)?
    };
    (end > 0).then_some((text.get(..end)?, text.get(end..)?))
}
