//! NAT records as entries of the log.

pub(crate) mod rules;
pub(crate) mod text;

use portledger_model::{Record, Timestamp};

use crate::log::{
    content::Content,
    names::Names,
    payload::{self, Payload},
};

/// The log of NAT records.
pub(crate) enum Records {}

impl Content for Records {
    type Item = Record;
    type Texts = text::Texts;

    const KEYS: &'static str = "records";

    fn at(record: &Record) -> Timestamp {
        record.at
    }

    fn write(record: &Record, names: &mut Names, out: &mut Vec<u8>) {
        payload::write_record(record, names, out);
    }

    fn read(entry: &[u8], names: &mut Names) -> Result<Option<Record>, &'static str> {
        Ok(match payload::read(entry, names)? {
            Payload::Record(record) => Some(record),
            Payload::Name => None,
            Payload::Mark(_) => return Err("a mark inside a chunk"),
        })
    }

    fn text(record: &Record, texts: &mut text::Texts, out: &mut Vec<u8>) {
        texts.write(record, out);
    }
}
