use std::{collections::BTreeSet, fs, path::PathBuf};

use portledger_keys::{KeyName, MasterKey};
use portledger_model::Realm;
use tempfile::TempDir;

use super::*;
use crate::{Customer, Prefix};

mod crash;
mod model;

/// A folder for a store and its ring.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn ring(&self) -> KeyRing {
        KeyRing::open(&self.0.path().join("ring"), MasterKey::from_bytes([1; 32])).unwrap()
    }

    fn open(&self) -> Store {
        self.open_by(Steps::new()).unwrap()
    }

    fn open_by(&self, steps: Steps) -> Result<Store, Error> {
        // So little memory that a sort goes to the disk.
        let options = Options { memory: 200 };
        Store::open_by(&self.dir(), self.ring(), options, steps)
    }

    fn files(&self) -> BTreeSet<String> {
        let names = fs::read_dir(self.dir()).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// Nothing but what counts lies there: neither files nor keys.
    fn assert_tidy(&self, store: &Store) {
        let (_, manifest) = store.folder.change().unwrap();
        let stems = manifest
            .files
            .iter()
            .map(|number| format!("identities-{number:010}"));
        let mut files: BTreeSet<String> = stems.clone().map(|stem| format!("{stem}.pli")).collect();
        files.extend(["LOCK".to_owned(), "MANIFEST".to_owned()]);
        let mut found = self.files();
        // Half a manifest says nothing and is overwritten by the next.
        found.remove("MANIFEST.new");
        assert_eq!(found, files);
        let mut keys: Vec<String> = stems.collect();
        keys.insert(0, "identities".to_owned());
        keys.sort();
        let names = self.ring().names().unwrap();
        assert_eq!(names.iter().map(KeyName::as_str).collect::<Vec<_>>(), keys);
    }
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn interval(prefix: &str, from: i64, to: Option<i64>, id: &str) -> Interval {
    Interval::new(
        Realm::default(),
        Prefix::parse(prefix).unwrap(),
        seconds(from),
        to.map(seconds),
        Customer::new(id).unwrap(),
    )
    .unwrap()
}

fn ids(store: &Store, address: &str, from: i64, to: i64) -> Vec<String> {
    let subscriber = Subscriber::of(Realm::default(), address.parse().unwrap());
    let found = store
        .at(&subscriber, Span::new(seconds(from), seconds(to)))
        .unwrap();
    found
        .iter()
        .map(|found| found.customer().id().to_owned())
        .collect()
}

/// All that a store knows, in the order of rows.
fn all(store: &Store) -> Vec<Vec<u8>> {
    let mut merge = crate::merge::Merge::files(store.current().unwrap().tables.clone()).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = merge.next_row().unwrap() {
        rows.push(row.to_vec());
    }
    rows
}

#[test]
fn a_longer_prefix_hides_no_shorter_one() {
    let store = Place::new();
    let store = store.open();
    store
        .insert([
            interval("2001:db8:0:100::/56", 0, None, "A"),
            interval("2001:db8:0:100::/64", 5, Some(10), "B"),
            interval("2001:db8:0:200::/56", 0, None, "C"),
        ])
        .unwrap();
    assert_eq!(ids(&store, "2001:db8:0:100::1", 6, 7), ["A", "B"]);
    assert_eq!(ids(&store, "2001:db8:0:101::1", 6, 7), ["A"]);
    assert_eq!(ids(&store, "2001:db8:0:100::1", 10, 11), ["A"]);
    assert_eq!(ids(&store, "2001:db8:0:300::1", 6, 7), [""; 0]);
    assert_eq!(ids(&store, "2001:db8:0:100::1", 6, 6), [""; 0]);
}

#[test]
fn a_subscriber_who_is_a_prefix_is_whoever_holds_some_of_it() {
    let store = Place::new();
    let store = store.open();
    store
        .insert([
            interval("2001:db8:0:100::/56", 0, None, "A"),
            interval("2001:db8:0:200::/64", 0, Some(10), "B"),
            interval("2001:db8:0:2ff:ffff:ffff:ffff:ffff", 5, None, "C"),
            interval("2001:db8:0:300::/64", 0, None, "D"),
        ])
        .unwrap();
    // A NAT64's prefix inside a delegated one, and the delegated one itself.
    assert_eq!(ids(&store, "2001:db8:0:1ff::/64", 6, 7), ["A"]);
    assert_eq!(ids(&store, "2001:db8:0:100::/56", 6, 7), ["A"]);
    // Whoever has some of a prefix is named, and nobody instead of another.
    assert_eq!(ids(&store, "2001:db8:0:200::/56", 6, 7), ["B", "C"]);
    assert_eq!(ids(&store, "2001:db8:0:200::/56", 2, 5), ["B"]);
    assert_eq!(ids(&store, "2001:db8:0:200::/56", 10, 11), ["C"]);
    assert_eq!(ids(&store, "2001:db8:0:201::/64", 6, 7), [""; 0]);
    // A softwire by its B4's address.
    assert_eq!(ids(&store, "softwire 2001:db8:0:1aa::9", 6, 7), ["A"]);
    assert_eq!(ids(&store, "softwire 2001:db8:0:400::9", 6, 7), [""; 0]);
}

#[test]
fn a_later_import_replaces_what_begins_alike_and_only_that() {
    let place = Place::new();
    let store = place.open();
    store
        .insert([
            interval("100.64.0.1", 0, None, "A"),
            interval("100.64.0.1", 50, None, "B"),
        ])
        .unwrap();
    store
        .insert([interval("100.64.0.1", 0, Some(50), "A")])
        .unwrap();
    assert_eq!(
        ids(&store, "100.64.0.1", 60, 61),
        ["B"],
        "the shorter one hides the longer"
    );
    assert_eq!(ids(&store, "100.64.0.1", 10, 60), ["A", "B"]);
    let merged = store.compact().unwrap();
    assert_eq!(
        merged,
        Merged {
            files: 2,
            kept: 2,
            replaced: 1
        }
    );
    assert_eq!(ids(&store, "100.64.0.1", 60, 61), ["B"]);
    assert_eq!(store.compact().unwrap().files, 0, "one file is not merged");
    place.assert_tidy(&store);
}

#[test]
fn two_customers_of_one_table_are_two() {
    let place = Place::new();
    let store = place.open();
    let both = [
        interval("100.64.0.1", 0, None, "A"),
        interval("100.64.0.1", 0, None, "B"),
    ];
    let imported = store.insert(both.iter().chain(&both).cloned()).unwrap();
    assert_eq!(
        imported,
        Imported {
            rows: 2,
            repeated: 2,
            rejected: 0
        }
    );
    assert_eq!(ids(&store, "100.64.0.1", 0, 1), ["A", "B"]);
}

#[test]
fn a_table_is_imported_but_for_its_bad_lines() {
    let place = Place::new();
    let store = place.open();
    let table = "internal,from,to,customer\n100.64.0.1,1970-01-01T00:00:00Z,,A\nx,y,z,\n";
    let mut lines = Vec::new();
    let imported = store
        .import(table.as_bytes(), |reject| lines.push(reject.line))
        .unwrap();
    assert_eq!(
        imported,
        Imported {
            rows: 1,
            repeated: 0,
            rejected: 1
        }
    );
    assert_eq!(lines, [3]);
    assert_eq!(ids(&store, "100.64.0.1", 0, 1), ["A"]);
    assert!(matches!(
        store.import(&b""[..], |_| {}),
        Err(Error::Header(_))
    ));
}

#[test]
fn a_table_that_cannot_be_read_to_its_end_leaves_nothing() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the cable was pulled"))
        }
    }
    let place = Place::new();
    let store = place.open();
    let row = "100.64.0.1,1970-01-01T00:00:00Z,,A\n";
    let table = format!("internal,from,to,customer\n{}", row.repeat(100));
    let broken = std::io::Read::chain(table.as_bytes(), std::io::BufReader::new(Broken));
    let error = store.import(broken, |_| {}).unwrap_err();
    assert!(matches!(error, Error::Reading(_)));
    assert_eq!(store.files().unwrap(), 0);
    place.assert_tidy(&store);
    store
        .import(&b"internal,from,to,customer\n"[..], |_| {})
        .unwrap();
    assert_eq!(store.files().unwrap(), 0, "an empty table makes no file");
    place.assert_tidy(&store);
}

#[test]
fn what_was_forgotten_cannot_be_read_from_a_copy() {
    let place = Place::new();
    let store = place.open();
    store
        .insert([
            interval("100.64.0.1", 0, Some(10), "A"),
            interval("100.64.0.1", 5, None, "B"),
        ])
        .unwrap();
    let copies: Vec<_> = ["MANIFEST", "identities-0000000001.pli"]
        .map(|name| (name, fs::read(place.dir().join(name)).unwrap()))
        .into();
    let reader = place.open();
    assert_eq!(ids(&reader, "100.64.0.1", 0, 99), ["A", "B"]);

    assert_eq!(
        store.forget_before(seconds(9)).unwrap(),
        Forgotten {
            forgotten: 0,
            kept: 2
        }
    );
    assert_eq!(store.files().unwrap(), 1);
    assert_eq!(
        store.forget_before(seconds(10)).unwrap(),
        Forgotten {
            forgotten: 1,
            kept: 1
        }
    );
    assert_eq!(ids(&store, "100.64.0.1", 0, 99), ["B"]);
    assert_eq!(
        ids(&reader, "100.64.0.1", 0, 99),
        ["B"],
        "who has it open sees it too"
    );
    place.assert_tidy(&store);

    for (name, bytes) in copies {
        fs::write(place.dir().join(name), bytes).unwrap();
    }
    let error = Store::open(&place.dir(), place.ring()).unwrap_err();
    assert!(matches!(error, Error::NoKey { .. }), "{error}");
}

#[test]
fn when_all_is_forgotten_no_file_is_left() {
    let place = Place::new();
    let store = place.open();
    store
        .insert([interval("100.64.0.1", 0, Some(10), "A")])
        .unwrap();
    assert_eq!(
        store.forget_before(seconds(99)).unwrap(),
        Forgotten {
            forgotten: 1,
            kept: 0
        }
    );
    assert_eq!(store.files().unwrap(), 0);
    place.assert_tidy(&store);
}

#[test]
fn only_one_changes_the_store_at_a_time() {
    let place = Place::new();
    let (one, two) = (place.open(), place.open());
    let _turn = one.folder.change().unwrap();
    let error = two
        .insert([interval("100.64.0.1", 0, None, "A")])
        .unwrap_err();
    assert!(matches!(error, Error::Locked { .. }));
    assert!(ids(&two, "100.64.0.1", 0, 1).is_empty(), "asking goes on");
    drop(place.open());
}

#[test]
fn another_ring_and_another_folder_are_told() {
    let place = Place::new();
    place
        .open()
        .insert([interval("100.64.0.1", 0, None, "A")])
        .unwrap();
    let other = Place::new();
    let error = Store::open(&place.dir(), other.ring()).unwrap_err();
    assert!(matches!(error, Error::NoKey { .. }), "{error}");
    other.open();
    let error = Store::open(&place.dir(), other.ring()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Damaged {
                flaw: crate::Flaw::Manifest,
                ..
            }
        ),
        "{error}"
    );
    let error = Store::open(&other.0.path().join("empty"), place.ring()).unwrap_err();
    assert!(matches!(error, Error::NoManifest { .. }), "{error}");
    assert_eq!(
        ids(&place.open(), "100.64.0.1", 0, 1),
        ["A"],
        "nothing was lost over it"
    );
}

#[test]
fn a_flipped_bit_in_a_file_is_found_when_asked() {
    let place = Place::new();
    place
        .open()
        .insert([interval("100.64.0.1", 0, None, "Nobody")])
        .unwrap();
    let path = place.dir().join("identities-0000000001.pli");
    let mut bytes = fs::read(&path).unwrap();
    bytes[30] ^= 1;
    fs::write(&path, bytes).unwrap();
    let subscriber = Subscriber::new(Realm::default(), "100.64.0.1".parse().unwrap());
    let error = place
        .open()
        .at(&subscriber, Span::new(seconds(0), seconds(1)))
        .unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("chunk 0 does not open"), "{shown}");
    assert!(!shown.contains("Nobody") && !shown.contains("100.64"));
}

#[test]
fn a_sort_of_more_runs_than_are_open_at_once_loses_nothing() {
    let place = Place::new();
    let store = place.open();
    let rows = (0..300).map(|number| interval("100.64.0.1", (number * 7_919) % 300, None, "A"));
    assert_eq!(store.insert(rows).unwrap().rows, 300);
    assert_eq!(ids(&store, "100.64.0.1", 0, 300).len(), 300);
    place.assert_tidy(&store);
}
