//! Puts the same allocations and the same questions to Portledger's segments and to PostgreSQL,
//! DuckDB and fjall, one after the other on one machine, and holds every answer against what was
//! generated. README.md says what is measured and how it is kept fair.
//!
//! ```text
//! generator -> data/day-NNN.rows -> each engine in a process of its own -> table or JSON
//!                    |                     ^
//!                    +-> questions/*  -----+   (with the right answers)
//! ```
#![forbid(unsafe_code)]

mod data;
mod disk;
mod draw;
mod engine;
mod engines;
mod error;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "it is another bench's, and is used as it is"
)]
#[path = "../../../crates/segments/benches/generator.rs"]
mod generator;
mod measure;
mod questions;
mod report;
mod run;

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};

use crate::{
    data::Data,
    engine::Engine,
    engines::{
        duckdb::DuckDb,
        fjall::Fjall,
        ours::Ours,
        postgres::{Index, Postgres},
    },
    error::Error,
    questions::{Counts, Questions},
    report::Report,
    run::{Outcome, Settings, Turn},
};

/// Holds Portledger's segments against PostgreSQL, DuckDB and fjall.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// How many allocations; ten million are a day of a million subscribers
    #[arg(long, default_value_t = 1_000_000)]
    allocations: u64,
    /// Whom to measure, in this order
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Name::ALL)]
    engines: Vec<Name>,
    /// Where data and stores go; a folder of that name is made in it, and removed in the end
    #[arg(long, default_value = "/var/tmp")]
    folder: PathBuf,
    /// Another seed makes other allocations and other questions
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Questions that are asked one at a time
    #[arg(long, default_value_t = 2_000)]
    points: u64,
    /// Questions of a batch
    #[arg(long, default_value_t = 1_000_000)]
    batch: u64,
    /// Hours of addresses, and months of subscribers
    #[arg(long, default_value_t = 200)]
    lists: u64,
    /// How often each engine is asked with an empty page cache
    #[arg(long, default_value_t = 10)]
    cold_rounds: usize,
    /// Seconds in which events are taken in
    #[arg(long, default_value_t = 5)]
    ingest_seconds: u64,
    /// Rows of the GiST index at most, in whole days, but one day at least: it is slow to make
    #[arg(long, default_value_t = 10_000_000)]
    gist_rows: u64,
    /// Where PostgreSQL's programs are
    #[arg(long, default_value = "/usr/lib/postgresql/15/bin")]
    postgres: PathBuf,
    /// A Python that has the packages of scripts/requirements.txt
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Leave the stores where they are
    #[arg(long)]
    keep: bool,
    /// One engine's turn, with the data there are: what this program calls itself for
    #[arg(long, value_enum, hide = true)]
    turn: Option<Name>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    Ours,
    OursEncrypted,
    Postgres,
    PostgresGist,
    Duckdb,
    Fjall,
}

impl Name {
    const ALL: [Self; 6] = [
        Self::Ours,
        Self::OursEncrypted,
        Self::Postgres,
        Self::PostgresGist,
        Self::Duckdb,
        Self::Fjall,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursEncrypted => "ours-encrypted",
            Self::Postgres => "postgres",
            Self::PostgresGist => "postgres-gist",
            Self::Duckdb => "duckdb",
            Self::Fjall => "fjall",
        }
    }

    /// Bytes an allocation that have to be free: what was seen, and room to sort and to drop.
    const fn room(self) -> u64 {
        match self {
            Self::Ours | Self::OursEncrypted => 30,
            Self::Postgres | Self::PostgresGist => 250,
            Self::Duckdb => 100,
            Self::Fjall => 150,
        }
    }
}

/// Bytes an allocation that the data take.
const DATA_ROOM: u64 = 36;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.turn {
        Some(name) => take_turn(&arguments, name),
        None => compare(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("error: {failed}");
            ExitCode::FAILURE
        }
    }
}

/// Generates, gives each engine its turn, and reports.
fn compare(arguments: &Arguments) -> Result<(), Error> {
    let folder = arguments.folder.join("portledger-ledger-bench");
    if folder.exists() {
        return Err(Error::Other(format!(
            "{} is there already: another run's, or one that was kept; remove it first",
            folder.display()
        )));
    }
    fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    check_room(arguments, &folder)?;
    let compared = compare_in(arguments, &folder);
    if !arguments.keep {
        remove(&folder)?;
    }
    compared
}

fn compare_in(arguments: &Arguments, folder: &Path) -> Result<(), Error> {
    let begin = Instant::now();
    let data = Data::generate(folder, arguments.allocations, arguments.seed)?;
    let counts = Counts {
        points: arguments.points,
        batch: arguments.batch,
        lists: arguments.lists,
    };
    Questions::draw(folder, &data, arguments.seed, counts)?;
    eprintln!("generated in {:.1?}", begin.elapsed());
    let (mut outcomes, mut failures) = (Vec::new(), Vec::new());
    for &name in &arguments.engines {
        let begin = Instant::now();
        match call_turn(name) {
            Ok(outcome) => outcomes.push((name.text().to_owned(), outcome)),
            Err(failed) => failures.push(failed.to_string()),
        }
        if !arguments.keep {
            remove(&folder.join(name.text()))?;
        }
        eprintln!("{} took {:.1?}", name.text(), begin.elapsed());
    }
    let report = Report::new(&data, &outcomes, Name::Ours.text());
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Error::Other(failures.join("\nerror: ")))
}

/// Calls this program again for one engine, so that its memory is the engine's alone.
fn call_turn(name: Name) -> Result<Outcome, Error> {
    let program = env::current_exe().map_err(Error::file("find", Path::new("this program")))?;
    let mut command = Command::new(&program);
    command.args(
        env::args_os()
            .skip(1)
            .filter(|it| it != OsStr::new("--json")),
    );
    command.args(["--turn", name.text()]);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(Error::file("start", &program))?;
    if !output.status.success() {
        return Err(Error::Other(format!(
            "{} did not finish its turn, see above",
            name.text()
        )));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn take_turn(arguments: &Arguments, name: Name) -> Result<(), Error> {
    let folder = arguments.folder.join("portledger-ledger-bench");
    let data = Data::open(&folder)?;
    let questions = Questions::open(&folder)?;
    let engine = engine(arguments, name, &folder.join(name.text()))?;
    let settings = Settings {
        cold_rounds: arguments.cold_rounds,
        ingest: Duration::from_secs(arguments.ingest_seconds),
    };
    let outcome = Turn::new(name.text(), engine, &data, &questions, settings).take()?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

fn engine(arguments: &Arguments, name: Name, folder: &Path) -> Result<Box<dyn Engine>, Error> {
    let postgres = |index| Postgres::create(folder, &arguments.postgres, index);
    Ok(match name {
        Name::Ours => Box::new(Ours::new(folder, false)?),
        Name::OursEncrypted => Box::new(Ours::new(folder, true)?),
        Name::Postgres => Box::new(postgres(Index::Btree)?),
        Name::PostgresGist => Box::new(postgres(Index::Gist {
            rows: arguments.gist_rows,
        })?),
        Name::Duckdb => Box::new(DuckDb::start(folder, &arguments.python)?),
        Name::Fjall => Box::new(Fjall::new(folder)),
    })
}

/// Refuses to fill the disk half-way through.
fn check_room(arguments: &Arguments, folder: &Path) -> Result<(), Error> {
    let most = arguments.engines.iter().map(|name| name.room());
    let room = if arguments.keep {
        most.sum::<u64>()
    } else {
        most.max().unwrap_or(0)
    };
    let needed = arguments.allocations * (DATA_ROOM + room);
    let free = disk::free(folder)?;
    if needed > free {
        return Err(Error::Other(format!(
            "{} has {} MB free, and this run may need {} MB",
            folder.display(),
            free / 1_000_000,
            needed / 1_000_000
        )));
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(failed) if failed.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("remove", folder)(failed))
        }
        _ => Ok(()),
    }
}
