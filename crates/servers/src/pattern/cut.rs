//! Where in a line the client's port stands, and what goes with it when it is taken out.

use std::ops::Range;

use super::{Field, Pattern, Step};
use crate::{
    Options,
    fields::{Fields, Side},
    strip::StripError,
};

/// A port to be taken out: how many bytes of the format's own text go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    side: Side,
    before: usize,
    after: usize,
}

impl Cut {
    /// The bytes of the line that go.
    pub(crate) fn around(&self, ports: &Ports) -> Range<usize> {
        let port = &ports[self.side as usize];
        port.start.saturating_sub(self.before)..port.end + self.after
    }
}

/// The place of each side's port in a line.
pub(crate) type Ports = [Range<usize>; 3];

impl Pattern {
    /// The ports of the format, from left to right.
    pub(crate) fn port_cuts(&self) -> Result<Vec<Cut>, StripError> {
        let mut cuts: Vec<Cut> = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let Step::Value(Field::Port(side), _) = step else {
                continue;
            };
            if cuts.iter().any(|cut| cut.side == *side) {
                return Err(StripError::Twice);
            }
            let (before, after) = self.surroundings(index).ok_or(StripError::NoColumn)?;
            cuts.push(Cut {
                side: *side,
                before,
                after,
            });
        }
        if cuts.is_empty() {
            return Err(StripError::NoPort);
        }
        Ok(cuts)
    }

    /// How much of the text before and behind a field goes with it: all of the column that it is
    /// alone in, with the space that sets it apart; or the one byte between it and what it follows.
    fn surroundings(&self, field: usize) -> Option<(usize, usize)> {
        let literal = |index: Option<usize>| match index.and_then(|index| self.steps.get(index)) {
            Some(Step::Literal(text)) => &**text,
            _ => b"",
        };
        let (before, after) = (literal(field.checked_sub(1)), literal(field.checked_add(1)));
        let begins_line = field == usize::from(!before.is_empty());
        let behind = field + 1 + usize::from(!after.is_empty());
        let ends_line = matches!(self.steps.get(behind), Some(Step::End));
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
        let space_before = before.iter().rposition(is_space);
        let space_after = after.iter().position(is_space);
        let column_end = space_after.or(ends_line.then_some(after.len()));
        match (space_before, column_end) {
            (Some(space), Some(end)) => Some((before.len() - space, end)),
            (None, Some(end)) if begins_line => space_after.map(|_| (before.len(), end + 1)),
            _ => {
                let is_apart = matches!(
                    before,
                    [b':' | b',' | b';' | b'|' | b'#' | b'/'] | [b']', b':']
                );
                is_apart.then_some((1, 0))
            }
        }
    }

    /// Where the ports are in a line; nothing where it is not of the format, or they might be
    /// elsewhere.
    pub(crate) fn port_places(&self, line: &[u8]) -> Option<Ports> {
        let same_places = |one: &Fields, other: &Fields| one.port_places == other.port_places;
        // Whom a proxy tells of has no part in where the port stands.
        self.all_fields(line, same_places, &Options::new(""))
            .ok()
            .map(|fields| fields.port_places)
    }
}
