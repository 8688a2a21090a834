//! Capture files as a driver: packets in from pcap and pcapng, packets out to pcap.
//!
//! [`Reader`] reads a capture from anything that is [`Read`], block by block, in bounded memory
//! whatever lengths the file claims. [`ip_packet`] finds the IPv4 packet in a frame, or says why
//! there is none; [`packet_of_either`] finds IPv6's too. [`Merge`] puts several captures, the inside and the outside of a NAT say, into
//! one order of time, and [`Writer`] writes what comes out.
//!
//! A broken capture gives every packet before the break and then one [`CaptureError`] that names
//! the file, the packet and the byte.
//!
//! The formats are taken apart here and not by the `pcap-parser` library, which serves the tests
//! as a second opinion: its release 0.17 knows no clock in powers of two, reads the clock offset
//! of a big-endian section backwards, has no obsolete packet blocks, holds every block in memory
//! whole, and keeps to itself why a read failed. Not read: the pcap dialects of Red Hat 6.1,
//! SuSE 6.3 and Nokia, which claim to be plain pcap and differ only to a guess.
//!
//! ```
//! use portledger_dataplane::capture::{LinkType, Reader, Writer, ip_packet};
//! use portledger_model::Timestamp;
//!
//! let at = Timestamp::from_micros(1_793_534_400_000_001);
//! let packet = [
//!     0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 100, 64, 3, 9, 203, 0, 113, 7,
//! ];
//! let mut writer = Writer::new(Vec::new())?;
//! writer.write(at, &packet)?;
//! let file = writer.finish()?;
//!
//! let mut reader = Reader::new("example.pcap", file.as_slice())?;
//! while let Some(frame) = reader.next_frame()? {
//!     assert_eq!((frame.number, frame.at, frame.link), (1, at, LinkType::RAW));
//!     assert_eq!(ip_packet(frame.link, frame.data)?.bytes, packet);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use portledger_model::Timestamp;

mod classic;
mod error;
mod fields;
mod input;
mod ip;
mod link;
mod merge;
mod pcapng;
mod reader;
mod walk;
mod writer;

pub use error::{CaptureError, Looks, Problem};
pub use ip::{IpPacket, NotIp, ip_packet, packet_of_either};
pub use link::LinkType;
pub use merge::{Merge, Merged};
pub use reader::Reader;
pub use walk::{Walk, walk};
pub use writer::{Resolution, WriteError, Writer};

/// The longest packet read or written, in bytes: libpcap's largest snap length for networks, four
/// times what an IPv4 packet can be. A length field beyond it is taken as damage.
pub const MAX_PACKET: usize = 262_144;

/// One captured packet, as it lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When it was captured, finer digits than microseconds cut off.
    pub at: Timestamp,
    /// Whether the capture has a time for this packet. Where not (a pcapng simple packet block),
    /// `at` is the time of the last packet that had one, or the epoch before there was any.
    pub timed: bool,
    /// Its number in the file, from 1.
    pub number: u64,
    /// What `data` begins with.
    pub link: LinkType,
    /// The captured bytes, link header first; at most [`MAX_PACKET`].
    pub data: &'a [u8],
    /// How long it was on the wire; more than `data.len()` where the snap length cut it. As the
    /// file claims, unchecked.
    pub original_len: u32,
}

/// What [`open`] reads from: a file, or standard input.
pub type Source = Box<dyn Read + Send>;

/// Opens the capture at `path`, or standard input for `-`, and reads its header.
///
/// # Errors
/// [`Problem::Io`] where the file cannot be opened or read; what [`Reader::new`] finds wrong.
pub fn open(path: impl AsRef<Path>) -> Result<Reader<Source>, CaptureError> {
    let path = path.as_ref();
    if path.as_os_str() == "-" {
        return Reader::new("standard input", Box::new(io::stdin()));
    }
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => Reader::new(name, Box::new(file)),
        Err(error) => Err(CaptureError {
            file: name,
            packets: 0,
            offset: 0,
            problem: error.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named() {
        let error = open("/nowhere/inside.pcap").unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/inside.pcap: cannot read it: "));
    }
}
