//! What a file of a segment says of itself in a line of text, under its own checksum.
//!
//! Parquet has checksums for pages but none for what leads to them: its footer and its indexes.
//! A flipped bit there would make a row vanish, and an answer wrong. So the line holds, for each
//! row group, a checksum of what its indexes say, and at its end a checksum of itself. The line
//! stands under the key `portledger` among the file's metadata, where other readers pass over it.
//!
//! ```text
//! portledger 1 allocations rows=2000000 unit=ms from=… to=… devices=cgn1,cgn2
//!     groups=1048576:5a1c20f3:c6120000-c6121a07:77ad03f1,951424:… crc=09e3a1b7
//! ```
//!
//! The last part of a group came later: a checksum of its pages' checksums, so that two files with
//! one line have the same pages.

use crate::Resolution;

/// The version of the format that this release writes and reads.
pub(crate) const VERSION: u32 = 1;

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// What its rows are.
    pub(crate) kind: String,
    pub(crate) rows: u64,
    pub(crate) resolution: Resolution,
    /// The least start and the greatest end of its rows, in microseconds.
    pub(crate) times: (i64, i64),
    pub(crate) devices: Vec<String>,
    pub(crate) groups: Vec<GroupStamp>,
}

/// What a file says of one of its row groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupStamp {
    pub(crate) rows: u64,
    /// The checksum of what its indexes say; `None` where they are encrypted, and so under a tag.
    pub(crate) check: Option<u32>,
    /// The external addresses of its first and last row.
    pub(crate) external: (u32, u32),
    /// The checksum of its pages' checksums; `None` where they are encrypted, and in files that
    /// were written before there was one.
    pub(crate) content: Option<u32>,
}

/// Why a line is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    Version(u32),
    Checksum,
    Malformed,
}

impl Stamp {
    pub(crate) fn to_text(&self) -> String {
        let unit = match self.resolution {
            Resolution::Millis => "ms",
            Resolution::Micros => "us",
        };
        let groups: Vec<String> = self.groups.iter().map(|group| group.to_text()).collect();
        let mut text = format!(
            "portledger {VERSION} {} rows={} unit={unit} from={} to={} devices={} groups={}",
            self.kind,
            self.rows,
            self.times.0,
            self.times.1,
            self.devices.join(","),
            groups.join(","),
        );
        let crc = crc32fast::hash(text.as_bytes());
        text.push_str(&format!(" crc={crc:08x}"));
        text
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Unread> {
        let (body, crc) = text.rsplit_once(" crc=").ok_or(Unread::Malformed)?;
        let crc = u32::from_str_radix(crc, 16).map_err(|_| Unread::Malformed)?;
        if crc32fast::hash(body.as_bytes()) != crc {
            return Err(Unread::Checksum);
        }
        let mut words = body.split(' ');
        if words.next() != Some("portledger") {
            return Err(Unread::Malformed);
        }
        match words.next().and_then(|word| word.parse().ok()) {
            Some(VERSION) => {}
            Some(later) => return Err(Unread::Version(later)),
            None => return Err(Unread::Malformed),
        }
        Self::fields(words).ok_or(Unread::Malformed)
    }

    fn fields<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Self> {
        let kind = words.next()?.to_owned();
        let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        Some(Self {
            kind,
            rows: field("rows")?.parse().ok()?,
            resolution: match field("unit")? {
                "ms" => Resolution::Millis,
                "us" => Resolution::Micros,
                _ => return None,
            },
            times: (field("from")?.parse().ok()?, field("to")?.parse().ok()?),
            devices: split(field("devices")?).map(str::to_owned).collect(),
            groups: split(field("groups")?)
                .map(GroupStamp::parse)
                .collect::<Option<_>>()?,
        })
    }
}

/// The parts between commas; none of an empty text.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|part| !part.is_empty())
}

impl GroupStamp {
    fn to_text(self) -> String {
        let (first, last) = self.external;
        let check = match self.check {
            Some(check) => format!("{check:08x}"),
            None => "-".to_owned(),
        };
        let mut text = format!("{}:{check}:{first:08x}-{last:08x}", self.rows);
        if let Some(content) = self.content {
            text.push_str(&format!(":{content:08x}"));
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let rows = parts.next()?.parse().ok()?;
        let check = match parts.next()? {
            "-" => None,
            check => Some(u32::from_str_radix(check, 16).ok()?),
        };
        let (first, last) = parts.next()?.split_once('-')?;
        let number = |text| u32::from_str_radix(text, 16).ok();
        Some(Self {
            rows,
            check,
            external: (number(first)?, number(last)?),
            content: match parts.next() {
                Some(content) => Some(number(content)?),
                None => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            kind: "allocations".into(),
            rows: 7,
            resolution: Resolution::Millis,
            times: (-5, 12),
            devices: vec!["cgn1".into(), "cgn-2".into()],
            groups: vec![
                GroupStamp {
                    rows: 4,
                    check: Some(0xab),
                    external: (1, u32::MAX),
                    content: Some(0xcd),
                },
                GroupStamp {
                    rows: 3,
                    check: None,
                    external: (9, 9),
                    content: None,
                },
            ],
        }
    }

    #[test]
    fn text_and_back() {
        let empty = Stamp {
            devices: vec![],
            groups: vec![],
            ..stamp()
        };
        for stamp in [stamp(), empty] {
            assert_eq!(Stamp::parse(&stamp.to_text()), Ok(stamp));
        }
    }

    #[test]
    fn a_changed_letter_is_found() {
        let text = stamp().to_text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            assert!(Stamp::parse(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let body = "portledger 2 allocations and more";
        let text = format!("{body} crc={:08x}", crc32fast::hash(body.as_bytes()));
        assert_eq!(Stamp::parse(&text), Err(Unread::Version(2)));
    }
}
