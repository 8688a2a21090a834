//! HAProxy's sections, and what a frontend inherits from the defaults before it.

use portledger_servers::config::Place;

use super::super::words::{Statement, Syntax, Texts};
use crate::{LookError, machine::Machine};

const SYNTAX: Syntax = Syntax {
    is_quoted: true,
    include: |_| None,
};

const KEYWORDS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "resolvers",
    "mailers",
    "cache",
    "program",
    "ring",
    "http-errors",
    "fcgi-app",
    "log-forward",
    "log-profile",
    "crt-store",
    "traces",
    "acme",
];

/// A configuration by sections.
pub(super) struct Sections {
    pub(super) texts: Texts,
    /// Where in the statements each section begins.
    starts: Vec<usize>,
}

/// How lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogFormat {
    /// `Connect from …`: no option names another.
    Bare,
    Http,
    HttpClf,
    Https,
    Tcp,
    Own(String),
}

/// A `frontend` or `listen` with what it inherits.
pub(super) struct Frontend<'a> {
    pub(super) section: &'a [Statement],
    pub(super) is_http: bool,
    pub(super) is_logged: bool,
    /// Whether the section, or its defaults, is told to send to what `global` names.
    pub(super) target: String,
    pub(super) format: LogFormat,
    /// What names the format, here or in the defaults.
    pub(super) format_statement: Option<&'a Statement>,
    /// Where the client's address is replaced and its port is not.
    pub(super) replaces_source: Option<&'a Place>,
    pub(super) is_one_port: bool,
    first: &'a Statement,
}

impl<'a> Frontend<'a> {
    pub(super) fn name(&self) -> &str {
        self.first.word(1)
    }

    pub(super) const fn place(&self) -> &'a Place {
        &self.first.place
    }

    /// The line that begins the section.
    pub(super) const fn first(&self) -> &'a Statement {
        self.first
    }

    pub(super) fn format_place(&self) -> &'a Place {
        self.format_statement
            .map_or(&self.first.place, |it| &it.place)
    }

    /// Whether the section itself names the format.
    pub(super) fn has_own_format(&self) -> bool {
        self.format_statement
            .is_some_and(|wanted| self.section.iter().any(|it| std::ptr::eq(it, wanted)))
    }
}

impl Sections {
    pub(super) fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let mut texts = Texts::read(machine, path, SYNTAX)?;
        if path == "/etc/haproxy/haproxy.cfg" {
            // Red Hat's unit reads these as well.
            texts.also(machine, "/etc/haproxy/conf.d/*.cfg", SYNTAX);
        }
        let statements = texts.statements.iter().enumerate();
        let starts = statements
            .filter(|(_, statement)| KEYWORDS.contains(&statement.word(0)))
            .map(|(at, _)| at)
            .collect();
        Ok(Self { texts, starts })
    }

    /// Every section, its first line included.
    fn all(&self) -> impl DoubleEndedIterator<Item = &[Statement]> {
        let ends = self.starts.iter().skip(1).copied();
        let ends = ends.chain([self.texts.statements.len()]);
        let ends: Vec<usize> = ends.collect();
        self.starts
            .iter()
            .zip(ends)
            .map(|(start, end)| self.texts.statements.get(*start..end).unwrap_or_default())
            .collect::<Vec<_>>()
            .into_iter()
    }

    pub(super) fn global(&self) -> Option<&[Statement]> {
        self.all().find(|section| is(section, "global"))
    }

    /// Where the global section sends logs.
    pub(super) fn global_target(&self) -> Option<&str> {
        let mut globals = self.all().filter(|section| is(section, "global"));
        globals.find_map(|section| {
            let mut logs = section.iter().filter(|statement| statement.is(&["log"]));
            logs.find_map(|log| Some(log.word(1)).filter(|word| !word.is_empty()))
        })
    }

    pub(super) fn frontends(&self) -> Vec<Frontend<'_>> {
        let mut frontends = Vec::new();
        let mut defaults: Vec<&[Statement]> = Vec::new();
        for section in self.all() {
            let Some(first) = section.first() else {
                continue;
            };
            match first.word(0) {
                "defaults" => defaults.push(section),
                "frontend" | "listen" => {
                    frontends.push(self.frontend(section, first, &defaults));
                }
                _ => {}
            }
        }
        frontends
    }

    fn frontend<'a>(
        &'a self,
        section: &'a [Statement],
        first: &'a Statement,
        defaults: &[&'a [Statement]],
    ) -> Frontend<'a> {
        let mut frontend = Frontend {
            section,
            is_http: false,
            is_logged: false,
            target: String::new(),
            format: LogFormat::Bare,
            format_statement: None,
            replaces_source: None,
            is_one_port: false,
            first,
        };
        for section in inherited(first, defaults) {
            self.apply(&mut frontend, section);
        }
        // A log of the section's own replaces those of the defaults.
        self.apply(&mut frontend, section);
        frontend.is_one_port = is_one_port(section, first);
        frontend
    }

    fn apply<'a>(&'a self, frontend: &mut Frontend<'a>, section: &'a [Statement]) {
        for statement in section.iter().skip(1) {
            let format = match (statement.word(0), statement.word(1), statement.word(2)) {
                ("mode", mode, _) => {
                    frontend.is_http = mode == "http";
                    continue;
                }
                ("no", "log", _) => {
                    frontend.is_logged = false;
                    continue;
                }
                ("log", "global", _) => {
                    if let Some(target) = self.global_target() {
                        frontend.is_logged = true;
                        frontend.target = target.to_owned();
                    }
                    continue;
                }
                ("log", target, _) if !target.is_empty() => {
                    frontend.is_logged = true;
                    frontend.target = target.to_owned();
                    continue;
                }
                ("http-request" | "tcp-request", ..) => {
                    replaced(frontend, statement);
                    continue;
                }
                ("option", "httplog", "clf") => LogFormat::HttpClf,
                ("option", "httplog", _) => LogFormat::Http,
                ("option", "httpslog", _) => LogFormat::Https,
                ("option", "tcplog", _) => LogFormat::Tcp,
                ("log-format", text, _) => LogFormat::Own(text.to_owned()),
                _ => continue,
            };
            frontend.format = format;
            frontend.format_statement = Some(statement);
        }
    }
}

/// The defaults that a section takes, outermost first: those it names, or the last before it.
fn inherited<'a>(first: &Statement, defaults: &[&'a [Statement]]) -> Vec<&'a [Statement]> {
    let named = |words: &[String]| {
        let at = words.iter().position(|word| word == "from")?;
        words.get(at + 1).cloned()
    };
    let by_name = |name: &str| {
        let mut defaults = defaults.iter().rev();
        defaults.find(|section| section.first().is_some_and(|first| first.word(1) == name))
    };
    let mut chain = Vec::new();
    let mut next = match named(&first.words) {
        Some(name) => by_name(&name),
        None => defaults.last(),
    };
    while let Some(section) = next
        && chain.len() < defaults.len()
    {
        chain.insert(0, *section);
        let name = section.first().and_then(|first| named(&first.words));
        next = name.and_then(|name| by_name(&name));
    }
    chain
}

fn replaced<'a>(frontend: &mut Frontend<'a>, statement: &'a Statement) {
    let is = |action: &str| statement.words.iter().any(|word| word == action);
    if is("set-src-port") {
        frontend.replaces_source = None;
    } else if is("set-src") {
        frontend.replaces_source = Some(&statement.place);
    }
}

fn is(section: &[Statement], keyword: &str) -> bool {
    section
        .first()
        .is_some_and(|first| first.word(0) == keyword)
}

/// Whether the section listens on one port: ranges and lists are several.
fn is_one_port(section: &[Statement], first: &Statement) -> bool {
    let binds = section.iter().filter(|statement| statement.is(&["bind"]));
    let mut ports: Vec<&str> = binds
        .map(|bind| bind.word(1))
        .chain((first.word(0) == "listen").then(|| first.word(2)))
        .flat_map(|addresses| addresses.split(','))
        .filter_map(|address| Some(address.rsplit_once(':')?.1))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    matches!(ports.as_slice(), [port] if port.parse::<u16>().is_ok())
}
