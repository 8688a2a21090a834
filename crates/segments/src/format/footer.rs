//! What a Parquet file says of itself at its end, and of its pages in its indexes.
//!
//! <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>

use super::thrift::{Kind, Malformed, Parsed, Reader};

/// The end of a file: `FileMetaData`.
#[derive(Debug, Default)]
pub(crate) struct Footer {
    /// The columns.
    pub(crate) columns: Vec<LeafColumn>,
    /// The row groups.
    pub(crate) groups: Vec<Group>,
    /// The text under our own name among the key-value metadata.
    pub(crate) own: Option<String>,
}

/// `SchemaElement`, of a column.
#[derive(Debug, Default)]
pub(crate) struct LeafColumn {
    pub(crate) name: String,
    pub(crate) physical: i64,
    pub(crate) optional: bool,
}

/// `RowGroup`.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) rows: u64,
    pub(crate) chunks: Vec<Chunk>,
}

/// `ColumnChunk` and its `ColumnMetaData`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Chunk {
    pub(crate) codec: i64,
    pub(crate) values: u64,
    pub(crate) bytes: u64,
    pub(crate) data: u64,
    pub(crate) dictionary: Option<u64>,
    pub(crate) offset_index: (u64, u64),
    pub(crate) column_index: Option<(u64, u64)>,
}

impl Chunk {
    /// Where its first page is, a dictionary's included.
    pub(crate) fn start(&self) -> u64 {
        self.dictionary.map_or(self.data, |at| at.min(self.data))
    }
}

/// The key under which our own text stands in a file.
pub(crate) const OWN_KEY: &str = "portledger";

impl Footer {
    pub(crate) fn parse(bytes: &[u8]) -> Parsed<Self> {
        let mut footer = Self::default();
        Reader::new(bytes).fields(|reader, id, kind| {
            match (id, kind) {
                (2, Kind::List) => footer.columns = schema(reader)?,
                (4, Kind::List) => {
                    reader.list(Kind::Struct, |reader| {
                        footer.groups.push(group(reader)?);
                        Ok(())
                    })?;
                }
                (5, Kind::List) => {
                    reader.list(Kind::Struct, |reader| {
                        if let Some(own) = own_text(reader)? {
                            footer.own = Some(own);
                        }
                        Ok(())
                    })?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(footer)
    }
}

fn schema(reader: &mut Reader<'_>) -> Parsed<Vec<LeafColumn>> {
    let mut leaves = Vec::new();
    reader.list(Kind::Struct, |reader| {
        let mut leaf = LeafColumn::default();
        let mut is_leaf = true;
        reader.fields(|reader, id, kind| {
            match (id, kind) {
                (1, Kind::Integer) => leaf.physical = reader.integer()?,
                (3, Kind::Integer) => leaf.optional = reader.integer()? == 1,
                (4, Kind::Binary) => reader.text()?.clone_into(&mut leaf.name),
                (5, Kind::Integer) => is_leaf = reader.count()? == 0,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if is_leaf {
            leaves.push(leaf);
        }
        Ok(())
    })?;
    Ok(leaves)
}

fn group(reader: &mut Reader<'_>) -> Parsed<Group> {
    let mut group = Group::default();
    reader.fields(|reader, id, kind| {
        match (id, kind) {
            (1, Kind::List) => {
                reader.list(Kind::Struct, |reader| {
                    group.chunks.push(chunk(reader)?);
                    Ok(())
                })?;
            }
            (3, Kind::Integer) => group.rows = reader.count()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(group)
}

fn chunk(reader: &mut Reader<'_>) -> Parsed<Chunk> {
    let mut chunk = Chunk::default();
    let mut column_index = (0, 0);
    reader.fields(|reader, id, kind| {
        match (id, kind) {
            (3, Kind::Struct) => reader.fields(|reader, id, kind| {
                match (id, kind) {
                    (4, Kind::Integer) => chunk.codec = reader.integer()?,
                    (5, Kind::Integer) => chunk.values = reader.count()?,
                    (7, Kind::Integer) => chunk.bytes = reader.count()?,
                    (9, Kind::Integer) => chunk.data = reader.count()?,
                    (11, Kind::Integer) => chunk.dictionary = Some(reader.count()?),
                    _ => return Ok(false),
                }
                Ok(true)
            })?,
            (4, Kind::Integer) => chunk.offset_index.0 = reader.count()?,
            (5, Kind::Integer) => chunk.offset_index.1 = reader.count()?,
            (6, Kind::Integer) => column_index.0 = reader.count()?,
            (7, Kind::Integer) => column_index.1 = reader.count()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    chunk.column_index = (column_index.1 > 0).then_some(column_index);
    Ok(chunk)
}

fn own_text(reader: &mut Reader<'_>) -> Parsed<Option<String>> {
    let (mut key, mut value) = ("", "");
    reader.fields(|reader, id, kind| {
        match (id, kind) {
            (1, Kind::Binary) => key = reader.text()?,
            // Others' values may be anything: they are not ours to judge.
            (2, Kind::Binary) if key == OWN_KEY => value = reader.text()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((key == OWN_KEY).then(|| value.to_owned()))
}

/// How an encrypted file was sealed: `FileCryptoMetaData`.
#[derive(Debug, Default)]
pub(crate) struct Crypto {
    /// AES-GCM for every part; the other algorithm leaves pages without a tag.
    pub(crate) all_gcm: bool,
    /// What the additional data of each module begin with.
    pub(crate) file: Vec<u8>,
    /// What the writer called its key.
    pub(crate) key_name: String,
    /// How many bytes it takes.
    pub(crate) length: usize,
}

impl Crypto {
    pub(crate) fn parse(bytes: &[u8]) -> Parsed<Self> {
        let mut crypto = Self::default();
        let mut reader = Reader::new(bytes);
        let mut unique: &[u8] = &[];
        reader.fields(|reader, id, kind| {
            match (id, kind) {
                (1, Kind::Struct) => reader.fields(|reader, id, kind| {
                    if (id, kind) != (1, Kind::Struct) {
                        return Ok(false);
                    }
                    crypto.all_gcm = true;
                    reader.fields(|reader, id, kind| {
                        match (id, kind) {
                            (1, Kind::Binary) => crypto.file = reader.binary()?.to_vec(),
                            (2, Kind::Binary) => unique = reader.binary()?,
                            _ => return Ok(false),
                        }
                        Ok(true)
                    })?;
                    Ok(true)
                })?,
                (2, Kind::Binary) => {
                    crypto.key_name = String::from_utf8_lossy(reader.binary()?).into_owned();
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        crypto.file.extend_from_slice(unique);
        crypto.length = bytes.len() - reader.rest().len();
        Ok(crypto)
    }
}

/// `OffsetIndex`: offset, length and first row of each page.
pub(crate) fn offset_index(bytes: &[u8]) -> Parsed<Vec<(u64, u64, u64)>> {
    let mut pages = Vec::new();
    Reader::new(bytes).fields(|reader, id, kind| {
        if (id, kind) != (1, Kind::List) {
            return Ok(false);
        }
        reader.list(Kind::Struct, |reader| {
            let mut page = (0, 0, 0);
            reader.fields(|reader, id, kind| {
                match (id, kind) {
                    (1, Kind::Integer) => page.0 = reader.count()?,
                    (2, Kind::Integer) => page.1 = reader.count()?,
                    (3, Kind::Integer) => page.2 = reader.count()?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            pages.push(page);
            Ok(())
        })?;
        Ok(true)
    })?;
    Ok(pages)
}

/// `ColumnIndex`: what the values of each page lie between.
#[derive(Debug, Default)]
pub(crate) struct ColumnIndex<'a> {
    pub(crate) only_nulls: Vec<bool>,
    pub(crate) least: Vec<&'a [u8]>,
    pub(crate) most: Vec<&'a [u8]>,
    /// How many values of each page are null; empty where the writer did not say.
    pub(crate) nulls: Vec<u64>,
}

impl<'a> ColumnIndex<'a> {
    pub(crate) fn parse(bytes: &'a [u8], pages: usize) -> Parsed<Self> {
        let mut index = Self::default();
        Reader::new(bytes).fields(|reader, id, kind| {
            match (id, kind) {
                (1, Kind::List) => {
                    reader.list(Kind::Byte, |reader| {
                        index.only_nulls.push(reader.byte()? == 1);
                        Ok(())
                    })?;
                }
                (2 | 3, Kind::List) => {
                    let bounds = if id == 2 {
                        &mut index.least
                    } else {
                        &mut index.most
                    };
                    reader.list(Kind::Binary, |reader| {
                        bounds.push(reader.binary()?);
                        Ok(())
                    })?;
                }
                (5, Kind::List) => {
                    reader.list(Kind::Integer, |reader| {
                        index.nulls.push(reader.count()?);
                        Ok(())
                    })?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let each = [index.only_nulls.len(), index.least.len(), index.most.len()];
        if each != [pages; 3] || ![0, pages].contains(&index.nulls.len()) {
            return Err(Malformed("an index of another number of pages"));
        }
        Ok(index)
    }
}

/// `PageHeader`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PageHeader {
    /// 0 for a data page, 2 for a dictionary.
    pub(crate) kind: i64,
    pub(crate) unpacked: u64,
    pub(crate) packed: u64,
    pub(crate) checksum: Option<u32>,
    pub(crate) values: u64,
    pub(crate) encoding: i64,
    /// How definition levels are encoded: 3 where they are as the reader expects them.
    pub(crate) levels: i64,
}

impl PageHeader {
    /// Also returns how many bytes it takes.
    pub(crate) fn parse(bytes: &[u8]) -> Parsed<(Self, usize)> {
        let mut header = Self::default();
        let mut reader = Reader::new(bytes);
        reader.fields(|reader, id, kind| {
            match (id, kind) {
                (1, Kind::Integer) => header.kind = reader.integer()?,
                (2, Kind::Integer) => header.unpacked = reader.count()?,
                (3, Kind::Integer) => header.packed = reader.count()?,
                (4, Kind::Integer) => header.checksum = Some(reader.integer()? as u32),
                (5 | 7, Kind::Struct) => reader.fields(|reader, id, kind| {
                    match (id, kind) {
                        (1, Kind::Integer) => header.values = reader.count()?,
                        (2, Kind::Integer) => header.encoding = reader.integer()?,
                        (3, Kind::Integer) => header.levels = reader.integer()?,
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok((header, bytes.len() - reader.rest().len()))
    }

    /// Whether it is the header of such a page as the reader expects here: `data` or a
    /// dictionary, of `rows` values that come to at most `most` bytes.
    pub(crate) fn fits(
        &self,
        data: bool,
        encoding: i64,
        optional: bool,
        rows: u64,
        most: usize,
    ) -> Parsed<()> {
        let kind = if data { 0 } else { 2 };
        if self.kind != kind || self.encoding != encoding {
            return Err(Malformed("a page of another kind or encoding"));
        }
        if data && (self.values != rows || (optional && self.levels != RUN_LENGTHS)) {
            return Err(Malformed("a page of another number of rows"));
        }
        if self.unpacked > most as u64 {
            return Err(Malformed("a page longer than its rows can be"));
        }
        Ok(())
    }
}

/// The encoding of definition levels.
const RUN_LENGTHS: i64 = 3;
