//! `portledger nat run`.

use std::{process::ExitCode, thread};

use portledger_dataplane::{
    clock::Step,
    privilege,
    run::{self, Control, Notice, Report, Settings},
    tun::Device,
};
use portledger_ledger::{CommitOptions, Committer, Options, State};
use portledger_service::export::Exporting;
use serde_json::{Map, Value, json};
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1},
    iterator::Signals,
};

use super::{counters_json, engine, export, size_json};
use crate::{
    args::NatRunArgs,
    config::{NatConfig, Tun},
    failure::{Ended, Failure},
    keeping::Keeping,
    ledger,
};

/// Keeping the ledger takes a fiftieth of a core: the packets come first.
const REST: u32 = 50;

pub(crate) fn run(args: &NatRunArgs) -> Ended {
    let config = NatConfig::read(&args.config).map_err(Failure::usage)?;
    let Some(path) = &config.ledger.path else {
        return Err(Failure::usage(format!(
            "{}: ledger.path is missing: a NAT that keeps no record cannot be answered for",
            args.config.display()
        )));
    };
    let targets = export::targets(&config, &args.config)?;
    let declared = config
        .translation
        .declared(config.device, config.ledger.durability());
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Failure::usage(format!("no randomness: {error}")))?;
    let nat = engine(config.translation, seed, &args.config)?;

    // The least privilege: CAP_NET_ADMIN to open the device, nothing to run. Before any thread.
    privilege::keep_only_net_admin()?;
    let writer = ledger::open_to_write(path, Options::default())?;
    let Tun { name, queues, mtu } = &config.tun;
    let Device { facts, queues } = Device::open(name, *queues, *mtu)?;
    let held = privilege::drop_all()?;
    eprintln!(
        "portledger: {}, {} queues; {held}",
        facts.name,
        queues.len()
    );

    let settings = Settings {
        declared,
        log_before_use: config.ledger.log_before_use(),
        heartbeat: config.ledger.heartbeat(),
        interim: config.ledger.interim(),
        ledger_full: config.ledger.when_full(),
    };
    let control = Control::new(queues.len())?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1])?;
    let signalled = control.clone();
    let handle = signals.handle();
    let listener = thread::spawn(move || {
        for signal in &mut signals {
            if signal == SIGUSR1 {
                signalled.report()
            } else {
                signalled.stop()
            }
        }
    });
    let keeping = Keeping::start(path, "nat run", REST)?;
    let exporting = export::start(path, targets)?;
    let (ringing, written) = (control.clone(), keeping.written());
    let commit = move |writer| {
        let on_progress = Box::new(move || {
            written.note();
            ringing.ring();
        });
        Committer::start(
            writer,
            CommitOptions {
                on_progress: Some(on_progress),
                ..Default::default()
            },
        )
    };
    let notice = |notice| tell(notice, &exporting);
    let ended = run::run(nat, queues, &settings, writer, commit, &control, &notice);
    // The ledger has its last record: targets get it too.
    let exported = exporting.stop();
    keeping.stop();
    handle.close();
    let _ = listener.join();
    let exported = exported.iter().map(|(name, figures)| (name, *figures));
    println!("{}", report_json(&ended?, export::figures_json(exported)));
    Ok(ExitCode::SUCCESS)
}

/// Says on standard error what the operator should hear; reports go to standard output.
fn tell(notice: Notice, exporting: &Exporting) {
    match notice {
        Notice::Ready => eprintln!("ready"),
        Notice::ClockStep(Step::Forward(by)) => {
            eprintln!(
                "portledger: the system's clock was set {} s ahead",
                by.as_secs_f64()
            );
        }
        Notice::ClockStep(Step::Back(by)) => {
            eprintln!(
                "portledger: the system's clock was set {} s back; the log waits for it at half speed",
                by.as_secs_f64()
            );
        }
        Notice::Ledger(State::Running) => eprintln!("portledger: the ledger is written again"),
        Notice::Ledger(State::Full) => {
            eprintln!("portledger: the ledger's disk is full; new blocks follow ledger.when_full");
        }
        Notice::Ledger(State::Failed { cause }) => {
            eprintln!("portledger: the ledger has failed, no new block is durable: {cause}");
        }
        Notice::Report(report) => {
            let exports = export::figures_json(exporting.figures());
            println!("{}", report_json(&report, exports));
        }
    }
}

fn report_json(report: &Report, exports: Map<String, Value>) -> Value {
    let device = report.device;
    json!({
        "nat": counters_json(&report.counters),
        "held": report.size.as_ref().map(size_json),
        "events": report.events,
        "durable": report.durable,
        "clock_steps": report.clock_steps,
        "device": {
            "waited_for_ledger": device.waited,
            "dropped_waiting": device.dropped_waiting,
            "sent_before_durable": device.sent_before_durable,
            "dropped_write": device.dropped_write,
            "dropped_malformed": device.dropped_malformed,
            "cut": device.cut,
        },
        "exports": exports,
    })
}
