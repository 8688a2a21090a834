//! The journal: who asked what, what was deleted, which cases hold what. A log of the same kind
//! as that of the records, proven in the same way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use portledger_model::{RecordNumber, Timestamp};
use portledger_proof::Hash;
use serde_json::{Map, Value};

use crate::{
    Day, Error, Flaw,
    home::Home,
    log::{
        chunk::{self, MAX_ENTRY},
        content::Content,
        disk::Real,
        folder,
        names::Names,
        tree::{GROUP, keep_leaves, kept_leaves},
        writer::{Form, Hasher, Leaves, LogWriter, items},
    },
    sign,
    writer::{PATIENCE, signed_is_there},
};

/// Log files of the journal are small: each who asks reads the last one.
const FILE_BYTES: u64 = 256 << 10;

/// The longest text of an entry, in bytes.
const LONGEST: usize = MAX_ENTRY - 8;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When it was made.
    pub at: Timestamp,
    /// What it says: one JSON object.
    pub says: Map<String, Value>,
}

/// The journal of a ledger.
pub struct Journal(());

/// An entry in the journal's tree.
pub(crate) struct Leaf {
    day: Day,
    /// `None` where it was destroyed with its day's key, and all others of its group too.
    pub(crate) hash: Option<Hash>,
}

/// What the journal says was deleted.
#[derive(Default)]
pub(crate) struct Deletions {
    /// The days of records, and how many records had been made on each when it was deleted last.
    pub(crate) records: BTreeMap<Day, u64>,
    /// The days of questions.
    pub(crate) questions: BTreeSet<Day>,
    /// The days of the journal whose entries cannot be read.
    pub(crate) unread: BTreeSet<Day>,
}

/// The journal as a log's content.
pub(crate) enum Entries {}

/// An entry as it is written: its time and its text.
pub(crate) struct Written {
    at: Timestamp,
    text: String,
}

impl Content for Entries {
    type Item = Written;
    type Texts = ();

    const KEYS: &'static str = "journal";

    fn at(entry: &Written) -> Timestamp {
        entry.at
    }

    fn write(entry: &Written, _: &mut Names, out: &mut Vec<u8>) {
        chunk::write_entry(out, |out| {
            out.extend_from_slice(&entry.at.as_micros().to_le_bytes());
            out.extend_from_slice(entry.text.as_bytes());
        });
    }

    fn read(bytes: &[u8], _: &mut Names) -> Result<Option<Written>, &'static str> {
        let (at, text) = bytes.split_first_chunk().ok_or("it ends too early")?;
        Ok(Some(Written {
            at: Timestamp::from_micros(i64::from_le_bytes(*at)),
            text: str::from_utf8(text).map_err(|_| "not text")?.to_owned(),
        }))
    }

    fn text(entry: &Written, (): &mut (), out: &mut Vec<u8>) {
        out.extend_from_slice(entry.text.as_bytes());
    }
}

impl Journal {
    /// Appends an entry to the journal of the ledger in `dir`, durably and signed.
    ///
    /// # Errors
    /// When there is no ledger, the journal cannot be written, or the entry is longer than 65,527
    /// bytes.
    pub fn append(dir: &Path, entry: &Entry) -> Result<RecordNumber, Error> {
        let home = Home::open(dir)?.ok_or_else(|| Error::NoLedger { dir: dir.into() })?;
        Self::append_to(&home, std::slice::from_ref(entry))
    }

    pub(crate) fn append_to(home: &Home, entries: &[Entry]) -> Result<RecordNumber, Error> {
        let written = entries.iter().map(written).collect::<Result<Vec<_>, _>>()?;
        let dir = home.journal_dir();
        let lock = folder::lock_patiently(&dir, PATIENCE)?;
        let form = Form {
            file_bytes: FILE_BYTES,
            calendar: home.settings().calendar,
        };
        let keys = home.keys::<Entries>();
        let signing = home.signing::<Entries>()?;
        let signed = sign::published(&dir, signing.verifier())?;
        // What does not open may have been deleted; whether the hashes that stand for it are those
        // that were signed shows at once.
        let (mut log, _) =
            LogWriter::<Entries>::open(Box::new(Real), &dir, lock, keys, form, |_| Ok(true))?;
        if let Some((signed, _)) = signed {
            signed_is_there(&log, &signed)?;
        }
        log.append(&written)?;
        log.sync()?;
        sign::publish(&dir, &signing.sign(log.edge())?)?;
        Ok(RecordNumber(log.next().0.saturating_sub(1)))
    }

    /// Hands over the journal's entries in order. Those of days whose key is destroyed are left
    /// out and counted.
    ///
    /// # Errors
    /// When there is no ledger or the journal is damaged.
    pub fn read(dir: &Path, mut each: impl FnMut(RecordNumber, Entry)) -> Result<u64, Error> {
        let home = Home::open(dir)?.ok_or_else(|| Error::NoLedger { dir: dir.into() })?;
        let keys = home.keys::<Entries>();
        let mut forgotten = 0;
        folder::read(&home.journal_dir(), RecordNumber(0), |chunk| {
            let Some(key) = keys.get(chunk.day)? else {
                forgotten += u64::from(chunk.records);
                return Ok(());
            };
            items::<Entries>(&chunk, Some(&key), |number, written| {
                let Ok(Value::Object(says)) = serde_json::from_str(&written.text) else {
                    return Err(Flaw::Meaning("an entry that is no JSON object").into());
                };
                let at = written.at;
                each(number, Entry { at, says });
                Ok(())
            })
        })?;
        Ok(forgotten)
    }

    /// What it says was deleted.
    pub(crate) fn deletions(home: &Home) -> Result<Deletions, Error> {
        let keys = home.keys::<Entries>();
        let mut told = Deletions::default();
        folder::read(&home.journal_dir(), RecordNumber(0), |chunk| {
            let key = keys.get(chunk.day)?;
            let read = items::<Entries>(&chunk, key.as_deref(), |_, written| {
                told.add(&serde_json::from_str(&written.text).unwrap_or_default());
                Ok(())
            });
            match read {
                Err(Error::Flawed(Flaw::Sealed(day) | Flaw::Key(day))) => {
                    told.unread.insert(day);
                    Ok(())
                }
                read => read,
            }
        })?;
        Ok(told)
    }

    /// Destroys the key of a day's entries, so that nobody reads them any more. Their hashes stay
    /// where those of others cannot be proven without.
    pub(crate) fn forget(home: &Home, day: Day) -> Result<(), Error> {
        let dir = home.journal_dir();
        let _lock = folder::lock_patiently(&dir, PATIENCE)?;
        let leaves = Self::leaves(home)?;
        for (group, leaves) in (0..).zip(leaves.chunks(GROUP as usize)) {
            let is_whole = leaves.len() as u64 == GROUP;
            let has_others = leaves.iter().any(|leaf| leaf.day != day);
            if leaves.iter().any(|leaf| leaf.day == day) && (has_others || !is_whole) {
                let hashes: Option<Vec<_>> = leaves.iter().map(|leaf| leaf.hash).collect();
                // One that is not known is in a group whose leaves were kept when it went.
                if let Some(hashes) = hashes {
                    keep_leaves(&dir, group, &hashes)?;
                }
            }
        }
        home.keys::<Entries>().destroy(day)?;
        Ok(())
    }

    /// The leaves of all entries, in order.
    pub(crate) fn leaves(home: &Home) -> Result<Vec<Leaf>, Error> {
        let dir = home.journal_dir();
        let keys = home.keys::<Entries>();
        let mut hasher = Hasher::<Entries>::new(&keys);
        let mut leaves = Vec::new();
        folder::read(&dir, RecordNumber(0), |chunk| {
            let known = match hasher.chunk(&chunk)? {
                Leaves::Known(known) => known,
                Leaves::Shut(_) => Vec::new(),
            };
            leaves.extend((0..chunk.records as usize).map(|at| Leaf {
                day: chunk.day,
                hash: known.get(at).copied(),
            }));
            Ok(())
        })?;
        for (group, leaves) in (0..).zip(leaves.chunks_mut(GROUP as usize)) {
            if leaves.iter().all(|leaf| leaf.hash.is_some()) {
                continue;
            }
            let kept = kept_leaves(&dir, group)?.unwrap_or_default();
            for (leaf, kept) in leaves.iter_mut().zip(kept) {
                leaf.hash = leaf.hash.or(Some(kept));
            }
        }
        Ok(leaves)
    }

    /// Takes over the questions that a ledger of version 1 kept beside its log.
    pub(crate) fn take_over(dir: &Path, home: &Home) -> Result<(), Error> {
        let path = dir.join("questions.jsonl");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io(path, "read", error)),
        };
        let entries: Vec<_> = text.lines().filter_map(old_question).collect();
        if !entries.is_empty() {
            Self::append_to(home, &entries)?;
        }
        // What could not be read stays, rather than be lost.
        if entries.len() == text.lines().count() {
            fs::remove_file(&path).map_err(|error| Error::io(&path, "remove", error))?;
        }
        Ok(())
    }
}

impl Deletions {
    fn add(&mut self, entry: &Value) {
        let day = |name| entry.get(name)?.as_str()?.parse::<Day>().ok();
        if entry.get("kind").and_then(Value::as_str) != Some("deletion") {
            return;
        }
        if let Some(day) = day("day") {
            let records = entry.get("records").and_then(Value::as_u64);
            self.records.insert(day, records.unwrap_or(0));
        }
        self.questions.extend(day("questions_of"));
    }
}

fn old_question(line: &str) -> Option<Entry> {
    let Value::Object(mut says) = serde_json::from_str(line).ok()? else {
        return None;
    };
    let at = says.remove("asked_at")?.as_str()?.parse().ok()?;
    says.insert("kind".into(), "question".into());
    Some(Entry { at, says })
}

fn written(entry: &Entry) -> Result<Written, Error> {
    let mut says = Map::new();
    says.insert("at".into(), Value::String(entry.at.to_string()));
    says.extend(entry.says.clone());
    let text = Value::Object(says).to_string();
    if text.len() > LONGEST {
        return Err(Error::LongEntry { bytes: text.len() });
    }
    Ok(Written { at: entry.at, text })
}
