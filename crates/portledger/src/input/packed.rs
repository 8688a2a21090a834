//! Files that are packed: gzip, xz, zstd and bzip2, told by how they begin and not by their names.
//!
//! They are unpacked as they are read and never kept whole: a small file that unpacks to a great
//! one costs time only. What a file may ask of memory is bounded.

use std::{
    cell::Cell,
    io::{self, BufRead as _, BufReader, Cursor, Read},
    rc::Rc,
};

use flate2::bufread::GzDecoder;
use portledger_model::Timestamp;

/// A source of bytes.
pub(super) type Bytes = Box<dyn Read>;

/// How much of a packed file is read at a time.
const BLOCK: usize = 1 << 16;

/// The most that unpacking xz may take: `xz -9` takes 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

/// The largest window of zstd that is taken, as a power of two: 128 MiB, as `zstd` itself does.
const ZSTD_WINDOW: u32 = 27;

/// The longest of the beginnings.
const LONGEST_BEGINNING: usize = 10;

/// When the bytes that were read last had been written, where the file says so itself.
pub(super) type WrittenBy = Rc<Cell<Option<Timestamp>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    Xz,
    Zstd,
    Bzip2,
}

/// The bytes in the file, unpacked where it is packed, and whether it is.
pub(super) fn unpacked(mut input: Bytes, written: &WrittenBy) -> io::Result<(Bytes, bool)> {
    let mut begin = Vec::with_capacity(LONGEST_BEGINNING);
    let packing = loop {
        match packing(&begin) {
            Told::Is(packing) => break Some(packing),
            Told::No => break None,
            // A line may come slowly: no more is waited for than has to be.
            Told::May(more) => {
                if input.by_ref().take(more as u64).read_to_end(&mut begin)? == 0 {
                    break None;
                }
            }
        }
    };
    let input = Cursor::new(begin).chain(input);
    let Some(packing) = packing else {
        return Ok((Box::new(input), false));
    };
    let input = BufReader::with_capacity(BLOCK, Box::new(input) as Bytes);
    let unpacked: Bytes = match packing {
        Packing::Gzip => Box::new(Gzip::new(input, Rc::clone(written))),
        Packing::Xz => {
            let concatenated = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, concatenated)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        Packing::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
    };
    Ok((unpacked, true))
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Is(Packing),
    /// So many bytes more may tell.
    May(usize),
    No,
}

fn packing(begin: &[u8]) -> Told {
    // RFC 1952 §2.3.1: 31, 139 and the one method there is. RFC 8878 §3.1.1 has zstd's.
    let known: [(&[u8], Packing); 3] = [
        (b"\x1F\x8B\x08", Packing::Gzip),
        (b"\xFD7zXZ\0", Packing::Xz),
        (b"\x28\xB5\x2F\xFD", Packing::Zstd),
    ];
    for (magic, packing) in known {
        if begin.starts_with(magic) {
            return Told::Is(packing);
        }
        if magic.starts_with(begin) {
            return Told::May(magic.len() - begin.len());
        }
    }
    // `BZh`, a digit and the digits of pi: text may begin with the first three.
    let is_bzip2 =
        begin
            .iter()
            .zip(b"BZh91AY&SY")
            .enumerate()
            .all(|(at, (byte, expected))| match at {
                3 => (b'1'..=b'9').contains(byte),
                _ => byte == expected,
            });
    match LONGEST_BEGINNING.checked_sub(begin.len()) {
        Some(more) if is_bzip2 && more > 0 => Told::May(more),
        _ if is_bzip2 => Told::Is(Packing::Bzip2),
        _ => Told::No,
    }
}

/// The members of a gzip file one after the other: logs are packed a day at a time and put together.
struct Gzip {
    member: Option<GzDecoder<BufReader<Bytes>>>,
    written: WrittenBy,
}

impl Gzip {
    fn new(input: BufReader<Bytes>, written: WrittenBy) -> Self {
        Self {
            member: Some(GzDecoder::new(input)),
            written,
        }
    }
}

impl Read for Gzip {
    /// Bytes of one member, which has a time of its own.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.member else {
                return Ok(0);
            };
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                // RFC 1952 §2.3.1: MTIME is 0 where it is not known.
                let time = member.header().map_or(0, flate2::GzHeader::mtime);
                let time = (time != 0).then(|| Timestamp::from_secs(time.into()));
                self.written.set(time);
                return Ok(read);
            }
            let Some(member) = self.member.take() else {
                return Ok(0);
            };
            let mut input = member.into_inner();
            if is_over(&mut input)? {
                return Ok(0);
            }
            self.member = Some(GzDecoder::new(input));
        }
    }
}

/// Whether nothing comes after a member but zeros, with which tapes are filled up.
fn is_over(input: &mut BufReader<Bytes>) -> io::Result<bool> {
    loop {
        let ahead = input.fill_buf()?;
        if ahead.is_empty() {
            return Ok(true);
        }
        let zeros = ahead.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            return Ok(false);
        }
        input.consume(zeros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_file_begins_tells_its_packing_and_text_is_none() {
        let cases: [(&[u8], Told); 8] = [
            (b"", Told::May(3)),
            (b"\x1F\x8B\x08\0", Told::Is(Packing::Gzip)),
            (b"\xFD7zX", Told::May(2)),
            (b"\x28\xB5\x2F\xFD", Told::Is(Packing::Zstd)),
            (b"BZh31AY&SY", Told::Is(Packing::Bzip2)),
            (b"BZh3", Told::May(6)),
            (b"BZhang", Told::No),
            (b"203.0.113.7 - -", Told::No),
        ];
        for (begin, told) in cases {
            assert_eq!(packing(begin), told, "{}", begin.escape_ascii());
        }
    }
}
