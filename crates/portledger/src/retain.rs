//! `portledger retain`: what goes when its time is past, and what a case keeps.

use std::{path::Path, process::ExitCode};

use portledger_ledger::{Hold, Keeper, Retained};
use serde_json::{Value, json};

use crate::{
    args::RetainArgs,
    failure::{Ended, Failure},
    questions::{self, Asker},
};

pub(crate) fn run(args: &RetainArgs) -> Ended {
    let dir = &args.ledger.ledger;
    let now = questions::now();
    let mut keeper = Keeper::open(dir)?;
    if let (Some(case), Some(from), Some(to)) = (&args.hold, args.from, args.to) {
        if to <= from {
            return Err(Failure::usage("--to must be after --from"));
        }
        let asker = Asker::now(dir, "retain", Some(case));
        asker.does("hold", json!({ "from": from, "to": to }))?;
        keeper.hold(Hold {
            case: case.clone(),
            from,
            to,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(case) = &args.lift {
        Asker::now(dir, "retain", Some(case)).does("lift", Value::Null)?;
        let lifted = keeper.lift(case)?;
        if lifted == 0 {
            return Err(Failure::failed(format!("case {case} holds nothing")));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let retained = if args.dry_run {
        Retained {
            days: keeper.due(now),
            questions: keeper.questions_due(now)?,
        }
    } else {
        keeper.retain(now, &Asker::now(dir, "retain", None).by())?
    };
    if args.ledger.json {
        println!("{}", to_json(&retained, args.dry_run));
    } else {
        print!("{}", to_text(&retained, args.dry_run, dir));
    }
    Ok(ExitCode::SUCCESS)
}

fn to_json(retained: &Retained, dry_run: bool) -> Value {
    let days = retained.days.iter().map(|due| {
        json!({
            "day": due.day.to_string(),
            "records": due.records,
            "bytes": due.bytes,
            "held_by": due.held_by,
            "deleted": !dry_run && due.held_by.is_none(),
        })
    });
    let questions = retained.questions.iter().map(ToString::to_string);
    json!({
        "dry_run": dry_run,
        "days": days.collect::<Vec<_>>(),
        "questions_of": questions.collect::<Vec<_>>(),
    })
}

fn to_text(retained: &Retained, dry_run: bool, dir: &Path) -> String {
    if *retained == Retained::default() {
        return format!(
            "nothing is past its time ('keep_days' and 'keep_questions_days' in {} say when)\n",
            dir.join("ledger.toml").display()
        );
    }
    let goes = if dry_run {
        "would be deleted"
    } else {
        "deleted"
    };
    let mut text = String::new();
    for due in &retained.days {
        let fate = match &due.held_by {
            Some(case) => format!("kept for case {case}"),
            None => goes.into(),
        };
        text.push_str(&format!(
            "{}  {:>12} records  {:>14} bytes  {fate}\n",
            due.day, due.records, due.bytes
        ));
    }
    for day in &retained.questions {
        text.push_str(&format!("{day}  questions  {goes}\n"));
    }
    text
}
