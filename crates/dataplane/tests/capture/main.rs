//! Capture files, read and written through the public face of the crate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // What was skipped and what was found.

mod classic;
mod files;
mod merge;
mod pcapng;

use portledger_dataplane::capture::{CaptureError, LinkType, Reader};

/// A frame with its bytes, to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    micros: i64,
    timed: bool,
    link: LinkType,
    data: Vec<u8>,
    original_len: u32,
}

/// All packets of a capture and the error it ends with, if any; twice the error is never given.
fn read(bytes: &[u8]) -> (Vec<Kept>, Option<CaptureError>) {
    let mut reader = match Reader::new("test.pcap", bytes) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut frames = Vec::new();
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => {
                assert_eq!(frame.number, frames.len() as u64 + 1);
                frames.push(Kept {
                    micros: frame.at.as_micros(),
                    timed: frame.timed,
                    link: frame.link,
                    data: frame.data.to_vec(),
                    original_len: frame.original_len,
                });
            }
            Ok(None) => return (frames, None),
            Err(error) => {
                assert!(matches!(reader.next_frame(), Ok(None)));
                return (frames, Some(error));
            }
        }
    }
}

/// All packets of a capture that must be whole.
fn read_whole(bytes: &[u8]) -> Vec<Kept> {
    let (frames, error) = read(bytes);
    assert!(error.is_none(), "{error:?}");
    frames
}
