//! `portledger init`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use portledger_keys::MasterSource;
use portledger_ledger::{Options, Settings, Writer};

use crate::{
    args::InitArgs,
    failure::{Ended, Failure},
    ledger,
};

pub(crate) fn run(args: &InitArgs) -> Ended {
    if ledger::is_there(&args.ledger)? {
        return Err(Failure::failed(format!(
            "{}: there is a ledger already; what can change later is in its ledger.toml",
            args.ledger.display()
        )));
    }
    let options = Options {
        settings: Some(settings(args)?),
        ..Options::default()
    };
    let (writer, _) = Writer::open(&args.ledger, options)?;
    let dir = writer.dir();
    eprintln!("portledger: made a ledger in {}", dir.display());
    match &args.master_key_command {
        Some(_) => {}
        None => ledger::say_where_the_master_key_is(dir, args.master_key.as_deref()),
    }
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &InitArgs) -> Result<Settings, Failure> {
    let mut seed = [0; 16];
    getrandom::fill(&mut seed)
        .map_err(|error| Failure::failed(format!("no randomness: {error}")))?;
    let mut settings = Settings::new(seed);
    if let Some(calendar) = args.day_starts {
        settings.calendar = calendar;
    }
    settings.encrypted = !args.plain;
    if let Some(keys) = &args.keys {
        settings.keys = from_here(keys)?;
    }
    if let Some(file) = &args.master_key {
        settings.master = MasterSource::File(from_here(file)?);
    } else if let Some(command) = &args.master_key_command {
        settings.master = MasterSource::Command(command.clone());
    }
    if let Some(store) = &args.store {
        settings.store = if store.contains("://") {
            store.clone()
        } else {
            from_here(Path::new(store))?.display().to_string()
        };
    }
    settings.keep_days = args.keep_days;
    settings.keep_questions_days = args.keep_questions_days;
    Ok(settings)
}

/// In the settings a relative path is inside the ledger's folder; here it is from where one is.
fn from_here(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}
