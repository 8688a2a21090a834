use std::sync::atomic::AtomicUsize;

use portledger_model::RecordNumber;

use super::*;
use crate::{
    Ledger, Options,
    testing::{Failing, nth},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn on(disk: &Failing, options: CommitOptions) -> (tempfile::TempDir, Committer) {
    let dir = tempfile::tempdir().unwrap();
    let (writer, _) =
        Writer::open_on(Box::new(disk.clone()), dir.path(), Options::default()).unwrap();
    (dir, Committer::start(writer, options).unwrap())
}

fn wait_for(committer: &Committer, state: impl Fn(&State) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !state(&committer.state()) {
        assert!(Instant::now() < deadline, "{:?}", committer.state());
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn many_threads_submit_and_all_becomes_durable() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let options = CommitOptions {
        on_progress: Some(Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        })),
        ..CommitOptions::default()
    };
    let (folder, committer) = on(&Failing::default(), options);
    let dir = folder.path();
    thread::scope(|scope| {
        for thread in 0..4 {
            let committer = &committer;
            scope.spawn(move || {
                for n in 0..50 {
                    let ticket = committer.submit(vec![nth(thread * 100 + n)]).unwrap();
                    assert!(committer.wait(ticket, PATIENCE));
                    let durable = Ledger::read(dir).unwrap().stats().records;
                    assert!(durable >= ticket.0);
                }
            });
        }
    });
    assert_eq!(committer.durable(), 200);
    let writer = committer.close().unwrap();
    assert_eq!(writer.next_record(), RecordNumber(200));
    assert!((1..=200).contains(&calls.load(Ordering::Relaxed)));
}

#[test]
fn what_comes_while_more_is_waited_for_is_one_sync() {
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    let options = CommitOptions {
        gather: Duration::from_millis(500),
        on_progress: Some(Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        })),
        ..CommitOptions::default()
    };
    let (folder, committer) = on(&Failing::default(), options);
    let mut last = Ticket(0);
    for n in 0..100 {
        last = committer.submit(vec![nth(n)]).unwrap();
    }
    assert!(committer.wait(last, PATIENCE));
    assert!(syncs.load(Ordering::Relaxed) <= 2, "{syncs:?}");
    // Three more batches, so that rooms are given back and used again.
    for n in 100..103 {
        let ticket = committer.submit(vec![nth(n)]).unwrap();
        assert!(committer.wait(ticket, PATIENCE));
    }
    drop(committer.close().unwrap());
    assert_eq!(Ledger::read(folder.path()).unwrap().stats().records, 103);
}

#[test]
fn a_full_disk_is_tried_again_and_a_full_queue_says_so() {
    let disk = Failing::default();
    let options = CommitOptions {
        queue: 4,
        retry: Duration::from_millis(5),
        ..CommitOptions::default()
    };
    let (dir, committer) = on(&disk, options);
    disk.set_room(Some(10));
    committer.submit(vec![nth(0), nth(1)]).unwrap();
    wait_for(&committer, |state| *state == State::Full);
    let ticket = committer.submit(vec![nth(2), nth(3)]).unwrap();
    let refused = committer.submit(vec![nth(4)]).unwrap_err();
    let expected = SubmitError::QueueFull {
        waiting: 4,
        records: vec![nth(4)],
    };
    assert_eq!(refused, expected);
    assert_eq!(committer.durable(), 0);
    disk.set_room(None);
    assert!(committer.wait(ticket, PATIENCE));
    wait_for(&committer, |state| *state == State::Running);
    committer.close().unwrap();
    assert_eq!(Ledger::read(dir.path()).unwrap().stats().records, 4);
}

#[test]
fn a_failed_disk_ends_it_for_good() {
    let disk = Failing::default();
    let (_dir, committer) = on(&disk, CommitOptions::default());
    disk.set_sync(true);
    let ticket = committer.submit(vec![nth(0)]).unwrap();
    assert!(!committer.wait(ticket, PATIENCE));
    disk.set_sync(false);
    wait_for(&committer, |state| matches!(state, State::Failed { .. }));
    assert!(
        matches!(committer.submit(vec![nth(1)]), Err(SubmitError::Failed { records, .. }) if records == [nth(1)])
    );
    assert_eq!(committer.durable(), 0);
    assert!(matches!(
        committer.close().err(),
        Some(Error::NotWritten { records: 1, .. })
    ));
}

#[test]
fn closing_on_a_full_disk_says_how_many_are_lost() {
    let disk = Failing::default();
    let (_dir, committer) = on(&disk, CommitOptions::default());
    disk.set_room(Some(0));
    committer.submit(vec![nth(0), nth(1)]).unwrap();
    wait_for(&committer, |state| *state == State::Full);
    committer.submit(vec![nth(2)]).unwrap();
    assert!(matches!(
        committer.close().err(),
        Some(Error::NotWritten { records: 3, .. })
    ));
}
