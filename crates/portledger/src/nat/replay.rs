//! `portledger nat replay`.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::ExitCode,
};

use portledger_dataplane::{
    capture::{self, Merge, Writer as CaptureWriter},
    replay::{self, Replay, ReplayError, Report, Written},
};
use portledger_ledger::Options;
use portledger_model::Durability;
use portledger_nat::Side;
use serde_json::{Value, json};

use super::{counters_json, counters_text, engine, size_json};
use crate::{
    args::NatReplayArgs,
    config::NatConfig,
    failure::{Ended, Failure},
    ledger,
    output::{Progress, refuse_to_overwrite},
    seal,
};

pub(crate) fn run(args: &NatReplayArgs) -> Ended {
    let config = NatConfig::read(&args.config).map_err(Failure::usage)?;
    let mut readers = vec![capture::open(&args.inside)?];
    let mut sides = vec![Side::Inside];
    if let Some(outside) = &args.outside {
        readers.push(capture::open(outside)?);
        sides.push(Side::Outside);
    }
    let declared = config
        .translation
        .declared(config.device, Durability::LogBeforeUse);
    // The same captures give the same ports, unless a seed says otherwise: nobody attacks a replay.
    let seed = config.seed.unwrap_or(*b"portledger: the seed of a replay");
    let nat = engine(config.translation, seed, &args.config)?;
    let open = |dir| ledger::open_to_write(dir, Options::default());
    let mut ledger = args.ledger.as_deref().map(open).transpose()?;
    let mut used: Vec<&Path> = vec![&args.config, &args.inside];
    used.extend(args.outside.as_deref());
    let mut to_inside = create(args.to_inside.as_deref(), &used)?;
    used.extend(args.to_inside.as_deref());
    let mut to_outside = create(args.to_outside.as_deref(), &used)?;

    let progress = Progress::counting("packets");
    let mut replay = Replay::new(nat, declared, ledger.as_mut());
    let report = replay::captures(
        &mut replay,
        Merge::new(readers),
        &sides,
        &mut to_inside,
        &mut to_outside,
        |frames| progress.at(frames),
    )?;
    let (mut nat, events) = replay.finish()?;
    progress.done();
    if let Some(writer) = ledger {
        seal::after_writing(writer);
    }
    for written in [to_inside, to_outside].into_iter().flatten() {
        let Written { file, writer } = written;
        writer
            .finish()
            .map_err(|error| ReplayError::Write { file, error })?;
    }

    if args.json {
        let mut object = report_json(&report);
        object["events"] = events.into();
        object["nat"] = counters_json(nat.counters());
        object["held"] = nat.size().as_ref().map(size_json).into();
        println!("{object}");
    } else {
        print!("{}", report_text(&report));
        print!("{}", counters_text(nat.counters()));
        println!("events    {events}");
    }
    for broken in &report.broken {
        eprintln!("portledger: {broken}");
    }
    Ok(if report.broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The capture to write to `path`, where there is to be one.
fn create(path: Option<&Path>, used: &[&Path]) -> Result<Option<Written<Box<dyn Write>>>, Failure> {
    let Some(path) = path else {
        return Ok(None);
    };
    refuse_to_overwrite(path, used.iter().copied())?;
    let file = path.display().to_string();
    let made = File::create(path)
        .map_err(capture::WriteError::Io)
        .and_then(|output| CaptureWriter::new(Box::new(BufWriter::new(output)) as Box<dyn Write>));
    match made {
        Ok(writer) => Ok(Some(Written { file, writer })),
        Err(error) => Err(ReplayError::Write { file, error }.into()),
    }
}

fn report_json(report: &Report) -> Value {
    let not_ip: serde_json::Map<String, Value> = report
        .not_ip
        .iter()
        .map(|(reason, &count)| (reason.to_string(), count.into()))
        .collect();
    let broken: Vec<String> = report.broken.iter().map(ToString::to_string).collect();
    json!({
        "frames": report.frames,
        "not_ip": not_ip,
        "cut_by_snap_length": report.cut,
        "time_went_back": report.went_back,
        "written_to_inside": report.to_inside,
        "written_to_outside": report.to_outside,
        "unwritable": report.unwritable,
        "broken": broken,
    })
}

fn report_text(report: &Report) -> String {
    let mut text = format!("frames    {}\n", report.frames);
    for (reason, count) in &report.not_ip {
        text.push_str(&format!("not IP    {count} {reason}\n"));
    }
    if report.cut > 0 {
        text.push_str(&format!(
            "cut       {} by the snap length, translated\n",
            report.cut
        ));
    }
    if report.went_back > 0 {
        text.push_str(&format!("clock     went back {} times\n", report.went_back));
    }
    if report.unwritable > 0 {
        text.push_str(&format!(
            "unwritten {} whose time or length fits no capture\n",
            report.unwritable
        ));
    }
    text
}
