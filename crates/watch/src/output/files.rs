//! A folder of files: one that grows, `connections.log`, and those that ended before it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use portledger_model::Timestamp;
use portledger_servers::connection_log::{Entry, Mark, Says, Watched};

use super::{Lost, Output, OutputError, Unwritten, Written};

const CURRENT: &str = "connections.log";
const ENDED: &str = "connections-";
const SUFFIX: &str = ".log";

/// How much waits in memory before it is written.
const BUFFER: usize = 1 << 16;
/// How often files are looked at that may be past their time.
const RETENTION: Duration = Duration::from_secs(3_600);

/// When a file ends.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// When it has so many bytes.
    pub bytes: u64,
    /// When it is so old.
    pub age: Duration,
    /// An ended file is deleted when so much time has passed since its last line.
    pub keep: Option<Duration>,
}

/// A folder of files.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    rotation: Rotation,
    file: File,
    /// Its bytes that are whole lines of ours.
    length: u64,
    begun: Instant,
    buffer: Vec<u8>,
    buffered: Option<Lost>,
    /// Lines in the buffer.
    lines: u64,
    unwritten: Unwritten,
    written: Written,
    cleaned: Option<Instant>,
}

impl Files {
    /// Opens a file in the folder, which is made where it is missing. What an earlier run left is
    /// not written to again: its last line may be half a one.
    ///
    /// # Errors
    /// Where the folder cannot be written to.
    pub fn open(folder: &Path, rotation: Rotation) -> Result<Self, OutputError> {
        fs::create_dir_all(folder).map_err(|error| OutputError::File {
            path: folder.to_owned(),
            what: "make the folder",
            error,
        })?;
        put_aside(folder)?;
        Ok(Self {
            file: create(folder)?,
            folder: folder.to_owned(),
            rotation,
            length: 0,
            begun: Instant::now(),
            buffer: Vec::with_capacity(2 * BUFFER),
            buffered: None,
            lines: 0,
            unwritten: Unwritten::default(),
            written: Written::default(),
            cleaned: None,
        })
    }

    fn push(&mut self, entry: &Entry) {
        // Writing into memory does not fail.
        let _ = writeln!(self.buffer, "{entry}");
        self.lines += 1;
        let lost = Lost::of(entry);
        self.buffered = Some(self.buffered.map_or(lost, |buffered| buffered.and(lost)));
    }

    fn write_buffer(&mut self) -> Result<(), OutputError> {
        if self.buffer.is_empty() && self.unwritten.0.is_none() {
            return Ok(());
        }
        let mut head = Vec::new();
        if let Some(left_out) = self.unwritten.0 {
            let says = Says::LeftOut(left_out);
            let mark = Mark {
                at: left_out.to,
                says,
            };
            let _ = writeln!(head, "{mark}");
        }
        head.append(&mut self.buffer);
        let result = self.file.write_all(&head);
        let (lines, buffered) = (std::mem::take(&mut self.lines), self.buffered.take());
        match result {
            Ok(()) => {
                self.length += head.len() as u64;
                self.written.lines += lines + u64::from(self.unwritten.0.take().is_some());
                head.clear();
                self.buffer = head;
                Ok(())
            }
            Err(error) => {
                // Half a line must not stay: the next one would be behind it.
                let _ = self.file.set_len(self.length);
                if let Some(lost) = buffered {
                    self.written.unwritten += lost.connections;
                    self.unwritten.add(lost);
                }
                Err(self.failed("write it", error))
            }
        }
    }

    fn failed(&self, what: &'static str, error: io::Error) -> OutputError {
        OutputError::File {
            path: self.folder.join(CURRENT),
            what,
            error,
        }
    }

    /// Ends the file and begins another. Where the log cannot be written, that is left for later.
    fn begin(&mut self, complete: Timestamp, watched: &Watched) -> Result<(), OutputError> {
        self.push(&Entry::Mark(Mark {
            at: complete,
            says: Says::Complete,
        }));
        if self.write_buffer().is_err() {
            return Ok(());
        }
        put_aside(&self.folder)?;
        self.file = create(&self.folder)?;
        (self.length, self.begun) = (0, Instant::now());
        self.written.rotated += 1;
        self.push(&Entry::Mark(Mark {
            at: complete,
            says: Says::GoesOn(watched.clone()),
        }));
        // Its first line is there from the beginning.
        let _ = self.write_buffer();
        Ok(())
    }

    fn clean(&mut self) {
        let due = self.cleaned.is_none_or(|last| last.elapsed() >= RETENTION);
        if let Some(keep) = self.rotation.keep.filter(|_| due) {
            self.cleaned = Some(Instant::now());
            // Looked at again in an hour; what cannot be deleted then, stays.
            let _ = clean(&self.folder, SystemTime::now(), keep);
        }
    }
}

impl Output for Files {
    fn write(&mut self, entry: &Entry) {
        self.push(entry);
        if self.buffer.len() >= BUFFER {
            // What fails is counted, and `flush` says it.
            let _ = self.write_buffer();
        }
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        self.write_buffer()
    }

    fn rotate(&mut self, complete: Timestamp, watched: &Watched) -> Result<(), OutputError> {
        self.clean();
        let length = self.length + self.buffer.len() as u64;
        if length < self.rotation.bytes && self.begun.elapsed() < self.rotation.age {
            return Ok(());
        }
        self.begin(complete, watched)
    }

    fn reopen(&mut self, complete: Timestamp, watched: &Watched) -> Result<(), OutputError> {
        self.begin(complete, watched)
    }

    fn written(&self) -> Written {
        self.written
    }
}

fn create(folder: &Path) -> Result<File, OutputError> {
    let path = folder.join(CURRENT);
    let mut options = OpenOptions::new();
    // Who connected is personal: for the operator's eyes.
    options.create_new(true).append(true).mode(0o640);
    options.open(&path).map_err(|error| OutputError::File {
        path,
        what: "make it",
        error,
    })
}

/// Gives the current file, where there is one, the name under which it stays: with the time of its
/// last line.
fn put_aside(folder: &Path) -> Result<(), OutputError> {
    let current = folder.join(CURRENT);
    let failed = |error| OutputError::File {
        path: folder.join(CURRENT),
        what: "rename it",
        error,
    };
    let facts = match fs::metadata(&current) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let ended = facts.modified().map_err(failed)?;
    let ended = ended.duration_since(SystemTime::UNIX_EPOCH);
    let ended = Timestamp::EPOCH.after(ended.unwrap_or_default());
    let name: String = ended
        .to_string()
        .chars()
        .filter(|character| !matches!(character, '-' | ':'))
        .collect();
    // Another may have ended at the same moment, and must not be lost.
    for number in 0..1_000_u16 {
        let more = match number {
            0 => String::new(),
            number => format!("-{number}"),
        };
        let path = folder.join(format!("{ENDED}{name}{more}{SUFFIX}"));
        match fs::hard_link(&current, &path) {
            Ok(()) => return fs::remove_file(&current).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // A file system without links.
            Err(_) if !path.exists() => return fs::rename(&current, &path).map_err(failed),
            Err(_) => {}
        }
    }
    Err(failed(io::ErrorKind::AlreadyExists.into()))
}

/// Deletes ended files whose last line is older than `keep`.
fn clean(folder: &Path, now: SystemTime, keep: Duration) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(ENDED) || !name.ends_with(SUFFIX) {
            continue;
        }
        let facts = file.metadata()?;
        let age = now.duration_since(facts.modified()?).unwrap_or_default();
        if facts.is_file() && age > keep {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portledger_model::Transport;
    use portledger_servers::connection_log::Record;

    use super::*;

    const EVER: Rotation = Rotation {
        bytes: u64::MAX,
        age: Duration::MAX,
        keep: None,
    };

    fn connection(port: u16) -> Entry {
        Entry::Connection(Record {
            at: Timestamp::from_secs(1_795_258_400 + i64::from(port)),
            transport: Transport::Tcp,
            client: ("203.0.113.7".parse().unwrap(), port),
            server: ("192.0.2.80".parse().unwrap(), 443),
            told: None,
        })
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// All that the folder has, its files in the order of their names.
    fn text(folder: &Path) -> String {
        let read = |name: &String| fs::read_to_string(folder.join(name)).unwrap();
        names(folder).iter().map(read).collect()
    }

    #[test]
    fn files_end_by_size_and_nothing_is_lost_between_them() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { bytes: 200, ..EVER };
        let mut files = Files::open(folder.path(), rotation).unwrap();
        let complete = Timestamp::from_secs(1_795_258_400);
        for port in 1..=20 {
            files.write(&connection(port));
            files.rotate(complete, &Watched::default()).unwrap();
        }
        files.flush().unwrap();
        let text = text(folder.path());
        let connections = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(connections, 20);
        assert_eq!(files.written().rotated, 5);
        assert_eq!(text.matches(" go-on ").count(), 5);
        assert_eq!(text.matches(" complete").count(), 5);
        assert_eq!(names(folder.path()).len(), 6);
        assert_eq!(files.written().lines, text.lines().count() as u64);
    }

    #[test]
    fn files_end_by_age() {
        let folder = tempfile::tempdir().unwrap();
        let age = Duration::ZERO;
        let mut files = Files::open(folder.path(), Rotation { age, ..EVER }).unwrap();
        files.rotate(Timestamp::EPOCH, &Watched::default()).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn what_an_earlier_run_left_is_put_aside_and_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let half = "1795258401.000000 203.0.113.7 491";
        for run in 0..3 {
            fs::write(folder.path().join(CURRENT), half).unwrap();
            let mut files = Files::open(folder.path(), EVER).unwrap();
            files.write(&connection(1));
            files.flush().unwrap();
            assert_eq!(
                names(folder.path()).len(),
                2 + run,
                "{:?}",
                names(folder.path())
            );
            let current = fs::read_to_string(folder.path().join(CURRENT)).unwrap();
            assert_eq!(current, format!("{}\n", connection(1)));
        }
    }

    #[test]
    fn somebody_else_may_rename_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::open(folder.path(), EVER).unwrap();
        files.write(&connection(1));
        files.flush().unwrap();
        let (current, other) = (folder.path().join(CURRENT), folder.path().join("old.1"));
        fs::rename(&current, &other).unwrap();
        files.write(&connection(2));
        let complete = Timestamp::from_secs(1_795_258_403);
        files.reopen(complete, &Watched::default()).unwrap();
        files.write(&connection(3));
        files.flush().unwrap();
        let old = fs::read_to_string(other).unwrap();
        assert_eq!(
            old,
            format!(
                "{}\n{}\n# 1795258403.000000 complete\n",
                connection(1),
                connection(2)
            )
        );
        let current = fs::read_to_string(current).unwrap();
        assert_eq!(
            current,
            format!(
                "# 1795258403.000000 go-on tcp=none udp=none\n{}\n",
                connection(3)
            )
        );
    }

    /// `/dev/full` takes nothing: a disk without room.
    #[test]
    fn what_a_full_disk_did_not_take_is_said_when_it_takes_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::open(folder.path(), EVER).unwrap();
        files.write(&connection(1));
        files.flush().unwrap();
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let good = std::mem::replace(&mut files.file, full);
        files.write(&connection(2));
        files.write(&connection(3));
        let error = files.flush().unwrap_err().to_string();
        assert!(error.contains("cannot write it: No space left"), "{error}");
        files.write(&connection(4));
        assert!(files.flush().is_err());
        files.file = good;
        files.write(&connection(5));
        files.flush().unwrap();
        files.write(&connection(6));
        files.flush().unwrap();
        insta::assert_snapshot!(text(folder.path()));
        assert_eq!(
            files.written(),
            Written {
                lines: 4,
                unwritten: 3,
                rotated: 0
            }
        );
    }

    #[test]
    fn ended_files_go_when_their_time_is_past_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Duration::from_secs(86_400);
        let now = SystemTime::now();
        for (name, age) in [
            ("connections-1.log", 2),
            ("connections-2.log", 0),
            (CURRENT, 2),
            ("connections-notes.txt", 2),
            ("access.log", 2),
        ] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(now - keep * age).unwrap();
        }
        clean(folder.path(), now, keep).unwrap();
        let left = [
            "access.log",
            "connections-2.log",
            "connections-notes.txt",
            CURRENT,
        ];
        assert_eq!(names(folder.path()), left);
    }
}
