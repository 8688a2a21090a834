//! One file of a segment, written row group by row group.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding as ParquetEncoding, ZstdLevel},
    column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer},
    data_type::ByteArray,
    encryption::encrypt::FileEncryptionProperties,
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        page_index::column_index::ColumnIndexMetaData,
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr},
        writer::SerializedFileWriter,
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};

use super::{FileSummary, Sink, page::CheckedPages};
use crate::{
    Error, Key, Resolution,
    format::footer::{ColumnIndex, OWN_KEY},
    index::Check,
    layout::{self, Encoding, Kind, Layout, TEXT_BYTES},
    stamp::{GroupStamp, Stamp},
};

/// The values of one column of a row group; optional columns hold only those that are there and
/// a level for each row, 1 where a value is.
pub(crate) enum Column {
    Narrow(Vec<i32>),
    Wide(Vec<i64>),
    OptionalNarrow(Vec<i32>, Vec<i16>),
    OptionalWide(Vec<i64>, Vec<i16>),
    Texts(Vec<ByteArray>),
    OptionalTexts(Vec<ByteArray>, Vec<i16>),
}

/// How small files are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    /// For what stays.
    #[default]
    Tight,
    /// Larger files, sooner: for what is merged into something else before long.
    Loose,
}

/// Writes one file.
pub(crate) struct TableWriter {
    layout: &'static Layout,
    writer: SerializedFileWriter<Sink>,
    properties: WriterPropertiesPtr,
    encrypted: bool,
    stamp: Stamp,
    /// Memory for the pages of a column.
    pages: Vec<u8>,
}

impl TableWriter {
    pub(crate) fn create(
        dir: &Path,
        layout: &'static Layout,
        resolution: Resolution,
        key: Option<&Key>,
        packing: Packing,
    ) -> Result<Self, Error> {
        let sink = Sink::create(&dir.join(layout.file)).map_err(|source| Error::Io {
            file: layout.file,
            action: "create",
            source,
        })?;
        let create = || {
            let schema = Arc::new(parse_message_type(&schema(layout, resolution))?);
            let properties = Arc::new(properties(layout, key, packing)?);
            let writer = SerializedFileWriter::new(sink, schema, Arc::clone(&properties))?;
            Ok((writer, properties))
        };
        let (writer, properties) = create().map_err(|source| refused(layout, source))?;
        Ok(Self {
            layout,
            writer,
            properties,
            encrypted: key.is_some(),
            stamp: Stamp {
                kind: layout.rows.to_owned(),
                rows: 0,
                resolution,
                times: (i64::MAX, i64::MIN),
                devices: Vec::new(),
                groups: Vec::new(),
            },
            pages: Vec::new(),
        })
    }

    /// What the file will say of itself.
    pub(crate) const fn stamp(&mut self) -> &mut Stamp {
        &mut self.stamp
    }

    /// Writes a row group of `rows` rows. `external` are the addresses of its first and last row.
    pub(crate) fn write_group(
        &mut self,
        rows: usize,
        columns: &[Column],
        external: (u32, u32),
    ) -> Result<(), Error> {
        let layout = self.layout;
        let mut content = crc32fast::Hasher::new();
        let check = self
            .write_columns(columns, &mut content)
            .map_err(|source| refused(layout, source))?;
        self.stamp.rows += rows as u64;
        self.stamp.groups.push(GroupStamp {
            rows: rows as u64,
            check,
            external,
            content: check.map(|_| content.finalize()),
        });
        Ok(())
    }

    /// Returns the checksum of what the indexes say, and adds to that of the pages, where nothing
    /// is encrypted.
    fn write_columns(
        &mut self,
        columns: &[Column],
        content: &mut crc32fast::Hasher,
    ) -> Result<Option<u32>, ParquetError> {
        let descriptors: Vec<_> = self.writer.schema_descr().columns().to_vec();
        let mut check = Check::default();
        let mut group = self.writer.next_row_group()?;
        for ((descriptor, column), layout) in descriptors
            .into_iter()
            .zip(columns)
            .zip(self.layout.columns)
        {
            if self.encrypted {
                let Some(mut writer) = group.next_column()? else {
                    break;
                };
                column.write(writer.untyped(), self.layout.page_rows)?;
                writer.close()?;
                continue;
            }
            self.pages.clear();
            let pages = Box::new(CheckedPages {
                bytes: &mut self.pages,
                content: &mut *content,
            });
            let mut writer = get_column_writer(descriptor, Arc::clone(&self.properties), pages);
            column.write(&mut writer, self.layout.page_rows)?;
            let result = writer.close()?;
            check_column(&mut check, &result, layout)?;
            let pages = Bytes::from(std::mem::take(&mut self.pages));
            group.append_column(&pages, result)?;
            // The memory goes round, unless the library kept a part of it.
            self.pages = pages.try_into_mut().map_or_else(|_| Vec::new(), Vec::from);
        }
        group.close()?;
        Ok((!self.encrypted).then(|| check.finish()))
    }

    /// Writes the end of the file and makes it durable.
    pub(crate) fn finish(mut self) -> Result<FileSummary, Error> {
        let layout = self.layout;
        let own = KeyValue::new(OWN_KEY.to_owned(), self.stamp.to_text());
        self.writer.append_key_value_metadata(own);
        let sink = self
            .writer
            .into_inner()
            .map_err(|source| refused(layout, source))?;
        sink.finish(layout.file).map_err(|source| Error::Io {
            file: layout.file,
            action: "make durable",
            source,
        })
    }
}

fn refused(layout: &Layout, source: ParquetError) -> Error {
    Error::Write {
        file: layout.file,
        source,
    }
}

fn schema(layout: &Layout, resolution: Resolution) -> String {
    let unit = match resolution {
        Resolution::Millis => "MILLIS",
        Resolution::Micros => "MICROS",
    };
    let mut text = format!("message {} {{", layout.rows);
    for column in layout.columns {
        let repetition = if column.optional {
            "optional"
        } else {
            "required"
        };
        let name = column.name;
        let (physical, logical) = match column.kind {
            Kind::Number(bits) => (
                if bits > 32 { "int64" } else { "int32" },
                format!("INTEGER({bits},false)"),
            ),
            Kind::Time => ("int64", format!("TIMESTAMP({unit},true)")),
            Kind::Text => ("binary", "STRING".to_owned()),
        };
        text.push_str(&format!("{repetition} {physical} {name} ({logical});"));
    }
    text.push('}');
    text
}

fn properties(
    layout: &Layout,
    key: Option<&Key>,
    packing: Packing,
) -> Result<WriterProperties, ParquetError> {
    // Only the number of rows ends a page or a group: what ends it by bytes is out of reach.
    let unreached = layout.page_rows * (TEXT_BYTES + 16) * 2;
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("portledger {}", env!("CARGO_PKG_VERSION")))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_index_truncate_length(None)
        .set_write_batch_size(layout.page_rows)
        .set_data_page_row_count_limit(layout.page_rows)
        .set_data_page_size_limit(unreached)
        .set_dictionary_page_size_limit(unreached)
        .set_max_row_group_row_count(None);
    for column in layout.columns {
        let path = || ColumnPath::from(column.name);
        if column.bounds {
            properties = properties.set_column_statistics_enabled(path(), EnabledStatistics::Page);
        }
        properties =
            properties.set_column_compression(path(), compression(column, key.is_some(), packing)?);
        properties = match column.encoding {
            Encoding::Dictionary => properties.set_column_dictionary_enabled(path(), true),
            other => properties.set_column_encoding(path(), encoding(other)),
        };
    }
    if let Some(key) = key {
        let encryption = FileEncryptionProperties::builder(key.bytes().to_vec())
            .with_footer_key_metadata(key.name().as_bytes().to_vec());
        properties = properties.with_file_encryption_properties(encryption.build()?);
    }
    Ok(properties.build())
}

/// Packed deltas that are not left as they are repeat themselves: a higher level finds more of
/// that, and longer stretches of it, which are unpacked faster. A level above 12 takes three times
/// as long for a tenth less, which is half of what tags and nonces add: that is for encrypted files.
fn compression(
    column: &layout::Column,
    encrypted: bool,
    packing: Packing,
) -> Result<Compression, ParquetError> {
    let level = match column.encoding {
        _ if column.bare => return Ok(Compression::UNCOMPRESSED),
        _ if packing == Packing::Loose => 1,
        Encoding::Delta if encrypted => 13,
        Encoding::Delta => 9,
        _ => 3,
    };
    Ok(Compression::ZSTD(ZstdLevel::try_new(level)?))
}

const fn encoding(encoding: Encoding) -> ParquetEncoding {
    match encoding {
        Encoding::Delta => ParquetEncoding::DELTA_BINARY_PACKED,
        Encoding::Plain => ParquetEncoding::PLAIN,
        Encoding::Split => ParquetEncoding::BYTE_STREAM_SPLIT,
        Encoding::DeltaText => ParquetEncoding::DELTA_BYTE_ARRAY,
        Encoding::Dictionary => ParquetEncoding::RLE_DICTIONARY,
    }
}

impl Column {
    /// Writes the values a page at a time, so that the pages of all columns hold the same rows.
    fn write(&self, writer: &mut ColumnWriter<'_>, page_rows: usize) -> Result<(), ParquetError> {
        match (self, writer) {
            (Self::Narrow(values), ColumnWriter::Int32ColumnWriter(writer)) => {
                for values in values.chunks(page_rows) {
                    writer.write_batch(values, None, None)?;
                }
            }
            (Self::Wide(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                for values in values.chunks(page_rows) {
                    writer.write_batch(values, None, None)?;
                }
            }
            (Self::Texts(values), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                for values in values.chunks(page_rows) {
                    writer.write_batch(values, None, None)?;
                }
            }
            (Self::OptionalNarrow(values, levels), ColumnWriter::Int32ColumnWriter(writer)) => {
                for (values, levels) in optional(values, levels, page_rows) {
                    writer.write_batch(values, Some(levels), None)?;
                }
            }
            (Self::OptionalWide(values, levels), ColumnWriter::Int64ColumnWriter(writer)) => {
                for (values, levels) in optional(values, levels, page_rows) {
                    writer.write_batch(values, Some(levels), None)?;
                }
            }
            (Self::OptionalTexts(values, levels), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                for (values, levels) in optional(values, levels, page_rows) {
                    writer.write_batch(values, Some(levels), None)?;
                }
            }
            _ => return Err(ParquetError::General("a column of another type".into())),
        }
        Ok(())
    }
}

/// The values and levels of each page.
fn optional<'a, T>(
    mut values: &'a [T],
    levels: &'a [i16],
    page_rows: usize,
) -> impl Iterator<Item = (&'a [T], &'a [i16])> {
    levels.chunks(page_rows).map(move |levels| {
        let count = levels.iter().filter(|&&level| level == 1).count();
        let (page, rest) = values.split_at(count.min(values.len()));
        values = rest;
        (page, levels)
    })
}

/// Adds what the reader will find in the column's indexes.
fn check_column(
    check: &mut Check,
    result: &ColumnCloseResult,
    column: &layout::Column,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("the library wrote no page index".into());
    let start = result.metadata.byte_range().0;
    let pages = result
        .offset_index
        .as_ref()
        .ok_or_else(missing)?
        .page_locations();
    let end = pages
        .last()
        .map(|page| (page.offset, page.compressed_page_size));
    let places: Option<Vec<u32>> = pages
        .iter()
        .map(|page| page.offset)
        .chain(end.map(|(offset, length)| offset + i64::from(length)))
        .map(|place| {
            u64::try_from(place)
                .ok()?
                .checked_sub(start)?
                .try_into()
                .ok()
        })
        .collect();
    let too_long = || ParquetError::General("a column of 4 GiB in one row group".into());
    check.pages(&places.ok_or_else(too_long)?);
    if column.bounds {
        let index = result.column_index.as_ref().ok_or_else(missing)?;
        bounds(check, index, pages.len())?;
    }
    Ok(())
}

fn bounds(
    check: &mut Check,
    index: &ColumnIndexMetaData,
    pages: usize,
) -> Result<(), ParquetError> {
    let mut least: Vec<Vec<u8>> = Vec::with_capacity(pages);
    let mut most: Vec<Vec<u8>> = Vec::with_capacity(pages);
    for page in 0..pages {
        // A page of nulls has no bounds, and the file says so by empty ones.
        let (low, high) = match index {
            ColumnIndexMetaData::INT32(index) => (
                index
                    .min_value(page)
                    .map(|value| value.to_le_bytes().to_vec()),
                index
                    .max_value(page)
                    .map(|value| value.to_le_bytes().to_vec()),
            ),
            ColumnIndexMetaData::INT64(index) => (
                index
                    .min_value(page)
                    .map(|value| value.to_le_bytes().to_vec()),
                index
                    .max_value(page)
                    .map(|value| value.to_le_bytes().to_vec()),
            ),
            ColumnIndexMetaData::BYTE_ARRAY(index) => (
                index.min_value(page).map(<[u8]>::to_vec),
                index.max_value(page).map(<[u8]>::to_vec),
            ),
            _ => return Err(ParquetError::General("a column of another type".into())),
        };
        least.push(low.unwrap_or_default());
        most.push(high.unwrap_or_default());
    }
    let nulls = index.null_counts().map_or(&[][..], |nulls| nulls);
    check.bounds(&ColumnIndex {
        only_nulls: (0..pages).map(|page| index.is_null_page(page)).collect(),
        least: least.iter().map(|bytes| &**bytes).collect(),
        most: most.iter().map(|bytes| &**bytes).collect(),
        nulls: nulls.iter().map(|&nulls| nulls.cast_unsigned()).collect(),
    });
    Ok(())
}
