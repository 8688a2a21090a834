//! DuckDB, by its Python package: `scripts/duckdb_peer.py` does what it is told over a pipe and
//! takes the times itself. A table a ledger day, sorted, and another by subscriber.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    data::{Data, Row},
    engine::{Engine, Happened, Ingested, Timed},
    error::Error,
    questions::{CHECKSUM_PRIME, Hour, Kind, Matched, Month, Point, Questions},
};

const SCRIPT: &str = include_str!("../../scripts/duckdb_peer.py");

/// DuckDB in a folder.
pub struct DuckDb {
    folder: PathBuf,
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply<T> {
    Done(T),
    Failed(String),
}

/// from, to, external, first, last, subscriber, device
type Listed = (i64, i64, u32, u16, u16, u32, u8);

impl DuckDb {
    /// Starts `python`, which must have the packages of `scripts/requirements.txt`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(folder: &Path, python: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        let started = Command::new(python)
            .args(["-c", SCRIPT])
            .arg(folder)
            .arg(CHECKSUM_PRIME.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = started.map_err(Error::file("start", python))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Other("python has no pipes".to_owned()));
        };
        Ok(Self {
            folder: folder.to_owned(),
            child,
            to: Some(to),
            from: BufReader::new(from),
        })
    }

    fn call<T: DeserializeOwned>(
        &mut self,
        name: &str,
        arguments: impl Serialize,
    ) -> Result<T, Error> {
        let failed = |said: String| Error::Program {
            program: "DuckDB's script".to_owned(),
            said,
        };
        let mut line = serde_json::to_string(&(name, arguments))?;
        line.push('\n');
        if let Some(to) = &mut self.to {
            let sent = to.write_all(line.as_bytes()).and_then(|()| to.flush());
            sent.map_err(|source| failed(format!("{source}; are its packages installed?")))?;
        }
        let mut reply = String::new();
        let read = self.from.read_line(&mut reply);
        read.map_err(|source| failed(source.to_string()))?;
        if reply.is_empty() {
            return Err(failed("it ended; are its packages installed?".to_owned()));
        }
        match serde_json::from_str(&reply)? {
            Reply::Done(done) => Ok(done),
            Reply::Failed(said) => Err(failed(said)),
        }
    }
}

impl Engine for DuckDb {
    fn version(&mut self) -> Result<String, Error> {
        let version: String = self.call("version", NONE)?;
        Ok(format!("DuckDB {version}"))
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn load_main(&mut self, data: &Data) -> Result<(), Error> {
        let files: Vec<_> = (0..data.days.len())
            .map(|day| (day, data.file(day)))
            .collect();
        self.call("load_main", (files,))
    }

    fn load_by_subscriber(&mut self, _: &Data) -> Result<(), Error> {
        self.call("load_by_subscriber", NONE)
    }

    fn open(&mut self) -> Result<(), Error> {
        self.call("open", NONE)
    }

    fn close(&mut self) -> Result<(), Error> {
        self.call("close", NONE)
    }

    fn who(&mut self, points: &[Point]) -> Result<Vec<Timed<Option<u32>>>, Error> {
        let asked: Vec<_> = points
            .iter()
            .map(|point| (point.external, point.first, point.at_ms, point.day))
            .collect();
        let answers: Vec<(Option<u32>, u64)> = self.call("who", (asked,))?;
        Ok(answers.into_iter().map(timed).collect())
    }

    fn batch(
        &mut self,
        questions: &Questions,
        kind: Kind,
        _: &[Point],
    ) -> Result<Timed<Matched>, Error> {
        let answer = self.call("batch", (questions.file(kind),))?;
        let (rows, checksum, took, way): (u64, u64, u64, String) = answer;
        eprintln!("DuckDB, {}: {way}", kind.name());
        Ok(timed((Matched { rows, checksum }, took)))
    }

    fn hours(&mut self, hours: &[Hour]) -> Result<Vec<Timed<Vec<Row>>>, Error> {
        let asked: Vec<_> = hours
            .iter()
            .map(|hour| (hour.external, hour.from_ms, hour.to_ms, hour.day))
            .collect();
        let answers: Vec<(Vec<Listed>, u64)> = self.call("hours", (asked,))?;
        Ok(answers.into_iter().map(listed).collect())
    }

    fn months(&mut self, months: &[Month]) -> Result<Vec<Timed<Vec<Row>>>, Error> {
        let asked: Vec<_> = months.iter().map(|month| month.subscriber).collect();
        let answers: Vec<(Vec<Listed>, u64)> = self.call("months", (asked,))?;
        Ok(answers.into_iter().map(listed).collect())
    }

    fn drop_day(&mut self, day: usize) -> Result<Duration, Error> {
        let took = self.call("drop_day", (day,))?;
        Ok(Duration::from_nanos(took))
    }

    fn ingest(
        &mut self,
        events: &[Happened],
        batch: usize,
        limit: Duration,
    ) -> Result<Option<Ingested>, Error> {
        let bytes: Vec<u8> = events
            .iter()
            .flat_map(|event| {
                let mut row = event.row;
                if !event.released {
                    row.to_ms = i64::MAX;
                }
                row.encode()
            })
            .collect();
        // Beside the store's folder, so that its bytes do not count.
        let file = self.folder.with_extension("events");
        fs::write(&file, bytes).map_err(Error::file("write", &file))?;
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let (events, took): (u64, u64) = self.call("ingest", (&file, batch, limit))?;
        fs::remove_file(&file).map_err(Error::file("remove", &file))?;
        let took = Duration::from_nanos(took);
        Ok(Some(Ingested { events, took }))
    }

    fn memory_elsewhere(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kibibytes: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1_024)
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // The script ends with its input.
        self.to = None;
        if let Err(failed) = self.child.wait() {
            eprintln!("DuckDB's script: {failed}");
        }
    }
}

const NONE: [(); 0] = [];

fn timed<T>((result, nanoseconds): (T, u64)) -> Timed<T> {
    Timed {
        result,
        took: Duration::from_nanos(nanoseconds),
    }
}

fn listed((rows, nanoseconds): (Vec<Listed>, u64)) -> Timed<Vec<Row>> {
    let rows = rows.into_iter().map(
        |(from_ms, to_ms, external, first, last, subscriber, device)| Row {
            external,
            first,
            from_ms,
            to_ms,
            subscriber,
            last,
            device,
        },
    );
    timed((rows.collect(), nanoseconds))
}
