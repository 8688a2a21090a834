//! Pages with a checksum in their header, which the `parquet` crate's own page writer leaves out.

use parquet::{
    basic::PageType,
    column::page::{CompressedPage, Page, PageWriteSpec, PageWriter},
    errors::{ParquetError, Result},
};

use crate::format::thrift::Writer;

/// Writes pages one after the other into memory.
pub(super) struct CheckedPages<'a> {
    pub(super) bytes: &'a mut Vec<u8>,
    /// The checksum of the pages' checksums.
    pub(super) content: &'a mut crc32fast::Hasher,
}

/// The encoding of definition and repetition levels.
const RUN_LENGTHS: i32 = 3;

impl PageWriter for CheckedPages<'_> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        let offset = self.bytes.len();
        let checksum = crc32fast::hash(page.data());
        self.content.update(&checksum.to_le_bytes());
        let header = header(&page, checksum)?;
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(page.data());
        let mut spec = PageWriteSpec::new();
        spec.page_type = page.page_type();
        spec.uncompressed_size = page.uncompressed_size() + header.len();
        spec.compressed_size = page.compressed_size() + header.len();
        spec.offset = offset as u64;
        spec.bytes_written = (self.bytes.len() - offset) as u64;
        spec.num_values = page.num_values();
        Ok(spec)
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// `PageHeader` of parquet.thrift; the checksum is CRC-32 over the bytes as they stand in the
/// file.
fn header(page: &CompressedPage, checksum: u32) -> Result<Vec<u8>> {
    let number = |value: usize| i32::try_from(value).map_err(|_| error("a page of 2 GiB"));
    let mut writer = Writer::default();
    writer.begin();
    writer.integer(
        1,
        if page.page_type() == PageType::DICTIONARY_PAGE {
            2
        } else {
            0
        },
    );
    writer.integer(2, number(page.uncompressed_size())?);
    writer.integer(3, number(page.compressed_size())?);
    writer.integer(4, checksum.cast_signed());
    match page.compressed_page() {
        Page::DataPage { .. } => {
            writer.structure(5);
            writer.integer(1, number(page.num_values() as usize)?);
            writer.integer(2, page.encoding() as i32);
            writer.integer(3, RUN_LENGTHS);
            writer.integer(4, RUN_LENGTHS);
            writer.end();
        }
        Page::DictionaryPage { .. } => {
            writer.structure(7);
            writer.integer(1, number(page.num_values() as usize)?);
            writer.integer(2, page.encoding() as i32);
            writer.end();
        }
        Page::DataPageV2 { .. } => return Err(error("a page of version 2")),
    }
    writer.end();
    Ok(writer.into_bytes())
}

fn error(what: &str) -> ParquetError {
    ParquetError::General(format!("{what} is nothing that a segment holds"))
}
