//! `portledger watch`.

use std::{hash::RandomState, process::ExitCode, sync::Arc, time::Duration};

use portledger_dataplane::privilege;
use portledger_servers::connection_log::Watched;
use portledger_watch::{
    Settings, Watcher,
    driver::{Control, Notice, Report, Sockets},
    flood::Rule,
    output::{Files, Output, Rotation, Syslog, host_name},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1},
    flag,
};

use crate::{
    args::WatchArgs,
    failure::{Ended, Failure},
};

/// Of a ledger's folder, the one for connection logs.
const IN_LEDGER: &str = "connections";

pub(crate) fn run(args: &WatchArgs) -> Ended {
    let settings = settings(args);
    // The least privilege: CAP_NET_RAW to open the sockets, nothing to read them.
    privilege::keep_only_net_raw()?;
    let mut output = output(args)?;
    let sockets = Sockets::open(&settings, args.interface.as_deref())?;
    let held = privilege::drop_all()?;
    eprintln!("portledger: {}; {held}", settings.watched);

    let control = Control::default();
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&control.stop))?;
    }
    flag::register(SIGUSR1, Arc::clone(&control.report))?;
    flag::register(SIGHUP, Arc::clone(&control.reopen))?;
    // Its key is drawn at random, so nobody can foresee who is in a sample.
    let watcher = Watcher::new(settings, RandomState::new());
    let report = sockets.run(watcher, &mut *output, &control, &mut |notice| tell(&notice))?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &WatchArgs) -> Settings {
    let flood = args.flood_limit.zip(args.flood);
    Settings {
        watched: Watched {
            tcp: args.port.clone(),
            udp: args.udp_port.clone(),
        },
        balancers: args.proxy_protocol_from.clone(),
        flood: flood.map(|(limit, rest)| Rule { limit, rest }),
        mirror: args.mirror,
        ..Settings::default()
    }
}

fn output(args: &WatchArgs) -> Result<Box<dyn Output>, Failure> {
    if let Some(target) = &args.syslog {
        return Ok(Box::new(Syslog::open(target.clone(), &host_name())?));
    }
    let in_ledger = args.ledger.as_ref().map(|ledger| ledger.join(IN_LEDGER));
    let Some(folder) = args.dir.clone().or(in_ledger) else {
        return Err(Failure::usage(
            "one of --dir, --ledger and --syslog is needed",
        ));
    };
    let day = Duration::from_secs(86_400);
    let rotation = Rotation {
        bytes: args.rotate_mib.get().saturating_mul(1 << 20),
        age: args.rotate_age,
        keep: args.keep_days.map(|days| day.saturating_mul(days.get())),
    };
    Ok(Box::new(Files::open(&folder, rotation)?))
}

/// Says on standard error what the operator should hear; reports go to standard output.
fn tell(notice: &Notice<'_>) {
    match notice {
        Notice::Ready => eprintln!("ready"),
        Notice::Report(report) => print(report),
        Notice::Lost(packets) => {
            eprintln!("portledger: the kernel had no room for {packets} packets; the log says so");
        }
        Notice::Output(Ok(())) => eprintln!("portledger: the log is written again"),
        Notice::Output(Err(error)) => {
            eprintln!("portledger: {error}; connections are left out until it can be written");
        }
        Notice::ClockSet(from, to) => {
            eprintln!(
                "portledger: the system's clock was set from {from} to {to}; the log says so"
            );
        }
    }
}

fn print(report: &Report) {
    match serde_json::to_string(report) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("portledger: {error}"),
    }
}
