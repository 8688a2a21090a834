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

use portledger_proof::{Frontier, Hash, Node, Nodes, covering, node_hash, subtree_root};

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
    levels: Vec<Level>,
}

/// One stored level.
struct Level {
    level: u8,
    file: File,
    /// Hashes in the file.
    stored: u64,
    pending: Vec<u8>,
}

/// Where a [`Tree`] was, to go back to.
pub(crate) struct Before {
    edge: Frontier,
    pending: Vec<usize>,
}

impl Tree {
    /// Goes on from `edge`. What is stored beyond it stays: it is of records that follow, some of
    /// which may be deleted, so that it could not be made again.
    pub(crate) fn open(dir: &Path, edge: Frontier) -> Result<Self, Error> {
        let mut levels = Vec::new();
        for level in LEVELS {
            let path = path(dir, level);
            let failed = |action| {
                let path = path.clone();
                move |error| Error::io(path, action, error)
            };
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            let mut file = options.mode(0o640).open(&path).map_err(failed("open"))?;
            let stored = file.metadata().map_err(failed("read"))?.len() / HASH;
            if stored < edge.size() >> level {
                return Err(Error::TreeShort { path });
            }
            file.seek(SeekFrom::Start(stored * HASH))
                .map_err(failed("read"))?;
            levels.push(Level {
                level,
                file,
                stored,
                pending: Vec::new(),
            });
        }
        Ok(Self {
            dir: dir.into(),
            edge,
            levels,
        })
    }

    pub(crate) const fn edge(&self) -> &Frontier {
        &self.edge
    }

    pub(crate) fn append(&mut self, leaves: &[Hash]) {
        let levels = &mut self.levels;
        self.edge.extend(leaves, |node, hash| {
            let level = levels.iter_mut().find(|level| level.level == node.level());
            if let Some(level) = level.filter(|level| level.stored <= node.index()) {
                level.pending.extend_from_slice(hash.as_bytes());
            }
        });
    }

    /// Goes on from the edge over the first `size` records, which is made from stored hashes and
    /// kept leaves: the records between are deleted.
    pub(crate) fn skip_to(&mut self, size: u64) -> Result<(), Error> {
        let dir = self.dir.clone();
        let kept = |group| kept_leaves(&dir, group).map(Option::unwrap_or_default);
        let stored = Stored::open(&self.dir, kept);
        let mut hashes = covering(0, size)
            .map(|node| stored.node(node))
            .collect::<Result<Vec<_>, _>>()?;
        hashes.truncate(64);
        self.edge =
            Frontier::from_parts(size, hashes).map_err(|error| Error::Proof(error.to_string()))?;
        Ok(())
    }

    /// Forgets what is stored beyond the edge: a crash left hashes of records it kept from the
    /// disk.
    pub(crate) fn cut(&mut self) -> Result<(), Error> {
        for level in &mut self.levels {
            let known = self.edge.size() >> level.level;
            if known < level.stored {
                let failed = |error| Error::io(path(&self.dir, level.level), "cut", error);
                level.file.set_len(known * HASH).map_err(failed)?;
                level.file.seek(SeekFrom::End(0)).map_err(failed)?;
                level.stored = known;
            }
        }
        Ok(())
    }

    pub(crate) fn before(&self) -> Before {
        Before {
            edge: self.edge.clone(),
            pending: self.levels.iter().map(|l| l.pending.len()).collect(),
        }
    }

    pub(crate) fn go_back(&mut self, before: Before) {
        self.edge = before.edge;
        for (level, length) in self.levels.iter_mut().zip(before.pending) {
            level.pending.truncate(length);
        }
    }

    /// Hands what is pending to the system. It can be made again from the log, so that no sync is
    /// needed before the log's next file begins.
    pub(crate) fn write(&mut self) -> Result<(), Error> {
        for level in &mut self.levels {
            if !level.pending.is_empty() {
                level
                    .file
                    .write_all(&level.pending)
                    .map_err(|error| Error::io(path(&self.dir, level.level), "write", error))?;
                level.stored += level.pending.len() as u64 / HASH;
                level.pending.clear();
            }
        }
        Ok(())
    }

    /// Makes all of it durable.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.write()?;
        for level in &self.levels {
            let synced = level.file.sync_data();
            synced.map_err(|error| Error::io(path(&self.dir, level.level), "sync", error))?;
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

    /// The node's hash from what is stored; `None` where some of it is not.
    pub(crate) fn stored_hash(&self, node: Node) -> Result<Option<Hash>, Error> {
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
        if let Some(hash) = self.stored_hash(node)? {
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
