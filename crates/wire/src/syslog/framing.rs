//! Messages out of a stream (RFC 6587).

use std::mem;

/// How messages are told apart in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `MSG-LEN SP MSG` (RFC 6587 §3.4.1).
    OctetCounting,
    /// A line feed or a NUL after each message (RFC 6587 §3.4.2).
    Delimited,
    /// Whichever of the two the stream begins with: a count is digits, a space and `<`.
    Told,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message, without its frame.
    Message(&'a [u8]),
    /// A message longer than the limit, which was dropped.
    Overlong {
        /// How long it was, in bytes.
        bytes: u64,
    },
    /// Bytes that are no frame of the stream's framing; what follows them was looked for at the
    /// next line feed.
    Unframed {
        /// How many bytes were skipped.
        bytes: u64,
    },
    /// What was left when the stream ended, without an end of its own. It may have been cut short
    /// anywhere, even inside a port number.
    Unfinished(&'a [u8]),
}

/// Takes a stream apart into messages, whatever the pieces it arrives in.
///
/// It holds at most one message of at most the limit's length. Each byte that comes in is handed
/// out in a frame or counted in one, but for delimiters and counts.
///
/// ```
/// use portledger_wire::syslog::{Frame, Frames, Framing};
///
/// let mut frames = Frames::new(Framing::Told, 8_192);
/// let mut messages = Vec::new();
/// for piece in [&b"11 <14>"[..], b"one two5 ", b"<1>ab"] {
///     frames.push(piece, |frame| match frame {
///         Frame::Message(message) => messages.push(message.to_vec()),
///         other => panic!("{other:?}"),
///     });
/// }
/// assert_eq!(messages, [&b"<14>one two"[..], b"<1>ab"]);
/// ```
#[derive(Debug)]
pub struct Frames {
    framing: Framing,
    limit: usize,
    /// The message that is not complete, or the digits of its count.
    held: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a message, or inside a delimited one.
    Between,
    /// So many bytes of a counted message are still to come.
    Counted { left: usize },
    /// So many bytes of a counted message that is too long are still to come.
    Dropping { left: u64, bytes: u64 },
    /// Inside a delimited message that is too long already.
    DroppingLine { bytes: u64 },
    /// Looking for a line feed, to begin again behind it.
    Lost { bytes: u64 },
}

/// The digits of the largest count that can be read.
const COUNT_DIGITS: usize = 10;

impl Frames {
    /// For a stream whose messages are at most `limit` bytes long.
    pub const fn new(framing: Framing, limit: usize) -> Self {
        Self {
            framing,
            limit,
            held: Vec::new(),
            state: State::Between,
        }
    }

    /// Takes the stream's next bytes and hands out the frames that end in them.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame<'_>)) {
        while !bytes.is_empty() {
            let used = match (self.state, self.framing) {
                (State::Between, Framing::Told) => self.tell(bytes, &mut each),
                (State::Between, Framing::OctetCounting) => self.count(bytes),
                (State::Between, Framing::Delimited) => self.line(bytes, &mut each),
                (State::Counted { left }, _) => self.counted(bytes, left, &mut each),
                (State::Dropping { left, bytes: all }, _) => {
                    self.drop_counted(bytes, left, all, &mut each)
                }
                (State::DroppingLine { bytes: all }, _) => {
                    self.drop_line(bytes, all, |bytes| Frame::Overlong { bytes }, &mut each)
                }
                (State::Lost { bytes: all }, _) => {
                    self.drop_line(bytes, all, |bytes| Frame::Unframed { bytes }, &mut each)
                }
            };
            bytes = bytes.get(used..).unwrap_or_default();
        }
    }

    /// The stream's end: hands out what is left.
    pub fn finish(&mut self, mut each: impl FnMut(Frame<'_>)) {
        let held = mem::take(&mut self.held);
        match mem::replace(&mut self.state, State::Between) {
            State::Between | State::Counted { .. } if held.is_empty() => {}
            State::Between | State::Counted { .. } => each(Frame::Unfinished(&held)),
            State::Dropping { left, bytes } => each(Frame::Overlong {
                bytes: bytes.saturating_sub(left),
            }),
            State::DroppingLine { bytes } => each(Frame::Overlong { bytes }),
            State::Lost { bytes } => each(Frame::Unframed { bytes }),
        }
    }

    /// Looks at the stream's first bytes: `digits SP <` is a count, anything else is a line.
    fn tell(&mut self, bytes: &[u8], each: &mut impl FnMut(Frame<'_>)) -> usize {
        for (used, &byte) in bytes.iter().enumerate() {
            let spaced = self.held.last() == Some(&b' ');
            let counts = match byte {
                b'0' if self.held.is_empty() => false,
                b'0'..=b'9' if !spaced && self.held.len() < COUNT_DIGITS => true,
                b' ' if !spaced && !self.held.is_empty() => true,
                b'<' if spaced => {
                    self.framing = Framing::OctetCounting;
                    let digits = mem::take(&mut self.held);
                    self.begin_counted(digits.trim_ascii_end());
                    return used;
                }
                _ => false,
            };
            if !counts {
                self.framing = Framing::Delimited;
                // What was held is the line's start; read it again as such.
                let start = mem::take(&mut self.held);
                self.line(&start, each);
                return used;
            }
            self.held.push(byte);
        }
        bytes.len()
    }

    fn count(&mut self, bytes: &[u8]) -> usize {
        for (used, &byte) in bytes.iter().enumerate() {
            match byte {
                // Some senders end counted messages with a line feed too and do not count it.
                b'\n' | b'\r' | 0 if self.held.is_empty() => {}
                b'1'..=b'9' if self.held.len() < COUNT_DIGITS => self.held.push(byte),
                b'0' if (1..COUNT_DIGITS).contains(&self.held.len()) => self.held.push(byte),
                b' ' if !self.held.is_empty() => {
                    let digits = mem::take(&mut self.held);
                    self.begin_counted(&digits);
                    return used + 1;
                }
                _ => {
                    let held = self.held.len() as u64;
                    self.held.clear();
                    self.state = State::Lost { bytes: held };
                    return used;
                }
            }
        }
        bytes.len()
    }

    fn begin_counted(&mut self, digits: &[u8]) {
        let count = digits.iter().fold(0_u64, |count, digit| {
            count * 10 + u64::from(digit.wrapping_sub(b'0'))
        });
        self.state = match usize::try_from(count) {
            Ok(left) if left <= self.limit => State::Counted { left },
            _ => State::Dropping {
                left: count,
                bytes: count,
            },
        };
    }

    fn counted(&mut self, bytes: &[u8], left: usize, each: &mut impl FnMut(Frame<'_>)) -> usize {
        match bytes.get(..left) {
            Some(end) => {
                self.state = State::Between;
                if self.held.is_empty() {
                    each(Frame::Message(end));
                } else {
                    self.held.extend_from_slice(end);
                    each(Frame::Message(&self.held));
                    self.held.clear();
                }
                left
            }
            None => {
                self.held.extend_from_slice(bytes);
                self.state = State::Counted {
                    left: left - bytes.len(),
                };
                bytes.len()
            }
        }
    }

    fn drop_counted(
        &mut self,
        bytes: &[u8],
        left: u64,
        all: u64,
        each: &mut impl FnMut(Frame<'_>),
    ) -> usize {
        let used = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let left = left - used as u64;
        if left == 0 {
            self.state = State::Between;
            each(Frame::Overlong { bytes: all });
        } else {
            self.state = State::Dropping { left, bytes: all };
        }
        used
    }

    fn line(&mut self, bytes: &[u8], each: &mut impl FnMut(Frame<'_>)) -> usize {
        let end = memchr::memchr2(b'\n', 0, bytes);
        let text = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let used = text.len() + usize::from(end.is_some());
        // A carriage return before the line feed is not counted into the limit.
        if self.held.len() + text.len() > self.limit.saturating_add(1) {
            let bytes = (self.held.len() + text.len()) as u64;
            self.held.clear();
            if end.is_some() {
                each(Frame::Overlong { bytes });
            } else {
                self.state = State::DroppingLine { bytes };
            }
            return used;
        }
        match (end, self.held.is_empty()) {
            (Some(_), true) => self.whole(text, each),
            (Some(_), false) => {
                let mut held = mem::take(&mut self.held);
                held.extend_from_slice(text);
                self.whole(&held, each);
                held.clear();
                self.held = held;
            }
            (None, _) => self.held.extend_from_slice(text),
        }
        used
    }

    fn whole(&self, line: &[u8], each: &mut impl FnMut(Frame<'_>)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.limit {
            each(Frame::Overlong {
                bytes: line.len() as u64,
            });
        } else if !line.is_empty() {
            each(Frame::Message(line));
        }
    }

    fn drop_line(
        &mut self,
        bytes: &[u8],
        before: u64,
        frame: impl Fn(u64) -> Frame<'static>,
        each: &mut impl FnMut(Frame<'_>),
    ) -> usize {
        let nul = self.framing == Framing::Delimited;
        let end = bytes.iter().position(|&b| b == b'\n' || nul && b == 0);
        let skipped = before + end.unwrap_or(bytes.len()) as u64;
        match end {
            Some(end) => {
                self.state = State::Between;
                each(frame(skipped));
                end + 1
            }
            None => {
                self.state = match self.state {
                    State::DroppingLine { .. } => State::DroppingLine { bytes: skipped },
                    _ => State::Lost { bytes: skipped },
                };
                bytes.len()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every frame as text, of a stream in pieces of `step` bytes.
    fn frames(framing: Framing, stream: &[u8], cuts: &[usize]) -> Vec<String> {
        let mut frames = Frames::new(framing, 20);
        let mut told = Vec::new();
        let mut keep = |frame: Frame<'_>| {
            told.push(match frame {
                Frame::Message(text) => String::from_utf8_lossy(text).into_owned(),
                Frame::Unfinished(text) => format!("unfinished {}", String::from_utf8_lossy(text)),
                other => format!("{other:?}"),
            });
        };
        let mut start = 0;
        for &cut in cuts {
            let cut = cut.clamp(start, stream.len());
            frames.push(&stream[start..cut], &mut keep);
            start = cut;
        }
        frames.push(&stream[start..], &mut keep);
        frames.finish(&mut keep);
        told
    }

    fn in_one(framing: Framing, stream: &[u8]) -> Vec<String> {
        frames(framing, stream, &[])
    }

    #[test]
    fn lines_end_in_a_line_feed_a_carriage_return_or_a_nul() {
        let told = in_one(Framing::Told, b"<14>one\r\n<14>two\0\n<14>three");
        assert_eq!(told, ["<14>one", "<14>two", "unfinished <14>three"]);
    }

    #[test]
    fn a_counted_message_may_hold_line_feeds() {
        let told = in_one(Framing::Told, b"9 <14>a\nb\0c5 <1>ab\n6 <1>abc");
        assert_eq!(told, ["<14>a\nb\0c", "<1>ab", "<1>abc"]);
    }

    #[test]
    fn a_line_that_begins_with_a_number_is_no_count() {
        let told = in_one(Framing::Told, b"1 2023 May 31\n2 x\n");
        assert_eq!(told, ["1 2023 May 31", "2 x"]);
    }

    #[test]
    fn an_overlong_message_is_counted_and_the_next_is_read() {
        let told = in_one(Framing::Delimited, b"0123456789012345678901234\nab\n");
        assert_eq!(told, ["Overlong { bytes: 25 }", "ab"]);
        let told = in_one(Framing::OctetCounting, b"25 01234567890123456789012342 ab");
        assert_eq!(told, ["Overlong { bytes: 25 }", "ab"]);
    }

    #[test]
    fn a_count_that_lies_costs_no_memory() {
        let mut frames = Frames::new(Framing::OctetCounting, 20);
        frames.push(b"9999999999 abc", |frame| panic!("{frame:?}"));
        assert!(frames.held.capacity() <= 64);
        let mut told = Vec::new();
        frames.finish(|frame| told.push(format!("{frame:?}")));
        assert_eq!(told, ["Overlong { bytes: 3 }"]);
    }

    #[test]
    fn what_is_no_count_is_skipped_to_the_next_line() {
        let told = in_one(Framing::OctetCounting, b"2 abhello 12\n3 xyz");
        assert_eq!(told, ["ab", "Unframed { bytes: 8 }", "xyz"]);
    }

    proptest! {
        #[test]
        fn messages_are_the_same_in_whatever_pieces_they_come(
            stream in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b' '), Just(b'<'), Just(b'\r'), Just(0_u8), b'0'..=b'9', any::<u8>()],
                0..120,
            ),
            mut cuts in proptest::collection::vec(0_usize..120, 0..12),
        ) {
            cuts.sort_unstable();
            for framing in [Framing::OctetCounting, Framing::Delimited, Framing::Told] {
                prop_assert_eq!(in_one(framing, &stream), frames(framing, &stream, &cuts));
            }
        }

        #[test]
        fn what_is_framed_comes_out(messages in proptest::collection::vec("<14>[a-z ]{0,15}", 1..8)) {
            let counted: String = messages.iter().map(|m| format!("{} {m}", m.len())).collect();
            prop_assert_eq!(&in_one(Framing::Told, counted.as_bytes()), &messages);
            let lines: String = messages.iter().map(|m| format!("{m}\n")).collect();
            prop_assert_eq!(&in_one(Framing::Told, lines.as_bytes()), &messages);
        }
    }
}
