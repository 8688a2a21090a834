//! Several captures in one order of time.

use std::io::Read;

use portledger_model::Timestamp;

use super::{CaptureError, Frame, Reader};

/// Gives the packets of several captures by their times, and those of one capture in its order.
///
/// At equal times the capture named first goes first. A capture whose clock jumps ahead waits
/// there until the others have come to that time. It holds one packet of each capture, and asks
/// each in turn, which is quickest for the few it is made for.
pub struct Merge<R> {
    sources: Vec<Source<R>>,
    last: Timestamp,
    went_back: u64,
}

struct Source<R> {
    reader: Reader<R>,
    next: Next,
}

#[derive(Clone, Copy)]
enum Next {
    /// Its packet was given; where the next stands is not known.
    Unknown,
    /// Its next packet, of this time, waits in the reader.
    Waits(Timestamp),
    /// It has no more.
    Over,
}

/// A packet of a [`Merge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged<'a> {
    /// Which capture it is from, by its place in the list given, from 0.
    pub source: usize,
    /// Its time in the merge: its own, or that of the packet before it where a clock jumped back.
    pub at: Timestamp,
    /// The packet as captured.
    pub frame: Frame<'a>,
}

impl<R: Read> Merge<R> {
    /// Merges `readers`.
    pub fn new(readers: impl IntoIterator<Item = Reader<R>>) -> Self {
        let source = |reader| Source {
            reader,
            next: Next::Unknown,
        };
        Self {
            sources: readers.into_iter().map(source).collect(),
            last: Timestamp::MIN,
            went_back: 0,
        }
    }

    /// The next packet; `None` when every capture is at its end. [`Merged::at`] never goes
    /// backwards.
    ///
    /// # Errors
    /// Where a capture is broken: once for each, after its own last packet. The others go on when
    /// asked again; the packets that are missing would have stood between theirs.
    pub fn next_frame(&mut self) -> Result<Option<Merged<'_>>, CaptureError> {
        for source in &mut self.sources {
            source.look()?;
        }
        let Some((at, index)) = self.earliest() else {
            return Ok(None);
        };
        if at < self.last {
            self.went_back += 1;
        }
        self.last = self.last.max(at);
        let at = self.last;
        let Some(source) = self.sources.get_mut(index) else {
            return Ok(None);
        };
        source.next = Next::Unknown;
        Ok(source.reader.frame().map(|frame| Merged {
            source: index,
            at,
            frame,
        }))
    }

    /// How many packets given so far were earlier than one before them: a clock in a capture was
    /// set back.
    pub fn went_back(&self) -> u64 {
        self.went_back
    }

    /// Its time and its source's place. Tuples order by time, then by place.
    fn earliest(&self) -> Option<(Timestamp, usize)> {
        let waits = |(index, source): (usize, &Source<R>)| match source.next {
            Next::Waits(at) => Some((at, index)),
            Next::Unknown | Next::Over => None,
        };
        self.sources.iter().enumerate().filter_map(waits).min()
    }
}

impl<R: Read> Source<R> {
    fn look(&mut self) -> Result<(), CaptureError> {
        if let Next::Unknown = self.next {
            self.next = match self.reader.advance()? {
                Some(at) => Next::Waits(at),
                None => Next::Over,
            };
        }
        Ok(())
    }
}
