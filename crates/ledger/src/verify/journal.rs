//! The journal against its checkpoint.

use portledger_proof::root;

use super::Verified;
use crate::{
    Error, Journal,
    home::Home,
    journal::Entries,
    log::tree::{GROUP, Stored},
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
    let leaves = Journal::leaves(home)?;
    let of_group = |group: u64| {
        let of_group = leaves.chunks(GROUP as usize).nth(group as usize);
        let hashes = of_group.unwrap_or_default().iter().map(|leaf| leaf.hash);
        hashes
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
