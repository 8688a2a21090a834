//! Who each connection is that can have carried a line without a port: the ledger is asked for each of the list.

use std::{fmt::Write as _, time::Duration};

use portledger_ledger::Ledger;
use portledger_model::{Moment, Sighting, Subscriber};
use portledger_trace::{Answer, Joined as WithIdentities, Options, Outcome, trace_all};
use portledger_watch::join::{Because, Candidate, Joined, Verdict};
use serde::Serialize;

use crate::{
    failure::Failure,
    identity::join::{Customers, Identities},
    joining,
};

/// The list of a line, each with what the ledger says of it.
pub(super) struct Asked {
    said: Joined,
    /// One for each candidate; none where the port is certain or there is nothing to ask of.
    outcomes: Vec<Outcome>,
}

/// Asks for each candidate of a list. When one began is a time of its own, of which the connection log knows the
/// instant and the endpoint: who held the port then is who began it.
pub(super) fn ask(
    ledger: &Ledger,
    sighting: &Sighting,
    said: Joined,
    options: Options,
) -> Result<Asked, Failure> {
    let is_list = matches!(said.verdict, Verdict::Several | Verdict::Unknown);
    let candidates = said.candidates.iter().filter(|_| is_list);
    let begun: Vec<Sighting> = candidates
        .map(|candidate| begun(sighting, candidate))
        .collect();
    let outcomes = trace_all(ledger, begun, options).collect::<Result<_, _>>()?;
    Ok(Asked { said, outcomes })
}

/// The beginning of a connection as a sighting.
fn begun(sighting: &Sighting, candidate: &Candidate) -> Sighting {
    Sighting {
        port: Some(candidate.port),
        transport: Some(candidate.transport),
        at: Some(candidate.at),
        or_at: None,
        resolution: Duration::from_micros(1),
        moment: Moment::Connect,
        lasted: None,
        ..sighting.clone()
    }
}

/// What of it is written in JSON: the object of the connection log's word, its candidates with their answers.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    verdict: Verdict,
    because: Option<Because>,
    ports: usize,
    candidates: Vec<ToldCandidate<'a>>,
    /// Whether all of the connections that can have carried the line are one subscriber's, and that is known of each.
    /// Absent where nothing was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    of_one_subscriber: Option<bool>,
}

#[derive(Serialize)]
struct ToldCandidate<'a> {
    #[serde(flatten)]
    candidate: &'a Candidate,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<ToldAnswer<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ToldAnswer<'a> {
    Answered(WithIdentities<'a, Customers>),
    Refused(&'a Outcome),
}

impl Asked {
    /// How many questions were put for it.
    pub(super) fn questions(&self) -> u64 {
        self.outcomes.len() as u64
    }

    /// The one subscriber of all the connections that can have carried the line. Of none where the list is not known
    /// to be whole, or where of one of them it is not certain whose it is.
    fn subscriber(&self) -> Option<&Subscriber> {
        let is_whole = self.said.verdict == Verdict::Several && self.said.is_whole();
        let mut subscribers = self.outcomes.iter().map(|outcome| match outcome {
            Outcome::Answered(answer) => answer.subscriber(),
            Outcome::Refused(_) => None,
        });
        let first = subscribers.next().flatten().filter(|_| is_whole)?;
        subscribers
            .all(|other| other == Some(first))
            .then_some(first)
    }

    /// For programs.
    pub(super) fn told(&self, identities: &mut Identities) -> Told<'_> {
        let mut answers = self.outcomes.iter();
        let candidates = self.said.candidates.iter().map(|candidate| ToldCandidate {
            candidate,
            answer: answers.next().map(|outcome| match outcome {
                Outcome::Answered(answer) => ToldAnswer::Answered(identities.of(answer)),
                Outcome::Refused(_) => ToldAnswer::Refused(outcome),
            }),
        });
        Told {
            verdict: self.said.verdict,
            because: self.said.because,
            ports: self.said.ports,
            candidates: candidates.collect(),
            of_one_subscriber: (!self.outcomes.is_empty()).then(|| self.subscriber().is_some()),
        }
    }

    /// For people: a line for the list, then each of its connections with its answer.
    pub(super) fn text(&self, identities: &mut Identities) -> String {
        let mut text = format!("  {}\n", joining::text(&self.said));
        for (candidate, outcome) in self.said.candidates.iter().zip(&self.outcomes) {
            let Candidate {
                at,
                port,
                transport,
                ..
            } = candidate;
            // Writing into memory does not fail.
            let _ = writeln!(text, "\n  {transport} port {port}, begun at {at}:");
            let words = match outcome {
                // The place is the line's, said above.
                Outcome::Answered(answer) => identities.of(&placeless(answer)).text(),
                Outcome::Refused(refusal) => format!("{refusal}\n"),
            };
            for line in words.lines() {
                let _ = match line {
                    "" => writeln!(text),
                    line => writeln!(text, "    {line}"),
                };
            }
        }
        if let Some(subscriber) = self.subscriber() {
            let _ = writeln!(
                text,
                "\n  whichever it was: all of them are of subscriber {} in realm {}",
                subscriber.internal(),
                subscriber.realm()
            );
        }
        text
    }
}

fn placeless(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    answer.source = None;
    answer
}
