//! rsyslog's configuration: its old lines, and of its newer ones actions behind a selector.

use super::{
    Continues, Duration, Finding, Line, Lines, Machine, Range, Route, Rule, SECOND, WrittenZone,
    folder, under, unquoted,
};

const MAIN: &str = "/etc/rsyslog.conf";

pub(super) fn read(machine: &dyn Machine) -> Option<Lines> {
    let includes = |line: &Line| {
        let named = match line.setting(' ') {
            Some(setting) if setting.name.eq_ignore_ascii_case("$IncludeConfig") => {
                Some(setting.value)
            }
            _ if line.text.starts_with("include(") => parameter(&line.raw, "file").map(|it| it.0),
            _ => None,
        };
        named
            .map(|name| under(folder(MAIN), &name))
            .map(|name| match name.strip_suffix('/') {
                Some(folder) => format!("{folder}/*"),
                None => name,
            })
            .into_iter()
            .collect()
    };
    Lines::read(machine, MAIN, Continues::Backslash, &includes).ok()
}

/// The value of `name="value"` in a line, and where it stands there.
fn parameter(raw: &str, name: &str) -> Option<(String, Range<usize>)> {
    let lower = raw.to_ascii_lowercase();
    let mut all = lower.match_indices(name).map(|(at, _)| at);
    all.find_map(|at| {
        let is_word = at == 0 || !lower.as_bytes().get(at - 1)?.is_ascii_alphanumeric();
        let rest = raw.get(at + name.len()..)?;
        let value = rest.trim_start().strip_prefix('=')?.trim_start();
        let value = value.strip_prefix(['"', '\''])?;
        let end = value.find(['"', '\''])?;
        let start = raw.len() - value.len();
        is_word.then(|| {
            (
                value.get(..end).unwrap_or_default().to_owned(),
                start..start + end,
            )
        })
    })
}

/// An action that writes a file for a selector.
struct Action<'a> {
    line: &'a Line,
    path: String,
    /// The template's name and where it stands in the file.
    template: Option<(String, Range<usize>)>,
    /// Whether it names the facility, not `*`.
    is_specific: bool,
}

pub(super) fn route(lines: &Lines, facility: &str, severity: &str) -> Option<Route> {
    let actions: Vec<Action<'_>> = lines
        .all
        .iter()
        .filter_map(|line| action(line, facility, severity))
        .collect();
    let chosen = actions
        .iter()
        .find(|action| action.is_specific)
        .or(actions.first())?;
    let default = default_template(lines);
    let (line, named) = match &chosen.template {
        Some(template) => (chosen.line, template.clone()),
        None => match default {
            Some((line, template)) => (line, template),
            None => return Some(Route::exact(&chosen.path)),
        },
    };
    Some(of_template(lines, &chosen.path, line, named))
}

/// `mail.*  -/var/log/mail.log;TEMPLATE` or `mail.* action(type="omfile" file="…")`.
fn action<'a>(line: &'a Line, facility: &str, severity: &str) -> Option<Action<'a>> {
    let setting = line.setting(' ')?;
    let is_specific = selects(&setting.name, facility, severity)?;
    let target = setting.value.as_str();
    if target.starts_with("action(") {
        let (path, _) = parameter(&line.raw, "file")?;
        let template = parameter(&line.raw, "template").map(|(name, range)| {
            let start = line.range.start;
            (name, start + range.start..start + range.end)
        });
        return Some(Action {
            line,
            path,
            template,
            is_specific,
        });
    }
    let file = target.strip_prefix('-').unwrap_or(target);
    if !file.starts_with('/') {
        return None;
    }
    let (path, template) = match file.split_once(';') {
        Some((path, name)) => {
            let name = name.trim();
            (
                path,
                Some((
                    name.to_owned(),
                    setting.range.end - name.len()..setting.range.end,
                )),
            )
        }
        None => (file, None),
    };
    Some(Action {
        line,
        path: path.trim().to_owned(),
        template,
        is_specific,
    })
}

const SEVERITIES: &[&[&str]] = &[
    &["emerg", "panic"],
    &["alert"],
    &["crit"],
    &["err", "error"],
    &["warning", "warn"],
    &["notice"],
    &["info"],
    &["debug"],
];

fn severity_number(name: &str) -> Option<usize> {
    SEVERITIES.iter().position(|names| names.contains(&name))
}

/// Whether a selector takes the message, and if so whether it names the facility. Parts of a
/// selector that come later overrule those before: `*.*;auth,authpriv.none`.
fn selects(selector: &str, facility: &str, severity: &str) -> Option<bool> {
    let severity = severity_number(severity)?;
    let mut taken = None;
    for part in selector.split(';').filter(|part| !part.is_empty()) {
        let (facilities, priority) = part.rsplit_once('.')?;
        let named = facilities
            .split(',')
            .any(|name| name.eq_ignore_ascii_case(facility));
        if !named && !facilities.split(',').any(|name| name == "*") {
            continue;
        }
        let priority = priority.to_ascii_lowercase();
        let (is_not, priority) = match priority.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, priority.as_str()),
        };
        let takes = match (priority, priority.strip_prefix('=')) {
            ("*", _) => true,
            ("none", _) => {
                taken = None;
                continue;
            }
            (_, Some(only)) => severity_number(only)? == severity,
            (least, None) => severity <= severity_number(least)?,
        };
        match (takes, is_not) {
            (true, false) => taken = Some(named),
            (true, true) => taken = None,
            (false, _) => {}
        }
    }
    taken
}

/// The template of files that name none.
fn default_template(lines: &Lines) -> Option<(&Line, (String, Range<usize>))> {
    let mut all = lines.all.iter().rev();
    all.find_map(|line| {
        if let Some(setting) = line.setting(' ')
            && setting
                .name
                .eq_ignore_ascii_case("$ActionFileDefaultTemplate")
        {
            return Some((line, (setting.value, setting.range)));
        }
        if line.text.starts_with("module(") && line.text.contains("builtin:omfile") {
            let (name, range) = parameter(&line.raw, "template")?;
            let start = line.range.start;
            return Some((line, (name, start + range.start..start + range.end)));
        }
        None
    })
}

fn of_template(
    lines: &Lines,
    path: &str,
    line: &Line,
    (name, range): (String, Range<usize>),
) -> Route {
    match unquoted(&name) {
        "RSYSLOG_FileFormat" | "RSYSLOG_SyslogProtocol23Format" | "RSYSLOG_ForwardFormat" => {
            Route::exact(path)
        }
        "RSYSLOG_TraditionalFileFormat" | "RSYSLOG_TraditionalForwardFormat" => {
            let mut route = Route::traditional(path);
            route.findings = vec![Finding::at(
                Rule::NoYear,
                &line.place,
                format!("{name} writes times without year and offset into {path}"),
            )];
            route.traditional = vec![(line.clone(), range)];
            route
        }
        own => {
            let (zone, step) = of_own_template(lines, own);
            let mut route = Route::exact(path);
            route.zone = zone;
            route.step = step;
            route.findings = vec![Finding::at(
                Rule::Remark,
                &line.place,
                format!(
                    "{path} is written with a template of its own, {own}: its times are told from that template's properties"
                ),
            )];
            route
        }
    }
}

/// What the properties of a template's times say.
fn of_own_template(lines: &Lines, name: &str) -> (WrittenZone, Option<Duration>) {
    let is_it = |line: &&Line| {
        let text = &line.text;
        (text.starts_with("$template ") || text.starts_with("template(")) && text.contains(name)
    };
    let text = lines.all.iter().find(is_it).map_or("", |line| &line.text);
    if text.contains("rfc3339") {
        (WrittenZone::Offset, Some(super::MICROSECOND))
    } else if text.contains("unixtimestamp") {
        (WrittenZone::Utc, Some(SECOND))
    } else if text.contains("timereported")
        || text.contains("timegenerated")
        || text.contains("timestamp")
    {
        (WrittenZone::Local, Some(SECOND))
    } else {
        (WrittenZone::Missing, None)
    }
}
