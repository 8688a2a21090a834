use std::{fs, sync::atomic::Ordering::Relaxed, thread};

use super::*;

fn master(byte: u8) -> MasterKey {
    MasterKey::from_bytes([byte; 32])
}

fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

fn open(dir: &Path) -> KeyRing {
    KeyRing::open(dir, master(1)).unwrap()
}

/// Gives the ring power for `steps` more steps.
fn light(ring: &KeyRing, steps: usize) {
    ring.disk.fuse.store(steps, Relaxed);
}

fn files(dir: &Path) -> Vec<String> {
    Disk::open(dir).unwrap().names().unwrap()
}

#[test]
fn a_key_is_the_same_whenever_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path());
    assert_eq!(ring.get(&name("a")).unwrap(), None);
    let key = ring.get_or_create(&name("a")).unwrap();
    assert_ne!(ring.get_or_create(&name("b")).unwrap(), key);
    assert_eq!(ring.get_or_create(&name("a")).unwrap(), key);
    assert_eq!(open(dir.path()).get(&name("a")).unwrap(), Some(key));
    assert_eq!(ring.names().unwrap(), [name("a"), name("b")]);
}

#[test]
fn names_are_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path());
    for key in ["b", "a.b", "a", "a-b"] {
        ring.get_or_create(&name(key)).unwrap();
    }
    assert_eq!(ring.names().unwrap(), ["a", "a-b", "a.b", "b"].map(name));
}

#[test]
fn a_key_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("deep/ring");
    open(&folder).get_or_create(&name("a")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("a.key")), 0o600);
}

#[test]
fn a_destroyed_key_is_gone_and_a_new_one_is_another() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path());
    let key = ring.get_or_create(&name("a")).unwrap();
    // Another name of the same bytes shows that they were overwritten, not only removed.
    let kept = dir.path().join("kept");
    fs::hard_link(dir.path().join("a.key"), &kept).unwrap();
    assert_eq!(ring.destroy(&name("a")).unwrap(), Destroyed::Destroyed);
    assert!(fs::read(kept).unwrap().iter().all(|byte| *byte == 0));
    assert_eq!(ring.get(&name("a")).unwrap(), None);
    assert_eq!(ring.destroy(&name("a")).unwrap(), Destroyed::WasNotThere);
    assert_ne!(ring.get_or_create(&name("a")).unwrap(), key);
}

#[test]
fn eight_at_once_agree_on_one_key() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let name = name(&format!("day-{round}"));
        let keys: Vec<DataKey> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| open(dir.path()).get_or_create(&name).unwrap()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(keys.windows(2).all(|two| two[0] == two[1]));
    }
    assert!(files(dir.path()).iter().all(|file| !file.contains('~')));
}

#[test]
fn swapped_files_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path());
    ring.get_or_create(&name("a")).unwrap();
    ring.get_or_create(&name("b")).unwrap();
    fs::copy(dir.path().join("b.key"), dir.path().join("a.key")).unwrap();
    let error = ring.get(&name("a")).unwrap_err();
    assert!(matches!(error, Error::Swapped { ref found, .. } if *found == name("b")));

    // With the name corrected by hand it still does not open.
    let text = fs::read_to_string(dir.path().join("b.key")).unwrap();
    fs::write(dir.path().join("a.key"), text.replace("name b", "name a")).unwrap();
    let error = ring.get(&name("a")).unwrap_err();
    assert!(matches!(
        error,
        Error::Damaged {
            flaw: Flaw::Unauthentic,
            ..
        }
    ));
}

#[test]
fn damage_of_one_key_leaves_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path());
    ring.get_or_create(&name("a")).unwrap();
    let key = ring.get_or_create(&name("b")).unwrap();
    let path = dir.path().join("a.key");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let ring = open(dir.path());
    let error = ring.get(&name("a")).unwrap_err().to_string();
    assert!(error.contains("a.key is damaged"), "{error}");
    assert!(
        ring.get_or_create(&name("a")).is_err(),
        "a damaged key is not replaced unasked"
    );
    assert_eq!(ring.get(&name("b")).unwrap(), Some(key));
}

#[test]
fn another_master_key_is_told_apart_from_damage() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).get_or_create(&name("a")).unwrap();
    let error = KeyRing::open(dir.path(), master(2)).unwrap_err();
    assert!(matches!(error, Error::WrongMaster { .. }));
    let shown = error.to_string();
    assert!(shown.contains(&master(1).id().to_string()), "{shown}");
}

#[test]
fn a_ring_whose_master_key_was_changed_elsewhere_makes_no_keys_under_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path());
    ring.get_or_create(&name("a")).unwrap();
    open(dir.path()).rewrap(&master(2)).unwrap();
    let error = ring.get_or_create(&name("b")).unwrap_err();
    assert!(matches!(error, Error::WrongMaster { .. }));
    assert_eq!(ring.names().unwrap(), [name("a")]);
}

#[test]
fn a_changed_master_key_opens_all_and_the_old_one_none() {
    let dir = tempfile::tempdir().unwrap();
    let ring = open(dir.path());
    let a = ring.get_or_create(&name("a")).unwrap();
    let b = ring.get_or_create(&name("b")).unwrap();
    assert_eq!(ring.rewrap(&master(2)).unwrap(), 2);
    assert_eq!(ring.get(&name("a")).unwrap(), Some(a));
    assert!(KeyRing::open(dir.path(), master(1)).is_err());
    let ring = KeyRing::open(dir.path(), master(2)).unwrap();
    assert_eq!(ring.get(&name("b")).unwrap(), Some(b));
}

#[test]
fn a_change_of_the_master_key_survives_a_crash_at_every_step() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let ring = open(dir.path());
        let keys = ["a", "b", "c"].map(|key| ring.get_or_create(&name(key)).unwrap());
        light(&ring, steps);
        let done = ring.rewrap(&master(2));
        let ended = done.is_ok();
        drop(ring);

        let ring = KeyRing::open(dir.path(), master(1))
            .or_else(|_| KeyRing::open(dir.path(), master(2)))
            .unwrap();
        for (key, expected) in ["a", "b", "c"].iter().zip(&keys) {
            assert_eq!(
                ring.get(&name(key)).unwrap().as_ref(),
                Some(expected),
                "step {steps}"
            );
        }
        assert_eq!(
            files(dir.path()),
            ["LOCK", "a.key", "b.key", "c.key"],
            "step {steps}"
        );
        assert_eq!(ring.rewrap(&master(3)).unwrap(), 3);
        if ended {
            assert!(steps > 20, "the steps were counted");
            break;
        }
    }
}

#[test]
fn a_crash_while_a_change_is_finished_is_finished_too() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let ring = open(dir.path());
        let key = ring.get_or_create(&name("a")).unwrap();
        // 4 steps of the new file, a sync, 4 of the marker, a sync: all is decided.
        light(&ring, 10);
        ring.rewrap(&master(2)).unwrap_err();
        assert_eq!(files(dir.path()), ["CHANGE", "LOCK", "a.key", "a.key~new"]);
        light(&ring, steps);
        let done = ring.change().is_ok();
        drop(ring);
        let ring = KeyRing::open(dir.path(), master(2)).unwrap();
        assert_eq!(ring.get(&name("a")).unwrap(), Some(key));
        assert_eq!(files(dir.path()), ["LOCK", "a.key"]);
        if done {
            break;
        }
    }
}

#[test]
fn a_key_whose_making_crashed_is_there_whole_or_not_at_all() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let ring = open(dir.path());
        light(&ring, steps);
        let made = ring.get_or_create(&name("a"));
        let ring = open(dir.path());
        let found = ring.get(&name("a")).unwrap();
        assert!(files(dir.path()).iter().all(|file| !file.contains('~')));
        if let Ok(made) = made {
            assert_eq!(found, Some(made));
            break;
        }
        let key = ring.get_or_create(&name("a")).unwrap();
        assert!(found.is_none_or(|found| found == key));
    }
}

#[test]
fn a_destruction_that_crashed_left_a_whole_key_or_none() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let ring = open(dir.path());
        let key = ring.get_or_create(&name("a")).unwrap();
        light(&ring, steps);
        let done = ring.destroy(&name("a"));
        let ring = open(dir.path());
        let found = ring.get(&name("a")).unwrap();
        assert_eq!(found.is_some(), steps == 0, "step {steps}");
        assert!(found.is_none_or(|found| found == key));
        assert!(files(dir.path()).iter().all(|file| !file.contains('~')));
        if done.is_ok() {
            assert!(steps > 4, "the steps were counted");
            break;
        }
    }
}

#[test]
fn foreign_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["README", "x y.key", "notes~", "old.key~backup"] {
        fs::write(dir.path().join(file), "kept").unwrap();
    }
    let ring = open(dir.path());
    ring.get_or_create(&name("a")).unwrap();
    assert_eq!(ring.names().unwrap(), [name("a")]);
    assert_eq!(files(dir.path()).len(), 6);
}
