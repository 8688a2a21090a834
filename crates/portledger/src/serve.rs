//! `portledger serve`: collectors.

mod config;
mod metrics;

use std::{path::Path, process::ExitCode, sync::Arc, thread, time::Duration};

use portledger_ledger::{CommitOptions, Options};
use portledger_service::{
    accounting::Accounting,
    collect::{Collector, Figures, Rejects, Settings, Transport},
};
use portledger_wire::dialect::Dialects;
use serde_json::{Value, json};
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1},
    iterator::Signals,
};
use tokio::sync::Notify;

use crate::{
    args::ServeArgs,
    failure::{Ended, Failure},
    identity,
    import::dialects,
    keeping::Keeping,
    ledger,
};
use config::ServeConfig;
use metrics::Metrics;

/// Records that may wait for the disk; when there are more, nothing is read.
const QUEUE: usize = 1 << 20;

/// How long a sync waits for more: nobody waits for what devices tell to be durable.
const GATHER: Duration = Duration::from_millis(10);

/// Keeping the ledger takes half a core at most, and less where what is collected needs it.
const REST: u32 = 1;

pub(crate) fn run(args: &ServeArgs) -> Ended {
    let config = ServeConfig::read(&args.config)?;
    // As long as the process lives.
    let dialects: &'static Dialects = Box::leak(Box::new(dialects(&config.dialects)?));
    config.check_forms(dialects)?;
    let rejects = config.rejects.as_ref().map(|(path, most)| {
        Rejects::open(path, *most)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
    });
    let metrics = config.metrics.map(Metrics::bind).transpose()?;
    let accounting = config.radius.map(hear_accounting).transpose()?;
    let options = Options {
        collects: true,
        ..Options::default()
    };
    let writer = ledger::open_to_write(&config.ledger, options)?;
    let keeping = Keeping::start(&config.ledger, "serve", REST)?;
    let written = keeping.written();
    let commit = CommitOptions {
        queue: QUEUE,
        gather: GATHER,
        on_progress: Some(Box::new(move || written.note())),
        ..CommitOptions::default()
    };
    let settings = Settings {
        listeners: config.listeners,
        roster: config.roster,
        dialects,
        rejects: rejects.transpose()?,
    };
    let names: Vec<_> = settings.listeners.iter().map(name).collect();
    let collector = Arc::new(Collector::open(settings, writer, commit)?);
    for (address, name) in collector.addresses().zip(names) {
        eprintln!("portledger: {name} on {address}");
    }
    let stop = Notify::new();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1])?;
    let handle = signals.handle();
    let ended = thread::scope(|scope| {
        scope.spawn(|| {
            for signal in &mut signals {
                if signal == SIGUSR1 {
                    println!(
                        "{}",
                        figures_json(&collector.figures(), accounting.as_ref())
                    );
                } else {
                    collector.stop();
                }
            }
        });
        if let Some(metrics) = metrics {
            eprintln!(
                "portledger: metrics on http://{}/metrics",
                metrics.address()
            );
            let (collector, stop) = (Arc::clone(&collector), &stop);
            scope.spawn(move || metrics.serve(collector, stop));
        }
        if let Some(accounting) = &accounting {
            let collector = &collector;
            scope.spawn(move || {
                let tell = |error: &_| eprintln!("portledger: identities: {error}");
                let ranges: &Collector<'_> = collector;
                if let Err(error) = accounting.run(Some(ranges), tell) {
                    eprintln!("portledger: accounting cannot be heard any more: {error}");
                    collector.stop();
                }
            });
        }
        eprintln!("ready");
        let ended = collector.run();
        if let Some(accounting) = &accounting {
            accounting.stop();
        }
        handle.close();
        stop.notify_one();
        ended
    });
    // The threads that shared it are gone.
    let figures = Arc::into_inner(collector).map(Collector::close).transpose();
    keeping.stop();
    ended?;
    if let Some(figures) = figures? {
        println!("{}", figures_json(&figures, accounting.as_ref()));
    }
    Ok(ExitCode::SUCCESS)
}

fn hear_accounting(radius: config::Radius) -> Result<Accounting, Failure> {
    let config::Radius {
        address,
        clients,
        reading,
        store,
    } = radius;
    let store = identity::made(&store)?;
    let accounting = Accounting::bind(address, clients, reading, store)
        .map_err(|error| Failure::failed(format!("radius: cannot listen on {address}: {error}")))?;
    let address = accounting.address()?;
    eprintln!("portledger: RADIUS accounting over UDP on {address}");
    Ok(accounting)
}

fn name(listener: &portledger_service::collect::Listener) -> &'static str {
    use portledger_service::collect::Protocol::{Flows, Lines};
    match (listener.protocol, &listener.transport) {
        (Flows, Transport::Udp { .. }) => "IPFIX and NetFlow v9 over UDP",
        (Flows, Transport::Tcp) => "IPFIX over TCP",
        (Flows, Transport::Tls(_)) => "IPFIX over TLS",
        (Lines, Transport::Udp { .. }) => "lines over UDP",
        (Lines, Transport::Tcp) => "lines over TCP",
        (Lines, Transport::Tls(_)) => "lines over TLS",
    }
}

fn figures_json(figures: &Figures, accounting: Option<&Accounting>) -> Value {
    let devices = figures.devices.iter().map(|(device, figures)| {
        json!({
            "device": device.as_str(),
            "messages": figures.messages,
            "events": figures.events,
            "unkept": figures.unkept,
            "skipped": figures.skipped,
            "rejected": figures.rejected,
            "missing": figures.missing,
            "gaps": figures.losses,
            "heard": figures.heard.map(|at| at.to_string()),
            "last_event": figures.last_event.map(|at| at.to_string()),
        })
    });
    let listeners = figures.listeners.iter().map(|(address, figures)| {
        json!({
            "address": address.to_string(),
            "received": figures.received,
            "bytes": figures.bytes,
            "dropped": figures.dropped,
            "refused": figures.refused,
            "connections": figures.connections,
            "refused_connections": figures.refused_connections,
        })
    });
    json!({
        "records": figures.submitted,
        "durable": figures.durable,
        "kept_aside": figures.kept_aside,
        "not_kept_aside": figures.not_kept_aside,
        "devices": devices.collect::<Vec<_>>(),
        "listeners": listeners.collect::<Vec<_>>(),
        "accounting": accounting.map(|accounting| {
            let figures = accounting.figures();
            json!({
                "requests": figures.requests,
                "repeated": figures.repeated,
                "refused": figures.refused,
                "unverified": figures.unverified,
                "intervals": figures.intervals,
                "answered": figures.answered,
                "failures": figures.failures,
            })
        }),
    })
}

/// A file's name before what is wrong with it.
fn wrong(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {what}", path.display()))
}
