//! What is particular to a folder; what it shares with other stores is tested for all of them.

use std::os::unix::fs::symlink;

use super::*;

fn store() -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let location = Location::folder(dir.path());
    let folder = Folder::open(&location, dir.path()).unwrap();
    (dir, folder)
}

fn path(text: &str) -> StorePath {
    text.parse().unwrap()
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_are_not_for_everyone() {
    let (dir, folder) = store();
    folder.put_new(&path("day/a"), b"x").unwrap();
    let local = dir.path().join(".local");
    fs::write(&local, "y").unwrap();
    fs::set_permissions(&local, Permissions::from_mode(0o666)).unwrap();
    folder.put_file(&path("day/b"), &local).unwrap();
    for name in ["day/a", "day/b"] {
        assert_eq!(mode(&dir.path().join(name)) & !FILE_MODE, 0, "{name}");
    }
    assert_eq!(mode(&dir.path().join("day")) & !FOLDER_MODE, 0);
}

#[test]
fn nothing_unfinished_stays_behind() {
    let (dir, folder) = store();
    folder.put_new(&path("a"), b"x").unwrap();
    assert!(matches!(
        folder.put_new(&path("a"), b"y"),
        Err(Error::Exists { .. })
    ));
    let failed = folder.put(&path("b"), |target| {
        write_then_link(target, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        })
    });
    assert!(matches!(failed, Err(Error::Io { .. })));
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["a"]);
}

#[test]
fn a_file_in_the_same_file_system_is_linked_and_outlives_its_first_name() {
    use std::os::unix::fs::MetadataExt;
    let (dir, folder) = store();
    let local = dir.path().join(".local");
    fs::write(&local, "sealed").unwrap();
    folder.put_file(&path("day/a"), &local).unwrap();
    let stored = dir.path().join("day/a");
    assert_eq!(
        fs::metadata(&local).unwrap().ino(),
        fs::metadata(&stored).unwrap().ino()
    );
    fs::remove_file(&local).unwrap();
    assert_eq!(folder.get(&path("day/a")).unwrap(), b"sealed");
}

#[test]
fn a_file_in_another_file_system_is_copied() {
    let (_dir, folder) = store();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let local = elsewhere.path().join("local");
    fs::write(&local, "sealed").unwrap();
    folder.put_file(&path("day/a"), &local).unwrap();
    fs::write(&local, "changed").unwrap();
    if elsewhere
        .path()
        .canonicalize()
        .unwrap()
        .starts_with("/dev/shm")
    {
        assert_eq!(folder.get(&path("day/a")).unwrap(), b"sealed");
    }
}

#[test]
fn a_link_is_stored_as_the_file_it_points_to() {
    let (dir, folder) = store();
    let local = dir.path().join(".local");
    fs::write(&local, "sealed").unwrap();
    symlink(&local, dir.path().join(".link")).unwrap();
    folder
        .put_file(&path("a"), &dir.path().join(".link"))
        .unwrap();
    assert!(
        fs::symlink_metadata(dir.path().join("a"))
            .unwrap()
            .is_file()
    );
}

#[test]
fn what_is_no_file_is_not_stored() {
    let (dir, folder) = store();
    for local in [
        dir.path(),
        &dir.path().join("absent"),
        Path::new("/dev/zero"),
    ] {
        assert!(matches!(
            folder.put_file(&path("a"), local),
            Err(Error::Source { .. })
        ));
    }
}

#[test]
fn what_others_put_there_is_neither_listed_nor_deleted() {
    let (dir, folder) = store();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "x").unwrap();
    folder.put_new(&path("day/a"), b"x").unwrap();
    fs::write(dir.path().join("day/a note.txt"), "x").unwrap();
    fs::write(dir.path().join("day/.hidden"), "x").unwrap();
    symlink(outside.path(), dir.path().join("day/link")).unwrap();
    let listed = folder.list(None).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(folder.delete_all(&path("day")).unwrap(), 1);
    assert!(outside.path().join("precious").exists());
    assert!(dir.path().join("day/a note.txt").exists());
    assert!(dir.path().join("day/.hidden").exists());
}

#[test]
fn what_an_interrupted_write_left_is_not_seen_and_goes_with_its_folder() {
    let (dir, folder) = store();
    folder.put_new(&path("day/deep/a"), b"x").unwrap();
    fs::write(dir.path().join("day/deep/.new-1-2-3"), "half").unwrap();
    assert_eq!(folder.list(Some(&path("day"))).unwrap().len(), 1);
    assert_eq!(folder.delete_all(&path("day")).unwrap(), 1);
    assert!(!dir.path().join("day").exists());
}

#[test]
fn a_missing_folder_is_no_empty_store() {
    let (dir, _) = store();
    for name in ["absent", "file", "file/below"] {
        fs::write(dir.path().join("file"), "x").unwrap();
        let root = dir.path().join(name);
        assert!(matches!(
            Folder::open(&Location::folder(&root), &root),
            Err(Error::NoStore { .. })
        ));
    }
    let root = dir.path().join("new/and/deep");
    Folder::create(&Location::folder(&root), &root).unwrap();
    assert!(Folder::open(&Location::folder(&root), &root).is_ok());
    assert_eq!(mode(&root) & !FOLDER_MODE, 0);
}

#[test]
fn an_open_file_is_read_after_it_was_deleted() {
    let (_dir, folder) = store();
    folder.put_new(&path("a"), b"sealed").unwrap();
    let file = folder.open_file(&path("a")).unwrap();
    folder.delete(&path("a")).unwrap();
    let mut buffer = [0; 3];
    file.read_at(&mut buffer, 3).unwrap();
    assert_eq!(&buffer, b"led");
}
