//! `portledger fix`: the change that gets the source port logged, as a diff or made.

mod apply;

use std::process::ExitCode;

use portledger_audit::{Change, FixError, Wish};
use serde::Serialize;

use crate::{
    args::FixArgs,
    audit::{Instance, instances, machine::Live},
    failure::{Ended, Failure},
};

/// What was done for one server, for programs.
#[derive(Serialize)]
struct Report<'a> {
    server: &'a str,
    config: &'a str,
    diff: Option<String>,
    applied: bool,
    backup: Option<String>,
    reload: Option<String>,
    remarks: Vec<String>,
    problem: Option<String>,
}

pub(crate) fn run(args: &FixArgs) -> Ended {
    let machine = Live::new(args.servers.root.clone());
    let wish = if args.parallel {
        Wish::Parallel
    } else {
        Wish::InPlace
    };
    let instances = instances(&machine, &args.servers)?;
    if instances.is_empty() {
        return Err(Failure::failed(
            "no server was found; name its configuration file, or see --help",
        ));
    }
    let mut failed = false;
    for instance in &instances {
        let mut report = Report {
            server: &instance.server.facts().name,
            config: &instance.path,
            diff: None,
            applied: false,
            backup: None,
            reload: None,
            remarks: Vec::new(),
            problem: None,
        };
        if let Err(problem) = one(args, &machine, instance, wish, &mut report) {
            report.problem = Some(problem.to_string());
            failed = true;
        }
        print(args, &report)?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn one(
    args: &FixArgs,
    machine: &Live,
    instance: &Instance,
    wish: Wish,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    let change = match portledger_audit::fix(instance.server, machine, &instance.path, wish) {
        Ok(change) => change,
        Err(
            error @ (FixError::Look(_) | FixError::Impossible { .. } | FixError::ByHand { .. }),
        ) => {
            return Err(error.into());
        }
    };
    report.remarks.clone_from(&change.remarks);
    if change.edits.is_empty() {
        return Ok(());
    }
    report.diff = Some(change.diff());
    if args.apply {
        let made = apply::Order {
            change: &change,
            backups: &args.backups,
            unchecked: args.unchecked,
        };
        // The result is read again: a change after which the port is not logged is no change.
        let backup = made.carry_out(|| is_done(machine, instance, wish))?;
        report.applied = true;
        report.backup = Some(backup.display().to_string());
        report.reload = Some(change.reload.clone());
    }
    Ok(())
}

fn is_done(machine: &Live, instance: &Instance, wish: Wish) -> Result<(), String> {
    match portledger_audit::fix(instance.server, machine, &instance.path, wish) {
        Ok(Change { edits, .. }) if edits.is_empty() => Ok(()),
        Ok(_) => Err("read again, the configuration still lacks the port".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn print(args: &FixArgs, report: &Report<'_>) -> Result<(), Failure> {
    if args.json {
        println!("{}", serde_json::to_string(report)?);
        return Ok(());
    }
    let name = format!("{} ({})", report.server, report.config);
    if let Some(problem) = &report.problem {
        eprintln!("portledger: {name}: {problem}");
    }
    match &report.diff {
        Some(diff) => print!("{diff}"),
        None if report.problem.is_none() => {
            println!("{name}: nothing to change: the source port is logged");
        }
        None => {}
    }
    for remark in &report.remarks {
        eprintln!("portledger: {name}: {remark}");
    }
    if let (Some(backup), Some(reload)) = (&report.backup, &report.reload) {
        eprintln!("portledger: {name}: changed; as it was: {backup}; take it up with: {reload}");
    }
    Ok(())
}
