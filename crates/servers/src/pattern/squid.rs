//! Squid's `logformat` strings.
//!
//! Times are of the end of the request but for `%tS`. Where `follow_x_forwarded_for` is in effect
//! `%>a` is what the header says while `%>p` is still the port of whoever connected: the text does
//! not tell.

use super::{Element, Escaping, Field, Pattern, TimeForm, Traits, Unit};
use crate::{
    FormatError, Header,
    fields::{End, Side},
    time::strftime::Strftime,
};

/// Squid's own format, named `squid`.
pub(crate) const NATIVE: &str = "%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt";
/// The format named `common`.
pub(crate) const COMMON: &str = r#"%>a %[ui %[un [%tl] "%rm %ru HTTP/%rv" %>Hs %<st %Ss:%Sh"#;
/// The format named `combined`.
pub(crate) const COMBINED: &str =
    r#"%>a %[ui %[un [%tl] "%rm %ru HTTP/%rv" %>Hs %<st "%{Referer}>h" "%{User-Agent}>h" %Ss:%Sh"#;
/// The format named `referrer`.
pub(crate) const REFERRER: &str = "%ts.%03tu %>a %{Referer}>h %ru";

/// Compiles the specification of a `logformat`, or one of the names that are built in.
pub(crate) fn compile(text: &str) -> Result<Pattern, FormatError> {
    let text = match text {
        "squid" => NATIVE,
        "common" => COMMON,
        "combined" => COMBINED,
        "referrer" => REFERRER,
        text => text,
    };
    let mut elements = Vec::new();
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = if rest.starts_with('%') {
            let code = Code::read(rest, at)?;
            for element in code.elements(at)? {
                places.push(at);
                elements.push(element);
            }
            code.length
        } else {
            let length = rest.find('%').unwrap_or(rest.len());
            let literal = rest.get(..length).unwrap_or_default();
            places.push(at);
            elements.push(Element::Literal(literal.as_bytes().to_vec()));
            length
        };
        at += length;
    }
    // Quotes and backslashes in a value get a backslash where the value stands in quotes, and
    // stay what they are elsewhere.
    let traits = Traits {
        escaping: if text.contains('"') {
            Escaping::Backslash
        } else {
            Escaping::None
        },
        ..Traits::HTTP
    };
    Pattern::new(elements, &places, traits)
}

/// `% [encoding] [-] [[0]width] [{argument}] code [{argument}]`.
struct Code<'a> {
    raw: bool,
    width: &'a str,
    argument: Option<&'a str>,
    name: &'static str,
    length: usize,
}

impl<'a> Code<'a> {
    fn read(text: &'a str, at: usize) -> Result<Self, FormatError> {
        let unknown = |what: String| FormatError::Unknown {
            what,
            place: at + 1,
        };
        let mut rest = text.get(1..).unwrap_or_default();
        let mut raw = false;
        if let Some(after) = rest.strip_prefix(['"', '[', '#', '/', '\'']) {
            raw = rest.starts_with('\'');
            rest = after;
        }
        let after_width =
            rest.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
        let width = rest
            .get(..rest.len() - after_width.len())
            .unwrap_or_default();
        rest = after_width;
        let mut argument = None;
        let mut take_argument = |rest: &mut &'a str| -> Result<(), FormatError> {
            if let Some(inner) = rest.strip_prefix('{') {
                let end = inner
                    .find('}')
                    .ok_or_else(|| unknown("a '{' without its '}'".to_owned()))?;
                argument = inner.get(..end);
                *rest = inner.get(end + 1..).unwrap_or_default();
            }
            Ok(())
        };
        take_argument(&mut rest)?;
        let name = CODES
            .iter()
            .filter(|name| rest.starts_with(**name))
            .max_by_key(|name| name.len())
            .ok_or_else(|| {
                let code: String = rest
                    .chars()
                    .take_while(|c| !c.is_whitespace())
                    .take(12)
                    .collect();
                unknown(format!("the format code %{code}"))
            })?;
        rest = rest.get(name.len()..).unwrap_or_default();
        take_argument(&mut rest)?;
        Ok(Self {
            raw,
            width,
            argument,
            name,
            length: text.len() - rest.len(),
        })
    }

    fn elements(&self, at: usize) -> Result<Vec<Element>, FormatError> {
        let time = |form| Field::Time(form, End::End);
        let field = match self.name {
            "%" => return Ok(vec![Element::Literal(b"%".to_vec())]),
            ">a" => Field::Address(Side::Remote),
            ">p" => Field::Port(Side::Remote),
            ">la" | "la" => Field::ServerAddress,
            ">lp" | "lp" => Field::ServerPort,
            "ts" => time(TimeForm::EpochUnits(1_000_000)),
            // With fewer places than these it would not be clear what part of a second it is.
            "tu" if self.width == "03" => time(TimeForm::MillisOfSecond),
            "tu" => return Err(self.unreadable("%tu without a width of 03", at)),
            "tS" => Field::Time(TimeForm::EpochSeconds, End::Start),
            "tl" | "tg" => match self.argument {
                None => time(TimeForm::CommonLog),
                Some(text) => time(TimeForm::Strftime(Strftime::compile(text).map_err(
                    |reason| FormatError::TimeText {
                        reason,
                        place: at + 1,
                    },
                )?)),
            },
            "tr" => Field::Duration(Unit::Millis),
            ">h" => self
                .argument
                .and_then(Header::named)
                .map_or(Field::Text, Field::Header),
            _ if TOKENS.contains(&self.name) => Field::Token,
            _ => Field::Text,
        };
        if self.raw && matches!(field, Field::Text | Field::Header(_)) {
            return Err(self.unreadable("a value with a client's own quotes (%')", at));
        }
        if self.width.contains('-') {
            return Err(self.unreadable("a value with spaces after it (%-)", at));
        }
        let fills = !self.width.is_empty() && !self.width.starts_with('0');
        let mut elements = Vec::new();
        if fills && !matches!(field, Field::Text | Field::Header(_)) {
            elements.push(Element::Spaces);
        }
        elements.push(Element::Field(field));
        Ok(elements)
    }

    #[expect(clippy::unused_self, reason = "an error about this code")]
    fn unreadable(&self, what: &str, at: usize) -> FormatError {
        FormatError::Unknown {
            what: what.to_owned(),
            place: at + 1,
        }
    }
}

/// Every code of Squid 5, 6 and 7.
const CODES: &[&str] = &[
    "%",
    "sn",
    "err_code",
    "err_detail",
    "note",
    "[un",
    ">a",
    ">A",
    ">p",
    ">eui",
    ">la",
    ">lp",
    ">qos",
    ">nfmark",
    "la",
    "lp",
    "<a",
    "<A",
    "<p",
    "<la",
    "<lp",
    "<qos",
    "<nfmark",
    ">handshake",
    "transport::>connection_id",
    "master_xaction",
    "ts",
    "tu",
    "tl",
    "tg",
    "tr",
    "dt",
    "tS",
    "busy_time",
    "credentials",
    "un",
    "ul",
    "ui",
    "us",
    "ue",
    ">h",
    ">ha",
    "<h",
    "<rs",
    "rm",
    ">rm",
    "<rm",
    "ru",
    ">ru",
    "<ru",
    ">rs",
    ">rd",
    "<rd",
    ">rP",
    "<rP",
    "rp",
    ">rp",
    "<rp",
    "rv",
    ">rv",
    "<rv",
    "Hs",
    ">Hs",
    "<Hs",
    "Ss",
    "Sh",
    "mt",
    "st",
    ">st",
    "<st",
    ">sh",
    "<sh",
    "<bs",
    "<pt",
    "<tt",
    "request_attempts",
    "ssl::bump_mode",
    "ssl::>sni",
    "ssl::>cert_subject",
    "ssl::>cert_issuer",
    "ssl::<cert_subject",
    "ssl::<cert_issuer",
    "ssl::<cert",
    "ssl::<cert_errors",
    "ssl::>negotiated_version",
    "ssl::<negotiated_version",
    "ssl::>received_hello_version",
    "ssl::<received_hello_version",
    "ssl::>received_supported_version",
    "ssl::<received_supported_version",
    "ssl::>negotiated_cipher",
    "ssl::<negotiated_cipher",
    "icap::<A",
    "icap::<last_h",
    "icap::<service_name",
    "icap::>h",
    "icap::>st",
    "icap::ru",
    "icap::rm",
    "icap::to",
    "icap::tr",
    "icap::tt",
    "icap::tio",
    "icap::Hs",
    "icap::<h",
    "icap::<st",
    "icap::<bs",
    "adapt::<last_h",
    "adapt::sum_trs",
    "adapt::all_trs",
    "et",
    "ea",
    "ew",
];

/// Those whose values have no spaces, whatever a client sends.
const TOKENS: &[&str] = &[
    "mt",
    "sn",
    "Ss",
    "Sh",
    "Hs",
    ">Hs",
    "<Hs",
    "st",
    ">st",
    "<st",
    ">sh",
    "<sh",
    "<bs",
    "<pt",
    "<tt",
    "dt",
    "busy_time",
    "<p",
    "<la",
    "<lp",
    ">qos",
    "<qos",
    ">nfmark",
    "<nfmark",
    "master_xaction",
    "request_attempts",
    "rv",
    ">rv",
    "<rv",
    ">eui",
    "<a",
    "<A",
    ">A",
];
