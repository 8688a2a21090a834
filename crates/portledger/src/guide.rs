//! `portledger guide`: the why and the how for one server.

use std::process::ExitCode;

use portledger_audit::server;

use crate::{args::GuideArgs, audit::known, failure::Ended};

pub(crate) fn run(args: &GuideArgs) -> Ended {
    match &args.server {
        Some(name) => print!("{}", known(name)?.guide()),
        None => {
            for server in server::all() {
                let facts = server.facts();
                let maturity = facts.today.maturity();
                println!(
                    "{:<14} {:<24} {:<10} {}",
                    facts.name, facts.title, maturity, facts.how
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
