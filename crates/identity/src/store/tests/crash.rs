//! The power goes, at every step.

use super::*;

/// What a change makes of a store in which two imports are, at every step of it at which the
/// power may go, and again at every step of clearing up: the one or the other, never between.
fn crash_at_every_step(change: impl Fn(&Store) -> Result<(), Error>) -> u64 {
    let prepare = || {
        let place = Place::new();
        let store = place.open();
        let rows = |id: &str, from| {
            let row =
                |number: i64| interval("100.64.0.1", number * 10 + from, Some(number * 10 + 9), id);
            (0..4).map(row).collect::<Vec<_>>()
        };
        store.insert(rows("A", 0)).unwrap();
        store.insert([rows("B", 0), rows("C", 5)].concat()).unwrap();
        (place, store)
    };
    let (_place, store) = prepare();
    let before = all(&store);
    change(&store).unwrap();
    let after = all(&store);
    assert_ne!(before, after);

    for steps in 0.. {
        let (place, store) = prepare();
        store.folder.steps.light(steps);
        let done = change(&store);
        drop(store);
        let left = match steps % 5 {
            // The power goes again while what was left is cleared up.
            again @ 1..5 => {
                let weak = Steps::new();
                weak.light(again * 3 - 2);
                let _ = place.open_by(weak);
                place.open()
            }
            _ => place.open(),
        };
        let found = all(&left);
        assert!(found == before || found == after, "step {steps}");
        assert!(done.is_err() || found == after, "step {steps}");
        place.assert_tidy(&left);
        if done.is_ok() {
            return steps;
        }
        // And it goes on from there.
        if found == before {
            change(&left).unwrap();
            assert!(all(&left) == after, "step {steps}");
        }
    }
    0
}

#[test]
fn forgetting_survives_a_crash_at_every_step() {
    let steps = crash_at_every_step(|store| store.forget_before(seconds(15)).map(|_| ()));
    assert!(steps > 20, "{steps} steps");
}

#[test]
fn an_import_survives_a_crash_at_every_step() {
    let table: Vec<_> = (0..20)
        .map(|number| interval("100.64.0.2", number, None, "D"))
        .collect();
    let steps = crash_at_every_step(|store| store.insert(table.clone()).map(|_| ()));
    assert!(steps > 30, "{steps} steps");
}
