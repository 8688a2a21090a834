//! A folder needs nobody to wait for the network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use portledger_store::{Location, Store, StorePath};

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter(|task| {
            let name = task.as_ref().unwrap().path().join("comm");
            std::fs::read_to_string(name).is_ok_and(|name| name.starts_with("portledger-stor"))
        })
        .count()
}

#[test]
fn a_folder_starts_no_threads_and_a_bucket_few() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::folder(dir.path())).unwrap();
    let path: StorePath = "day/a".parse().unwrap();
    store.put_new(&path, b"x".to_vec()).unwrap();
    store.get(&path).unwrap();
    store.delete_all(&"day".parse().unwrap()).unwrap();
    assert_eq!(threads(), 0);

    let access = [("AWS_SKIP_SIGNATURE".to_owned(), "true".to_owned())]
        .into_iter()
        .collect();
    let remote = Store::open_with(&"s3://bucket".parse().unwrap(), &access).unwrap();
    // A thread takes its name when it first runs.
    while threads() < 2 {
        std::thread::yield_now();
    }
    assert_eq!(threads(), 2);
    drop(remote);
}
