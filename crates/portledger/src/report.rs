//! `portledger report`.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write as _},
    process::ExitCode,
};

use portledger_servers::report::{Attack, Complaint, Form, Refusal, Reports};

use crate::{
    args::ReportArgs,
    failure::{Ended, Failure},
    input::{Inputs, Pass, Passes},
    questions::now,
};

pub(crate) fn run(args: &ReportArgs) -> Ended {
    let reports = Reports {
        form: form(&args.form, &args.kind)?,
        reporter: args.reporter.clone(),
        without_port: args.without_port,
    };
    let mut output = BufWriter::new(io::stdout().lock());
    let mut written = 0_u64;
    let mut refused = Refused::default();
    let mut inputs = Inputs::open(&args.reading, Passes::One)?;
    let summary = inputs.read(Pass::LAST, &mut |sighting| {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| {
            Failure::failed(format!("no random bytes for a report's id: {error}"))
        })?;
        match reports.write(&sighting, id, now()) {
            Ok(report) => {
                written += 1;
                output.write_all(report.as_bytes())?;
            }
            Err(refusal) => {
                let source = &sighting.source;
                refused.add(&format!("{}:{}", source.file, source.line), &refusal);
            }
        }
        Ok(())
    })?;
    output.flush()?;
    summary.tell();
    eprintln!("portledger: {written} reports, {} refused", refused.count);
    refused.tell();
    let is_all = summary.is_whole() && refused.count == 0;
    Ok(if is_all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn form(form: &str, kind: &str) -> Result<Form, Failure> {
    Ok(match (form, kind) {
        ("arf", "abuse") => Form::Arf(Complaint::Abuse),
        ("arf", "fraud") => Form::Arf(Complaint::Fraud),
        ("arf", "virus") => Form::Arf(Complaint::Virus),
        ("arf", "other") => Form::Arf(Complaint::Other),
        ("xarf", "login_attack") => Form::Xarf(Attack::LoginAttack),
        ("xarf", "port_scan") => Form::Xarf(Attack::PortScan),
        ("arf", _) => {
            let known = "abuse, fraud, virus or other";
            return Err(Failure::usage(format!(
                "'{kind}' is no type of ARF; write {known}"
            )));
        }
        _ => {
            let known = "login_attack or port_scan";
            return Err(Failure::usage(format!(
                "'{kind}' is no type of X-ARF here; write {known}"
            )));
        }
    })
}

/// What made no report: how many for each reason, and the first of each.
#[derive(Debug, Default)]
struct Refused {
    count: u64,
    reasons: BTreeMap<&'static str, (u64, String)>,
}

impl Refused {
    fn add(&mut self, place: &str, refusal: &Refusal) {
        self.count += 1;
        let reason = match refusal {
            Refusal::NoPort => "no source port",
            Refusal::NoTime => "no time",
            Refusal::TwoTimes { .. } => "two times",
            Refusal::Inexact { .. } => "a time less exact than the form says",
            Refusal::NoTransport => "no transport",
            Refusal::NotMail { .. } => "not over tcp",
        };
        let first = || (0, format!("{place}: {refusal}"));
        self.reasons.entry(reason).or_insert_with(first).0 += 1;
    }

    fn tell(&self) {
        for (reason, (count, first)) in &self.reasons {
            eprintln!("  refused {count}: {reason}");
            eprintln!("    {first}");
        }
    }
}
