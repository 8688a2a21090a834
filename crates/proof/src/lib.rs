//! An append-only log's hashes: that a record is in the log, and that the log was only ever
//! appended to, can be checked by anyone who has one signed line of it.
//!
//! ```text
//!  entries      Frontier             Nodes                    who checks, alone
//!
//!  record 0 ─►  append ─► nodes ───► prove_inclusion ───────► Inclusion::verify ◄─┐
//!  record 1     root()               prove_consistency ─────► Consistency::verify ◄┤
//!  …             │                                                                 │
//!                ▼                                                                 │
//!            Checkpoint ── sign ──► SignedNote ── witnesses ─► Checkpoint::open ───┘
//!                                       └─ and an Inclusion: TlogProof, one text
//! ```
//!
//! - The **tree** is that of RFC 6962 §2.1 over SHA-256: [`leaf_hash`], [`node_hash`]. A
//!   [`Frontier`] is what a writer needs of it; [`Nodes`] is what whoever proves reads. Many leaves
//!   at once, [`Entries`] and [`Frontier::extend`], are hashed side by side: twice as fast.
//! - **Proofs** are those of RFC 6962, checked as RFC 9162 §2.1.3 and §2.1.4 say: [`Inclusion`]
//!   and [`Consistency`].
//! - **Texts** are those of C2SP, so that other tools read them: [`SignedNote`]
//!   (c2sp.org/signed-note), [`Checkpoint`] (tlog-checkpoint), the witnesses' signatures
//!   (tlog-cosignature), [`TlogProof`] (tlog-proof). Each has one spelling: what is read is
//!   written back the same.
//! - **Deleted** leaves leave the nodes [`covering`] them; every other leaf can still be proven.
//!
//! No I/O, no clock, no randomness: a key comes of a seed, a cosignature's time is an argument.
//!
//! ```
//! use portledger_proof::{
//!     Checkpoint, Frontier, KeyName, Leaves, SignerKey, TlogProof, leaf_hash, prove_inclusion,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The log's side.
//! let leaves: Vec<_> = [&b"first"[..], b"second", b"third"].map(leaf_hash).into();
//! let mut frontier = Frontier::new();
//! for leaf in &leaves {
//!     frontier.append(*leaf, |_node, _hash| { /* kept for proofs */ });
//! }
//! let key = SignerKey::from_seed(KeyName::new("example.org/ledger")?, &[7; 32])?;
//! let checkpoint = Checkpoint::new("example.org/ledger", frontier.size(), frontier.root())?;
//! let inclusion = prove_inclusion(&Leaves(&leaves), 1, frontier.size())?;
//! let text = TlogProof::new(&inclusion, checkpoint.sign(&key)?).to_string();
//!
//! // The other side: the text, the entry and the log's public key are enough.
//! let trusted = [key.verifier().clone()];
//! let verified = text.parse::<TlogProof>()?.verify(b"second", &trusted)?;
//! assert_eq!(verified.index, 1);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod checkpoint;
mod consistency;
mod error;
mod frontier;
mod hash;
mod inclusion;
mod lanes;
mod node;
mod note;
mod prove;
mod tlog_proof;

pub use checkpoint::{Checkpoint, CheckpointError, LineFlaw, Opened, Witness};
pub use consistency::Consistency;
pub use error::{OutOfRange, ProofError};
pub use frontier::{Frontier, FrontierError, MAX_SIZE};
pub use hash::{Hash, HashError, leaf_hash, node_hash};
pub use inclusion::Inclusion;
pub use lanes::Entries;
pub use node::{BeyondLeaves, Covering, Leaves, Node, Nodes, covering, subtree_root};
pub use note::{
    CosignerKey, KeyError, KeyId, KeyName, KeyNameError, MAX_COSIGNATURE_TIME, NoteError,
    Signature, SignatureError, SignatureKind, SignedNote, SignerKey, SigningError, UnverifiedError,
    VerifiedSignature, VerifierKey,
};
pub use prove::{ProveError, prove_consistency, prove_inclusion, root};
pub use tlog_proof::{TlogProof, TlogProofError, Verified};
