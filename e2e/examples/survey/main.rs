//! Writes `docs/survey.md`: the survey of draft-daveor-cgn-logging-04 done again, with the servers that can be started
//! here started, visited from known ports and read.
//!
//! ```text
//!   data/servers (facts) ─┐
//!   survey::survey (runs) ┼─► page::write ─► docs/survey.md
//!   aged.md (prose)      ─┘
//! ```
//!
//! `cargo run -p portledger-e2e --example survey`, as root. No date and no time goes into the page, so that doing it
//! again shows only what changed. `PORTLEDGER_E2E=1` fails it where a server's programs are missing; without, that row
//! rests on what is known of the server.
#![forbid(unsafe_code)]

mod page;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use portledger_e2e::survey::{self, Outcome};
use portledger_e2e::{Failure, file, prerequisite};

fn main() -> Result<(), Failure> {
    let mut outcomes: BTreeMap<&str, Outcome> = BTreeMap::new();
    for server in survey::all() {
        if prerequisite::met_with_portledger(server.programs())? {
            outcomes.insert(server.name(), survey::survey(server)?);
        }
    }
    let text = page::page(&outcomes);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/survey.md");
    file(&path, |path| fs::write(path, text))
}
