//! What a release wrote is read by all later ones. The files in `format_v1` are never written
//! again.
#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, as tests do.

use std::{fs, path::Path};

use portledger_identity::{Interval, Store, Table};
use portledger_keys::{KeyRing, MasterKey};
use portledger_model::{Realm, Span, Subscriber};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/format_v1");

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn ring(dir: &Path) -> KeyRing {
    KeyRing::open(dir, MasterKey::from_bytes([1; 32])).unwrap()
}

fn ids(found: &[Interval]) -> Vec<&str> {
    found.iter().map(|found| found.customer().id()).collect()
}

#[test]
fn a_store_of_format_1_is_read() {
    let dir = tempfile::tempdir().unwrap();
    for part in ["ring", "store"] {
        copy(&Path::new(FOLDER).join(part), &dir.path().join(part));
    }
    let store = Store::open(&dir.path().join("store"), ring(&dir.path().join("ring"))).unwrap();
    let ask = |realm: &str, address: &str| {
        let subscriber = Subscriber::new(Realm::new(realm).unwrap(), address.parse().unwrap());
        let from = "2026-05-31T00:00:00Z".parse().unwrap();
        store
            .at(
                &subscriber,
                Span::new(from, "2026-06-02T00:00:00Z".parse().unwrap()),
            )
            .unwrap()
    };

    let found = ask("default", "100.64.3.9");
    assert_eq!(
        ids(&found),
        ["C-1007", "C-2002"],
        "the second import corrects the first"
    );
    assert_eq!(found[0].to(), Some("2026-06-01T00:00:00Z".parse().unwrap()));
    assert_eq!(found[0].customer().field("name"), Some("Example Person"));
    assert_eq!(found[0].customer().field("contract"), Some("K-1"));

    let found = ask("west", "2001:db8:0:1ff::1");
    assert_eq!(ids(&found), ["C-3003"]);
    assert_eq!(found[0].prefix().length(), 56);
    assert_eq!(
        found[0].from(),
        "2026-03-01T00:00:00.123456Z".parse().unwrap()
    );
    assert_eq!(found[0].to(), None);
    assert!(ask("default", "2001:db8:0:1ff::1").is_empty());
}

#[test]
fn a_file_of_format_1_is_read_from_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(FOLDER).join("ring"), &dir.path().join("ring"));
    let ring = ring(&dir.path().join("ring"));
    let key = ring
        .get(&"identities-0000000001".parse().unwrap())
        .unwrap()
        .unwrap();
    let bytes = fs::read(Path::new(FOLDER).join("store/identities-0000000001.pli")).unwrap();
    let found = Table::from_bytes(bytes, &key).unwrap().intervals().unwrap();
    assert_eq!(ids(&found), ["C-1007", "C-2001", "C-3003"]);
}
