//! Reads packets one by one from a capture of either format.

use std::{fmt, io::Read};

use portledger_model::Timestamp;

use super::{
    CaptureError, Frame, LinkType, Problem,
    classic::Classic,
    error::Looks,
    input::Input,
    pcapng::{self, Section},
};

/// Reads a capture, pcap or pcapng, from `R`.
///
/// It reads ahead of the packet it gives only what one `read` returns, so a live pipe is followed
/// as it comes, and it holds one packet at a time. After an error or the end it gives nothing more.
pub struct Reader<R> {
    name: String,
    input: Input<R>,
    format: Format,
    /// How many packets were found.
    packets: u64,
    current: Option<Packet>,
    /// The time of the last packet that had one.
    last: Timestamp,
    finished: bool,
}

enum Format {
    Classic(Classic),
    Pcapng(Section),
}

/// A packet whose bytes are in the input's window.
#[derive(Clone, Copy)]
pub(super) struct Packet {
    /// `None` where the format has no time for it.
    pub(super) at: Option<Timestamp>,
    pub(super) link: LinkType,
    pub(super) original_len: u32,
    /// Bytes in the window before its data.
    pub(super) header: usize,
    /// Bytes of data.
    pub(super) length: usize,
}

impl<R: Read> Reader<R> {
    /// Reads the header of the capture in `input`; `name` is what errors call it.
    ///
    /// # Errors
    /// [`Problem::Empty`], [`Problem::NotACapture`], [`Problem::Version`] and what else a header
    /// can have wrong.
    pub fn new(name: impl Into<String>, input: R) -> Result<Self, CaptureError> {
        let mut input = Input::new(input);
        match Format::recognise(&mut input) {
            Ok(format) => Ok(Self {
                name: name.into(),
                input,
                format,
                packets: 0,
                current: None,
                last: Timestamp::EPOCH,
                finished: false,
            }),
            Err(problem) => Err(CaptureError {
                file: name.into(),
                packets: 0,
                offset: input.marked(),
                problem,
            }),
        }
    }

    /// The name errors call this capture by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next packet; `None` at the end of the capture.
    ///
    /// # Errors
    /// Where the capture is broken: once, after every packet before the break was given.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        self.advance()?;
        Ok(self.frame())
    }

    /// Goes to the next packet, for [`Reader::frame`] to show, and says when it was.
    pub(super) fn advance(&mut self) -> Result<Option<Timestamp>, CaptureError> {
        if self.finished {
            return Ok(None);
        }
        match self.find() {
            Ok(Some(packet)) => {
                self.packets += 1;
                self.last = packet.at.unwrap_or(self.last);
                self.current = Some(packet);
                Ok(Some(self.last))
            }
            Ok(None) => {
                self.finished = true;
                Ok(None)
            }
            Err(problem) => {
                self.finished = true;
                Err(CaptureError {
                    file: self.name.clone(),
                    packets: self.packets,
                    offset: self.input.marked(),
                    problem,
                })
            }
        }
    }

    /// The packet [`Reader::advance`] went to.
    pub(super) fn frame(&self) -> Option<Frame<'_>> {
        let packet = self.current?;
        let window = self.input.window();
        Some(Frame {
            at: self.last,
            timed: packet.at.is_some(),
            number: self.packets,
            link: packet.link,
            data: window.get(packet.header..packet.header + packet.length)?,
            original_len: packet.original_len,
        })
    }

    fn find(&mut self) -> Result<Option<Packet>, Problem> {
        let behind = self.current.take();
        match &mut self.format {
            Format::Classic(classic) => {
                if let Some(packet) = behind {
                    let record = packet.header + packet.length;
                    self.input.skip(record as u64, "packet record")?;
                }
                classic.next(&mut self.input)
            }
            // A block is passed over by its own length.
            Format::Pcapng(section) => section.next(&mut self.input),
        }
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("name", &self.name)
            .field("packets", &self.packets)
            .finish_non_exhaustive()
    }
}

impl Format {
    fn recognise<R: Read>(input: &mut Input<R>) -> Result<Self, Problem> {
        if input.is_at_end()? {
            return Err(Problem::Empty);
        }
        let magic = input.need(4, "file header")?;
        let magic = *magic.first_chunk().unwrap_or(&[0; 4]);
        if magic == pcapng::SECTION_HEADER.to_be_bytes() {
            return Section::begin(input).map(Self::Pcapng);
        }
        match Classic::begin(magic, input)? {
            Some(classic) => Ok(Self::Classic(classic)),
            None => Err(Problem::NotACapture(Looks::like(magic))),
        }
    }
}
