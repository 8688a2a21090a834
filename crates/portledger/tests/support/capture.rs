//! Captures in and out, packet by packet.

use std::{fs::File, path::Path};

use portledger_dataplane::capture::{self, CaptureError, NotIp, Writer, packet_of_either};
use portledger_model::Timestamp;

/// A packet as it lies in a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub at: Timestamp,
    pub bytes: Vec<u8>,
    /// Bytes at its end that the snap length cut off.
    pub missing: u16,
}

/// The time that RFC 3339 writes so.
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The file of these packets, whole, each with its time.
pub fn file_of(packets: &[(Timestamp, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    for (at, packet) in packets {
        writer.write(*at, packet).unwrap();
    }
    writer.finish().unwrap()
}

pub fn write(path: &Path, packets: &[Recorded]) {
    let mut writer = Writer::new(File::create(path).unwrap()).unwrap();
    for Recorded { at, bytes, missing } in packets {
        writer.write_cut(*at, bytes, (*missing).into()).unwrap();
    }
    writer.finish().unwrap();
}

/// What a capture holds: its IPv4 packets, how many frames have none, and how it broke off.
pub fn read(path: &Path) -> Result<Read, CaptureError> {
    let mut reader = capture::open(path)?;
    let mut read = Read::default();
    loop {
        let frame = match reader.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(read),
            Err(error) => {
                read.broken = Some(error);
                return Ok(read);
            }
        };
        match packet_of_either(frame.link, frame.data) {
            Ok(packet) => read.packets.push(Recorded {
                at: frame.at,
                bytes: packet.bytes.to_vec(),
                missing: packet.missing,
            }),
            Err(reason) => read.others.push(reason),
        }
    }
}

#[derive(Debug, Default)]
pub struct Read {
    pub packets: Vec<Recorded>,
    pub others: Vec<NotIp>,
    pub broken: Option<CaptureError>,
}
