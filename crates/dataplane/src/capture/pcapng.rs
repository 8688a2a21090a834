//! The pcapng format (draft-ietf-opsawg-pcapng): blocks in sections, each section with its byte
//! order and its interfaces.

use std::io::Read;

use portledger_model::Timestamp;

use super::{
    LinkType, MAX_PACKET, Problem,
    fields::{Fields, Order},
    input::Input,
    reader::Packet,
};

/// The section being read.
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
    /// The block a packet was given out of, to be passed over before the next.
    open: Option<Block>,
}

/// What the packets of one interface need.
struct Interface {
    link: LinkType,
    /// 0: no limit.
    snap_length: u32,
    /// Ticks of its clock in a second.
    ticks: u128,
    /// Seconds to add to every time.
    offset: i64,
}

/// A block whose beginning was read and left in the input.
#[derive(Clone, Copy)]
struct Block {
    kind: u32,
    /// All of it in bytes, both lengths and the type included; at least [`SMALLEST`].
    length: u32,
}

/// A palindrome, the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MARK: u32 = 0x1a2b_3c4d;
/// Type and length, before a block's body; and the length again, behind it.
const BEFORE: usize = 8;
const BEHIND: u32 = 4;
const SMALLEST: u32 = 12;
/// No description of an interface needs more; its options are read into memory.
const LONGEST_DESCRIPTION: u32 = 1_048_576;
const MOST_INTERFACES: usize = 65_536;

impl Section {
    /// The section whose header is next in `input`.
    pub(super) fn begin<R: Read>(input: &mut Input<R>) -> Result<Self, Problem> {
        let bytes = input.need(BEFORE + 8, "section header")?;
        let mark = bytes.get(8..).unwrap_or_default();
        let order = match Fields::new(mark, Order::Little).u32() {
            Some(BYTE_ORDER_MARK) => Order::Little,
            Some(mark) if mark.swap_bytes() == BYTE_ORDER_MARK => Order::Big,
            mark => return Err(Problem::ByteOrder(mark.unwrap_or_default())),
        };
        let mut section = Self {
            order,
            interfaces: Vec::new(),
            open: None,
        };
        let block = section.block(input)?;
        // Byte order, version and section length.
        let mut fields = section.body(input, block, 16)?;
        let (_, major, minor) = (fields.u32(), fields.u16(), fields.u16());
        // draft-ietf-opsawg-pcapng §4.1: 1.0, and 1.2 by mistake of some writers for the same.
        match (major, minor) {
            (Some(1), Some(0 | 2)) => {}
            (major, minor) => {
                return Err(Problem::Version {
                    format: "pcapng",
                    major: major.unwrap_or_default(),
                    minor: minor.unwrap_or_default(),
                });
            }
        }
        section.open = Some(block);
        Ok(section)
    }

    /// The next packet, its data in the input's window; `None` at the end. Blocks that are no
    /// packets are passed over, whatever their size.
    pub(super) fn next<R: Read>(
        &mut self,
        input: &mut Input<R>,
    ) -> Result<Option<Packet>, Problem> {
        loop {
            if let Some(block) = self.open.take() {
                self.close(input, block)?;
            }
            input.mark();
            if input.is_at_end()? {
                return Ok(None);
            }
            let kind = Fields::new(input.need(BEFORE, "block")?, self.order).u32();
            if kind == Some(SECTION_HEADER) {
                *self = Self::begin(input)?;
                continue;
            }
            let block = self.block(input)?;
            self.open = Some(block);
            match block.kind {
                INTERFACE_DESCRIPTION => self.describe(input, block)?,
                ENHANCED_PACKET | OBSOLETE_PACKET => return self.timed(input, block).map(Some),
                SIMPLE_PACKET => return self.simple(input, block).map(Some),
                _ => {}
            }
        }
    }

    /// Reads type and length of the next block.
    fn block<R: Read>(&self, input: &mut Input<R>) -> Result<Block, Problem> {
        let mut fields = Fields::new(input.need(BEFORE, "block")?, self.order);
        let kind = fields.u32().unwrap_or_default();
        let length = fields.u32().unwrap_or_default();
        if length < SMALLEST {
            return Err(Problem::BlockLength { kind, length });
        }
        Ok(Block { kind, length })
    }

    /// The first `count` bytes of a block's body.
    fn body<'a, R: Read>(
        &self,
        input: &'a mut Input<R>,
        block: Block,
        count: u32,
    ) -> Result<Fields<'a>, Problem> {
        if block.length - SMALLEST < count {
            return Err(block.wrong_length());
        }
        let bytes = input.need(BEFORE + count as usize, "block")?;
        Ok(Fields::new(
            bytes.get(BEFORE..).unwrap_or_default(),
            self.order,
        ))
    }

    /// Passes over a block and checks that it ends as it began.
    fn close<R: Read>(&self, input: &mut Input<R>, block: Block) -> Result<(), Problem> {
        input.skip(u64::from(block.length - BEHIND), "block")?;
        let trailing = Fields::new(input.need(BEHIND as usize, "block")?, self.order).u32();
        if trailing != Some(block.length) {
            return Err(Problem::LengthsDiffer {
                leading: block.length,
                trailing: trailing.unwrap_or_default(),
            });
        }
        input.skip(u64::from(BEHIND), "block")
    }

    fn describe<R: Read>(&mut self, input: &mut Input<R>, block: Block) -> Result<(), Problem> {
        if self.interfaces.len() == MOST_INTERFACES {
            return Err(Problem::TooManyInterfaces(MOST_INTERFACES));
        }
        if block.length > LONGEST_DESCRIPTION {
            return Err(block.wrong_length());
        }
        let mut fields = self.body(input, block, block.length - SMALLEST)?;
        let (Some(link), Some(_), Some(snap_length)) = (fields.u16(), fields.u16(), fields.u32())
        else {
            return Err(block.wrong_length());
        };
        let mut interface = Interface {
            link: LinkType(link),
            snap_length,
            ticks: 1_000_000,
            offset: 0,
        };
        interface.read_options(fields, self.order)?;
        self.interfaces.push(interface);
        Ok(())
    }

    /// draft-ietf-opsawg-pcapng §4.3; and appendix A, where the interface has half the room and a
    /// count of drops the other half.
    fn timed<R: Read>(&self, input: &mut Input<R>, block: Block) -> Result<Packet, Problem> {
        const HEADER: u32 = 20;
        let mut fields = self.body(input, block, HEADER)?;
        let interface = if block.kind == OBSOLETE_PACKET {
            let interface = fields.u16();
            fields.u16().and(interface).map(u32::from)
        } else {
            fields.u32()
        };
        let (Some(interface), Some(high), Some(low), Some(captured), Some(original_len)) = (
            interface,
            fields.u32(),
            fields.u32(),
            fields.u32(),
            fields.u32(),
        ) else {
            return Err(block.wrong_length());
        };
        let interface = self.interface(interface)?;
        let ticks = u64::from(high) << 32 | u64::from(low);
        Ok(Packet {
            at: Some(interface.time(ticks)),
            link: interface.link,
            original_len,
            header: BEFORE + HEADER as usize,
            length: self.packet(input, block, HEADER, captured)?,
        })
    }

    /// draft-ietf-opsawg-pcapng §4.4: a packet of the first interface, without a time, as long as
    /// the block, the snap length and its original length let it be.
    fn simple<R: Read>(&self, input: &mut Input<R>, block: Block) -> Result<Packet, Problem> {
        const HEADER: u32 = 4;
        let interface = self.interface(0)?;
        let original_len = self.body(input, block, HEADER)?.u32().unwrap_or_default();
        let snap_length = match interface.snap_length {
            0 => u32::MAX,
            limit => limit,
        };
        let room = block.length - SMALLEST - HEADER;
        let captured = original_len.min(snap_length).min(room);
        Ok(Packet {
            at: None,
            link: interface.link,
            original_len,
            header: BEFORE + HEADER as usize,
            length: self.packet(input, block, HEADER, captured)?,
        })
    }

    fn interface(&self, number: u32) -> Result<&Interface, Problem> {
        let found = usize::try_from(number)
            .ok()
            .and_then(|number| self.interfaces.get(number));
        found.ok_or(Problem::NoInterface {
            interface: number,
            described: self.interfaces.len(),
        })
    }

    /// Gets a packet's `captured` bytes, `header` bytes into the body, into the window: their count.
    fn packet<R: Read>(
        &self,
        input: &mut Input<R>,
        block: Block,
        header: u32,
        captured: u32,
    ) -> Result<usize, Problem> {
        let length = captured as usize;
        if length > MAX_PACKET {
            return Err(Problem::TooLong(captured));
        }
        self.body(input, block, header + captured)?;
        Ok(length)
    }
}

impl Block {
    fn wrong_length(self) -> Problem {
        Problem::BlockLength {
            kind: self.kind,
            length: self.length,
        }
    }
}

impl Interface {
    /// Takes the clock's resolution and offset from the options (draft-ietf-opsawg-pcapng §3.5,
    /// §4.2). An option that cannot be read is an error: a wrong clock makes a wrong answer.
    fn read_options(&mut self, mut options: Fields<'_>, order: Order) -> Result<(), Problem> {
        const END: u16 = 0;
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        while let Some(code) = options.u16() {
            let length = options.u16().ok_or(Problem::Options)?;
            if code == END {
                break;
            }
            let length = usize::from(length);
            let value = options.bytes(length).ok_or(Problem::Options)?;
            // Some writers leave the padding of the last option out.
            let _ = options.bytes(length.next_multiple_of(4) - length);
            match (code, value) {
                (RESOLUTION, &[resolution]) => self.ticks = ticks_per_second(resolution),
                (OFFSET, [_, _, _, _, _, _, _, _]) => {
                    self.offset = Fields::new(value, order).i64().unwrap_or_default();
                }
                (RESOLUTION | OFFSET, _) => return Err(Problem::Options),
                _ => {}
            }
        }
        Ok(())
    }

    /// 64 bits of ticks make at most 85 bits of microseconds.
    fn time(&self, ticks: u64) -> Timestamp {
        let micros = u128::from(ticks) * 1_000_000 / self.ticks;
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        Timestamp::from_micros(micros.saturating_add(self.offset.saturating_mul(1_000_000)))
    }
}

/// draft-ietf-opsawg-pcapng §4.2, if_tsresol: a negative power of ten, or of two where the first
/// bit is set. A power that 128 bits do not hold is beyond any time that 64 bits of ticks reach.
fn ticks_per_second(resolution: u8) -> u128 {
    let power = u32::from(resolution & 0x7f);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(power).unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resolution_gives_a_time() {
        for resolution in 0..=u8::MAX {
            let interface = Interface {
                link: LinkType::RAW,
                snap_length: 0,
                ticks: ticks_per_second(resolution),
                offset: i64::MAX,
            };
            assert!(interface.time(u64::MAX) >= Timestamp::EPOCH);
        }
    }

    #[test]
    fn resolutions_are_powers_of_ten_or_two() {
        assert_eq!(ticks_per_second(9), 1_000_000_000);
        assert_eq!(ticks_per_second(0x80 | 20), 1 << 20);
        assert_eq!(ticks_per_second(0), 1);
    }
}
