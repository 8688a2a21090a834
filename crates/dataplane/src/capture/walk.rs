//! Counts what a capture holds.

use std::{collections::BTreeMap, io::Read};

use super::{CaptureError, NotIp, Reader, ip_packet};

/// What is in a capture. Sums up to `frames`.
#[derive(Debug, Default)]
pub struct Walk {
    /// Packets read.
    pub frames: u64,
    /// Those that hold a whole IPv4 packet.
    pub whole: u64,
    /// Those that hold an IPv4 packet cut by the snap length.
    pub cut: u64,
    /// Those that hold none, by reason.
    pub not_ip: BTreeMap<NotIp, u64>,
    /// Where the capture broke, if it did.
    pub broken: Option<CaptureError>,
}

/// Reads all of the capture in `input` and looks into every packet. Any bytes will do, which is
/// what makes it the way in for a fuzzer; `name` is what an error calls them.
pub fn walk(name: &str, input: impl Read) -> Walk {
    let mut walk = Walk::default();
    match Reader::new(name, input) {
        Ok(reader) => walk.all(reader),
        Err(error) => walk.broken = Some(error),
    }
    walk
}

impl Walk {
    fn all(&mut self, mut reader: Reader<impl Read>) {
        loop {
            let frame = match reader.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => {
                    self.broken = Some(error);
                    return;
                }
            };
            self.frames += 1;
            match ip_packet(frame.link, frame.data) {
                Ok(packet) if packet.missing == 0 => self.whole += 1,
                Ok(_) => self.cut += 1,
                Err(reason) => *self.not_ip.entry(reason).or_default() += 1,
            }
        }
    }
}
