//! The same promises, kept by a folder and by an S3-speaking server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod moto;
mod suite;

use moto::Moto;
use portledger_store::{Access, Error, Location, Store};
use suite::path;

impl Moto {
    /// A store in a bucket of its own.
    fn store(&self, prefix: &str) -> Store {
        self.store_at(&format!("s3://{}/{prefix}", self.bucket()))
    }

    fn store_at(&self, location: &str) -> Store {
        let access: Access = self.access("http").into_iter().collect();
        Store::open_with(&location.parse().unwrap(), &access).unwrap()
    }
}

macro_rules! promises {
    ($($name:ident)*) => {
        mod folder {
            $(#[test] fn $name() {
                let dir = tempfile::tempdir().unwrap();
                let location = portledger_store::Location::folder(dir.path());
                crate::suite::$name(&portledger_store::Store::open(&location).unwrap());
            })*
        }
        mod s3 {
            $(#[test] fn $name() {
                if let Some(moto) = crate::moto::Moto::shared() {
                    crate::suite::$name(&moto.store("some/prefix"));
                }
            })*
        }
    };
}

promises! {
    what_is_stored_is_what_is_read
    a_stored_file_is_never_replaced
    of_many_that_store_under_one_name_one_succeeds
    any_range_is_read_and_none_beyond_the_end
    many_threads_read_one_file
    a_list_is_of_a_folder_and_in_order
    more_files_than_a_server_lists_at_once_are_all_listed_and_deleted
    what_is_deleted_is_gone_and_deleting_nothing_is_fine
    what_is_not_there_is_said_to_be_not_there
    a_large_file_is_stored_whole_and_once
    of_two_large_files_of_one_name_one_is_stored
}

#[test]
fn a_bucket_without_a_prefix_is_a_store_too() {
    let Some(moto) = Moto::shared() else { return };
    let store = moto.store("");
    suite::what_is_deleted_is_gone_and_deleting_nothing_is_fine(&store);
}

#[test]
fn two_stores_in_one_bucket_do_not_see_each_other() {
    let Some(moto) = Moto::shared() else { return };
    let store = moto.store("a");
    let bucket = store.location().to_string();
    let bucket = bucket.trim_end_matches("/a");
    let other = moto.store_at(&format!("{bucket}/a-b"));
    store.put_new(&path("x"), b"1".to_vec()).unwrap();
    other.put_new(&path("x"), b"2".to_vec()).unwrap();
    assert_eq!(store.list(None).unwrap().len(), 1);
    assert_eq!(other.list(None).unwrap().len(), 1);
    assert_eq!(store.get(&path("x")).unwrap(), b"1");
}

#[test]
fn keys_of_others_in_the_bucket_are_left_alone() {
    let Some(moto) = Moto::shared() else { return };
    let store = moto.store("p");
    let key = store.location().to_string().replace("s3:/", "");
    store.put_new(&path("day/ours"), Vec::new()).unwrap();
    // A console's marker of a folder, a hidden name, a name with a space.
    for name in ["", "day/", "day/.hidden", "day/a%20note"] {
        let answer = moto.ask("PUT", &format!("{key}/{name}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(store.list(None).unwrap().len(), 1);
    assert_eq!(store.delete_all(&path("day")).unwrap(), 1);
    assert!(
        moto.ask("HEAD", &format!("{key}/day/.hidden"))
            .starts_with("HTTP/1.1 200")
    );
}

#[test]
fn a_missing_bucket_is_said_to_be_missing() {
    let Some(moto) = Moto::shared() else { return };
    let store = moto.store_at("s3://no-such-bucket");
    let local = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(local.path(), vec![0; 17 << 20]).unwrap();
    for result in [
        store.put_new(&path("x"), Vec::new()),
        store.put_file(&path("x"), local.path()),
        store.get(&path("x")).map(drop),
        store.open_file(&path("x")).map(drop),
        store.list(None).map(drop),
        store.delete(&path("x")),
        store.delete_all(&path("x")).map(drop),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::NoStore { .. }), "{error}");
    }
}

#[test]
fn a_file_replaced_behind_our_back_is_noticed() {
    let Some(moto) = Moto::shared() else { return };
    let store = moto.store("p");
    store.put_new(&path("x"), vec![1; 300_000]).unwrap();
    let file = store.open_file(&path("x")).unwrap();
    store.delete(&path("x")).unwrap();
    store.put_new(&path("x"), vec![2; 300_000]).unwrap();
    let error = file.read_at(&mut [0; 10], 0).unwrap_err();
    let inner = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<Error>());
    assert!(matches!(inner, Some(Error::Changed { .. })), "{error}");
}

#[test]
fn a_failed_upload_leaves_no_parts_behind() {
    let Some(moto) = Moto::shared() else { return };
    let store = moto.store("p");
    let bucket = store.location().to_string();
    let bucket = bucket.trim_start_matches("s3:/").trim_end_matches("/p");
    suite::of_two_large_files_of_one_name_one_is_stored(&store);
    let uploads = moto.ask("GET", &format!("{bucket}?uploads"));
    assert!(uploads.contains("ListMultipartUploadsResult"), "{uploads}");
    assert!(!uploads.contains("<UploadId>"), "{uploads}");
}

#[test]
fn a_store_is_reached_over_tls() {
    let Some(moto) = Moto::start("https") else {
        return;
    };
    let location: Location = "s3://bucket".parse().unwrap();
    let access: Access = moto.access("https").into_iter().collect();
    let store = Store::open_with(&location, &access).unwrap();
    let error = store.put_new(&path("x"), Vec::new()).unwrap_err();
    // Nobody made the bucket: a server on the other end of TLS says so.
    assert!(matches!(error, Error::NoStore { .. }), "{error}");
}
