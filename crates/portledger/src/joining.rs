//! Lines without a port, held against a connection log: for `sightings` and `trace`.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use portledger_model::Sighting;
use portledger_watch::join::{Builder, Join, Joined, Rules, Verdict};
use serde::Serialize;

use crate::{
    args::Joining,
    failure::Failure,
    input::{Inputs, Pass, unusable},
};

/// A connection log, and what came of the lines that were held against it.
pub(crate) struct Joins {
    join: Join,
    rules: Rules,
    /// Unique, several, none, unknown.
    verdicts: [u64; 4],
    /// Why the first that is unknown is.
    because: Option<&'static str>,
}

/// In JSON, an object with what the connection log says of its line.
#[derive(Serialize)]
pub(crate) struct With<'a, T, C> {
    #[serde(flatten)]
    pub(crate) object: &'a T,
    /// Absent where nothing was asked of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connection: Option<&'a C>,
}

impl Joins {
    /// Reads the connection log, where one is given, for the lines of these inputs: only of their
    /// addresses is anything kept in memory.
    pub(crate) fn read(args: &Joining, inputs: &mut Inputs<'_>) -> Result<Option<Self>, Failure> {
        if args.connections.is_empty() {
            return Ok(None);
        }
        let mut wanted = HashSet::new();
        let pass = Pass {
            why: "for addresses",
            last: false,
        };
        inputs.read(pass, &mut |sighting| {
            if sighting.port.is_none() {
                wanted.insert(sighting.address);
            }
            Ok(())
        })?;
        let mut builder = Builder::new(wanted);
        for path in files(&args.connections)? {
            read_file(&path, &mut builder)?;
        }
        let join = builder.build();
        let figures = *join.figures();
        eprintln!(
            "portledger: connection log: {} connections, {} left out, {} lines not understood",
            figures.connections, figures.left_out, figures.unread
        );
        Ok(Some(Self {
            join,
            rules: Rules {
                longest: args.longest_connection,
                slack: args.connection_slack,
                server_ports: args.server_port.clone(),
            },
            verdicts: [0; 4],
            because: None,
        }))
    }

    /// Gives the sighting the port of the one connection that can have carried it. Says nothing of
    /// one that has a port.
    pub(crate) fn fill(&mut self, sighting: &mut Sighting) -> Option<Joined> {
        let joined = self.join.fill(sighting, &self.rules)?;
        let count = match joined.verdict {
            Verdict::Unique => &mut self.verdicts[0],
            Verdict::Several => &mut self.verdicts[1],
            Verdict::None => &mut self.verdicts[2],
            Verdict::Unknown => &mut self.verdicts[3],
        };
        *count += 1;
        if self.because.is_none() {
            self.because = joined.because.map(|because| because.sentence());
        }
        Some(joined)
    }

    /// Says on standard error what became of the lines without a port.
    pub(crate) fn tell(&self) {
        let [unique, several, none, unknown] = self.verdicts;
        eprintln!(
            "portledger: lines without a port: {unique} got one, {several} may be of several, {none} of none, {unknown} unknown; no connection is taken to last longer than {:?}",
            self.rules.longest
        );
        if let Some(because) = self.because {
            eprintln!("  unknown: {because}");
        }
    }
}

/// What a person reads behind a line.
pub(crate) fn text(joined: &Joined) -> String {
    let mut text = match (joined.verdict, joined.because) {
        (Verdict::Unique, _) => return "port from the connection log".to_owned(),
        (Verdict::None, _) => return "no connection in the connection log".to_owned(),
        (Verdict::Several, _) => format!("one of {} ports:", joined.ports),
        (Verdict::Unknown, because) => {
            let because = because.map_or("", |because| because.sentence());
            format!("port not certain ({because}); known:")
        }
    };
    let mut ports: Vec<u16> = joined.candidates.iter().map(|one| one.port).collect();
    ports.sort_unstable();
    ports.dedup();
    for port in &ports {
        // Writing into memory does not fail.
        let _ = write!(text, " {port}");
    }
    if ports.is_empty() {
        text.push_str(" none");
    }
    text
}

/// The files that were given, and those of the folders.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |error| unusable(path, "read", &error);
        for file in fs::read_dir(path).map_err(failed)? {
            let file = file.map_err(failed)?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("connections") && name.ends_with(".log") {
                files.push(file);
            }
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn read_file(path: &Path, builder: &mut Builder) -> Result<(), Failure> {
    let failed = |error| unusable(path, "read", &error);
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
    builder.file();
    let mut line = Vec::new();
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(());
        }
        builder.line(&line);
    }
}
