//! Dialect files: what an operator writes, and what is wrong with it.

use std::{collections::BTreeMap, ops::Range};

use jiff::tz::{Offset, TimeZone};
use memchr::memmem::Finder;
use portledger_model::Realm;
use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::{
    Dialect, NamedRealm,
    fields::Field,
    message::{Body, Kind, Message},
    pairs::Pairs,
    pattern::Pattern,
    reader::SEVERAL,
    rules::{LimitKind, Tells},
};
use crate::event::Phase;

/// A dialect file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}, line {line}: {problem}")]
pub struct DialectError {
    /// The file's name, as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there, and what to do.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    about: String,
    #[serde(default)]
    source: Vec<String>,
    zone: Option<Spanned<String>>,
    #[serde(default)]
    several: bool,
    #[serde(default)]
    realms: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    message: Vec<Spanned<FileMessage>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileMessage {
    is: String,
    #[serde(default)]
    has: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    pattern: Option<Spanned<String>>,
    keys: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    event: Spanned<String>,
    phase: Option<Spanned<String>>,
    #[serde(default)]
    words: BTreeMap<String, Spanned<String>>,
    limit: Option<Spanned<String>>,
    why: Option<String>,
}

/// A problem and the bytes it is at.
struct Problem(Range<usize>, String);

type Checked<T> = Result<T, Problem>;

pub(super) fn read(file: &str, text: &str) -> Result<Dialect, DialectError> {
    let error = |at: usize, problem: String| DialectError {
        file: file.to_owned(),
        line: 1 + text.bytes().take(at).filter(|&b| b == b'\n').count(),
        problem,
    };
    let parsed: File = toml::from_str(text).map_err(|wrong| {
        let at = wrong.span().map_or(0, |span| span.start);
        error(at, wrong.message().to_owned())
    })?;
    dialect(parsed).map_err(|Problem(span, problem)| error(span.start, problem))
}

fn dialect(file: File) -> Checked<Dialect> {
    let name_span = file.name.span();
    let name = file.name.into_inner();
    if Realm::new(&name).is_err() {
        return Err(Problem(
            name_span,
            "a dialect's name is 1 to 64 letters, digits, '.', '_' or '-'".into(),
        ));
    }
    if file.message.is_empty() {
        return Err(Problem(
            name_span,
            "a dialect needs one [[message]] or more".into(),
        ));
    }
    if file.several && file.message.len() > SEVERAL {
        let problem =
            format!("a dialect with several records a line has at most {SEVERAL} messages");
        return Err(Problem(name_span, problem));
    }
    let several = file.several;
    let messages: Checked<Vec<_>> = file
        .message
        .into_iter()
        .map(|text| message(text, several))
        .collect();
    Ok(Dialect {
        name: name.into(),
        about: file.about.into(),
        source: file.source.into_iter().map(Into::into).collect(),
        zone: file.zone.map(zone).transpose()?,
        several: file.several,
        realms: realms(file.realms)?,
        messages: messages?,
    })
}

fn zone(text: Spanned<String>) -> Checked<TimeZone> {
    let name = text.get_ref();
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    fixed_offset(name)
        .or_else(|| TimeZone::get(name).ok())
        .ok_or_else(|| {
            let what = format!(
                "'{name}' is no zone that is known here: UTC, an offset such as +01:00, or a name of the tz database such as Europe/Berlin"
            );
            Problem(text.span(), what)
        })
}

/// `+01:00`
fn fixed_offset(text: &str) -> Option<TimeZone> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let in_range = (0..=14).contains(&hours) && (0..60).contains(&minutes);
    let seconds = sign * (hours * 3_600 + minutes * 60);
    let offset = Offset::from_seconds(seconds).ok().filter(|_| in_range)?;
    Some(TimeZone::fixed(offset))
}

/// `"name as the device writes it" = "realm"`; an empty realm is the reader's own.
fn realms(realms: BTreeMap<String, Spanned<String>>) -> Checked<Vec<NamedRealm>> {
    let realm = |(told, realm): (String, Spanned<String>)| {
        let told: Box<[u8]> = told.into_bytes().into();
        if realm.get_ref().is_empty() {
            return Ok((told, None));
        }
        match Realm::new(realm.get_ref()) {
            Ok(realm) => Ok((told, Some(realm))),
            Err(wrong) => Err(Problem(realm.span(), wrong.to_string())),
        }
    };
    realms.into_iter().map(realm).collect()
}

fn message(message: Spanned<FileMessage>, several: bool) -> Checked<Message> {
    let span = message.span();
    let message = message.into_inner();
    let problem = |text: &str| Problem(span.clone(), format!("'{}': {text}", message.is));
    let kind = kind(&message, &span)?;
    let body = match (&message.pattern, &message.keys) {
        (Some(text), Some(keys)) => Body::Both(pattern(text)?, pairs(keys)?),
        (Some(text), None) => Body::Pattern(pattern(text)?),
        (None, Some(keys)) => Body::Pairs(pairs(keys)?),
        (None, None) => Body::Nothing,
    };
    if message
        .has
        .iter()
        .chain(&message.lacks)
        .any(String::is_empty)
    {
        return Err(problem(
            "an empty text in 'has' or 'lacks' is in every line",
        ));
    }
    if matches!(body, Body::Pairs(_) | Body::Nothing) && message.has.is_empty() {
        return Err(problem("give the texts that its lines have: has = [\"…\"]"));
    }
    if let Body::Pattern(pattern) | Body::Both(pattern, _) = &body
        && several
        && pattern.is_anchored()
    {
        return Err(problem(
            "'^' is at one place of a line, which may hold several records here",
        ));
    }
    let words = words(&message.words)?;
    let phase = message.phase.as_ref().map(phase).transpose()?;
    if let Kind::Event(tells) = kind {
        complete(tells, &body, phase.is_some() || !words.is_empty())
            .map_err(|text| problem(&text))?;
    }
    Ok(Message {
        has: finders(&message.has),
        lacks: finders(&message.lacks),
        name: message.is.into(),
        body,
        kind,
        phase,
        words,
    })
}

fn finders(texts: &[String]) -> Vec<Finder<'static>> {
    let finder = |text: &String| Finder::new(text).into_owned();
    texts.iter().map(finder).collect()
}

fn kind(message: &FileMessage, span: &Range<usize>) -> Checked<Kind> {
    let why = || {
        let missing = || Problem(span.clone(), format!("'{}': say why", message.is));
        message
            .why
            .clone()
            .map(String::into_boxed_str)
            .ok_or_else(missing)
    };
    let limit = || match message.limit.as_ref().map(|limit| limit.get_ref().as_str()) {
        Some("blocks") => Ok(LimitKind::Blocks),
        Some("ports") => Ok(LimitKind::Ports),
        Some("rate") => Ok(LimitKind::Rate),
        Some("state") => Ok(LimitKind::State),
        _ => Err(Problem(
            span.clone(),
            format!("'{}': limit is blocks, ports, rate or state", message.is),
        )),
    };
    Ok(match message.event.get_ref().as_str() {
        "block" => Kind::Event(Tells::Block),
        "mapping" => Kind::Event(Tells::Mapping),
        "session" => Kind::Event(Tells::Session),
        "address" => Kind::Event(Tells::Address),
        "exhausted" => Kind::Event(Tells::Exhausted),
        "limit" => Kind::Event(Tells::Limit(limit()?)),
        "nothing" => Kind::Nothing(why()?),
        "refused" => Kind::Refused(why()?),
        other => {
            return Err(Problem(
                message.event.span(),
                format!(
                    "'{other}' is no event: there are block, mapping, session, address, exhausted, limit, and nothing or refused with a reason (why = \"…\")"
                ),
            ));
        }
    })
}

fn pattern(text: &Spanned<String>) -> Checked<Pattern> {
    Pattern::compile(text.get_ref()).map_err(|wrong| Problem(text.span(), wrong.to_string()))
}

fn pairs(keys: &Spanned<BTreeMap<String, Spanned<String>>>) -> Checked<Pairs> {
    let mut pairs = Pairs::new();
    for (field, key) in keys.get_ref() {
        pairs
            .add(field, key.get_ref())
            .map_err(|wrong| Problem(key.span(), wrong))?;
    }
    Ok(pairs)
}

fn words(words: &BTreeMap<String, Spanned<String>>) -> Checked<Vec<(Box<[u8]>, Phase)>> {
    let word = |(word, meaning): (&String, &Spanned<String>)| {
        Ok((word.as_bytes().into(), phase(meaning)?))
    };
    words.iter().map(word).collect()
}

fn phase(text: &Spanned<String>) -> Checked<Phase> {
    match text.get_ref().as_str() {
        "begun" => Ok(Phase::Begun),
        "held" => Ok(Phase::Held),
        "ended" => Ok(Phase::Ended),
        other => Err(Problem(
            text.span(),
            format!("'{other}' is none of begun, held and ended"),
        )),
    }
}

/// Whether the fields are there that the event cannot do without.
fn complete(tells: Tells, body: &Body, has_phase: bool) -> Result<(), String> {
    let gives = |wanted: &dyn Fn(Field) -> bool| match body {
        Body::Pattern(pattern) => pattern.gives(wanted),
        Body::Pairs(pairs) => pairs.gives(wanted),
        Body::Both(pattern, pairs) => pattern.gives(wanted) || pairs.gives(wanted),
        Body::Nothing => false,
    };
    let ports = matches!(tells, Tells::Block | Tells::Mapping | Tells::Session);
    let needs: [(bool, &str, bool); 4] = [
        (
            ports || tells == Tells::Address,
            "external",
            gives(&|field| matches!(field, Field::External | Field::ExternalEndpoint)),
        ),
        (
            ports,
            "first (or port)",
            gives(&|field| matches!(field, Field::First | Field::Port | Field::ExternalEndpoint)),
        ),
        (
            tells == Tells::Block,
            "last or count",
            gives(&|field| matches!(field, Field::Last | Field::Count | Field::ExternalEndpoint)),
        ),
        (
            ports || tells == Tells::Address,
            "phase = \"begun\", \"held\" or \"ended\", or words for the field 'phase'",
            has_phase,
        ),
    ];
    match needs.iter().find(|(needed, _, given)| *needed && !given) {
        Some((_, what, _)) => Err(format!("what tells of it needs {what}")),
        None => Ok(()),
    }
}
