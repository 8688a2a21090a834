//! A log's format from its server's configuration files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use portledger_servers::{Format, config};

use crate::failure::Failure;

/// The format in which the server at `config` writes `log`.
pub(crate) fn format(config: &Path, log: &Path) -> Result<Format, Failure> {
    let name = config.display().to_string();
    let text = fs::read(config)
        .map_err(|error| Failure::failed(format!("{name}: cannot read it: {error}")))?;
    let text = String::from_utf8_lossy(&text);
    let root = config.parent().unwrap_or_else(|| Path::new("."));
    let mut include = |pattern: &str| included(root, pattern);
    let definitions = if is_apache(&text) {
        config::apache(&name, &text, &mut include)?
    } else {
        config::nginx(&name, &text, &mut include)?
    };
    let format = definitions
        .format_of(&log.display().to_string())
        .map_err(|error| Failure::usage(format!("{name}: {error}; or give --format")))?;
    eprintln!("portledger: {}: {format} as {name} says", log.display());
    Ok(format.clone())
}

/// Apache's directives begin with a capital by custom; nginx's never do.
fn is_apache(text: &str) -> bool {
    let directives = [
        "LogFormat",
        "CustomLog",
        "TransferLog",
        "ErrorLog",
        "<VirtualHost",
        "ServerRoot",
    ];
    text.lines().any(|line| {
        directives
            .iter()
            .any(|name| line.trim_start().starts_with(name))
    })
}

/// The files that an include names: its last part may hold `*`.
fn included(root: &Path, pattern: &str) -> Result<Vec<(String, String)>, String> {
    let path = root.join(pattern);
    let mut paths: Vec<PathBuf> = Vec::new();
    match (
        path.file_name().and_then(|name| name.to_str()),
        path.parent(),
    ) {
        (Some(name), Some(folder)) if name.contains('*') => {
            let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
            for entry in entries.flatten() {
                if entry
                    .file_name()
                    .to_str()
                    .is_some_and(|file| matches(name, file))
                {
                    paths.push(entry.path());
                }
            }
        }
        _ => paths.push(path),
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok((
                path.display().to_string(),
                String::from_utf8_lossy(&text).into_owned(),
            ))
        })
        .collect()
}

/// Whether `name` is one that `pattern`, in which `*` stands for anything, means.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_anything() {
        assert!(matches("*.conf", "default.conf"));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(!matches("*.conf", "default.conf.bak"));
    }
}
