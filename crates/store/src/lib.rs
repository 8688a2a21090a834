//! Where a ledger's sealed files live: a folder of this machine, or S3-compatible storage.
//!
//! Files are whole and final: each is written once under a name that was free, never changed, and
//! one day deleted. What both kinds of places promise alike is all there is here.
//!
//! ```text
//!                       ┌─ folder ── temporary name, fsync, link ─────────► files
//!  Location ─► Store ───┤
//!  (a path,    │        └─ remote ── conditional PUT, multipart ──────────► bucket
//!   s3://…)    │             ▲ a small runtime of its own: callers are synchronous
//!              │ open_file
//!              ▼
//!            ReadAt ── pread ─────────────────────────────────────────────► files
//!                   └─ last 64 KiB with the opening; then blocks of 64 KiB,
//!                      16 MiB of them kept in memory; long reads as they are ─► bucket
//! ```
//!
//! - **Put-if-absent.** Of several that store under one name, one succeeds; the others get
//!   [`Error::Exists`] and have changed nothing. Nobody sees half a file.
//! - **Durable when it returns.** In a folder the file and the folders above it are synced; a
//!   bucket has acknowledged it.
//! - **Private.** A folder's files are readable by the owner and the group at most (0640).
//! - **Credentials come from the environment**, as AWS tools know them ([`Access`]); a
//!   [`Location`] holds none.
//! - **One file is one name.** What is not a [`StorePath`] is nobody's here: it is not listed and
//!   not deleted.
//!
//! ```
//! use portledger_store::{Location, Store, StorePath};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let text = folder.path().display().to_string();
//! let location: Location = text.parse()?; // or "s3://bucket/prefix"
//! let store = Store::open(&location)?;
//!
//! let day: StorePath = "2026-11-01".parse()?;
//! store.put_new(&day.join("note.txt")?, b"sealed at the trough".to_vec())?;
//!
//! let file = store.open_file(&day.join("note.txt")?)?;
//! let mut word = [0; 6];
//! file.read_at(&mut word, 0)?;
//! assert_eq!(&word, b"sealed");
//! assert_eq!(store.list(Some(&day))?[0].bytes, 20);
//!
//! assert_eq!(store.delete_all(&day)?, 1); // its time is past
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod access;
mod error;
mod folder;
mod location;
mod path;
mod read;
mod remote;
mod store;

pub use access::Access;
pub use error::{Action, Error, Reason, Spot};
pub use location::{Location, LocationError};
pub use path::{PathError, StorePath};
pub use read::ReadAt;
pub use store::{Entry, GET_LIMIT, Store};
