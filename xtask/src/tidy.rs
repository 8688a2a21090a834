//! What a test can see in the source itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The rooms that do no I/O, read no clock and draw no randomness of their own.
const SANS_IO: [&str; 8] = [
    "model", "ports", "nat", "wire", "proof", "trace", "servers", "audit",
];
const FORBIDDEN: [&str; 11] = [
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "UdpSocket",
    "SystemTime",
    "Instant::now",
    "Zoned::now",
    "getrandom",
    "print!",
];

#[test]
fn rooms_without_io_have_none() {
    let mut found = Vec::new();
    for room in SANS_IO {
        let sources = sources(&root().join("crates").join(room).join("src"));
        assert!(!sources.is_empty(), "no source in {room}");
        for path in sources {
            let text = fs::read_to_string(&path).unwrap();
            // Tests may read their golden files; they come last in a file.
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            for (number, line) in (1..).zip(code.lines()) {
                let is_comment = line.trim_start().starts_with("//");
                if !is_comment && FORBIDDEN.iter().any(|word| line.contains(word)) {
                    found.push(format!("{}:{number}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn unsafe_code_is_in_the_drivers_two_files() {
    let mut with_unsafe = Vec::new();
    for path in sources(&root().join("crates")) {
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(str::trim_start);
        if lines.any(|line| !line.starts_with("//") && line.contains("unsafe {")) {
            let inside = path.strip_prefix(root().join("crates"));
            with_unsafe.push(inside.unwrap().to_owned());
        }
    }
    with_unsafe.sort();
    let drivers = ["dataplane/src/tun/ioctl.rs", "watch/src/driver/ring.rs"];
    assert_eq!(with_unsafe, drivers.map(PathBuf::from));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The source files below a folder, but for those that are tests from end to end.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() && !["tests", "benches", "target"].contains(&name) {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && !["tests.rs", "testing.rs"].contains(&name) {
            found.push(path);
        }
    }
    found.sort();
    found
}
