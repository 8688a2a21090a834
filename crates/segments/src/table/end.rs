//! The end of a file, and whether it is that of such a file.

use super::{TRAILER, damage, read};
use crate::{
    Error, Flaw, Key, Place, ReadAt,
    format::{
        Malformed,
        cipher::{Cipher, Module, Ordinals},
        footer::{Crypto, Footer},
    },
    layout::{GROUP_ROWS, Kind, Layout},
    stamp::Stamp,
    table::{BARE, LONGEST_PART, TAIL, ZSTD},
};

/// The end of a file: where the footer begins, and its bytes, opened.
pub(super) struct End {
    pub(super) offset: u64,
    pub(super) footer: Vec<u8>,
    pub(super) cipher: Option<Cipher>,
}

impl End {
    pub(super) fn read(
        layout: &Layout,
        source: &dyn ReadAt,
        key: Option<&Key>,
    ) -> Result<Self, Error> {
        let len = source.len();
        let at = |offset| Place {
            offset,
            ..Place::default()
        };
        let too_short = || {
            damage(
                layout,
                at(0),
                Flaw::Mismatch("too short for a Parquet file"),
            )
        };
        let mut tail = vec![0; len.min(TAIL) as usize];
        read(layout, source, &mut tail, len - len.min(TAIL))?;
        let (_, trailer) = tail.split_last_chunk::<TRAILER>().ok_or_else(too_short)?;
        let [a, b, c, d, magic @ ..] = *trailer;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        let trailer_offset = len - TRAILER as u64;
        let encrypted = match &magic {
            b"PAR1" => false,
            b"PARE" => true,
            _ => {
                return Err(damage(
                    layout,
                    at(trailer_offset),
                    Flaw::Mismatch("no Parquet file ends so"),
                ));
            }
        };
        let offset = trailer_offset
            .checked_sub(length)
            .filter(|_| length <= LONGEST_PART);
        let offset = offset.ok_or_else(|| {
            damage(
                layout,
                at(trailer_offset),
                Flaw::Mismatch("a footer longer than its file"),
            )
        })?;
        let within = tail.len().checked_sub(length as usize + TRAILER);
        let mut footer = match within.and_then(|start| tail.get(start..tail.len() - TRAILER)) {
            Some(footer) => footer.to_vec(),
            None => {
                let mut footer = vec![0; length as usize];
                read(layout, source, &mut footer, offset)?;
                footer
            }
        };
        let cipher = match (encrypted, key) {
            (false, None) => None,
            (false, Some(_)) => return Err(Error::NotEncrypted { file: layout.file }),
            (true, key) => {
                let (cipher, plain) = open_footer(layout, &mut footer, key)?
                    .map_err(|flaw| damage(layout, at(offset), flaw))?;
                footer = plain;
                Some(cipher)
            }
        };
        Ok(Self {
            offset,
            footer,
            cipher,
        })
    }
}

fn open_footer(
    layout: &Layout,
    bytes: &mut [u8],
    key: Option<&Key>,
) -> Result<Result<(Cipher, Vec<u8>), Flaw>, Error> {
    let crypto = match Crypto::parse(bytes) {
        Ok(crypto) if crypto.all_gcm => crypto,
        Ok(_) => return Ok(Err(Flaw::Meaning("encrypted in a way that no segment is"))),
        Err(error) => return Ok(Err(error.into())),
    };
    let (file, name) = (layout.file, crypto.key_name);
    let Some(key) = key else {
        return Err(Error::KeyMissing { file, name });
    };
    let cipher =
        Cipher::new(key.bytes(), crypto.file).ok_or(Error::KeyLength(key.bytes().len()))?;
    let sealed = bytes.get_mut(crypto.length..).unwrap_or(&mut []);
    match cipher.open(sealed, Module::Footer, Ordinals::default()) {
        Ok((plain, _)) => {
            let plain = sealed.get(plain).unwrap_or(&[]).to_vec();
            Ok(Ok((cipher, plain)))
        }
        Err(_) => Err(Error::KeyWrong { file, name }),
    }
}

/// Whether the footer is that of such a file, and says the same as the stamp.
pub(super) fn fits(
    layout: &Layout,
    footer: &Footer,
    stamp: &Stamp,
    len: u64,
    encrypted: bool,
) -> Result<(), Malformed> {
    let is = |so, what| if so { Ok(()) } else { Err(Malformed(what)) };
    is(
        stamp.kind == layout.rows,
        "another file of a segment under this name",
    )?;
    is(
        footer.columns.len() == layout.columns.len(),
        "another number of columns",
    )?;
    for (found, column) in footer.columns.iter().zip(layout.columns) {
        let physical = match column.kind {
            Kind::Number(..=32) => 1,
            Kind::Number(_) | Kind::Time => 2,
            Kind::Text => 6,
        };
        let same = found.name == column.name
            && found.physical == physical
            && found.optional == column.optional;
        is(same, "another column than a segment has")?;
    }
    is(
        footer.groups.len() == stamp.groups.len(),
        "another number of row groups",
    )?;
    is(footer.groups.len() <= 4_096, "too many row groups")?;
    let mut left = stamp.rows;
    for (group, own) in footer.groups.iter().zip(&stamp.groups) {
        is(group.rows == own.rows, "another number of rows")?;
        is(
            group.rows == left.min(GROUP_ROWS as u64) && group.rows > 0,
            "row groups of another size",
        )?;
        is(
            own.check.is_some() != encrypted,
            "no checksum of the indexes",
        )?;
        left -= group.rows;
        is(
            group.chunks.len() == layout.columns.len(),
            "another number of columns",
        )?;
        for (chunk, column) in group.chunks.iter().zip(layout.columns) {
            let end = chunk.start().checked_add(chunk.bytes);
            is(
                end.is_some_and(|end| end <= len),
                "a column outside its file",
            )?;
            let codec = if column.bare { BARE } else { ZSTD };
            is(chunk.codec == codec, "another compression of a column")?;
            is(chunk.values == group.rows, "another number of values")?;
        }
    }
    is(left == 0, "another number of rows")
}
