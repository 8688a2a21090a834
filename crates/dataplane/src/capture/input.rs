//! Bytes from a stream, as many at once as a record needs and no more.

use std::io::{ErrorKind, Read};

use super::Problem;

/// Room made at the start; it grows to the longest record asked for.
const ROOM: usize = 65_536;

/// A stream with a window on its next bytes and a count of those behind.
///
/// The window grows only to what [`Input::need`] is asked for; callers check a length against its
/// limit before they ask.
pub(super) struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The window is `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Where `start` is in the stream.
    offset: u64,
    /// Where the record being read begins in the stream.
    mark: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; ROOM],
            start: 0,
            end: 0,
            offset: 0,
            mark: 0,
        }
    }

    /// The next `count` bytes, left in place.
    ///
    /// # Errors
    /// [`Problem::CutShort`], naming `part`, where the stream ends before.
    pub(super) fn need(&mut self, count: usize, part: &'static str) -> Result<&[u8], Problem> {
        self.fill(count)?;
        let window = self.window();
        window.get(..count).ok_or_else(|| Problem::CutShort {
            part,
            missing: (count - window.len()) as u64,
        })
    }

    /// Passes over `count` bytes, in the window or beyond.
    ///
    /// # Errors
    /// [`Problem::CutShort`], naming `part`, where the stream ends before.
    pub(super) fn skip(&mut self, count: u64, part: &'static str) -> Result<(), Problem> {
        let mut left = count;
        while left > 0 {
            if self.start == self.end {
                self.fill(1)?;
            }
            let here = (self.end - self.start).min(usize::try_from(left).unwrap_or(usize::MAX));
            if here == 0 {
                return Err(Problem::CutShort {
                    part,
                    missing: left,
                });
            }
            self.start += here;
            self.offset += here as u64;
            left -= here as u64;
        }
        Ok(())
    }

    /// Whether no byte is left.
    pub(super) fn is_at_end(&mut self) -> Result<bool, Problem> {
        self.fill(1)?;
        Ok(self.start == self.end)
    }

    /// The bytes read and not passed over.
    pub(super) fn window(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// A record begins here.
    pub(super) fn mark(&mut self) {
        self.mark = self.offset;
    }

    /// Where the last record began.
    pub(super) fn marked(&self) -> u64 {
        self.mark
    }

    /// Reads until the window holds `count` bytes or the stream ends. Never waits for more than
    /// that, so that a live pipe is followed packet by packet.
    fn fill(&mut self, count: usize) -> Result<(), Problem> {
        if self.end - self.start >= count {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < count {
            self.buffer.resize(count, 0);
        }
        while self.end < count {
            let Some(room) = self.buffer.get_mut(self.end..) else {
                break;
            };
            match self.reader.read(room) {
                Ok(0) => break,
                // A reader that claims more than the room it was given is at fault; believe the room.
                Ok(read) => self.end += read.min(room.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Problem::Io(error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Gives one byte at a time, with an interruption before each.
    struct Drip<'a>(&'a [u8], bool);

    impl Read for Drip<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let count = 1.min(self.0.len()).min(room.len());
            let (now, later) = self.0.split_at(count);
            room[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    #[test]
    fn a_slow_and_interrupted_stream_reads_the_same() {
        let mut input = Input::new(Drip(b"abcdefgh", false));
        assert_eq!(input.need(3, "word").unwrap(), b"abc");
        input.skip(5, "word").unwrap();
        input.mark();
        assert_eq!(input.marked(), 5);
        assert_eq!(input.need(3, "word").unwrap(), b"fgh");
        assert!(matches!(
            input.need(5, "word"),
            Err(Problem::CutShort { missing: 2, .. })
        ));
        input.skip(3, "word").unwrap();
        assert!(input.is_at_end().unwrap());
    }

    #[test]
    fn a_skip_past_the_window_takes_no_room() {
        let mut input = Input::new(io::repeat(7).take(10_000_000));
        input.skip(9_999_999, "block").unwrap();
        assert_eq!(input.need(1, "byte").unwrap(), [7]);
        assert_eq!(input.buffer.len(), ROOM);
        assert!(matches!(
            input.skip(2, "block"),
            Err(Problem::CutShort { missing: 1, .. })
        ));
    }
}
