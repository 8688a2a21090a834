//! The classic pcap format (draft-ietf-opsawg-pcap).

use std::io::Read;

use portledger_model::Timestamp;

use super::{
    LinkType, MAX_PACKET, Problem,
    fields::{Fields, Order},
    input::Input,
    reader::Packet,
};

/// What the header of a file says of all its records.
pub(super) struct Classic {
    order: Order,
    /// Units of a record's fraction of a second in a microsecond: 1, or 1,000 for nanoseconds.
    units_per_micro: u32,
    /// Bytes before a record's data: 16, or 24 in the modified format.
    record_header: usize,
    link: LinkType,
    minor: u16,
}

const FILE_HEADER: usize = 24;
const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Kuznetzov's libpcap: each record has 8 bytes more, an interface and a protocol.
const MODIFIED: u32 = 0xa1b2_cd34;

impl Classic {
    /// Reads the header of a file that begins with `magic`; `None` where it is no pcap file.
    pub(super) fn begin<R: Read>(
        magic: [u8; 4],
        input: &mut Input<R>,
    ) -> Result<Option<Self>, Problem> {
        let known = |value| matches!(value, MICROSECONDS | NANOSECONDS | MODIFIED);
        let (order, magic) = match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
            (little, _) if known(little) => (Order::Little, little),
            (_, big) if known(big) => (Order::Big, big),
            _ => return Ok(None),
        };
        let bytes = input.need(FILE_HEADER, "file header")?;
        let mut fields = Fields::new(bytes.get(4..).unwrap_or_default(), order);
        let (Some(major), Some(minor), Some(_), Some(link)) = (
            fields.u16(),
            fields.u16(),
            // The zone and accuracy are zero in practice, the snap length is often wrong.
            fields.bytes(12),
            fields.u32(),
        ) else {
            return Ok(None);
        };
        if major != 2 {
            return Err(Problem::Version {
                format: "pcap",
                major,
                minor,
            });
        }
        input.skip(FILE_HEADER as u64, "file header")?;
        Ok(Some(Self {
            order,
            units_per_micro: if magic == NANOSECONDS { 1_000 } else { 1 },
            record_header: if magic == MODIFIED { 24 } else { 16 },
            // draft-ietf-opsawg-pcap §4: the upper half tells of a frame check sequence.
            link: LinkType((link & 0xffff) as u16),
            minor,
        }))
    }

    /// The next record, its data in the input's window; `None` at the end.
    pub(super) fn next<R: Read>(&self, input: &mut Input<R>) -> Result<Option<Packet>, Problem> {
        input.mark();
        if input.is_at_end()? {
            return Ok(None);
        }
        let header = input.need(self.record_header, "packet record")?;
        let mut fields = Fields::new(header, self.order);
        let (Some(seconds), Some(fraction), Some(captured), Some(original)) =
            (fields.u32(), fields.u32(), fields.u32(), fields.u32())
        else {
            return Ok(None);
        };
        let (captured, original_len) = self.lengths(captured, original);
        let length = usize::try_from(captured).unwrap_or(usize::MAX);
        if length > MAX_PACKET {
            return Err(Problem::TooLong(captured));
        }
        input.need(self.record_header + length, "packet record")?;
        let micros = i64::from(seconds) * 1_000_000 + i64::from(fraction / self.units_per_micro);
        Ok(Some(Packet {
            at: Some(Timestamp::from_micros(micros)),
            link: self.link,
            original_len,
            header: self.record_header,
            length,
        }))
    }

    /// Captured and original length; before version 2.3 they stand the other way round, and some
    /// writers of 2.3 did so still.
    fn lengths(&self, first: u32, second: u32) -> (u32, u32) {
        if self.minor < 3 || (self.minor == 3 && first > second) {
            (second, first)
        } else {
            (first, second)
        }
    }
}
