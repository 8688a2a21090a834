//! Damage is found and named, whatever the bytes; it never makes a wrong answer or a panic.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::Path};

use portledger_segments::{Error, Key, Row};
use support::{Random, rows, try_open, write};

const FILES: [&str; 5] = [
    "allocations.parquet",
    "numbers.parquet",
    "subscribers.parquet",
    "by_subscriber.parquet",
    "shortcuts.idx",
];

/// All that a segment can tell, or the first damage.
fn read(
    dir: &Path,
    key: Option<&Key>,
) -> Result<(Vec<Row>, portledger_segments::Dictionary), Error> {
    let segment = try_open(dir, key)?;
    segment.verify()?;
    Ok((
        segment.rows().collect::<Result<_, _>>()?,
        segment.dictionary()?,
    ))
}

/// Changes bytes one at a time; returns of how many tries how many were found.
fn flip(key: Option<&Key>, tries: u64) -> (u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &rows(9_000, 40, 5), key);
    let sound = read(dir.path(), key).unwrap();
    let mut random = Random(3);
    let mut found = 0;
    for file in FILES {
        let path = dir.path().join(file);
        let bytes = fs::read(&path).unwrap();
        for n in 0..tries {
            // Half of the tries at the end, where most of what leads to pages is.
            let from = if n % 2 == 0 {
                0
            } else {
                bytes.len().saturating_sub(3_000)
            };
            let at = from + random.below((bytes.len() - from) as u64) as usize;
            let mut changed = bytes.clone();
            changed[at] ^= 1 << random.below(8);
            fs::write(&path, &changed).unwrap();
            match read(dir.path(), key) {
                Ok(all) => assert_eq!(all, sound, "{file}, byte {at}: a wrong answer"),
                Err(_) => found += 1,
            }
        }
        fs::write(&path, &bytes).unwrap();
    }
    (tries * FILES.len() as u64, found)
}

#[test]
fn a_flipped_bit_is_found_or_changes_nothing() {
    let (tries, found) = flip(None, 150);
    assert!(found > tries * 6 / 10, "{found} of {tries}");
}

#[test]
fn a_flipped_bit_of_an_encrypted_file_is_found_or_changes_nothing() {
    let key = Key::new(&[9; 16], "k").unwrap();
    let (tries, found) = flip(Some(&key), 100);
    assert!(found > tries * 9 / 10, "{found} of {tries}");
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &rows(3_000, 40, 5), None);
    let mut random = Random(4);
    for file in FILES {
        let path = dir.path().join(file);
        let bytes = fs::read(&path).unwrap();
        for _ in 0..60 {
            let length = random.below(bytes.len() as u64) as usize;
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(read(dir.path(), None).is_err(), "{file} of {length} bytes");
        }
        fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn many_changed_bytes_never_panic() {
    for key in [None, Some(Key::new(&[9; 16], "k").unwrap())] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &rows(3_000, 40, 5), key.as_ref());
        let mut random = Random(6);
        for file in FILES {
            let path = dir.path().join(file);
            let bytes = fs::read(&path).unwrap();
            for _ in 0..100 {
                let mut changed = bytes.clone();
                for _ in 0..=random.below(30) {
                    let tail = bytes.len().min(2_000);
                    let at = bytes.len() - 1 - random.below(tail as u64) as usize;
                    changed[at] = random.below(256) as u8;
                }
                fs::write(&path, &changed).unwrap();
                let _ = read(dir.path(), key.as_ref());
            }
            fs::write(&path, &bytes).unwrap();
        }
    }
}

#[test]
fn the_place_of_a_damaged_page_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &rows(9_000, 40, 5), None);
    let path = dir.path().join("allocations.parquet");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 4;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(
        read(dir.path(), None).unwrap_err().to_string(),
        "allocations.parquet is damaged at byte 4, row group 0, column external, page 0: the checksum does not match; restore the file from a copy"
    );
}

#[test]
fn pages_of_another_segment_are_refused() {
    // The same rows under the same key: only each file's own random bytes differ.
    let key = Key::new(&[9; 16], "k").unwrap();
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&one, &other] {
        write(dir.path(), &rows(9_000, 40, 5), Some(&key));
    }
    let path = one.path().join("allocations.parquet");
    let mut bytes = fs::read(&path).unwrap();
    let others = fs::read(other.path().join("allocations.parquet")).unwrap();
    bytes[..20_000].copy_from_slice(&others[..20_000]);
    fs::write(&path, &bytes).unwrap();
    let error = read(one.path(), Some(&key)).unwrap_err();
    assert!(error.to_string().contains("authentication tag"), "{error}");
}

#[test]
fn the_key_must_be_the_right_one() {
    let key = Key::new(&[9; 16], "ledger-2026-11-01").unwrap();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &rows(100, 40, 5), Some(&key));
    let name = |name: &str| name == "ledger-2026-11-01";
    let missing = try_open(dir.path(), None).unwrap_err();
    assert!(
        matches!(&missing, Error::KeyMissing { name: n, .. } if name(n)),
        "{missing}"
    );
    let other = Key::new(&[8; 16], "x").unwrap();
    let wrong = try_open(dir.path(), Some(&other)).unwrap_err();
    assert!(
        matches!(&wrong, Error::KeyWrong { name: n, .. } if name(n)),
        "{wrong}"
    );
    let plain = tempfile::tempdir().unwrap();
    write(plain.path(), &rows(100, 40, 5), None);
    let swapped = try_open(plain.path(), Some(&key)).unwrap_err();
    assert!(matches!(swapped, Error::NotEncrypted { .. }), "{swapped}");
}
