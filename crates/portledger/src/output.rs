//! What is written besides the answer: files, and progress while something long is under way.

use std::{fs, io::IsTerminal as _, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;

/// Refuses to write to `path` where that is one of the files in `used`, by whatever name: what is
/// in it, evidence perhaps, would be lost.
pub(crate) fn refuse_to_overwrite<'a>(
    path: &Path,
    used: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Failure> {
    let file = |path: &Path| {
        let facts = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some((facts.dev(), facts.ino()))
    };
    let Some(there) = file(path) else {
        return Ok(());
    };
    match used.into_iter().find(|used| file(used) == Some(there)) {
        None => Ok(()),
        Some(used) => Err(Failure::usage(format!(
            "{}: would overwrite {}, which this run uses; write to another file",
            path.display(),
            used.display()
        ))),
    }
}

/// A counter on standard error, where that is a terminal.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(crate) fn counting(what: &'static str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} {msg} ({per_sec})") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(Some(bar))
    }

    pub(crate) fn at(&self, count: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(count);
        }
    }

    pub(crate) fn done(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
