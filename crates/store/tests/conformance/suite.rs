//! What every store promises.

use std::{collections::BTreeSet, io, sync::Barrier, thread};

use portledger_store::{Error, Store, StorePath};

pub(crate) fn path(text: &str) -> StorePath {
    text.parse().unwrap()
}

/// Bytes that tell where they stand.
pub(crate) fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes as u64)
        .map(|place| (place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect()
}

fn names(store: &Store, prefix: Option<&str>) -> Vec<String> {
    store
        .list(prefix.map(path).as_ref())
        .unwrap()
        .iter()
        .map(|entry| entry.path.to_string())
        .collect()
}

pub(crate) fn what_is_stored_is_what_is_read(store: &Store) {
    for (name, bytes) in [("empty", 0), ("one", 1), ("day/deep/some", 100_000)] {
        let content = pattern(bytes);
        store.put_new(&path(name), content.clone()).unwrap();
        assert!(store.get(&path(name)).unwrap() == content, "{name}");
        let file = store.open_file(&path(name)).unwrap();
        assert_eq!(file.len(), bytes as u64, "{name}");
        assert_eq!(file.is_empty(), bytes == 0);
        let mut read = vec![0; bytes];
        file.read_at(&mut read, 0).unwrap();
        assert!(read == content, "{name}");
    }
}

pub(crate) fn a_stored_file_is_never_replaced(store: &Store) {
    let local = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(local.path(), "third").unwrap();
    store.put_new(&path("day/a"), b"first".to_vec()).unwrap();
    let again = [
        store.put_new(&path("day/a"), b"second".to_vec()),
        store.put_file(&path("day/a"), local.path()),
    ];
    for result in again {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error}");
        assert!(
            error.to_string().contains("day/a exists already"),
            "{error}"
        );
    }
    assert_eq!(store.get(&path("day/a")).unwrap(), b"first");
}

pub(crate) fn of_many_that_store_under_one_name_one_succeeds(store: &Store) {
    const WRITERS: u8 = 8;
    for round in 0..3 {
        let name = path(&format!("day/{round}"));
        let barrier = Barrier::new(WRITERS.into());
        let winners: Vec<u8> = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (barrier, name) = (&barrier, &name);
                    scope.spawn(move || {
                        barrier.wait();
                        match store.put_new(name, vec![writer; 10_000]) {
                            Ok(()) => Some(writer),
                            Err(Error::Exists { .. }) => None,
                            Err(error) => panic!("{error}"),
                        }
                    })
                })
                .collect();
            writers
                .into_iter()
                .filter_map(|writer| writer.join().unwrap())
                .collect()
        });
        let [winner] = winners[..] else {
            panic!("{} succeeded", winners.len());
        };
        assert_eq!(store.get(&name).unwrap(), vec![winner; 10_000]);
    }
}

pub(crate) fn any_range_is_read_and_none_beyond_the_end(store: &Store) {
    const LENGTH: usize = 3_000_001;
    let content = pattern(LENGTH);
    store.put_new(&path("file"), content.clone()).unwrap();
    let file = store.open_file(&path("file")).unwrap();
    let (mut seed, mut buffer) = (1_u64, Vec::new());
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    let mut ranges = vec![
        (0, 0),
        (LENGTH, 0),
        (0, LENGTH),
        (0, 1),
        (LENGTH - 1, 1),
        (LENGTH - 65_536, 65_536),
        (LENGTH - 65_537, 65_537),
        (65_535, 2),
        (65_536, 65_536),
        (100, 524_287),
        (100, 524_288),
    ];
    for size in [10, 70_000, 600_000] {
        for _ in 0..20 {
            let length = random(size);
            ranges.push((random(LENGTH - length), length));
        }
    }
    // In order, as somebody who reads on does.
    ranges.extend((0..LENGTH / 50_000).map(|step| (step * 50_000, 50_000)));
    for (start, length) in ranges {
        buffer.resize(length, 0);
        file.read_at(&mut buffer, start as u64).unwrap();
        assert!(
            buffer == content[start..start + length],
            "{length} at {start}"
        );
    }
    for (start, length) in [(LENGTH, 1), (LENGTH - 1, 2), (0, LENGTH + 1)] {
        buffer.resize(length, 0);
        let error = file.read_at(&mut buffer, start as u64).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
    let far = file.read_at(&mut [0], u64::MAX).unwrap_err();
    assert_eq!(far.kind(), io::ErrorKind::UnexpectedEof);
}

pub(crate) fn many_threads_read_one_file(store: &Store) {
    let content = pattern(500_000);
    store.put_new(&path("file"), content.clone()).unwrap();
    let file = store.open_file(&path("file")).unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let (file, content) = (&file, &content);
            scope.spawn(move || {
                for step in 0..25 {
                    let start = (thread * 7919 + step * 19_997) % 490_000;
                    let mut buffer = [0; 1000];
                    file.read_at(&mut buffer, start as u64).unwrap();
                    assert!(buffer == content[start..start + 1000]);
                }
            });
        }
    });
}

pub(crate) fn a_list_is_of_a_folder_and_in_order(store: &Store) {
    assert_eq!(names(store, None), [""; 0]);
    for name in ["b/2", "a", "b/1", "b/deep/er/3", "b-1/4", "b.x"] {
        store.put_new(&path(name), vec![0; name.len()]).unwrap();
    }
    assert_eq!(
        names(store, None),
        ["a", "b-1/4", "b.x", "b/1", "b/2", "b/deep/er/3"]
    );
    assert_eq!(names(store, Some("b")), ["b/1", "b/2", "b/deep/er/3"]);
    assert_eq!(names(store, Some("b/deep")), ["b/deep/er/3"]);
    assert_eq!(names(store, Some("a")), [""; 0]);
    assert_eq!(names(store, Some("absent")), [""; 0]);
    for entry in store.list(None).unwrap() {
        assert_eq!(entry.bytes, entry.path.as_str().len() as u64);
    }
}

pub(crate) fn more_files_than_a_server_lists_at_once_are_all_listed_and_deleted(store: &Store) {
    let wanted: BTreeSet<String> = (0..1050).map(|n| format!("many/{n:05}")).collect();
    thread::scope(|scope| {
        for part in wanted.iter().collect::<Vec<_>>().chunks(263) {
            let part = part.to_vec();
            scope.spawn(move || {
                for name in part {
                    store.put_new(&path(name), vec![1]).unwrap();
                }
            });
        }
    });
    store.put_new(&path("other"), Vec::new()).unwrap();
    let listed: BTreeSet<String> = names(store, Some("many")).into_iter().collect();
    assert_eq!(listed, wanted);
    assert_eq!(store.delete_all(&path("many")).unwrap(), 1050);
    assert_eq!(names(store, None), ["other"]);
}

pub(crate) fn what_is_deleted_is_gone_and_deleting_nothing_is_fine(store: &Store) {
    for name in ["day/a", "day/b/c", "day-2/d"] {
        store.put_new(&path(name), b"x".to_vec()).unwrap();
    }
    store.delete(&path("day/a")).unwrap();
    store.delete(&path("day/a")).unwrap();
    store.delete(&path("absent/x")).unwrap();
    // A folder is no file.
    store.delete(&path("day")).unwrap();
    assert_eq!(names(store, None), ["day-2/d", "day/b/c"]);
    assert_eq!(store.delete_all(&path("day")).unwrap(), 1);
    assert_eq!(store.delete_all(&path("day")).unwrap(), 0);
    assert_eq!(store.delete_all(&path("day-2/d")).unwrap(), 0);
    assert_eq!(names(store, None), ["day-2/d"]);
    // The name is free again.
    store.put_new(&path("day/a"), b"y".to_vec()).unwrap();
    assert_eq!(store.get(&path("day/a")).unwrap(), b"y");
}

pub(crate) fn what_is_not_there_is_said_to_be_not_there(store: &Store) {
    store.put_new(&path("day/a"), b"x".to_vec()).unwrap();
    for name in ["absent", "day/absent", "day", "day/a/below"] {
        let opened = store.open_file(&path(name)).map(drop);
        for error in [store.get(&path(name)).map(drop), opened] {
            let error = error.unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{name}: {error}");
            assert!(
                error
                    .to_string()
                    .ends_with(&format!("/{name} is not there"))
            );
        }
    }
}

pub(crate) fn a_large_file_is_stored_whole_and_once(store: &Store) {
    let local = tempfile::NamedTempFile::new().unwrap();
    // More than two parts of an upload, and an odd end.
    let content = pattern((36 << 20) + 4321);
    std::fs::write(local.path(), &content).unwrap();
    store.put_file(&path("day/large"), local.path()).unwrap();
    assert!(store.get(&path("day/large")).unwrap() == content);
    let again = store.put_file(&path("day/large"), local.path());
    assert!(matches!(again, Err(Error::Exists { .. })));
    let listed = store.list(None).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].bytes, content.len() as u64);
}

pub(crate) fn of_two_large_files_of_one_name_one_is_stored(store: &Store) {
    let barrier = Barrier::new(2);
    let stored: Vec<bool> = thread::scope(|scope| {
        let writers: Vec<_> = (0..2_u8)
            .map(|writer| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let local = tempfile::NamedTempFile::new().unwrap();
                    std::fs::write(local.path(), vec![writer; 17 << 20]).unwrap();
                    barrier.wait();
                    match store.put_file(&path("day/large"), local.path()) {
                        Ok(()) => true,
                        Err(Error::Exists { .. }) => false,
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        writers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    assert_eq!(stored.iter().filter(|stored| **stored).count(), 1);
    let content = store.get(&path("day/large")).unwrap();
    assert!(content == vec![u8::from(stored[1]); 17 << 20]);
}
