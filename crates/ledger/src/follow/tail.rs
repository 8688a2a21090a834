//! One log file that may still be written: what is new in it and durable.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    time::SystemTime,
};

use portledger_model::RecordNumber;

use super::is_gone;
use crate::{
    Error, Flaw,
    log::{
        chunk,
        file::{self, Place},
        frame::{self, FRAME},
        payload,
    },
};

/// A log file, read as far as it is durable.
///
/// Frames that no mark vouches for are read again each time: a writer that finds its disk full,
/// or opens the log after a crash, cuts them off and writes others in their place.
pub(super) struct Tail {
    path: PathBuf,
    file: File,
    first: RecordNumber,
    /// Bytes that were read and vouched for.
    offset: u64,
    /// The number after the last record of these.
    next: RecordNumber,
    buffer: Vec<u8>,
    /// Where in the buffer the chunks are that were not handed out.
    ready: VecDeque<Range<usize>>,
    /// The file's length and time when it was last read.
    seen: Option<(u64, Option<SystemTime>)>,
    /// Where the last look met an unsound frame.
    unsound: Option<u64>,
}

impl Tail {
    /// Opens a file; `None` where it went away, or has no whole header yet and may be made anew.
    pub(super) fn open(path: &Path, named: RecordNumber) -> Result<Option<Self>, Error> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(Error::io(path, "open", error)),
        };
        let length = frame::header_length(named);
        let mut header = Vec::with_capacity(length);
        std::io::Read::by_ref(&mut file)
            .take(length as u64)
            .read_to_end(&mut header)
            .map_err(|error| Error::io(path, "read", error))?;
        let Some(parsed) = frame::parse_header(&header) else {
            return match frame::version(&header) {
                Some(version) if version != frame::VERSION => Err(Error::Version {
                    file: path.into(),
                    version,
                }),
                _ => Ok(None),
            };
        };
        if parsed.first() != named {
            let (expected, found) = (named, parsed.first());
            return Err(Error::from(Flaw::Sequence { expected, found }).at(path, 0, named));
        }
        Ok(Some(Self {
            path: path.into(),
            file,
            first: named,
            offset: parsed.bytes as u64,
            next: named,
            buffer: Vec::new(),
            ready: VecDeque::new(),
            seen: None,
            unsound: None,
        }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn first(&self) -> RecordNumber {
        self.first
    }

    /// The number after its last durable record, handed out or not.
    pub(super) const fn next(&self) -> RecordNumber {
        self.next
    }

    pub(super) fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The payload of the next chunk.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let range = self.ready.pop_front()?;
        let payload = self.buffer.get(range).map(<[u8]>::to_vec);
        if self.ready.is_empty() {
            self.buffer = Vec::new();
        }
        payload
    }

    /// Leaves out what is ready: only the end matters.
    pub(super) fn forget(&mut self) {
        self.ready.clear();
        self.buffer = Vec::new();
    }

    /// Reads what is new, where all before was handed out. In a `Sealed` file all is durable, and
    /// what is unsound is damage.
    pub(super) fn look(&mut self, place: Place) -> Result<(), Error> {
        if self.has_more() {
            return Ok(());
        }
        let failed = |error| Error::io(&self.path, "read", error);
        let metadata = self.file.metadata().map_err(failed)?;
        let seen = Some((metadata.len(), metadata.modified().ok()));
        if metadata.len() <= self.offset || (place == Place::Last && self.seen == seen) {
            return Ok(());
        }
        self.buffer.clear();
        self.file
            .seek(SeekFrom::Start(self.offset))
            .map_err(failed)?;
        let new = metadata.len() - self.offset;
        std::io::Read::by_ref(&mut self.file)
            .take(new)
            .read_to_end(&mut self.buffer)
            .map_err(failed)?;
        self.seen = seen;
        self.frames(place)
    }

    /// Finds the chunks that are vouched for.
    fn frames(&mut self, place: Place) -> Result<(), Error> {
        let mut waiting: VecDeque<(Range<usize>, u32)> = VecDeque::new();
        let (mut at, mut vouched, mut number) = (0, 0, self.next);
        while let Some(rest) = self.buffer.get(at..).filter(|rest| !rest.is_empty()) {
            let payload = match frame::read(rest) {
                Ok(payload) => payload,
                Err(flaw) if place == Place::Sealed => return Err(self.damaged(at, number, flaw)),
                Err(_) => {
                    self.is_torn(at)?;
                    break;
                }
            };
            let end = at + FRAME + payload.len();
            if let Some(durable) = payload::read_mark(payload) {
                let here = self.offset + at as u64;
                let until = match durable < here {
                    true => usize::try_from(durable.saturating_sub(self.offset)).unwrap_or(0),
                    // A mark vouches for itself.
                    false => end,
                };
                vouched = vouched.max(self.release(&mut waiting, until));
                if durable >= here {
                    vouched = end;
                }
            } else {
                let meaning = Flaw::Meaning("neither a chunk nor a mark");
                let chunk = chunk::parse(payload).ok_or_else(|| self.damaged(at, number, meaning));
                let (first, records) = chunk.map(|chunk| (chunk.first, chunk.records))?;
                if first != number {
                    let (expected, found) = (number, first);
                    return Err(self.damaged(at, number, Flaw::Sequence { expected, found }));
                }
                number.0 = number.0.saturating_add(records.into());
                waiting.push_back((at + FRAME..end, records));
            }
            at = end;
        }
        if place == Place::Sealed {
            self.release(&mut waiting, at);
            vouched = at;
        }
        self.offset += vouched as u64;
        Ok(())
    }

    /// Makes those ready that end before `until`; where the last of them ends, or 0.
    fn release(&mut self, waiting: &mut VecDeque<(Range<usize>, u32)>, until: usize) -> usize {
        let mut end = 0;
        while let Some((range, records)) = waiting.pop_front_if(|(range, _)| range.end <= until) {
            end = range.end;
            self.next.0 = self.next.0.saturating_add(records.into());
            self.ready.push_back(range);
        }
        end
    }

    /// An unsound frame is one that is being written, or the torn end of a crash. If the next look
    /// meets it again, the whole file tells whether a later mark vouched for it.
    fn is_torn(&mut self, at: usize) -> Result<(), Error> {
        let place = self.offset + at as u64;
        if self.unsound.replace(place) == Some(place) {
            let bytes = fs::read(&self.path);
            let bytes = bytes.map_err(|error| Error::io(&self.path, "read", error))?;
            file::scan(&self.path, &bytes, self.first, Place::Last, |_| Ok(()))?;
        }
        Ok(())
    }

    fn damaged(&self, at: usize, number: RecordNumber, flaw: Flaw) -> Error {
        Error::from(flaw).at(&self.path, self.offset + at as u64, number)
    }
}
