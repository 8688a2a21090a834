//! Every sighting of a log.

use std::{collections::VecDeque, time::Duration};

use portledger_model::{Evidence, Sighting, Source, Timestamp};

use crate::{Answer, AskError, Correction, Query, Refusal, ask};

/// How many sightings are looked at together: what is held in memory at once, however long the
/// log is.
pub const CHUNK: usize = 65_536;

/// How many allocations the answers of a chunk may hold together. With a port an answer holds one
/// or two; without one it may hold thousands, and then the rest of the chunk is asked one by one.
const HELD_AT_ONCE: usize = 4 * CHUNK;

/// How sightings are traced.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How far the sightings' clock may be off, either way.
    pub within: Duration,
    /// When the question is put.
    pub asked_at: Timestamp,
    /// How the sightings' clock is put right, where that was asked for. Answers then show the
    /// corrected time and window; the place of the sighting leads to the time as written.
    pub shifts: Option<Correction>,
}

/// What came of one sighting.
///
/// In JSON an answer is the object of [`Answer`]; a refusal is its `source`, `refused` (a name for
/// programs) and `reason` (a sentence).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The ledger's answer, with the sighting's place.
    Answered(Box<Answer>),
    /// No ledger could answer it.
    Refused(Refusal),
}

/// Traces one sighting.
///
/// # Errors
/// When the evidence cannot be read.
pub fn trace<E: Evidence>(
    evidence: &E,
    sighting: &Sighting,
    options: Options,
) -> Result<Outcome, E::Error> {
    Ok(match question(sighting, options) {
        Ok(query) => {
            let reply = reply(evidence, &query, options.asked_at)?;
            outcome(reply, sighting.source.clone())
        }
        Err(refusal) => Outcome::Refused(refusal),
    })
}

/// Traces the sightings of a log and gives what came of each, in their order.
///
/// They are taken [`CHUNK`] at a time, which is all that is held in memory. Within a chunk the
/// evidence is asked in the order of addresses, ports and times, so that a ledger on disk reads
/// each of its pages once, and what several sightings ask alike is asked once.
///
/// A refusal is an item like an answer. An error is the evidence's and the last item; of the chunk
/// that it is in, nothing else is given.
pub fn trace_all<'a, E: Evidence>(
    evidence: &'a E,
    sightings: impl IntoIterator<Item = Sighting> + 'a,
    options: Options,
) -> impl Iterator<Item = Result<Outcome, E::Error>> + 'a {
    let mut sightings = Some(sightings.into_iter());
    let mut chunk = Chunk::default();
    std::iter::from_fn(move || {
        if chunk.entries.is_empty() {
            chunk.fill(sightings.as_mut()?.by_ref().take(CHUNK), options);
            if let Err(error) = chunk.ask(evidence, options.asked_at, HELD_AT_ONCE) {
                sightings = None;
                chunk = Chunk::default();
                return Some(Err(error));
            }
        }
        let outcome = chunk.next(evidence, options.asked_at)?;
        if outcome.is_err() {
            sightings = None;
            chunk = Chunk::default();
        }
        Some(outcome)
    })
}

/// What the evidence says of a question, whoever asks it.
type Reply = Result<Answer, Refusal>;

fn question(sighting: &Sighting, options: Options) -> Result<Query, Refusal> {
    let query = Query::from_sighting(sighting, options.within)?;
    Ok(match options.shifts {
        Some(correction) => query.shifted(correction),
        None => query,
    })
}

fn reply<E: Evidence>(evidence: &E, query: &Query, asked_at: Timestamp) -> Result<Reply, E::Error> {
    match ask(evidence, query, asked_at) {
        Ok(answer) => Ok(Ok(answer)),
        Err(AskError::Refused(refusal)) => Ok(Err(refusal)),
        Err(AskError::Evidence(error)) => Err(error),
    }
}

fn outcome(reply: Reply, source: Source) -> Outcome {
    match reply {
        Ok(answer) => Outcome::Answered(Box::new(Answer {
            source: Some(source),
            ..answer
        })),
        Err(refusal) => Outcome::Refused(refusal.at(&source)),
    }
}

/// Sightings that are asked for together, less those that were given back already.
#[derive(Default)]
struct Chunk {
    entries: VecDeque<Entry>,
    /// In the order in which they were asked for: beside each other as they come, since there are
    /// more than a processor's caches hold.
    replies: Vec<Asked>,
    /// What was asked last of all, one by one: a log's neighbours often ask the same.
    last: Option<(Query, Reply)>,
}

struct Entry {
    source: Source,
    asked: Result<Query, Refusal>,
    /// Its place among the replies. Not there where the chunk's answers grew too many: it is
    /// asked when its turn comes.
    reply: Option<usize>,
}

/// A reply, until the last of those who asked for it has it.
struct Asked {
    reply: Option<Reply>,
    wanted: usize,
}

impl Chunk {
    /// Takes other sightings. It keeps its memory: the system takes longer to clear new pages than
    /// most questions take.
    fn fill(&mut self, sightings: impl Iterator<Item = Sighting>, options: Options) {
        self.replies.clear();
        self.last = None;
        self.entries.extend(sightings.map(|sighting| Entry {
            asked: question(&sighting, options),
            source: sighting.source,
            reply: None,
        }));
    }

    /// Asks in the evidence's order, until the answers hold `at_most` allocations together.
    fn ask<E: Evidence>(
        &mut self,
        evidence: &E,
        asked_at: Timestamp,
        at_most: usize,
    ) -> Result<(), E::Error> {
        let mut order: Vec<_> = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(place, entry)| {
                let query = entry.asked.as_ref().ok()?;
                Some(((query.address, query.port, query.at), place))
            })
            .collect();
        let asked = |place: usize| self.entries.get(place).and_then(|e| e.asked.as_ref().ok());
        order.sort_unstable_by(|(one, place), (other, other_place)| {
            // What decides nearly always lies together; the rest brings equals next to each other.
            let rest = || {
                asked(*place)
                    .map(Query::order)
                    .cmp(&asked(*other_place).map(Query::order))
            };
            one.cmp(other).then_with(rest)
        });
        self.replies.reserve(order.len());
        let mut held = 0;
        let mut last: Option<Query> = None;
        for (_, place) in order {
            let Some(Entry {
                asked, reply: of, ..
            }) = self.entries.get_mut(place)
            else {
                continue;
            };
            let Ok(query) = asked else { continue };
            match self.replies.last_mut() {
                Some(known) if last.as_ref() == Some(query) => known.wanted += 1,
                _ if held >= at_most => break,
                _ => {
                    let new = reply(evidence, query, asked_at)?;
                    held += new.as_ref().map_or(0, |answer| answer.allocations.len());
                    self.replies.push(Asked {
                        reply: Some(new),
                        wanted: 1,
                    });
                    last = Some(query.clone());
                }
            }
            *of = self.replies.len().checked_sub(1);
        }
        Ok(())
    }

    /// The next in the log's order.
    fn next<E: Evidence>(
        &mut self,
        evidence: &E,
        asked_at: Timestamp,
    ) -> Option<Result<Outcome, E::Error>> {
        let entry = self.entries.pop_front()?;
        let query = match entry.asked {
            Ok(query) => query,
            Err(refusal) => return Some(Ok(Outcome::Refused(refusal))),
        };
        if let Some(asked) = entry.reply.and_then(|place| self.replies.get_mut(place)) {
            asked.wanted = asked.wanted.saturating_sub(1);
            let reply = match asked.wanted {
                0 => asked.reply.take(),
                _ => asked.reply.clone(),
            };
            if let Some(reply) = reply {
                return Some(Ok(outcome(reply, entry.source)));
            }
        }
        let known = self.last.take().filter(|(asked, _)| *asked == query);
        let reply = match known {
            Some((_, known)) => known,
            None => match reply(evidence, &query, asked_at) {
                Ok(new) => new,
                Err(error) => return Some(Err(error)),
            },
        };
        self.last = Some((query, reply.clone()));
        Some(Ok(outcome(reply, entry.source)))
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, fmt};

    use portledger_model::{Allocation, Coverage, External, Nearest, Span};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Shifts, Tally, Verdict,
        testing::{Memory, at, held, sighting, small_memory},
    };

    fn on(time: &str) -> Timestamp {
        at(&format!("2026-11-01T{time}Z"))
    }

    fn options(shifts: Option<Shifts>) -> Options {
        Options {
            within: Duration::from_secs(2),
            asked_at: on("20:00:00"),
            shifts: shifts.map(Correction::from),
        }
    }

    fn ledger() -> Memory {
        Memory::default()
            .with(held(9, 39_936, on("09:00:00"), Some(on("12:00:00"))))
            .with(held(5, 39_936, on("12:02:00"), Some(on("18:00:00"))))
            .with(held(7, 1_024, on("10:00:00"), None))
            .with_gap("2026-11-01T17:00:00Z", "2026-11-01T17:01:00Z")
    }

    fn seen(time: &str) -> Sighting {
        sighting(&format!("2026-11-01T{time}Z"))
    }

    #[test]
    fn every_sighting_has_its_outcome_and_is_counted() {
        let without_port = |time| Sighting {
            port: None,
            ..seen(time)
        };
        let sightings = [
            seen("11:00:00"),
            seen("12:01:00"),
            seen("17:00:30"),
            seen("21:00:00"),
            Sighting {
                at: None,
                ..seen("11:00:00")
            },
            Sighting {
                lasted: Some(Duration::from_secs(600)),
                ..seen("12:05:00")
            },
            without_port("09:30:00"),
            without_port("11:00:00"),
            without_port("11:30:00"),
        ];
        let mut tally = Tally::default();
        let mut verdicts = Vec::new();
        for outcome in trace_all(&ledger(), sightings, options(None)) {
            let outcome = outcome.unwrap();
            tally.add(&outcome);
            verdicts.push(match outcome {
                Outcome::Answered(answer) => {
                    assert_eq!(answer.source.unwrap().line, 7);
                    Some(answer.verdict)
                }
                Outcome::Refused(refusal) => {
                    assert_eq!(refusal.place.unwrap().line, 7);
                    None
                }
            });
        }
        use Verdict::{Ambiguous, Unique, Unknown};
        let expected = [
            Some(Unique),
            Some(Verdict::None),
            Some(Unknown),
            None,
            None,
            Some(Ambiguous),
            Some(Unique),
            Some(Ambiguous),
            Some(Ambiguous),
        ];
        assert_eq!(verdicts, expected);
        insta::assert_snapshot!(tally, @"9 sightings: 2 unique, 3 ambiguous, 1 none, 1 unknown, 2 refused; 2 candidates (median) where the port is missing");
        insta::assert_snapshot!(serde_json::to_string(&tally).unwrap(), @r#"{"sightings":9,"unique":2,"ambiguous":3,"none":1,"unknown":1,"refused":2,"median_candidates_without_port":2}"#);
    }

    #[test]
    fn a_clock_is_put_right_only_when_that_is_asked_for() {
        let verdict = |shifts| match trace(&ledger(), &seen("12:01:00"), options(shifts)).unwrap() {
            Outcome::Answered(answer) => answer.verdict,
            Outcome::Refused(refusal) => panic!("{refusal}"),
        };
        assert_eq!(verdict(None), Verdict::None);
        assert_eq!(
            verdict(Some(Shifts::exactly(-120_000_000))),
            Verdict::Unique
        );
        let wide = Shifts::new(-120_000_000, 120_000_000);
        assert_eq!(verdict(wide), Verdict::Ambiguous);
    }

    #[test]
    fn the_median_of_an_even_count_is_the_lower_of_the_middle_two() {
        let mut tally = Tally::default();
        assert_eq!(tally.median_candidates_without_port(), None);
        for time in ["09:30:00", "11:00:00"] {
            let seen = Sighting {
                port: None,
                ..seen(time)
            };
            tally.add(&trace(&ledger(), &seen, options(None)).unwrap());
        }
        assert_eq!(tally.median_candidates_without_port(), Some(1));
    }

    /// Evidence that counts its questions, and fails at one of them.
    struct Counting<'a> {
        memory: &'a Memory,
        asked: Cell<u32>,
        fails_at: u32,
    }

    impl<'a> Counting<'a> {
        fn of(memory: &'a Memory, fails_at: u32) -> Self {
            let asked = Cell::new(0);
            Self {
                memory,
                asked,
                fails_at,
            }
        }
    }

    impl Evidence for Counting<'_> {
        type Error = fmt::Error;

        fn holders(&self, external: External, span: Span) -> Result<Vec<Allocation>, fmt::Error> {
            self.asked.set(self.asked.get() + 1);
            if self.asked.get() == self.fails_at {
                return Err(fmt::Error);
            }
            Ok(self.memory.holders(external, span).unwrap())
        }

        fn nearest(&self, external: External, at: Timestamp) -> Result<Nearest, fmt::Error> {
            Ok(self.memory.nearest(external, at).unwrap())
        }

        fn coverage(
            &self,
            external: External,
            span: Span,
            asked_at: Timestamp,
        ) -> Result<Coverage, fmt::Error> {
            Ok(self.memory.coverage(external, span, asked_at).unwrap())
        }
    }

    #[test]
    fn what_sightings_ask_alike_is_asked_once() {
        let memory = ledger();
        let evidence = Counting::of(&memory, u32::MAX);
        let sightings = (0..100).map(|n| seen(["11:00:00", "12:01:00", "11:30:00"][n % 3]));
        let outcomes = trace_all(&evidence, sightings, options(None));
        assert_eq!(outcomes.filter(Result::is_ok).count(), 100);
        assert_eq!(evidence.asked.get(), 3);
    }

    #[test]
    fn an_error_of_the_evidence_is_the_last_item_and_nothing_of_its_chunk_comes_out() {
        let memory = ledger();
        let evidence = Counting::of(&memory, 2);
        let sightings = ["11:00:00", "12:01:00", "11:30:00"].map(seen);
        let outcomes: Vec<_> = trace_all(&evidence, sightings, options(None)).collect();
        assert_eq!(outcomes, [Err(fmt::Error)]);
    }

    proptest! {
        #[test]
        fn a_batch_says_what_each_says_by_itself_in_its_order(
            memory in small_memory(),
            seen in prop::collection::vec((prop::option::weighted(0.8, 0..512_u16), prop::option::weighted(0.9, 0..70_i64), 0..4_u64), 0..40),
            at_most in 0..10_usize,
        ) {
            let options = Options { within: Duration::from_micros(1), asked_at: Timestamp::from_micros(60), shifts: None };
            let sightings: Vec<_> = seen.into_iter().zip(1..).map(|((port, at, lasted), line)| Sighting {
                source: Source { file: "access.log".into(), line },
                port,
                at: at.map(Timestamp::from_micros),
                resolution: Duration::ZERO,
                lasted: Some(Duration::from_micros(lasted)),
                ..sighting("2026-11-01T12:00:00Z")
            }).collect();
            let expected: Vec<_> = sightings.iter().map(|s| trace(&memory, s, options)).collect();
            let all: Vec<_> = trace_all(&memory, sightings.clone(), options).collect();
            prop_assert_eq!(&all, &expected);

            // Where the answers are too many to be held at once, too.
            let mut chunk = Chunk::default();
            chunk.fill(sightings.into_iter(), options);
            chunk.ask(&memory, options.asked_at, at_most).unwrap();
            let few: Vec<_> = std::iter::from_fn(|| chunk.next(&memory, options.asked_at)).collect();
            prop_assert_eq!(&few, &expected);
        }
    }
}
