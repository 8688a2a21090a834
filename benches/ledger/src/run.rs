//! One engine's turn, in a process of its own: load, ask, drop, ingest, and check every answer.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    data::{Data, Row},
    disk,
    engine::{Engine, Timed, happened},
    error::Error,
    measure::{Measure, Value},
    questions::{Digest, Hour, Kind, Matched, Month, Point, Questions},
};

/// Events that are durable together.
const INGEST_BATCH: usize = 1_000;

/// Events of an ingest, at most.
const INGEST_MOST: usize = 3_000_000;

/// How often a batch is asked: the best counts, since the machine is shared.
const BATCH_ROUNDS: usize = 3;

/// A batch that takes longer is asked once.
const LONG_BATCH: Duration = Duration::from_secs(30);

/// How a turn is taken.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How often an engine is asked with nothing in the page cache.
    pub cold_rounds: usize,
    /// How long it takes in events.
    pub ingest: Duration,
}

/// What came out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Engine and version.
    pub version: String,
    /// Allocations it was given, when it was not given all.
    pub part: Option<u64>,
    /// The figures.
    pub values: Vec<Value>,
}

/// A turn under way.
pub struct Turn<'a> {
    name: &'a str,
    engine: Box<dyn Engine>,
    data: &'a Data,
    questions: &'a Questions,
    settings: Settings,
    values: Vec<Value>,
}

impl<'a> Turn<'a> {
    /// Makes `engine` ready to be measured.
    pub fn new(
        name: &'a str,
        engine: Box<dyn Engine>,
        data: &'a Data,
        questions: &'a Questions,
        settings: Settings,
    ) -> Self {
        Self {
            name,
            engine,
            data,
            questions,
            settings,
            values: Vec::new(),
        }
    }

    /// Takes it.
    ///
    /// # Errors
    /// When the engine fails, or answers what is not so.
    pub fn take(mut self) -> Result<Outcome, Error> {
        let allocations = self.load()?;
        let version = self.engine.version()?;
        self.tell("asking");
        self.ask_points()?;
        self.ask_batch(Kind::OneDay, Measure::BatchOneDay)?;
        self.ask_batch(Kind::AllDays, Measure::BatchAllDays)?;
        self.ask_hours()?;
        self.ask_months()?;
        self.put(Measure::MemoryAsking, self.memory() as f64 / MEBIBYTE);
        self.tell("asking cold");
        self.ask_cold()?;
        self.tell("dropping a day");
        self.drop_a_day()?;
        self.tell("taking in events");
        self.take_in()?;
        self.engine.close()?;
        Ok(Outcome {
            version,
            part: self.engine.days().map(|_| allocations as u64),
            values: self.values,
        })
    }

    fn tell(&self, doing: &str) {
        eprintln!("{}: {doing}", self.name);
    }

    fn put(&mut self, measure: Measure, value: f64) {
        self.values.push(Value { measure, value });
    }

    /// Loads both orders; how many allocations they are.
    fn load(&mut self) -> Result<f64, Error> {
        self.tell("loading");
        let begin = Instant::now();
        self.engine.load_main(self.data)?;
        let main = begin.elapsed();
        let main_bytes = self.settled_bytes()?;
        let begin = Instant::now();
        self.engine.load_by_subscriber(self.data)?;
        let both = main + begin.elapsed();
        let both_bytes = self.settled_bytes()?;
        let rows: u64 = match self.engine.days() {
            None => self.data.rows_stored(),
            Some(days) => days.iter().map(|&day| self.rows_of(day)).sum(),
        };
        // Rows are more than allocations, since those open at a cut are in two days.
        let once = self.data.allocations as f64 / self.data.rows_stored().max(1) as f64;
        let allocations = rows as f64 * once;
        self.put(Measure::BytesMain, main_bytes as f64 / allocations);
        self.put(Measure::BytesBoth, both_bytes as f64 / allocations);
        self.put(Measure::LoadMain, allocations / main.as_secs_f64());
        self.put(Measure::LoadBoth, allocations / both.as_secs_f64());
        self.put(Measure::MemoryLoading, self.memory() as f64 / MEBIBYTE);
        forget_peak();
        disk::read_into_cache(self.engine.folder())?;
        Ok(allocations)
    }

    fn rows_of(&self, day: usize) -> u64 {
        self.data.days.get(day).map_or(0, |day| day.rows)
    }

    /// Bytes of the store once it has stopped moving them about.
    fn settled_bytes(&self) -> Result<u64, Error> {
        let (mut before, mut same) = (0, 0);
        for _ in 0..600 {
            rustix::fs::sync();
            // In this order, so that what grows meanwhile does not make less than nothing.
            let apart = self.engine.bytes_apart()?;
            let now = disk::bytes(self.engine.folder())?.saturating_sub(apart);
            same = if now == before { same + 1 } else { 0 };
            if same == 3 {
                break;
            }
            before = now;
            thread::sleep(Duration::from_millis(300));
        }
        Ok(before)
    }

    fn has(&self, day: usize) -> bool {
        self.engine.days().is_none_or(|days| days.contains(&day))
    }

    fn points(&self, kind: Kind) -> Vec<Point> {
        let points = self.questions.of(kind).iter();
        let taken = points.filter(|point| self.has(point.day.into()));
        taken.copied().collect()
    }

    fn ask_points(&mut self) -> Result<(), Error> {
        let warm_up = self.points(Kind::WarmUp);
        self.engine.who(&warm_up)?;
        let points = self.points(Kind::Points);
        let times = self.who(&points)?;
        self.put(Measure::WhoMedian, micros(percentile(&times, 0.5)));
        self.put(Measure::WhoHigh, micros(percentile(&times, 0.99)));
        Ok(())
    }

    /// Asks and checks.
    fn who(&mut self, points: &[Point]) -> Result<Vec<Duration>, Error> {
        let answers = self.engine.who(points)?;
        if answers.len() != points.len() {
            let count = |count: usize| format!("{count} points");
            return Err(self.disagrees("points", count(answers.len()), count(points.len())));
        }
        for (point, answer) in points.iter().zip(&answers) {
            if answer.result != point.holder {
                let (answered, expected) = (holder(answer.result), holder(point.holder));
                return Err(self.disagrees(
                    &format!("point {} at {} ms", point.number, point.at_ms),
                    answered,
                    expected,
                ));
            }
        }
        Ok(answers.iter().map(|answer| answer.took).collect())
    }

    fn ask_batch(&mut self, kind: Kind, measure: Measure) -> Result<(), Error> {
        let mut points = self.points(kind);
        if points.is_empty() {
            return Ok(());
        }
        // Some of all times, not the first.
        let step = points.len().div_ceil(self.engine.most_of_a_batch());
        points = points.into_iter().step_by(step).collect();
        let truth = Matched::truth(&points);
        let mut best = Duration::MAX;
        for _ in 0..BATCH_ROUNDS {
            let answer = self.engine.batch(self.questions, kind, &points)?;
            if answer.result != truth {
                let text = |matched: Matched| format!("{matched:?}");
                return Err(self.disagrees(kind.name(), text(answer.result), text(truth)));
            }
            best = best.min(answer.took);
            if best > LONG_BATCH {
                break;
            }
        }
        self.put(measure, points.len() as f64 / best.as_secs_f64());
        Ok(())
    }

    fn ask_hours(&mut self) -> Result<(), Error> {
        let hours: Vec<Hour> = self.questions.hours.clone();
        let hours: Vec<Hour> = hours.into_iter().filter(|it| self.has(it.day)).collect();
        let (warm_up, hours) = hours.split_at(hours.len() / 11);
        self.engine.hours(warm_up)?;
        let answers = self.engine.hours(hours)?;
        let truths: Vec<Digest> = hours.iter().map(|hour| hour.truth).collect();
        let times = self.check_lists("an address in an hour", &answers, &truths)?;
        self.put(Measure::HourMedian, micros(percentile(&times, 0.5)));
        self.put(Measure::HourHigh, micros(percentile(&times, 0.99)));
        Ok(())
    }

    fn ask_months(&mut self) -> Result<(), Error> {
        if self.engine.days().is_some() {
            return Ok(());
        }
        let months: &[Month] = &self.questions.months;
        let (warm_up, months) = months.split_at(months.len() / 11);
        self.engine.months(warm_up)?;
        let answers = self.engine.months(months)?;
        let truths: Vec<Digest> = months.iter().map(|month| month.truth).collect();
        let times = self.check_lists("a subscriber in a month", &answers, &truths)?;
        self.put(Measure::MonthMedian, micros(percentile(&times, 0.5)));
        self.put(Measure::MonthHigh, micros(percentile(&times, 0.99)));
        Ok(())
    }

    fn check_lists(
        &self,
        question: &str,
        answers: &[Timed<Vec<Row>>],
        truths: &[Digest],
    ) -> Result<Vec<Duration>, Error> {
        if answers.len() != truths.len() {
            let count = |count: usize| format!("{count} lists");
            return Err(self.disagrees(question, count(answers.len()), count(truths.len())));
        }
        let mut times = Vec::with_capacity(answers.len());
        for (number, (answer, truth)) in answers.iter().zip(truths).enumerate() {
            let digest = Digest::of(&answer.result);
            if digest != *truth {
                let text = |digest: Digest| format!("{digest:?}");
                let question = format!("{question}, question {number}");
                return Err(self.disagrees(&question, text(digest), text(*truth)));
            }
            times.push(answer.took);
        }
        Ok(times)
    }

    /// Opens the store with nothing of it in the page cache and asks one question, again and again.
    fn ask_cold(&mut self) -> Result<(), Error> {
        let points = self.points(Kind::Points);
        let (mut opening, mut asking, mut both) = (Vec::new(), Vec::new(), Vec::new());
        for point in points.iter().take(self.settings.cold_rounds) {
            self.engine.close()?;
            disk::drop_from_cache(self.engine.folder())?;
            let begin = Instant::now();
            self.engine.open()?;
            let opened = begin.elapsed();
            self.who(&[*point])?;
            let answered = begin.elapsed();
            opening.push(opened);
            asking.push(answered - opened);
            both.push(answered);
        }
        self.put(Measure::ColdOpen, micros(percentile(&opening, 0.5)) / 1e3);
        self.put(Measure::ColdWho, micros(percentile(&asking, 0.5)) / 1e3);
        self.put(Measure::ColdBoth, micros(percentile(&both, 0.5)) / 1e3);
        Ok(())
    }

    fn drop_a_day(&mut self) -> Result<(), Error> {
        let day = self.data.oldest_whole_day();
        if !self.has(day) {
            return Ok(());
        }
        let rows = self.rows_of(day) as f64;
        let taken: u64 = (0..self.data.days.len())
            .filter(|&day| self.has(day))
            .map(|day| self.rows_of(day))
            .sum();
        let before = self.settled_bytes()?;
        let took = self.engine.drop_day(day)?;
        let after = self.settled_bytes()?;
        let share = before as f64 * rows / taken.max(1) as f64;
        let freed = before as f64 - after as f64;
        self.put(Measure::DropTime, took.as_secs_f64() * 1e3);
        self.put(Measure::DropFreed, 100.0 * freed / share.max(1.0));
        Ok(())
    }

    fn take_in(&mut self) -> Result<(), Error> {
        let day = self.data.oldest_whole_day();
        let events = happened(self.data, day, INGEST_MOST)?;
        let limit = self.settings.ingest;
        if let Some(ingested) = self.engine.ingest(&events, INGEST_BATCH, limit)? {
            let rate = ingested.events as f64 / ingested.took.as_secs_f64();
            self.put(Measure::Ingest, rate);
        }
        Ok(())
    }

    /// Most that was in use: of this process, or now of the one that is the engine.
    fn memory(&self) -> u64 {
        self.engine.memory_elsewhere().unwrap_or_else(peak_memory)
    }

    fn disagrees(&self, question: &str, answered: String, expected: String) -> Error {
        Error::Disagreement {
            engine: self.name.to_owned(),
            question: question.to_owned(),
            answered,
            expected,
        }
    }
}

const MEBIBYTE: f64 = 1_048_576.0;

fn holder(subscriber: Option<u32>) -> String {
    subscriber.map_or("nobody".to_owned(), |it| format!("subscriber {it}"))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn percentile(times: &[Duration], share: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    let place = (times.len() as f64 * share) as usize;
    let last = times.len().saturating_sub(1);
    times.get(place.min(last)).copied().unwrap_or_default()
}

/// The most memory this process ever had, in bytes (proc(5), VmHWM).
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1_024
}

/// Begins the peak anew (proc(5), clear_refs). Where that is not allowed, asking seems to need what
/// loading did.
fn forget_peak() {
    let _ = fs::write(PathBuf::from("/proc/self/clear_refs"), "5");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<_> = (1..=100).rev().map(Duration::from_micros).collect();
        assert_eq!(percentile(&times, 0.5), Duration::from_micros(51));
        assert_eq!(percentile(&times, 0.99), Duration::from_micros(100));
        assert_eq!(percentile(&times[..1], 0.99), Duration::from_micros(100));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }
}
