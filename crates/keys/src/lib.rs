//! The key ring: one data key for each partition of the ledger, each wrapped by a master key,
//! and each destroyed with its partition, so that every copy of it becomes unreadable
//! (crypto-shredding).
//!
//! ```text
//!  MasterSource            KeyRing: a folder                       DataKey
//!
//!  a file    ┐             LOCK                     get,           derive("parquet footer")
//!  a command ┴► MasterKey  2026-11-01.key ──────── get_or_create ─► sealing("rows") ─► Sealing
//!                 │        2026-11-02.key           │                                 seal, open
//!                 └──wraps──► └ name, master's id,  │               stream("salts") ─► Stream
//!                                wrapped key        └ destroy: renamed, overwritten,
//!                                                     removed; each step durable
//! ```
//!
//! - The ring lies **elsewhere than backups**: whoever restores a backup of the data without the
//!   ring reads nothing, and a backup of the ring brings destroyed keys back. The master key lies
//!   elsewhere than both.
//! - A wrapped key is bound to its name. A file put in another's place is found, as is any byte
//!   that was changed.
//! - [`KeyRing::rewrap`] changes the master key: after a crash all keys are under the old master
//!   key or all under the new one, once the ring is opened again.
//! - Overwriting does not reach what a disk or a copying file system has put elsewhere; what
//!   protects such remains is that they are wrapped, so change the master key now and then.
//! - Secrets are wiped from memory when dropped, except for the expanded keys inside `ring`.
//!   `Debug` prints none of them.
//!
//! ```
//! use portledger_keys::{KeyName, KeyRing, MasterKey, MasterSource};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let dir = folder.path();
//! MasterKey::create_file(&dir.join("master"))?;
//! let master = MasterKey::load(&MasterSource::File(dir.join("master")))?;
//! let ring = KeyRing::open(&dir.join("ring"), master)?;
//!
//! let day: KeyName = "2026-11-01".parse()?;
//! let sealing = ring.get_or_create(&day)?.sealing("rows");
//! let mut sealed = Vec::new();
//! sealing.seal(b"chunk 0", b"what happened", &mut sealed)?;
//! assert_eq!(sealing.open(b"chunk 0", &mut sealed.clone())?, b"what happened");
//! assert!(sealing.open(b"chunk 1", &mut sealed).is_err());
//!
//! ring.destroy(&day)?;
//! assert!(ring.get(&day)?.is_none());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod command;
mod data;
mod derive;
mod disk;
mod error;
mod file;
mod master;
mod name;
mod ring;
mod sealing;
mod stream;

pub use data::DataKey;
pub use error::{Error, Flaw};
pub use file::WrappedKey;
pub use master::{MasterId, MasterKey, MasterSource};
pub use name::{KeyName, NameError};
pub use ring::{Destroyed, KeyRing};
pub use sealing::{OVERHEAD, Sealing, Unauthentic};
pub use stream::Stream;
