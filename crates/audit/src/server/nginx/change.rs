//! What to change in nginx's configuration.

use std::ops::Range;

use portledger_servers::{
    Format,
    config::{Log, Place},
};

use super::{Configuration, FixError, Wish};
use crate::{
    Change, CommandLine,
    plan::{self, beside, by_hand},
    text::{indentation, line_start},
};

const COMBINED_PORT: &str = r#"log_format combined_port '$remote_addr - $remote_user [$time_local] "$request" '
                         '$status $body_bytes_sent "$http_referer" "$http_user_agent" PORT';"#;

/// One line a request, which the format `connection` reads.
const CONNECTION: &str =
    "log_format connection '$msec ENDPOINT $server_addr $server_port $request_id';";

/// The change for one instance.
pub(super) fn change(
    configuration: &Configuration,
    path: &str,
    wish: Wish,
) -> Result<Change, FixError> {
    let lacking: Vec<&Log> = configuration
        .definitions
        .logs
        .iter()
        .filter(|log| !log.format.as_ref().is_ok_and(Format::has_port))
        .filter(|log| !configuration.has_port_beside(log))
        .collect();
    let mut plan = Plan {
        configuration,
        edits: plan::Plan::default(),
        http: Vec::new(),
        needs: None,
    };
    for log in lacking {
        match wish {
            Wish::InPlace => plan.in_place(log)?,
            Wish::Parallel => plan.beside(log)?,
        }
    }
    plan.define()?;
    let mut remarks = Vec::new();
    if !plan.edits.is_empty() && wish == Wish::InPlace {
        remarks.push(
            "the port is the last column: GoAccess, AWStats, Webalizer, lnav and fail2ban's nginx filters read on; Analog and fail2ban's apache-badbots do not: for them take --parallel".to_owned(),
        );
    }
    Ok(Change {
        edits: plan.edits.edits(|file| configuration.files.text(file))?,
        check: Some(CommandLine::new("nginx", &["-t", "-c", path])),
        reload: "nginx -s reload".to_owned(),
        remarks,
    })
}

/// A format that the change brings along.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needed {
    CombinedPort,
    Connection,
}

struct Plan<'a> {
    configuration: &'a Configuration,
    edits: plan::Plan,
    /// Directives for the beginning of the `http` block.
    http: Vec<String>,
    needs: Option<Needed>,
}

impl Plan<'_> {
    /// Adds the port to the log's own format, or lets a log of the default format have one with it.
    fn in_place(&mut self, log: &Log) -> Result<(), FixError> {
        let definition = self
            .configuration
            .definitions
            .formats
            .iter()
            .rfind(|definition| definition.name == log.named);
        if let Some(definition) = definition {
            return self.extend(&definition.place.clone());
        }
        if log.named != "combined" {
            return Err(by_hand(
                &log.place,
                &format!("the format '{}' is defined nowhere", log.named),
            ));
        }
        self.needs = Some(Needed::CombinedPort);
        match self.statement(&log.place, "access_log")? {
            Some((file, range)) => {
                let text = self.configuration.files.text(&file);
                let words = text.get(range.clone()).unwrap_or_default();
                let (at, with) = named_format(words, &log.path);
                let place = range.start + at.start..range.start + at.end;
                self.add(&file, place, with);
            }
            // The default that nobody wrote down.
            None => self
                .http
                .push("access_log /var/log/nginx/access.log combined_port;".to_owned()),
        }
        Ok(())
    }

    /// A second log behind the first, in the same block.
    fn beside(&mut self, log: &Log) -> Result<(), FixError> {
        self.needs = Some(Needed::Connection);
        let path = self.configuration.log_path(&log.path);
        let statement = format!("access_log {} connection;", beside(&path));
        match self.statement(&log.place, "access_log")? {
            Some((file, range)) => {
                let text = self.configuration.files.text(&file);
                let with = format!("\n{}{statement}", indentation(text, range.start));
                self.add(&file, range.end..range.end, with);
            }
            // Once any log is named, the default one is written no more.
            None => self.http.extend([format!("access_log {path};"), statement]),
        }
        Ok(())
    }

    /// Puts the port at the end of a format's text.
    fn extend(&mut self, place: &Place) -> Result<(), FixError> {
        let Some((file, range)) = self.statement(place, "log_format")? else {
            return Err(by_hand(place, "the format's text was not found here"));
        };
        let text = self.configuration.files.text(&file);
        let words = text.get(range.clone()).unwrap_or_default();
        let body = words.strip_suffix(';').unwrap_or(words).trim_end();
        let (at, with) = match body.chars().next_back() {
            Some(quote @ ('\'' | '"')) => {
                let inside = body.trim_end_matches(quote).trim_end();
                if inside.ends_with('}') && words.contains("escape=json") {
                    let mark = if quote == '"' { "\\\"" } else { "\"" };
                    let member = format!(",{mark}remote_port{mark}:{mark}{}{mark}", self.port());
                    (inside.len() - 1, member)
                } else {
                    (body.len() - 1, format!(" {}", self.columns()))
                }
            }
            _ => (body.len(), format!("' {}'", self.columns())),
        };
        self.add(&file, range.start + at..range.start + at, with);
        Ok(())
    }

    /// Formats have to be defined before they are used: first of all in `http`.
    fn define(&mut self) -> Result<(), FixError> {
        let (name, definition) = match self.needs {
            None => return Ok(()),
            Some(Needed::CombinedPort) => (
                "combined_port",
                COMBINED_PORT.replace("PORT", &self.columns()),
            ),
            Some(Needed::Connection) => {
                let endpoint = match self.is_hop() {
                    true => "$proxy_protocol_addr $proxy_protocol_port",
                    false => "$remote_addr $remote_port",
                };
                ("connection", CONNECTION.replace("ENDPOINT", endpoint))
            }
        };
        let formats = &self.configuration.definitions.formats;
        match formats.iter().find(|format| format.name == name) {
            None => self.http.insert(0, definition),
            Some(format) if format.format.as_ref().is_ok_and(Format::has_port) => {}
            Some(format) => {
                let why = format!(
                    "a format '{name}' without the port is defined here: give it another name"
                );
                return Err(by_hand(&format.place, &why));
            }
        }
        self.put_into_http()
    }

    /// Puts what is wanted there at the beginning of the `http` block.
    fn put_into_http(&mut self) -> Result<(), FixError> {
        if self.http.is_empty() {
            return Ok(());
        }
        let http = self
            .configuration
            .directives
            .iter()
            .find(|directive| directive.is("http"));
        let Some(http) = http else {
            return Err(FixError::ByHand {
                why: "this file has no http block, into which the format has to go: name the main configuration file".to_owned(),
            });
        };
        let place = http.place.clone();
        let text = self.configuration.files.text(&place.file);
        let open = line_start(text, place.line)
            .and_then(|start| Some(start + text.get(start..)?.find('{')? + 1))
            .ok_or_else(|| by_hand(&place, "the http block's brace was not found here"))?;
        let with: String = self
            .http
            .drain(..)
            .map(|line| format!("\n    {line}"))
            .collect();
        self.add(place.file.as_ref(), open..open, with);
        Ok(())
    }

    /// The statement of this name that begins on the line of `place`, up to its semicolon; `None`
    /// where another directive stands there, which inherits a default.
    fn statement(
        &self,
        place: &Place,
        name: &str,
    ) -> Result<Option<(String, Range<usize>)>, FixError> {
        let text = self.configuration.files.text(&place.file);
        let start = line_start(text, place.line)
            .ok_or_else(|| by_hand(place, "the file has no such line"))?;
        let line = text.get(start..).unwrap_or_default();
        let line = line.lines().next().unwrap_or_default();
        let Some(at) = line.find(name) else {
            return Ok(None);
        };
        let start = start + at;
        let rest = text.get(start..).unwrap_or_default();
        let end = semicolon(rest).ok_or_else(|| by_hand(place, "no semicolon ends this"))?;
        Ok(Some((place.file.to_string(), start..start + end)))
    }

    fn add(&mut self, file: &str, place: Range<usize>, with: String) {
        self.edits.add(file, place, with);
    }

    /// Whether `$remote_port` is a proxy's.
    fn is_hop(&self) -> bool {
        self.configuration
            .proxy_protocol()
            .is_some_and(|proxy| !proxy.is_replaced)
    }

    fn port(&self) -> &'static str {
        if self.is_hop() {
            "$proxy_protocol_port"
        } else {
            "$remote_port"
        }
    }

    /// A port means nothing without the address that it belongs to.
    fn columns(&self) -> String {
        if self.is_hop() {
            "$proxy_protocol_addr $proxy_protocol_port".to_owned()
        } else {
            "$remote_port".to_owned()
        }
    }
}

/// Where the format's name stands in `access_log PATH NAME …;`, or where it should.
fn named_format(words: &str, path: &str) -> (Range<usize>, String) {
    let after_path = words
        .find(path)
        .map_or(words.len() - 1, |at| at + path.len());
    let rest = words.get(after_path..).unwrap_or_default();
    // A path may be in quotes.
    let quote = usize::from(rest.starts_with(['"', '\'']));
    let at = after_path + quote;
    let rest = words.get(at..).unwrap_or_default();
    let named = rest.trim_start().trim_start_matches(['"', '\'']);
    let gap = rest.len() - named.len();
    if named.starts_with("combined") {
        let start = at + gap;
        (start..start + "combined".len(), "combined_port".to_owned())
    } else {
        (at..at, " combined_port".to_owned())
    }
}

/// The length of a statement with its semicolon: not one inside quotes, behind a backslash, or in a
/// comment.
fn semicolon(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match (quote, c) {
            (_, '\\') => drop(characters.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '#') => {
                characters.by_ref().find(|(_, c)| *c == '\n')?;
            }
            (None, ';') => return Some(at + 1),
            (None, _) => {}
        }
    }
    None
}
