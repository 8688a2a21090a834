//! `portledger identity`: who the customers are, kept apart from the ledger.

pub(crate) mod join;

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::ExitCode,
};

use portledger_identity::{Reject, Store};
use portledger_keys::{KeyRing, MasterKey, MasterSource};
use serde_json::json;

use crate::{
    args::{ForgetArgs, IdentityImportArgs, IdentityKeys, IdentityStore},
    failure::{Ended, Failure},
    output::refuse_to_overwrite,
};

pub(crate) fn import(args: &IdentityImportArgs) -> Ended {
    let store = made(&args.store)?;
    let mut rejects = args
        .rejects
        .as_deref()
        .map(|path| create(path, args))
        .transpose()?;
    let mut all_taken = true;
    for file in &args.files {
        let name = file.display();
        let mut unwritten = None;
        let imported = store.import(open(file)?, |reject| {
            eprintln!(
                "portledger: {name}, line {}: {}",
                reject.line, reject.reason
            );
            if let Some(rejects) = &mut rejects
                && let Err(error) = keep(rejects, &reject)
            {
                unwritten.get_or_insert(error);
            }
        });
        let imported = imported
            .map_err(|error| Failure::failed(format!("{name}: {}", Failure::from(error))))?;
        if let Some(error) = unwritten {
            return Err(Failure::failed(format!(
                "the rejects cannot be written: {error}"
            )));
        }
        all_taken &= imported.rejected == 0;
        if args.json {
            println!(
                "{}",
                json!({
                    "file": file.display().to_string(),
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
    }
    if let Some(mut rejects) = rejects {
        rejects.flush()?;
    }
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
fn made(place: &IdentityStore) -> Result<Store, Failure> {
    let dir = &place.identities;
    let master = master_file(dir, &place.keys);
    if !table(dir).exists() && !master.exists() {
        std::fs::create_dir_all(dir)
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

fn master_file(dir: &Path, keys: &IdentityKeys) -> std::path::PathBuf {
    let given = keys.identity_master_key.clone();
    given.unwrap_or_else(|| dir.join("master.key"))
}

/// Where the encrypted table lies, beside its keys unless those are elsewhere.
fn table(dir: &Path) -> std::path::PathBuf {
    dir.join("table")
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(file)
        .map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
    Ok(Box::new(BufReader::new(opened)))
}

/// The file of rejects, which are somebody's: for its owner alone.
fn create(path: &Path, args: &IdentityImportArgs) -> Result<BufWriter<File>, Failure> {
    refuse_to_overwrite(path, args.files.iter().map(std::path::PathBuf::as_path))?;
    let mut options = OpenOptions::new();
    let created = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    let created =
        created.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    Ok(BufWriter::new(created))
}

fn keep(rejects: &mut impl Write, reject: &Reject) -> io::Result<()> {
    rejects.write_all(&reject.text)?;
    if reject.text.ends_with(b"\n") {
        Ok(())
    } else {
        rejects.write_all(b"\n")
    }
}
