//! Writes packets to a classic pcap file.

use std::io::{self, Write};

use portledger_model::Timestamp;
use thiserror::Error;

use super::{LinkType, MAX_PACKET};

/// Writes a classic pcap file to `W`: little-endian, version 2.4.
///
/// Each record goes out in one write; give a [`BufWriter`](std::io::BufWriter) where that counts.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    resolution: Resolution,
    record: Vec<u8>,
}

/// What a file's times are counted in. Its times are whole microseconds either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resolution {
    /// Microseconds: every program reads it.
    #[default]
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

/// Why a packet cannot be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The system did not take the bytes.
    #[error("cannot write the capture: {0}; check the space and the rights where it goes")]
    Io(#[from] io::Error),
    /// A time the format has no number for.
    #[error("a pcap file has no room for the time {0}: it goes from 1970 to 2106")]
    Time(Timestamp),
    /// A packet longer than readers take.
    #[error("a packet of {0} bytes is longer than the {MAX_PACKET} that readers take")]
    TooLong(usize),
}

impl<W: Write> Writer<W> {
    /// A file of raw IP packets, its times in microseconds.
    ///
    /// # Errors
    /// [`WriteError::Io`] where the header cannot be written.
    pub fn new(output: W) -> Result<Self, WriteError> {
        Self::with(output, LinkType::RAW, Resolution::default())
    }

    /// A file of packets that begin with `link`, its times in `resolution`.
    ///
    /// # Errors
    /// [`WriteError::Io`] where the header cannot be written.
    pub fn with(mut output: W, link: LinkType, resolution: Resolution) -> Result<Self, WriteError> {
        let magic: u32 = match resolution {
            Resolution::Microseconds => 0xa1b2_c3d4,
            Resolution::Nanoseconds => 0xa1b2_3c4d,
        };
        // draft-ietf-opsawg-pcap §4: magic, version 2.4, 8 bytes of zero, snap length, link type.
        let mut header = Vec::with_capacity(24);
        header.extend(magic.to_le_bytes());
        header.extend(2_u16.to_le_bytes());
        header.extend(4_u16.to_le_bytes());
        header.extend([0; 8]);
        header.extend((MAX_PACKET as u32).to_le_bytes());
        header.extend(u32::from(link.0).to_le_bytes());
        output.write_all(&header)?;
        Ok(Self {
            output,
            resolution,
            record: Vec::new(),
        })
    }

    /// Writes a whole packet.
    ///
    /// # Errors
    /// As [`Writer::write_cut`].
    pub fn write(&mut self, at: Timestamp, packet: &[u8]) -> Result<(), WriteError> {
        self.write_cut(at, packet, 0)
    }

    /// Writes what there is of a packet that had `missing` bytes more on the wire.
    ///
    /// # Errors
    /// [`WriteError::Time`] outside 1970 to 2106, [`WriteError::TooLong`] beyond [`MAX_PACKET`];
    /// the file is as before then. [`WriteError::Io`], after which its end may be incomplete.
    pub fn write_cut(
        &mut self,
        at: Timestamp,
        packet: &[u8],
        missing: u32,
    ) -> Result<(), WriteError> {
        let micros = at.as_micros();
        let seconds = u32::try_from(micros.div_euclid(1_000_000)).ok();
        let seconds = seconds.ok_or(WriteError::Time(at))?;
        // Less than 1,000,000, and than 1,000,000,000 in nanoseconds.
        let fraction = micros.rem_euclid(1_000_000) as u32
            * match self.resolution {
                Resolution::Microseconds => 1,
                Resolution::Nanoseconds => 1_000,
            };
        let captured = match u32::try_from(packet.len()) {
            Ok(captured) if packet.len() <= MAX_PACKET => captured,
            _ => return Err(WriteError::TooLong(packet.len())),
        };
        self.record.clear();
        self.record.extend(seconds.to_le_bytes());
        self.record.extend(fraction.to_le_bytes());
        self.record.extend(captured.to_le_bytes());
        self.record
            .extend(captured.saturating_add(missing).to_le_bytes());
        self.record.extend_from_slice(packet);
        self.output.write_all(&self.record)?;
        Ok(())
    }

    /// Flushes the file and gives back what it was written to.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.output.flush()?;
        Ok(self.output)
    }
}
