//! The parts of a mail message (RFC 2046 §5.1), line by line.

/// A part that has ended, or a report that stands alone.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// 0 for the message's own header, or for what has no parts; the first part is 1.
    pub(super) place: usize,
    /// The line its text begins in.
    pub(super) first_line: u64,
    /// Its header and its body, without the blank line between them.
    pub(super) lines: Vec<Vec<u8>>,
    size: usize,
    /// There is more of it than is kept.
    pub(super) is_too_long: bool,
}

/// What is kept of a part. X-ARF's evidence, which its reports hold, is of 5 MiB at most.
const MOST: usize = 8 << 20;

impl Part {
    fn at(place: usize) -> Self {
        Self {
            place,
            ..Self::default()
        }
    }

    fn add(&mut self, line: &[u8], number: u64) {
        if self.lines.is_empty() {
            self.first_line = number;
        }
        self.size += line.len() + 1;
        if self.size > MOST {
            self.is_too_long = true;
            return;
        }
        self.lines.push(line.to_vec());
    }

    /// Its fields `Name: value`, folded lines as one (RFC 5322 §2.2.3).
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in &self.lines {
            let text = String::from_utf8_lossy(line);
            if text.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push(' ');
                    value.push_str(text.trim());
                }
            } else if let Some((name, value)) = text.split_once(':') {
                fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        fields
    }
}

/// Follows the parts of one message after another, as a mailbox holds them. Of a message in parts
/// the next begins only behind the end of its last: no part can pass for another message.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// `--boundary`.
    delimiter: Option<Vec<u8>>,
    part: Part,
}

impl Parts {
    /// Takes a line; the part that it ended.
    pub(super) fn line(&mut self, line: &[u8], number: u64) -> Option<Part> {
        let line = line.trim_ascii_end();
        if let Some(delimiter) = &self.delimiter
            && let Some(rest) = line.strip_prefix(delimiter.as_slice())
        {
            match rest {
                b"" => {
                    let next = Part::at(self.part.place + 1);
                    return Some(std::mem::replace(&mut self.part, next));
                }
                b"--" => {
                    self.delimiter = None;
                    return Some(std::mem::take(&mut self.part));
                }
                _ => {}
            }
        }
        if self.part.place == 0 && self.delimiter.is_none() {
            self.delimiter = boundary(line);
        }
        self.part.add(line, number);
        None
    }

    /// What there is of a part that nothing ended.
    pub(super) fn end(&mut self) -> Option<Part> {
        let part = std::mem::take(self).part;
        (!part.lines.is_empty()).then_some(part)
    }

    /// What there is so far of what stands alone.
    pub(super) fn alone(&self) -> Option<&Part> {
        (self.part.place == 0 && self.delimiter.is_none()).then_some(&self.part)
    }
}

/// `boundary="…"` of a Content-Type, which may be folded onto a line of its own.
fn boundary(line: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(line).ok()?;
    let is_of_header = text.starts_with([' ', '\t'])
        || text
            .get(..13)
            .is_some_and(|name| name.eq_ignore_ascii_case("content-type:"));
    let lower = text.to_ascii_lowercase();
    let at = lower.find("boundary=").filter(|_| is_of_header)?;
    let value = text.get(at + 9..)?;
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => value.split([';', ' ', '\t']).next()?,
    };
    // RFC 2046 §5.1.1: 70 characters at most.
    (1..=70)
        .contains(&value.len())
        .then(|| format!("--{value}").into_bytes())
}
