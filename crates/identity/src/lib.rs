//! Which customer stood behind a subscriber, and when.
//!
//! The ledger knows [subscribers](portledger_model::Subscriber): a realm and an internal address.
//! Who the customer is (name, contract, …) is kept here, apart, encrypted with a key ring of its
//! own, and is for fewer people to read.
//!
//! ```text
//!  table of customers          Store: a folder                        KeyRing: another folder
//!  (CSV)
//!                              MANIFEST  which files count, in order   identities.key
//!  realm,internal,from,to, ──► identities-0000000001.pli  ◄────────── identities-0000000001.key
//!  customer,name,…  import     identities-0000000002.pli  ◄────────── identities-0000000002.key
//!                                 │
//!        rejects: line, reason    ├─ chunks of rows by realm, prefix, time: each sealed
//!                                 └─ index of the chunks' first rows: sealed
//! ```
//!
//! - **Corrections**: where a later import tells of the same realm, prefix and beginning, it
//!   replaces what the earlier one told. Nothing else hides anything: all intervals that overlap
//!   the question are given, of every prefix that holds the address, and when they are of two
//!   customers the answer is ambiguous.
//! - **Forgetting** ([`Store::forget_before`]) writes what remains anew under a new key, and
//!   destroys the old files' keys, so that backups of the folder become unreadable too.
//! - **Crashes**: the manifest is put in place last. What a crash left half done is taken back or
//!   finished when the store is opened.
//! - No name, address or cell of a table reaches an error or `Debug`.
//!
//! ```
//! use portledger_identity::Store;
//! use portledger_keys::{KeyRing, MasterKey};
//! use portledger_model::{Realm, Span, Subscriber};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let dir = folder.path();
//! let master = MasterKey::create_file(&dir.join("master"))?;
//! let store = Store::open(&dir.join("who"), KeyRing::open(&dir.join("keys"), master)?)?;
//!
//! let table = "internal,from,to,customer,name\n\
//!              100.64.3.9,2026-03-01T00:00:00Z,,C-1007,Example Person\n\
//!              100.64.3.9,yesterday,,C-1008,Someone Else\n";
//! let mut rejects = Vec::new();
//! let imported = store.import(table.as_bytes(), |reject| rejects.push(reject))?;
//! assert_eq!((imported.rows, imported.rejected), (1, 1));
//! assert_eq!(rejects[0].line, 3);
//!
//! let subscriber = Subscriber::new(Realm::default(), "100.64.3.9".parse()?);
//! let asked = Span::new("2026-11-01T12:00:00Z".parse()?, "2026-11-01T12:00:02Z".parse()?);
//! let found = store.at(&subscriber, asked)?;
//! assert_eq!(found[0].customer().id(), "C-1007");
//! assert_eq!(found[0].customer().field("name"), Some("Example Person"));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod error;
mod import;
mod interval;
mod manifest;
mod merge;
mod prefix;
mod row;
pub mod sessions;
mod steps;
mod store;
mod table;

pub use error::{Error, Flaw};
pub use import::{Column, HeaderError, Intervals, Line, Reason, Reject, Stray, cells};
pub use interval::{Customer, CustomerError, Interval, NotAfter};
pub use manifest::Manifest;
pub use prefix::{Prefix, PrefixError};
pub use sessions::Sessions;
pub use store::{Forgotten, Imported, Merged, Options, Store};
pub use table::Table;
