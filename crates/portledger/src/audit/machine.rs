//! The machine that the program runs on, or an image of another below a folder.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use portledger_audit::machine::{Machine, Output, ReadError, Unreadable};
use portledger_model::Timestamp;

use crate::questions::now;

/// A configuration is smaller than this; what is larger is none.
const LARGEST: u64 = 16 << 20;

/// How long a server may take to print its configuration.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many links a path may lead through, as the kernel has it.
const MOST_LINKS: usize = 40;

/// Files and programs as they are.
pub(crate) struct Live {
    root: Option<PathBuf>,
}

impl Live {
    /// This machine, or the image whose `/` is at `root`: nothing is started there.
    pub(crate) const fn new(root: Option<PathBuf>) -> Self {
        Self { root }
    }

    /// Where a path of the machine lies on this one. A link inside an image that begins with `/`
    /// means the image's own `/`.
    pub(crate) fn place(&self, path: &str) -> PathBuf {
        match &self.root {
            None => PathBuf::from(path),
            Some(root) => within(root, Path::new(path)),
        }
    }

    fn open(&self, path: &str) -> Result<(File, u64), ReadError> {
        let open = || {
            let file = File::open(self.place(path))?;
            let facts = file.metadata()?;
            // A pipe would be waited for for ever.
            if !facts.is_file() {
                return Err(io::Error::other("it is no file"));
            }
            Ok((file, facts.len()))
        };
        open().map_err(|error| unreadable(path, &error))
    }
}

fn unreadable(path: &str, error: &io::Error) -> ReadError {
    ReadError {
        path: path.to_owned(),
        why: match error.kind() {
            io::ErrorKind::NotFound => Unreadable::Missing,
            _ => Unreadable::Other(error.to_string()),
        },
    }
}

/// `path` below `root`, links resolved as if `root` were `/`: none leads out of the image.
fn within(root: &Path, path: &Path) -> PathBuf {
    let mut open: Vec<PathBuf> = parts(path);
    let mut place = PathBuf::new();
    let mut links = 0;
    while let Some(part) = open.pop() {
        if part.as_os_str() == ".." {
            place.pop();
            continue;
        }
        let next = place.join(&part);
        match fs::read_link(root.join(&next)) {
            Ok(target) if links < MOST_LINKS => {
                links += 1;
                if target.is_absolute() {
                    place.clear();
                }
                open.extend(parts(&target));
            }
            _ => place = next,
        }
    }
    root.join(place)
}

/// A path's names, the last first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<PathBuf> = names.collect();
    names.reverse();
    names
}

impl Machine for Live {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let (file, length) = self.open(path)?;
        let mut bytes = Vec::new();
        let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
        read.map_err(|error| unreadable(path, &error))?;
        if length.max(bytes.len() as u64) > LARGEST {
            let why = format!(
                "it is larger than the {} MiB a configuration may have",
                LARGEST >> 20
            );
            return Err(unreadable(path, &io::Error::other(why)));
        }
        Ok(bytes)
    }

    fn newest(&self, path: &str, most: usize) -> Result<Vec<u8>, ReadError> {
        let (mut file, length) = self.open(path)?;
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(length.saturating_sub(most)))
            .and_then(|_| file.take(most).read_to_end(&mut bytes))
            .map_err(|error| unreadable(path, &error))?;
        Ok(bytes)
    }

    fn beginning(&self, path: &str, most: usize) -> Result<Vec<u8>, ReadError> {
        let (file, _) = self.open(path)?;
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        let read = file.take(most).read_to_end(&mut bytes);
        read.map_err(|error| unreadable(path, &error))?;
        Ok(bytes)
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let root = self.root.as_deref().unwrap_or_else(|| Path::new(""));
        let whole = format!(
            "{}{pattern}",
            glob::Pattern::escape(&root.display().to_string())
        );
        let Ok(paths) = glob::glob(&whole) else {
            return Vec::new();
        };
        paths
            .flatten()
            .filter_map(|path| {
                let inside = path.strip_prefix(root).ok()?.to_str()?;
                Some(format!("/{}", inside.trim_start_matches('/')))
            })
            .filter(|path| self.place(path).is_file())
            .collect()
    }

    fn modified(&self, path: &str) -> Option<Timestamp> {
        let at = fs::metadata(self.place(path)).ok()?.modified().ok()?;
        let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Timestamp::from_micros(
            i64::try_from(since.as_micros()).ok()?,
        ))
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Option<Output> {
        if self.root.is_some() {
            return None;
        }
        run(program, arguments, "").ok()
    }

    fn feed(&self, program: &str, arguments: &[&str], input: &str) -> Option<Output> {
        if self.root.is_some() {
            return None;
        }
        run(program, arguments, input).ok()
    }

    fn now(&self) -> Timestamp {
        now()
    }
}

/// Starts a program, gives it its input, and waits for its end, but not for ever.
///
/// # Errors
/// When it is not there, cannot be started, or does not end.
pub(crate) fn run(program: &str, arguments: &[&str], input: &str) -> io::Result<Output> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new(program)
        .args(arguments)
        // Servers live where only root's path leads.
        .env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"))
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (mut stdin, input) = (child.stdin.take(), input.to_owned());
    // A program that does not read on is no reason to wait: its pipe breaks when it ends.
    thread::spawn(move || {
        stdin
            .as_mut()
            .map(|stdin| stdin.write_all(input.as_bytes()))
    });
    let reader = |stream: Option<Box<dyn io::Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(stream) = stream {
                let _ = stream.take(LARGEST).read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = reader(child.stdout.take().map(|stream| Box::new(stream) as Box<_>));
    let stderr = reader(child.stderr.take().map(|stream| Box::new(stream) as Box<_>));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{program} did not end within {} s", PATIENCE.as_secs()),
            ));
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ok(Output {
        succeeded: status.success(),
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    })
}
