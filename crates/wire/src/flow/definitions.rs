//! Reading template sets: IPFIX's and NetFlow v9's differ in where they put lengths.

use super::{
    elements::IANA,
    item::Lie,
    message::{Version, u16_at, u32_at},
    template::{Field, Template},
};

/// One record of a template set.
#[derive(Debug)]
pub(super) enum Definition {
    /// A template.
    Template(Box<Template>),
    /// A withdrawal (RFC 7011 §8.1).
    Withdrawn,
}

/// The records of a template set or an options template set.
pub(super) struct Definitions<'a> {
    pub(super) version: Version,
    pub(super) options: bool,
    pub(super) contents: &'a [u8],
    pub(super) offset: usize,
}

/// A record: its offset in the set, the template's number and what is said of it.
pub(super) type Record = (usize, u16, Result<Definition, Lie>);

impl Iterator for Definitions<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let offset = self.offset;
        let number = u16_at(self.contents, offset)?;
        let count = u16_at(self.contents, offset + 2)?;
        // Sets may be padded with zeros (RFC 7011 §3.3.1).
        if number == 0 {
            return None;
        }
        self.offset += 4;
        let read = match self.version {
            Version::Ipfix => self.ipfix(count),
            Version::NetFlow9 => self.netflow9(count),
        };
        // Where a record lies about its length, where the next one begins is unknown.
        if matches!(
            read,
            Err(Lie::CutShort | Lie::Scope(_) | Lie::OptionBytes(_))
        ) {
            self.offset = self.contents.len();
        }
        let read = match read {
            Ok(_) if number < 256 && !is_withdrawal_of_all(number, count) => Err(Lie::Number),
            read => read,
        };
        Some((offset, number, read))
    }
}

/// Numbers 2 and 3 without fields withdraw all templates or all options templates.
const fn is_withdrawal_of_all(number: u16, count: u16) -> bool {
    count == 0 && (number == 2 || number == 3)
}

impl Definitions<'_> {
    fn ipfix(&mut self, count: u16) -> Result<Definition, Lie> {
        if count == 0 {
            // A withdrawal has no scope count (RFC 7011 §8.1, figure S).
            return Ok(Definition::Withdrawn);
        }
        let count = usize::from(count);
        if self.options {
            let scope = self.u16()?;
            // RFC 7011 §3.4.2.2: the scope is not empty and is part of the fields.
            if scope == 0 || usize::from(scope) > count {
                return Err(Lie::Scope(scope.into()));
            }
        }
        // Four bytes at least for each: checked before anything is reserved.
        if count * 4 > self.contents.len().saturating_sub(self.offset) {
            return Err(Lie::CutShort);
        }
        let mut fields = Vec::with_capacity(count);
        for _ in 0..count {
            let (number, length) = (self.u16()?, self.u16()?);
            let enterprise = if number & 0x8000 == 0 {
                IANA
            } else {
                self.u32()?
            };
            fields.push(Field {
                enterprise,
                number: number & 0x7fff,
                length,
            });
        }
        Template::new(fields, self.options).map(|t| Definition::Template(Box::new(t)))
    }

    /// RFC 3954 §5.2 and §6.1. There are no enterprises: the highest bit is part of the number.
    fn netflow9(&mut self, count: u16) -> Result<Definition, Lie> {
        let mut fields = Vec::new();
        let (scope, rest) = if self.options {
            // Both are in bytes.
            let (scope, rest) = (usize::from(count), usize::from(self.u16()?));
            if !scope.is_multiple_of(4) || !rest.is_multiple_of(4) {
                return Err(Lie::OptionBytes(scope + rest));
            }
            (scope / 4, rest / 4)
        } else {
            (0, usize::from(count))
        };
        if (scope + rest) * 4 > self.contents.len().saturating_sub(self.offset) {
            return Err(Lie::CutShort);
        }
        for place in 0..scope + rest {
            let (number, length) = (self.u16()?, self.u16()?);
            fields.push(if place < scope {
                Field::scope_of_v9(number, length)
            } else {
                Field::of_v9(number, length)
            });
        }
        // NetFlow v9 knows no variable length.
        if let Some(field) = fields.iter().find(|field| field.length == u16::MAX) {
            return Err(Lie::FieldLength {
                element: field.number,
                length: field.length,
            });
        }
        Template::new(fields, self.options).map(|t| Definition::Template(Box::new(t)))
    }

    fn u16(&mut self) -> Result<u16, Lie> {
        let value = u16_at(self.contents, self.offset).ok_or(Lie::CutShort)?;
        self.offset += 2;
        Ok(value)
    }

    fn u32(&mut self) -> Result<u32, Lie> {
        let value = u32_at(self.contents, self.offset).ok_or(Lie::CutShort)?;
        self.offset += 4;
        Ok(value)
    }
}
