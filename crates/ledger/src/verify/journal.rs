//! The journal against its checkpoint, and what is gone against the journal.

use portledger_proof::root;

use super::Verified;
use crate::{
    Day, Error, Journal,
    home::Home,
    journal::{Deletions, Entries},
    log::tree::{GROUP, Stored},
    manifest::Manifest,
    sign,
};

pub(super) fn verify(home: &Home, manifest: &Manifest, verified: &mut Verified) {
    match entries(home) {
        Ok((entries, true)) => verified.entries = entries,
        Ok((_, false)) => verified.problem(
            "the journal",
            "its entries are not those that were signed: one was changed, removed, inserted or moved",
        ),
        Err(error) => verified.problem("the journal", error),
    }
    match Journal::deletions(home) {
        Ok(told) => deletions(manifest, &told, verified),
        Err(error) => verified.problem("the journal", error),
    }
}

/// Whether all that is gone was deleted as the journal says. Who only says in the list of sealed
/// days that something was, or takes a key away, has not written that.
fn deletions(manifest: &Manifest, told: &Deletions, verified: &mut Verified) {
    // What was deleted on or after a day whose entries are gone, too, may have been in those.
    let may_have_been_said_after = |day: &Day| told.unread.range(day.next()..).next().is_some();
    for (day, entry) in &manifest.days {
        if entry.is_there() || may_have_been_said_after(day) {
            continue;
        }
        let made: u64 = entry.runs.iter().map(|run| run.records).sum();
        // What came late since the deletion goes with the next one.
        let late: u64 = entry.segments.iter().map(|segment| segment.records).sum();
        let place = format!("day {day}");
        match told.records.get(day) {
            None => verified.problem(
                place,
                "its records are gone, and the journal says of no deletion",
            ),
            Some(deleted) if *deleted < made.saturating_sub(late) => verified.problem(
                place,
                format!(
                    "{} of its records are gone, and the journal says that {deleted} were deleted",
                    made - late
                ),
            ),
            Some(_) => {}
        }
    }
    for day in &told.unread {
        if !told.questions.contains(day) && !may_have_been_said_after(day) {
            verified.problem(
                "the journal",
                format!("its entries of {day} cannot be read, and it says of no deletion of them"),
            );
        }
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
