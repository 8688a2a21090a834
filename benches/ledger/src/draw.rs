//! How questions are drawn from the rows.

use std::collections::HashSet;

use crate::{
    data::{Data, Row},
    error::Error,
    generator::{GUARD_MS, Random},
    questions::{Digest, Hour, Month, Point},
};

const HOUR_MS: i64 = 3_600_000;

/// `count` rows of `day`, each as likely as any other, in the file's order (Knuth's algorithm S).
fn draw_rows(
    data: &Data,
    random: &mut Random,
    count: u64,
    day: usize,
    mut each: impl FnMut(&mut Random, Row),
) -> Result<(), Error> {
    let mut unseen = data.days.get(day).map_or(0, |day| day.rows);
    let mut wanted = count.min(unseen);
    data.each(day, |row| {
        if random.below(unseen.max(1)) < wanted {
            each(random, row);
            wanted -= 1;
        }
        unseen -= 1;
    })
}

/// How many of `count` fall on each day, when each row is as likely as any other.
fn shares(data: &Data, count: u64, only: Option<usize>) -> Vec<(usize, u64)> {
    if let Some(day) = only {
        return vec![(day, count)];
    }
    let (all, mut before, mut shares) = (data.rows_stored().max(1), 0, Vec::new());
    for (number, day) in data.days.iter().enumerate() {
        let to = before + day.rows;
        shares.push((number, count * to / all - count * before / all));
        before = to;
    }
    shares
}

/// Points of all days, or of one, in order of time and numbered so.
///
/// # Errors
/// When a file cannot be read.
pub fn points(
    data: &Data,
    random: &mut Random,
    count: u64,
    only: Option<usize>,
) -> Result<Vec<Point>, Error> {
    let mut points = Vec::new();
    for (day, count) in shares(data, count, only) {
        let Some(of) = data.days.get(day) else {
            continue;
        };
        draw_rows(data, random, count, day, |random, row| {
            let (from, to) = (row.from_ms.max(of.start_ms), row.to_ms.min(of.end_ms));
            let guarded = (row.to_ms + GUARD_MS).min(of.end_ms);
            // One in ten asks for the time in which the block rests and is nobody's.
            let miss = random.below(10) == 0 && row.to_ms < guarded;
            let (from, to) = if miss {
                (row.to_ms, guarded)
            } else {
                (from, to)
            };
            let at_ms = match random.below(32) {
                // The edges, where an engine is wrong first.
                0 => from,
                1 => to - 1,
                _ => from + below(random, to - from),
            };
            let ports = u64::from(row.last - row.first) + 1;
            points.push(Point {
                number: 0,
                external: row.external,
                port: row.first + u16::try_from(random.below(ports)).unwrap_or(0),
                first: row.first,
                at_ms,
                day: u16::try_from(day).unwrap_or(u16::MAX),
                holder: (!miss).then_some(row.subscriber),
            });
        })?;
    }
    points.sort_by_key(|point| point.at_ms);
    for (number, point) in (0..).zip(&mut points) {
        point.number = number;
    }
    Ok(points)
}

/// Hours of addresses that are in use on that day.
///
/// # Errors
/// When a file cannot be read.
pub fn hours(data: &Data, random: &mut Random, count: u64) -> Result<Vec<Hour>, Error> {
    let mut hours = Vec::new();
    for (day, count) in shares(data, count, None) {
        let Some(of) = data.days.get(day) else {
            continue;
        };
        draw_rows(data, random, count, day, |random, row| {
            let from_ms = of.start_ms + below(random, of.end_ms - of.start_ms - HOUR_MS);
            hours.push(Hour {
                external: row.external,
                from_ms,
                to_ms: from_ms + HOUR_MS,
                day,
                truth: Digest::default(),
            });
        })?;
    }
    Ok(hours)
}

/// Subscribers, each once.
///
/// # Errors
/// When a file cannot be read.
pub fn months(data: &Data, random: &mut Random, count: u64) -> Result<Vec<Month>, Error> {
    let (mut months, mut seen) = (Vec::new(), HashSet::new());
    for (day, count) in shares(data, count, None) {
        draw_rows(data, random, count, day, |_, row| {
            if seen.insert(row.subscriber) {
                months.push(Month {
                    subscriber: row.subscriber,
                    truth: Digest::default(),
                });
            }
        })?;
    }
    Ok(months)
}

fn below(random: &mut Random, end: i64) -> i64 {
    let end = u64::try_from(end).unwrap_or(0);
    i64::try_from(random.below(end)).unwrap_or(0)
}

/// Puts them in any order.
pub fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for end in (1..items.len()).rev() {
        let other = random.below(end as u64 + 1);
        items.swap(end, usize::try_from(other).unwrap_or(0));
    }
}
