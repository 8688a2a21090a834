//! What a log keeps: NAT records in one, questions and deletions in the other.

use portledger_model::Timestamp;

use super::names::Names;

/// The kind of entries one log keeps.
pub(crate) trait Content {
    /// One entry.
    type Item;

    /// What the texts of many entries share, made once.
    type Texts: Default;

    /// The name of a day's key is this and the day.
    const KEYS: &'static str;

    /// When the entry was made: it decides in which ledger day it is.
    fn at(item: &Self::Item) -> Timestamp;

    /// Appends its bytes in a chunk, with those of the names it is the first there to use.
    fn write(item: &Self::Item, names: &mut Names, out: &mut Vec<u8>);

    /// Reads what [`Content::write`] wrote; `None` for the definition of a name.
    fn read(entry: &[u8], names: &mut Names) -> Result<Option<Self::Item>, &'static str>;

    /// Appends the text that is hashed: one JSON object, the same for ever, for people and for
    /// programs of any language.
    fn text(item: &Self::Item, texts: &mut Self::Texts, out: &mut Vec<u8>);
}
