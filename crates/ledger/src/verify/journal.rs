//! The journal against its checkpoint.

use portledger_model::RecordNumber;
use portledger_proof::root;

use super::Verified;
use crate::{
    Error,
    home::Home,
    journal::Entries,
    log::{
        folder,
        tree::{GROUP, Stored, kept_leaves},
        writer::Hasher,
    },
    sign,
};

pub(super) fn verify(home: &Home, verified: &mut Verified) {
    match entries(home) {
        Ok((entries, true)) => verified.entries = entries,
        Ok((_, false)) => verified.problem(
            "the journal",
            "its entries are not those that were signed: one was changed, removed, inserted or moved",
        ),
        Err(error) => verified.problem("the journal", error),
    }
}

/// How many entries there are, and whether they are those of the newest checkpoint.
fn entries(home: &Home) -> Result<(u64, bool), Error> {
    let dir = home.journal_dir();
    let Some((checkpoint, _)) = sign::published(&dir, home.signing::<Entries>()?.verifier())?
    else {
        return Ok((0, true));
    };
    let keys = home.keys::<Entries>();
    let mut hasher = Hasher::<Entries>::new(&keys);
    let mut leaves = Vec::new();
    folder::read(&dir, RecordNumber(0), |chunk| {
        match hasher.chunk(&chunk)? {
            Some(known) => leaves.extend(known.into_iter().map(Some)),
            None => leaves.extend((0..chunk.records).map(|_| None)),
        }
        Ok(())
    })?;
    let of_group = |group: u64| {
        let kept = kept_leaves(&dir, group)?.unwrap_or_default();
        let first = (group * GROUP) as usize;
        let known = leaves.iter().skip(first).take(GROUP as usize).enumerate();
        known
            .map(|(at, leaf)| leaf.or_else(|| kept.get(at).copied()))
            .collect::<Option<Vec<_>>>()
            .ok_or(Error::NoLeaves { group })
    };
    let entries = leaves.len() as u64;
    let made = root(&Stored::open(&dir, of_group), checkpoint.size())?;
    Ok((
        entries,
        checkpoint.size() <= entries && made == checkpoint.root(),
    ))
}
