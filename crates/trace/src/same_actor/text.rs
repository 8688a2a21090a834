//! What is left, for people at a terminal.

use std::fmt::{self, Write as _};

use super::SameActor;
use crate::Verdict;

impl SameActor {
    /// The outcome in words, lines ended by a line feed. Discloses subscribers' addresses: record
    /// the question first.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        self.write_claim(out)?;
        if self.candidates() > 0 {
            out.push('\n');
        }
        for subscriber in self.remaining.iter().flatten() {
            writeln!(
                out,
                "subscriber  {} in realm {}",
                subscriber.internal(),
                subscriber.realm()
            )?;
        }
        out.push('\n');
        self.write_sightings(out)?;
        self.write_weakness(out)
    }

    /// How many are left, and what that means.
    fn write_claim(&self, out: &mut String) -> fmt::Result {
        let left = self.candidates();
        let (are, each) = match left {
            1 => (" is", "that one"),
            _ => ("s are", "any of them"),
        };
        let answered = self.answered;
        write!(
            out,
            "{left} subscriber{are} left of all {answered} sightings; "
        )?;
        match self.verdict() {
            Verdict::Unique => writeln!(out, "unique: if all are one subscriber's, it is {each}"),
            Verdict::Ambiguous => writeln!(
                out,
                "ambiguous: if all are one subscriber's, it may be {each}"
            ),
            Verdict::None => writeln!(
                out,
                "none: they cannot be one subscriber's, or a clock is wrong"
            ),
            Verdict::Unknown if self.answered == 0 => writeln!(
                out,
                "unknown: no sighting could be answered, so nothing is claimed"
            ),
            Verdict::Unknown => writeln!(
                out,
                "unknown: the log is not known to be complete for {} more, so nothing is claimed",
                self.unknown
            ),
        }
    }

    fn write_sightings(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "sightings   {}: {} answered, {} that ask the same again, {} left out where the log is not complete, {} refused",
            self.sightings(),
            self.answered,
            self.repeated,
            self.unknown,
            self.refused
        )?;
        if let Some([least, median, most]) = self.alone() {
            let seen = self.pool.len();
            let at_least = if self.pool_is_full { "at least " } else { "" };
            writeln!(
                out,
                "on its own  a sighting has {least} to {most} candidates, {median} in the median; {at_least}{seen} different ones in all"
            )?;
        }
        Ok(())
    }

    fn write_weakness(&self, out: &mut String) -> fmt::Result {
        if let Some(chance) = self.chance() {
            writeln!(
                out,
                "by chance   {} others would be left if all who were seen were drawn anew for each sighting,\n\
                 \x20           {} if as many stayed from each sighting to the next as did; those who are always there stay more",
                About(chance.drawn_anew),
                About(chance.as_they_stayed)
            )?;
        }
        if self.answered > 1 {
            writeln!(
                out,
                "nearly      {} more held it at all of them but one",
                self.in_all_but_one()
            )?;
        }
        Ok(())
    }
}

/// An estimate, in no more digits than it deserves.
struct About(f64);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0.0 => f.write_str("no"),
            few if few < 0.05 => f.write_str("fewer than 0.1"),
            some if some < 10.0 => write!(f, "about {some:.1}"),
            many => write!(f, "about {many:.0}"),
        }
    }
}
