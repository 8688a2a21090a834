//! What to change in haproxy.cfg.

use portledger_servers::Format;

use super::{Frontend, LogFormat, Sections, format_of, records};
use crate::{
    Change, CommandLine, FixError, Machine, Wish, WrittenZone,
    plan::{Plan, by_hand},
    text::indentation,
};

/// `option httplog` with the request's time in UTC as the last column; the headers that are captured
/// stand where they stand there.
pub(super) const HTTP: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq CAPTURED%{+Q}r [%trg]";
/// `option httpslog` with the same.
pub(super) const HTTPS: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq CAPTURED%{+Q}r %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc [%trg]";
/// `option tcplog` with the connect's time in UTC as the last column.
pub(super) const TCP: &str =
    "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq [%T]";

/// The change for one instance.
pub(super) fn change(
    machine: &dyn Machine,
    sections: &Sections,
    path: &str,
    wish: Wish,
) -> Result<Change, FixError> {
    let frontends = sections.frontends();
    let lacking: Vec<&Frontend<'_>> = frontends
        .iter()
        .filter(|frontend| !frontend.is_logged || !records(machine, frontend).are_enough())
        .collect();
    let mut plan = Plan::default();
    let mut extended = Vec::new();
    for frontend in &lacking {
        if let Some(place) = frontend.replaces_source {
            return Err(by_hand(
                place,
                "the client's address comes from a header that names no port: let the proxy in front send the PROXY protocol, with 'accept-proxy' behind bind",
            ));
        }
        if wish == Wish::Parallel && frontend.is_logged {
            return Err(by_hand(
                frontend.place(),
                "a frontend writes one line for each connection: the time can only go into that, as its last column",
            ));
        }
        if !frontend.is_logged {
            logged(&mut plan, sections, frontend);
        }
        if !records(machine, frontend).are_enough() {
            told(&mut plan, sections, frontend, &mut extended)?;
        }
    }
    if lacking.iter().any(|frontend| !frontend.is_logged) && sections.global_target().is_none() {
        global(&mut plan, sections, path);
    }
    let mut remarks = Vec::new();
    if !plan.is_empty() {
        remarks.push(
            "the columns of HAProxy's own formats stay where they are; the time in UTC is the last one".to_owned(),
        );
    }
    Ok(Change {
        edits: plan.edits(|file| sections.texts.text(file))?,
        check: Some(CommandLine::new("haproxy", &["-c", "-q", "-f", path])),
        reload: "systemctl reload haproxy".to_owned(),
        remarks,
    })
}

/// Sends what a frontend has to say to where `global` says.
fn logged(plan: &mut Plan, sections: &Sections, frontend: &Frontend<'_>) {
    // `no log` would throw it away again.
    let last_no = frontend.section.iter().rfind(|it| it.is(&["no", "log"]));
    let after = last_no.unwrap_or(frontend.first());
    add_line(
        plan,
        sections,
        frontend,
        after.place.file.as_ref(),
        after.end(),
        "log global",
    );
}

fn add_line(
    plan: &mut Plan,
    sections: &Sections,
    frontend: &Frontend<'_>,
    file: &str,
    at: usize,
    line: &str,
) {
    let text = sections.texts.text(file);
    let indentation = match frontend.section.get(1) {
        Some(statement) => indentation(text, statement.start()),
        None => "    ",
    };
    // A comment may follow on the line.
    let rest = text.get(at..).unwrap_or_default();
    let end = at + rest.find('\n').unwrap_or(rest.len());
    plan.insert(file, end, format!("\n{indentation}{line}"));
}

/// Gets port and certain time into a frontend's lines.
fn told(
    plan: &mut Plan,
    sections: &Sections,
    frontend: &Frontend<'_>,
    extended: &mut Vec<usize>,
) -> Result<(), FixError> {
    let statement = frontend.format_statement;
    if let (LogFormat::Own(text), Some(statement)) = (&frontend.format, statement) {
        let Some(range) = statement.ranges.get(1) else {
            return Err(by_hand(&statement.place, "there is no format here"));
        };
        let key = std::ptr::from_ref(statement) as usize;
        if extended.contains(&key) {
            return Ok(());
        }
        extended.push(key);
        let raw = sections.texts.text(&statement.place.file);
        let raw = raw.get(range.clone()).unwrap_or_default();
        let columns = columns(&frontend.format, text);
        let file = &statement.place.file;
        match raw.chars().next() {
            Some(quote @ ('"' | '\'')) if raw.len() > 1 && raw.ends_with(quote) => {
                plan.insert(file, range.end - 1, columns);
            }
            Some('"' | '\'') => {
                return Err(by_hand(&statement.place, "the format's end was not found"));
            }
            _ => plan.insert(file, range.end, columns.replace(' ', "\\ ")),
        }
        return Ok(());
    }
    let text = match (frontend.is_http, &frontend.format) {
        (true, LogFormat::Https) => HTTPS,
        (true, _) => HTTP,
        (false, _) => TCP,
    };
    let line = format!("log-format \"{}\"", with_captures(text, frontend));
    match statement.filter(|_| frontend.has_own_format()) {
        Some(statement) => {
            let place = statement.start()..statement.end();
            plan.add(&statement.place.file, place, line);
        }
        None => {
            let first = frontend.first();
            add_line(
                plan,
                sections,
                frontend,
                &first.place.file,
                first.end(),
                &line,
            );
        }
    }
    Ok(())
}

/// Where nothing is captured HAProxy leaves out the column and the space: so does the format.
pub(super) fn with_captures(text: &str, frontend: &Frontend<'_>) -> String {
    let captures = |what: &str, action: &str| {
        frontend.section.iter().any(|statement| {
            statement.is(&["capture", what])
                || statement.is(&["declare", "capture", what])
                || statement.is(&[action, "capture"])
        })
    };
    let mut columns = String::new();
    if captures("request", "http-request") {
        columns += "%hr ";
    }
    if captures("response", "http-response") {
        columns += "%hs ";
    }
    text.replace("CAPTURED", &columns)
}

/// What a format of the operator's own lacks.
fn columns(format: &LogFormat, text: &str) -> String {
    let name = format_of(format);
    let parsed = Format::parse(&name).ok();
    let recorded = parsed.as_ref().and_then(Format::recorded);
    let mut columns = String::new();
    if !parsed.as_ref().is_some_and(Format::has_port) {
        columns += match text.contains("%ci") {
            true => " %cp",
            false => " %ci %cp",
        };
    }
    let is_certain = recorded
        .is_some_and(|recorded| matches!(recorded.zone, WrittenZone::Utc | WrittenZone::Offset));
    if !is_certain {
        columns += match text.contains("%tr") || text.contains("}tr") {
            true => " [%trg]",
            false => " [%T]",
        };
    }
    columns
}

/// Names where logs go.
fn global(plan: &mut Plan, sections: &Sections, path: &str) {
    const LOG: &str = "log /dev/log local0";
    let first = sections.global().and_then(<[_]>::first);
    match first {
        Some(first) => {
            let text = sections.texts.text(&first.place.file);
            let rest = text.get(first.end()..).unwrap_or_default();
            let end = first.end() + rest.find('\n').unwrap_or(rest.len());
            plan.insert(&first.place.file, end, format!("\n    {LOG}"));
        }
        None => plan.insert(path, 0, format!("global\n    {LOG}\n\n")),
    }
}
