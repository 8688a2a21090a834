//! What should be changed in files, as a diff and as bytes.

use similar::TextDiff;

/// The smallest change that gets source port and exact time logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Files as they should be. Empty where nothing needs to change.
    pub edits: Vec<Edit>,
    /// The server's own check of its configuration, to be run after the change; without one the
    /// server has none, and the change rests on this program's own reading of the result.
    pub check: Option<CommandLine>,
    /// What makes the server take the change up, for a person to run.
    pub reload: String,
    /// What the reader of the diff should know: what it does and does not do.
    pub remarks: Vec<String>,
}

/// A file and how it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The file.
    pub path: String,
    /// As it is; `None` for a file that does not exist yet.
    pub before: Option<String>,
    /// As it should be.
    pub after: String,
}

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl CommandLine {
    /// A program with its arguments.
    pub fn new(program: &str, arguments: &[&str]) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
        }
    }
}

impl std::fmt::Display for CommandLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.program)?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {argument}"))
    }
}

impl Change {
    /// The change as a unified diff, which `patch -p1` takes below `/`.
    pub fn diff(&self) -> String {
        self.edits.iter().map(Edit::diff).collect()
    }
}

impl Edit {
    fn diff(&self) -> String {
        let before = self.before.as_deref().unwrap_or_default();
        let old = match self.before {
            Some(_) => format!("a{}", self.path),
            None => "/dev/null".to_owned(),
        };
        TextDiff::from_lines(before, &self.after)
            .unified_diff()
            .header(&old, &format!("b{}", self.path))
            .to_string()
    }
}
