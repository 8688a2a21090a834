//! `portledger strip`: the log with the port as the old format would have it, for programs that
//! read only that.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use portledger_servers::{Format, Strip};

use crate::{
    args::StripArgs,
    failure::{Ended, Failure},
    input::{self, Lines, Part},
};

pub(crate) fn run(args: &StripArgs) -> Ended {
    let standard_input = [Path::new("-").to_owned()];
    let files = match args.files.as_slice() {
        [] => &standard_input,
        files => files,
    };
    // What every file is, is settled before the first line goes out.
    let mut strips = Vec::new();
    for path in files {
        let strip = Strip::new(&format(args, path)?);
        strips.push(strip.map_err(|error| Failure::usage(format!("--format: {error}")))?);
    }
    let mut done = Done::default();
    for (path, strip) in files.iter().zip(&strips) {
        done.file(path, strip)?;
    }
    Ok(done.tell())
}

fn format(args: &StripArgs, path: &Path) -> Result<Format, Failure> {
    if let Some(config) = &args.config {
        return input::configured(config, args.log.as_deref().unwrap_or(path));
    }
    Format::parse(args.format.as_deref().unwrap_or_default())
        .map_err(|error| Failure::usage(format!("--format: {error}")))
}

/// How many lines came to what.
#[derive(Debug, Default)]
struct Done {
    stripped: u64,
    passed: u64,
    is_broken: bool,
}

/// How much is written at once, where lines come fast.
const BLOCK: usize = 1 << 16;

impl Done {
    fn file(&mut self, path: &Path, strip: &Strip) -> Result<(), Failure> {
        let mut lines = Lines::open(path, &input::Progress::default())?;
        let mut output = io::stdout().lock();
        let mut stripped = Vec::with_capacity(2 * BLOCK);
        while let Some(line) = lines.next()? {
            let is_stripped = match line.part {
                Part::Whole => strip.line(line.bytes, &mut stripped),
                Part::Begin | Part::Rest => {
                    stripped.extend_from_slice(line.bytes);
                    false
                }
            };
            if is_stripped {
                self.stripped += 1;
            } else if line.part != Part::Rest {
                self.passed += 1;
            }
            // Whoever follows the log gets each line as it comes.
            if stripped.len() >= BLOCK || !lines.is_ready() {
                output.write_all(&stripped)?;
                output.flush()?;
                stripped.clear();
            }
        }
        output.write_all(&stripped)?;
        output.flush()?;
        if let Some(broken) = lines.broken() {
            eprintln!("portledger: {broken}");
            self.is_broken = true;
        }
        Ok(())
    }

    fn tell(&self) -> ExitCode {
        let Self {
            stripped, passed, ..
        } = self;
        if *passed > 0 {
            eprintln!(
                "portledger: {stripped} lines stripped; {passed} are not of the format and passed as they are"
            );
        }
        if self.is_broken || (*stripped == 0 && *passed > 0) {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}
