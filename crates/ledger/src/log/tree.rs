//! The tree over a log's records, as far as it is kept on the disk.
//!
//! ```text
//! tree-24  ─ one hash a 2^24 records
//! tree-16  ─ one hash a 65,536 records
//! tree-08  ─ one hash a 256 records: an eighth of a byte each
//!          ┄ below that, hashes are made again from the records
//! leaves-N ─ the 256 leaves of group N, where some of its records are deleted and others not
//! ```
//! Every stored hash is that of a complete subtree, so that it never changes (RFC 6962 §2.1).

use std::{
    fs::{self, File},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use portledger_proof::{Frontier, Hash, Node, Nodes, node_hash, subtree_root};

use crate::Error;

/// The levels that are stored. The lowest is what a proof has to hash again: 2^8 records.
const LEVELS: [u8; 3] = [8, 16, 24];

/// Leaves of one group: a subtree of the lowest stored level.
pub(crate) const GROUP: u64 = 1 << LEVELS[0];

const HASH: u64 = 32;

/// The tree's growing end.
pub(crate) struct Tree {
    dir: PathBuf,
    edge: Frontier,
    files: Vec<File>,
    pending: Vec<Vec<u8>>,
}

/// Where a [`Tree`] was, to go back to.
pub(crate) struct Before {
    edge: Frontier,
    pending: Vec<usize>,
}

impl Tree {
    /// Goes on from `edge`; what is stored beyond it is forgotten.
    pub(crate) fn open(dir: &Path, edge: Frontier) -> Result<Self, Error> {
        let mut files = Vec::new();
        for level in LEVELS {
            let path = path(dir, level);
            let failed = |action| {
                let path = path.clone();
                move |error| Error::io(path, action, error)
            };
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            let mut file = options.mode(0o640).open(&path).map_err(failed("open"))?;
            let stored = file.metadata().map_err(failed("read"))?.len();
            let needed = (edge.size() >> level) * HASH;
            if stored < needed {
                return Err(Error::TreeShort { path });
            }
            file.set_len(needed).map_err(failed("cut"))?;
            file.seek(SeekFrom::End(0)).map_err(failed("read"))?;
            files.push(file);
        }
        Ok(Self {
            dir: dir.into(),
            edge,
            files,
            pending: vec![Vec::new(); LEVELS.len()],
        })
    }

    pub(crate) const fn edge(&self) -> &Frontier {
        &self.edge
    }

    pub(crate) fn append(&mut self, leaf: Hash) {
        let pending = &mut self.pending;
        self.edge.append(leaf, |node, hash| {
            let stored = LEVELS.iter().position(|level| *level == node.level());
            if let Some(pending) = stored.and_then(|place| pending.get_mut(place)) {
                pending.extend_from_slice(hash.as_bytes());
            }
        });
    }

    pub(crate) fn before(&self) -> Before {
        Before {
            edge: self.edge.clone(),
            pending: self.pending.iter().map(Vec::len).collect(),
        }
    }

    pub(crate) fn go_back(&mut self, before: Before) {
        self.edge = before.edge;
        for (pending, length) in self.pending.iter_mut().zip(before.pending) {
            pending.truncate(length);
        }
    }

    /// Hands what is pending to the system. It can be made again from the log, so that no sync is
    /// needed before the log's next file begins.
    pub(crate) fn write(&mut self) -> Result<(), Error> {
        for ((file, pending), level) in self.files.iter_mut().zip(&mut self.pending).zip(LEVELS) {
            if !pending.is_empty() {
                file.write_all(pending)
                    .map_err(|error| Error::io(path(&self.dir, level), "write", error))?;
                pending.clear();
            }
        }
        Ok(())
    }

    /// Makes all of it durable.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.write()?;
        for (file, level) in self.files.iter().zip(LEVELS) {
            file.sync_data()
                .map_err(|error| Error::io(path(&self.dir, level), "sync", error))?;
        }
        Ok(())
    }
}

fn path(dir: &Path, level: u8) -> PathBuf {
    dir.join(format!("tree-{level:02}"))
}

fn leaves_path(dir: &Path, group: u64) -> PathBuf {
    dir.join(format!("leaves-{group:020}"))
}

/// Keeps the leaves of a group, some of whose records are about to be deleted.
pub(crate) fn keep_leaves(dir: &Path, group: u64, leaves: &[Hash]) -> Result<(), Error> {
    let bytes: Vec<u8> = leaves.iter().flat_map(|leaf| *leaf.as_bytes()).collect();
    crate::files::replace(&leaves_path(dir, group), &bytes)
}

/// The leaves that were kept of a group.
pub(crate) fn kept_leaves(dir: &Path, group: u64) -> Result<Option<Vec<Hash>>, Error> {
    let path = leaves_path(dir, group);
    match fs::read(&path) {
        Ok(bytes) => {
            let (hashes, _) = bytes.as_chunks::<32>();
            Ok(Some(hashes.iter().copied().map(Hash::from_bytes).collect()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, "read", error)),
    }
}

/// The tree's hashes: stored ones, and below them those made from the leaves of a group.
pub(crate) struct Stored<L> {
    dir: PathBuf,
    files: Vec<Option<File>>,
    /// The leaves of a group, as many as there are.
    leaves: L,
}

impl<L: Fn(u64) -> Result<Vec<Hash>, Error>> Stored<L> {
    pub(crate) fn open(dir: &Path, leaves: L) -> Self {
        let files = LEVELS.map(|level| File::open(path(dir, level)).ok());
        Self {
            dir: dir.into(),
            files: files.into(),
            leaves,
        }
    }

    /// The stored hashes that make up the node; `None` where some is not stored.
    fn stored(&self, node: Node) -> Result<Option<Hash>, Error> {
        let files = self.files.iter().zip(LEVELS).rev();
        let Some((file, level)) = files.into_iter().find(|(_, level)| *level <= node.level())
        else {
            return Ok(None);
        };
        let above = node.level() - level;
        // Higher nodes are made of those of the highest stored level, half by half.
        let Some(file) = file.as_ref().filter(|_| above <= 8) else {
            return Ok(None);
        };
        let (first, count) = (node.index() << above, 1_u64 << above);
        let failed = |error| Error::io(path(&self.dir, level), "read", error);
        if file.metadata().map_err(failed)?.len() < (first + count) * HASH {
            return Ok(None);
        }
        let mut bytes = vec![0; (count * HASH) as usize];
        file.read_exact_at(&mut bytes, first * HASH)
            .map_err(failed)?;
        let (hashes, _) = bytes.as_chunks::<32>();
        let hashes: Vec<_> = hashes.iter().copied().map(Hash::from_bytes).collect();
        Ok(Some(subtree_root(&hashes)))
    }
}

impl<L: Fn(u64) -> Result<Vec<Hash>, Error>> Nodes for Stored<L> {
    type Error = Error;

    fn node(&self, node: Node) -> Result<Hash, Error> {
        if let Some(hash) = self.stored(node)? {
            return Ok(hash);
        }
        if node.level() > LEVELS[0]
            && let Some((left, right)) = node.children()
        {
            return Ok(node_hash(&self.node(left)?, &self.node(right)?));
        }
        let group = node.first_leaf() / GROUP;
        let leaves = (self.leaves)(group)?;
        let begin = (node.first_leaf() % GROUP) as usize;
        let leaves = leaves.get(begin..begin + node.leaf_count() as usize);
        Ok(subtree_root(leaves.ok_or(Error::NoLeaves { group })?))
    }
}
