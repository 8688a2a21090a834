//! `portledger audit`: what the servers on this machine, or on an image, record of who connects.

pub(crate) mod machine;

use std::{path::Path, process::ExitCode};

use portledger_audit::{Audited, Machine, Server, audit, report, server};

use crate::{
    args::{AuditArgs, Servers},
    failure::{Ended, Failure},
};
use machine::Live;

pub(crate) fn run(args: &AuditArgs) -> Ended {
    let machine = Live::new(args.servers.root.clone());
    let instances = instances(&machine, &args.servers)?;
    let mut audited = Vec::new();
    let mut failed = 0;
    for instance in &instances {
        match audit(&machine, instance.server, &instance.path) {
            Ok(server) => audited.push(server),
            Err(error) => {
                failed += 1;
                eprintln!("portledger: {}: {error}", instance.server.facts().title);
            }
        }
    }
    print(args, &audited)?;
    if instances.is_empty() {
        eprintln!("portledger: no server was found; name its configuration file, or see --help");
    }
    let below = args.require.map(|required| {
        let below = audited.iter().filter(|server| server.maturity < required);
        let names: Vec<&str> = below.map(|server| server.server).collect();
        (required, names)
    });
    Ok(match below {
        Some((required, names)) if !names.is_empty() => {
            eprintln!("portledger: below '{required}': {}", names.join(", "));
            ExitCode::FAILURE
        }
        _ if failed > 0 => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

fn print(args: &AuditArgs, audited: &[Audited]) -> Result<(), Failure> {
    if args.sarif {
        let sarif = report::sarif(audited, env!("CARGO_PKG_VERSION"));
        println!("{}", serde_json::to_string_pretty(&sarif)?);
    } else if args.json {
        for server in audited {
            println!("{}", serde_json::to_string(server)?);
        }
    } else {
        let tables: Vec<String> = audited.iter().map(report::table).collect();
        print!("{}", tables.join("\n"));
    }
    Ok(())
}

/// A server by its main configuration file.
pub(crate) struct Instance {
    pub(crate) server: &'static dyn Server,
    pub(crate) path: String,
}

/// The servers that were asked for: by their configuration files, or all that are where
/// distributions put them.
pub(crate) fn instances(machine: &Live, wanted: &Servers) -> Result<Vec<Instance>, Failure> {
    let servers = match &wanted.server {
        None => server::all().to_vec(),
        Some(name) => vec![known(name)?],
    };
    if wanted.paths.is_empty() {
        let found = servers.iter().flat_map(|&server| {
            let places = server.usual_places().iter();
            let paths = places.flat_map(|place| machine.glob(place));
            paths.map(move |path| Instance { server, path })
        });
        return Ok(found.collect());
    }
    let mut found = Vec::new();
    for path in &wanted.paths {
        let absolute = std::path::absolute(path)?;
        let path = match wanted.root {
            // Below an image, paths are the image's.
            Some(_) => path.as_path(),
            None => absolute.as_path(),
        };
        found.extend(named(machine, &servers, path)?);
    }
    Ok(found)
}

/// The server of this name.
pub(crate) fn known(name: &str) -> Result<&'static dyn Server, Failure> {
    server::named(name).ok_or_else(|| {
        let names: Vec<&str> = server::all()
            .iter()
            .map(|server| &*server.facts().name)
            .collect();
        Failure::usage(format!(
            "no server is named '{name}'; known are {}",
            names.join(", ")
        ))
    })
}

/// The server whose configuration file this is, or all whose main files lie in this folder.
fn named(
    machine: &Live,
    servers: &[&'static dyn Server],
    path: &Path,
) -> Result<Vec<Instance>, Failure> {
    let name = path
        .to_str()
        .ok_or_else(|| Failure::usage(format!("{}: the name is no UTF-8", path.display())))?;
    if machine.place(name).is_dir() {
        let found = servers.iter().flat_map(|&server| {
            let files = server
                .usual_places()
                .iter()
                .filter_map(|place| place.rsplit('/').next());
            let paths = files
                .flat_map(|file| machine.glob(&format!("{}/{file}", name.trim_end_matches('/'))));
            paths.map(move |path| Instance { server, path })
        });
        let mut found: Vec<Instance> = found.collect();
        found.dedup_by(|one, other| one.path == other.path);
        return Ok(found);
    }
    let text = machine.read(name)?;
    let text = String::from_utf8_lossy(&text);
    let server = match servers {
        [server] => Some(server),
        servers => servers.iter().find(|server| server.claims(name, &text)),
    };
    match server {
        Some(&server) => Ok(vec![Instance {
            server,
            path: name.to_owned(),
        }]),
        None => Err(Failure::usage(format!(
            "{name}: it is not known of which server this is the configuration; say so with --server"
        ))),
    }
}
