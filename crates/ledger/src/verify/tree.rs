//! The tree against the records.

use portledger_proof::{Checkpoint, Hash, Node, root, subtree_root};

use super::Verified;
use crate::{
    Error, Flaw,
    archive::Archive,
    log::{tree::GROUP, writer::Hasher},
    record::Records,
};

/// Records that are read at once: what a hash of the second stored level is over.
const BLOCK: u64 = GROUP * GROUP;

/// Makes every hash again that is stored, from the records up.
pub(super) fn verify(
    archive: &Archive,
    verified: &mut Verified,
    progress: &mut impl FnMut(u64, u64),
) {
    let size = match archive.len() {
        Ok(size) => size,
        Err(error) => return verified.problem("the log", error),
    };
    for begin in (0..size).step_by(BLOCK as usize) {
        progress(begin, size);
        let end = size.min(begin + BLOCK);
        if let Err(error) = block(archive, begin, end, verified) {
            verified.problem(format!("records {begin} to {}", end - 1), error);
        }
    }
    progress(size, size);
}

fn block(archive: &Archive, begin: u64, end: u64, verified: &mut Verified) -> Result<(), Error> {
    let calendar = archive.home().settings().calendar;
    let mut hasher = Hasher::<Records>::new(archive.keys());
    let mut leaves: Vec<Option<Hash>> = Vec::new();
    archive.range(begin, end, |number, record| {
        leaves.push(match record {
            None => None,
            Some(record) => {
                let day = calendar.day_of(record.at);
                let key = archive.keys().get(day)?.ok_or(Flaw::Sealed(day))?;
                Some(hasher.leaf(&key, number, &record))
            }
        });
        Ok(())
    })?;
    verified.deleted += leaves.iter().filter(|leaf| leaf.is_none()).count() as u64;
    verified.records += leaves.iter().flatten().count() as u64;
    let tree = archive.tree();
    let mut groups = Vec::new();
    for (group, leaves) in (begin / GROUP..).zip(leaves.chunks(GROUP as usize)) {
        let whole = leaves.len() as u64 == GROUP;
        let known: Vec<Hash> = leaves.iter().copied().flatten().collect();
        let stored = match Node::new(8, group) {
            Some(node) if whole => tree.stored_hash(node)?,
            _ => None,
        };
        if known.len() == leaves.len() {
            let made = subtree_root(&known);
            if stored.is_some_and(|stored| stored != made) {
                let first = group * GROUP;
                verified.problem(
                    format!("records {first} to {}", first + GROUP - 1),
                    "their hashes are not those that were stored: a record was changed, removed, inserted or moved",
                );
            }
        } else if !known.is_empty() && whole {
            // Some are deleted: the kept leaves must be those of the ones that are not.
            let kept = archive.leaves(group)?;
            if stored.is_some_and(|stored| stored != subtree_root(&kept)) {
                verified.problem(
                    format!("the kept leaves of group {group}"),
                    "they are not those that were stored",
                );
            }
        }
        groups.extend(stored);
    }
    // The level above.
    if groups.len() as u64 == GROUP
        && let Some(node) = Node::new(16, begin / BLOCK)
        && let Some(stored) = tree.stored_hash(node)?
        && stored != subtree_root(&groups)
    {
        verified.problem(
            format!("tree-16, hash {}", begin / BLOCK),
            "it is not made of those below it",
        );
    }
    Ok(())
}

/// Whether the log is, up to there, what a checkpoint signed.
pub(super) fn agrees(
    archive: &Archive,
    checkpoint: &Checkpoint,
    name: &str,
    verified: &mut Verified,
) {
    let size = checkpoint.size();
    match archive.len() {
        Ok(len) if len < size => verified.problem(
            name,
            format!("it signs {size} records, and the log has {len}: its end was removed"),
        ),
        Ok(_) => match root(&archive.tree(), size) {
            Ok(root) if root == checkpoint.root() => verified.checkpoints += 1,
            Ok(_) => verified.problem(
                name,
                format!("the first {size} records are not those that it signs"),
            ),
            Err(error) => verified.problem(name, error),
        },
        Err(error) => verified.problem(name, error),
    }
}
