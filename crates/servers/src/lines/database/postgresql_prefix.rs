//! `postgresql:PREFIX`: PostgreSQL's text log by its `log_line_prefix`, which needs `%r` (address
//! and port) or `%h` (the address alone), and `%m`, `%t` or `%n`.

use portledger_model::{Moment, Transport};

use crate::{
    FormatError, Options, Reason, Skip,
    fields::{End, Side},
    lines::Lines,
    pattern::{Element, Escaping, Field, Pattern, TimeForm, Traits},
    reader::Outcome,
    time::strftime::Strftime,
};

/// What a `log_line_prefix` makes of a line.
#[derive(Debug, Clone)]
pub(crate) struct Prefixed {
    pattern: Pattern,
}

impl Prefixed {
    /// Compiles the setting's text.
    pub(in crate::lines) fn compile(text: &str) -> Result<Self, FormatError> {
        let mut elements = Vec::new();
        let mut places = Vec::new();
        let mut bytes = text.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            let added = if byte == b'%' {
                // `%-10u` and `%5p` pad with spaces.
                let mut letter = bytes.next();
                while let Some((_, b'-' | b'0'..=b'9')) = letter {
                    letter = bytes.next();
                }
                let (_, letter) = letter.ok_or_else(|| unknown("a lone '%'", at))?;
                escape(letter, at)?
            } else {
                vec![Element::Literal(vec![byte])]
            };
            places.extend(added.iter().map(|_| at));
            elements.extend(added);
        }
        if !matches!(elements.last(), Some(Element::Literal(_))) {
            return Err(unknown(
                "a prefix without a space or other text at its end",
                text.len(),
            ));
        }
        // The severity's own words say where a name in the prefix ends.
        elements.push(Element::Field(Field::Token));
        elements.push(Element::Literal(b":  ".to_vec()));
        elements.push(Element::Field(Field::Text));
        places.extend([text.len(); 3]);
        let traits = Traits {
            escaping: Escaping::None,
            end: Moment::Logged,
            transport: Some(Transport::Tcp),
        };
        Ok(Self {
            pattern: Pattern::new(elements, &places, traits)?,
        })
    }

    /// Whether the prefix has `%r`.
    pub(in crate::lines) const fn has_port(&self) -> bool {
        self.pattern.has_port()
    }
}

fn unknown(what: &str, at: usize) -> FormatError {
    FormatError::Unknown {
        what: what.to_owned(),
        place: at + 1,
    }
}

fn escape(letter: u8, at: usize) -> Result<Vec<Element>, FormatError> {
    let field = |field| Ok(vec![Element::Field(field)]);
    let literal = |text: &[u8]| Element::Literal(text.to_vec());
    match letter {
        b'%' => Ok(vec![literal(b"%")]),
        // Stops here in processes that serve nobody: those lines name nobody.
        b'q' => Ok(Vec::new()),
        b'r' => Ok(vec![
            Element::Field(Field::Address(Side::Remote)),
            literal(b"("),
            Element::Field(Field::Port(Side::Remote)),
            literal(b")"),
        ]),
        b'h' => field(Field::Address(Side::Remote)),
        b'n' => field(Field::Time(TimeForm::EpochSeconds, End::End)),
        b't' => Ok(vec![civil(at)?, literal(b" "), zone(at)?]),
        b'm' => Ok(vec![
            civil(at)?,
            literal(b"."),
            Element::Field(Field::Time(TimeForm::MillisOfSecond, End::End)),
            literal(b" "),
            zone(at)?,
        ]),
        // Names are the client's to choose, and so is what it says it is.
        b'a' | b'u' | b'd' | b'i' => field(Field::Text),
        b'b' => field(Field::Text),
        b'p' | b'P' | b'l' | b'c' | b'e' | b'v' | b'x' | b'Q' => field(Field::Token),
        // A session's start is in two words, with a zone.
        b's' => field(Field::Text),
        other => Err(unknown(&format!("%{}", char::from(other)), at)),
    }
}

fn civil(at: usize) -> Result<Element, FormatError> {
    strftime("%Y-%m-%d %H:%M:%S", at)
}

fn zone(at: usize) -> Result<Element, FormatError> {
    strftime("%Z", at)
}

fn strftime(text: &str, at: usize) -> Result<Element, FormatError> {
    let compiled = Strftime::compile(text);
    let compiled = compiled.map_err(|reason| FormatError::Strftime {
        reason,
        place: at + 1,
    })?;
    Ok(Element::Field(Field::Time(
        TimeForm::Strftime(compiled),
        End::End,
    )))
}

impl Lines for Prefixed {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        if line.starts_with(b"\t") {
            return Ok(Err(Skip::NoClient));
        }
        match self.pattern.read(line, number, options) {
            // Of a process that serves nobody the prefix has nothing there, and of a client through
            // a UNIX domain socket a word.
            Err((at, Reason::Literal { .. } | Reason::HostName | Reason::NoAddress))
                if is_of_nobody(line, at) =>
            {
                Ok(Err(Skip::NoClient))
            }
            read => read.map(Ok),
        }
    }
}

/// Whether the prefix has no address where reading stopped.
fn is_of_nobody(line: &[u8], at: usize) -> bool {
    let rest = line.get(at..).unwrap_or_default();
    let severities: &[&[u8]] = &[
        b"LOG:  ",
        b"WARNING:  ",
        b"ERROR:  ",
        b"FATAL:  ",
        b"HINT:  ",
        b"DETAIL:  ",
    ];
    let begins = |text: &[u8]| severities.iter().any(|severity| text.starts_with(severity));
    let before = line.get(..at).unwrap_or_default();
    rest.starts_with(b"[local]")
        || before.ends_with(b"[local]")
        || begins(rest)
        || begins(rest.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::{Format, testing::read_lines};

    #[test]
    fn what_a_client_calls_itself_never_passes_for_its_address() {
        insta::assert_snapshot!(read_lines(
            "postgresql:%m [%p] %r %u ",
            None,
            &[
                "2026-11-21 10:53:22.123 UTC [7] 203.0.113.7(49152) alice LOG:  connection authorized: user=alice",
                "2026-11-21 10:53:22.123 UTC [7] 2001:db8::7(2026) 192.0.2.66(4242) LOG:  x LOG:  y",
                "2026-11-21 10:53:22.123 UTC [7] [local] alice LOG:  y",
                "2026-11-21 10:53:22.123 UTC [1]   LOG:  checkpoint starting: time",
                "\tselect 1",
                "2026-11-21 10:53:22.123 EST [7] 203.0.113.7(49152) alice LOG:  y",
            ]
        ));
        insta::assert_snapshot!(read_lines(
            "postgresql:%t %u %r ",
            Some(TimeZone::UTC),
            &[
                "2026-11-21 10:53:22 EST alice 203.0.113.7(49152) LOG:  y",
                "2026-11-21 10:53:22 EST x 192.0.2.66(4242) LOG:  y 203.0.113.7(49152) LOG:  y",
            ]
        ));
    }

    #[test]
    fn a_prefix_without_a_client_or_a_time_is_refused() {
        for prefix in ["%m [%p] ", "%r ", "%m %u%d %r ", "%m %Y "] {
            let error = Format::parse(&format!("postgresql:{prefix}")).unwrap_err();
            assert!(!error.to_string().is_empty(), "{prefix}");
        }
    }
}
