//! What an audit may look at, and what it may do: the only way out of this room.

use std::fmt;

use portledger_model::Timestamp;
use thiserror::Error;

/// A machine, or an image of one: files by their absolute paths, programs where they may be
/// started, and what time it is. The caller does the input and output; a test has one in memory.
///
/// Nothing here changes the machine: [`crate::Change`] says what should be changed, and the caller
/// does it.
pub trait Machine {
    /// The bytes of a file, which the caller refuses where they are too many for a configuration.
    ///
    /// # Errors
    /// When there is no such file, it may not be read, or it is too large.
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError>;

    /// The last bytes of a file, at most so many: recent lines of a log, the first perhaps cut.
    ///
    /// # Errors
    /// As [`Machine::read`].
    fn newest(&self, path: &str, most: usize) -> Result<Vec<u8>, ReadError>;

    /// The first bytes of a file, at most so many: what a log's first lines say of the others.
    ///
    /// # Errors
    /// As [`Machine::read`].
    fn beginning(&self, path: &str, most: usize) -> Result<Vec<u8>, ReadError>;

    /// The files that an absolute pattern (`*`, `?`, `[…]`) names, sorted. A pattern without any of
    /// these names itself where it exists.
    fn glob(&self, pattern: &str) -> Vec<String>;

    /// When a file was last written.
    fn modified(&self, path: &str) -> Option<Timestamp>;

    /// What a program prints. `None` where it is not there, or where nothing may be started, as on
    /// an image. Only programs that change nothing are asked for: a server's dump of its own
    /// configuration, its version, a clock's state.
    fn run(&self, program: &str, arguments: &[&str]) -> Option<Output>;

    /// The same with text on the program's standard input: a log's reader that is tried on lines,
    /// what makes one configuration of another.
    fn feed(&self, program: &str, arguments: &[&str], input: &str) -> Option<Output>;

    /// What time it is.
    fn now(&self) -> Timestamp;
}

/// What a program printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Whether its exit status was 0.
    pub succeeded: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: cannot read it: {why}")]
pub struct ReadError {
    /// The file.
    pub path: String,
    /// Why.
    pub why: Unreadable,
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// There is none.
    Missing,
    /// It is there, and something stands in the way: rights, its size, the disk.
    Other(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

/// A file's text, where bytes that are no UTF-8 stand as replacement characters.
///
/// # Errors
/// As [`Machine::read`].
pub(crate) fn text(machine: &dyn Machine, path: &str) -> Result<String, ReadError> {
    let bytes = machine.read(path)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The path of what a configuration names relative to a folder.
pub(crate) fn under(folder: &str, name: &str) -> String {
    if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("{}/{name}", folder.trim_end_matches('/'))
    }
}

/// The folder of a path.
pub(crate) fn folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}

/// The version of an installed Debian package, by the package manager's own list, which an image
/// has as well.
pub(crate) fn debian_version(machine: &dyn Machine, packages: &[&str]) -> Option<String> {
    let status = text(machine, "/var/lib/dpkg/status").ok()?;
    status.split("\n\n").find_map(|paragraph| {
        let field = |name: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let is_wanted = packages.contains(&field("Package")?)
            && field("Status").is_some_and(|status| status.ends_with(" installed"));
        is_wanted.then(|| field("Version").map(upstream))?
    })
}

/// Without the epoch in front and Debian's revision behind.
fn upstream(version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(rest, _)| rest);
    version.split('+').next().unwrap_or(version).to_owned()
}

/// The first thing in a program's words that looks like a version: `nginx version: nginx/1.22.1`.
pub(crate) fn version_in(words: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
    words
        .split(|c: char| !(is_part(c)))
        .find(|word| word.contains('.') && word.chars().next().is_some_and(|c| c.is_ascii_digit()))
        .map(|word| word.trim_end_matches('.').to_owned())
}
