//! `portledger identity`: who the customers are, kept apart from the ledger.

mod feed;
pub(crate) mod form;
pub(crate) mod join;
mod rejects;

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use portledger_identity::{Store, sessions::Reading};
use portledger_keys::{KeyRing, MasterKey, MasterSource};
use portledger_model::{Realm, Timestamp};
use serde_json::json;

use self::{feed::Feed, form::Form, rejects::Rejects};
use crate::{
    args::{ForgetArgs, IdentityImportArgs, IdentityKeys, IdentityStore},
    failure::{Ended, Failure},
    questions::now,
};

pub(crate) fn import(args: &IdentityImportArgs) -> Ended {
    let reading = Reading {
        realm: args.realm.as_deref().map_or_else(
            || Ok(Realm::default()),
            |realm| Realm::new(realm).map_err(|error| Failure::usage(format!("--realm: {error}"))),
        )?,
        customer: args.customer,
    };
    // What every file is, is settled before the first is taken.
    let mut files = Vec::new();
    for file in &args.files {
        let (mut input, written) = open(file)?;
        let begin = input
            .fill_buf()
            .map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
        let form = Form::of(args.format, begin, written);
        if form.is_none() && (args.customer.is_some() || args.realm.is_some()) {
            return Err(Failure::usage(format!(
                "{}: a table of customers has its realms and customers in columns; --realm and --customer are for leases and accounting",
                file.display()
            )));
        }
        files.push((file, input, form));
    }
    let store = made(&args.store)?;
    let mut rejects = Rejects::create(args.rejects.as_deref(), &args.files)?;
    let mut feed = Feed::new(&store, reading);
    let mut all_taken = true;
    for (file, input, form) in files {
        let name = file.display().to_string();
        all_taken &= match form {
            Some(form) => feed.file(&name, form, input, &mut rejects, args.json)?,
            None => table_of(&store, &name, input, &mut rejects, args.json)?,
        };
    }
    feed.finish(args.json)?;
    rejects.finish()?;
    // Each import adds a file, and each file makes a question longer.
    const FILES: usize = 16;
    if store.files()? > FILES {
        store.compact()?;
    }
    Ok(if all_taken {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Takes a table of customers; whether all of it could be taken.
fn table_of(
    store: &Store,
    name: &str,
    input: impl BufRead,
    rejects: &mut Rejects,
    as_json: bool,
) -> Result<bool, Failure> {
    let mut unwritten = None;
    let imported = store.import(input, |reject| {
        eprintln!(
            "portledger: {name}, line {}: {}",
            reject.line, reject.reason
        );
        if let Err(error) = rejects.keep(&reject.text) {
            unwritten.get_or_insert(error);
        }
    });
    let imported =
        imported.map_err(|error| Failure::failed(format!("{name}: {}", Failure::from(error))))?;
    if let Some(error) = unwritten {
        return Err(error);
    }
    if as_json {
        println!(
            "{}",
            json!({
                "file": name,
                "rows": imported.rows,
                "repeated": imported.repeated,
                "rejected": imported.rejected,
            })
        );
    } else {
        println!(
            "{name}: {} taken in, {} repeated, {} rejected",
            imported.rows, imported.repeated, imported.rejected
        );
    }
    Ok(imported.rejected == 0)
}

pub(crate) fn forget(args: &ForgetArgs) -> Ended {
    let store = opened(&args.store.identities, &args.store.keys)?;
    let forgotten = store.forget_before(args.before)?;
    if args.json {
        println!(
            "{}",
            json!({ "forgotten": forgotten.forgotten, "kept": forgotten.kept })
        );
    } else {
        println!(
            "{} forgotten for good, {} kept",
            forgotten.forgotten, forgotten.kept
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The store in this folder, made where there is none.
pub(crate) fn made(place: &IdentityStore) -> Result<Store, Failure> {
    let dir = &place.identities;
    let master = master_file(dir, &place.keys);
    if !table(dir).exists() && !master.exists() {
        fs::create_dir_all(dir)
            .map_err(|error| Failure::failed(format!("{}: {error}", dir.display())))?;
        MasterKey::create_file(&master)?;
        eprintln!(
            "portledger: the identities' master key is {}; keep a copy of it elsewhere, never in the same backup as the identities, and let only those read it who may know the customers",
            master.display()
        );
    }
    opened_or_made(dir, &place.keys)
}

/// The store in this folder, which is there.
fn opened(dir: &Path, keys: &IdentityKeys) -> Result<Store, Failure> {
    if !table(dir).exists() {
        return Err(Failure::failed(format!(
            "{}: the folder holds no identities; 'portledger identity import' makes it, --identities or PORTLEDGER_IDENTITIES says which it is",
            dir.display()
        )));
    }
    opened_or_made(dir, keys)
}

fn opened_or_made(dir: &Path, keys: &IdentityKeys) -> Result<Store, Failure> {
    let ring = keys
        .identity_keys
        .clone()
        .unwrap_or_else(|| dir.join("keys"));
    let master = MasterKey::load(&MasterSource::File(master_file(dir, keys)))?;
    Ok(Store::open(&table(dir), KeyRing::open(&ring, master)?)?)
}

fn master_file(dir: &Path, keys: &IdentityKeys) -> PathBuf {
    let given = keys.identity_master_key.clone();
    given.unwrap_or_else(|| dir.join("master.key"))
}

/// Where the encrypted table lies, beside its keys unless those are elsewhere.
fn table(dir: &Path) -> PathBuf {
    dir.join("table")
}

/// The file, and when it was written last; of standard input, now.
fn open(file: &Path) -> Result<(Box<dyn BufRead>, Timestamp), Failure> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), now()));
    }
    let unreadable = |error| Failure::failed(format!("{}: {error}", file.display()));
    let opened = File::open(file).map_err(unreadable)?;
    let written = opened.metadata().and_then(|facts| facts.modified());
    let written = written.map_err(unreadable)?;
    let since = written.duration_since(SystemTime::UNIX_EPOCH);
    let written = Timestamp::EPOCH.after(since.unwrap_or_default());
    Ok((Box::new(BufReader::new(opened)), written))
}
