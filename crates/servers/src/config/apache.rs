//! Apache httpd's configuration: `LogFormat`, `CustomLog`, `TransferLog`, `ErrorLog`.

use std::{collections::HashMap, sync::Arc};

use super::{ConfigError, DEEPEST, Definition, Definitions, Include, Log, Place, undefined};
use crate::{Format, FormatError, pattern::apache::COMMON};

/// Reads an Apache httpd configuration: its `LogFormat`s, and which log uses which. What stands in
/// `<IfModule>` and the like is taken to be in effect.
///
/// # Errors
/// When a section or a quote has no end, or an include cannot be followed.
pub fn apache(file: &str, text: &str, include: Include<'_>) -> Result<Definitions, ConfigError> {
    let mut reader = Reader {
        include,
        variables: HashMap::new(),
        scopes: vec![Scope::named("server")],
        in_virtual_host: false,
    };
    reader.file(file, text, 0)?;
    Ok(definitions(&reader.scopes))
}

/// The server, or one virtual host.
#[derive(Default)]
struct Scope {
    label: String,
    formats: Vec<(Option<String>, String, Place)>,
    logs: Vec<RawLog>,
    error_logs: Vec<RawLog>,
    /// `ErrorLogFormat` makes the error log one of its own kind.
    has_error_format: bool,
}

struct RawLog {
    path: String,
    /// `None` is the format of a `TransferLog`.
    named: Option<String>,
    place: Place,
}

impl Scope {
    fn named(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            ..Self::default()
        }
    }
}

struct Reader<'i> {
    include: Include<'i>,
    variables: HashMap<String, String>,
    /// The server first, then each virtual host.
    scopes: Vec<Scope>,
    in_virtual_host: bool,
}

impl Reader<'_> {
    fn file(&mut self, file: &str, text: &str, depth: usize) -> Result<(), ConfigError> {
        let file: Arc<str> = file.into();
        for (line, number) in logical_lines(text) {
            let place = Place {
                file: file.clone(),
                line: number,
            };
            self.line(line.trim(), &place, depth)?;
        }
        Ok(())
    }

    fn line(&mut self, line: &str, place: &Place, depth: usize) -> Result<(), ConfigError> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(section) = line.strip_prefix('<') {
            self.section(section, place);
            return Ok(());
        }
        let (name, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let name = name.to_ascii_lowercase();
        let is_ours = matches!(
            name.as_str(),
            "logformat"
                | "customlog"
                | "globallog"
                | "transferlog"
                | "errorlog"
                | "errorlogformat"
                | "define"
                | "include"
                | "includeoptional"
        );
        if !is_ours {
            return Ok(());
        }
        let words = words(rest).map_err(|problem| ConfigError::Syntax {
            place: place.clone(),
            problem,
        })?;
        let words: Vec<String> = words.iter().map(|word| self.expanded(word)).collect();
        match (name.as_str(), words.as_slice()) {
            ("include" | "includeoptional", [pattern, ..]) => {
                return self.included(pattern, name == "includeoptional", place, depth);
            }
            ("define", [variable, value]) => {
                self.variables.insert(variable.clone(), value.clone());
            }
            (_, words) => self.directive(&name, words, place),
        }
        Ok(())
    }

    fn section(&mut self, section: &str, place: &Place) {
        let lower = section.to_ascii_lowercase();
        if lower.starts_with("virtualhost") {
            // Many hosts have the same words: the place tells them apart.
            let label = section.trim_end_matches('>').trim();
            self.scopes
                .push(Scope::named(&format!("{label} ({place})")));
            self.in_virtual_host = true;
        } else if lower.starts_with("/virtualhost") {
            self.in_virtual_host = false;
        }
    }

    fn directive(&mut self, name: &str, words: &[String], place: &Place) {
        let scope = if self.in_virtual_host {
            self.scopes.last_mut()
        } else {
            self.scopes.first_mut()
        };
        let Some(scope) = scope else {
            return;
        };
        let log = |path: &String, named: Option<&String>| RawLog {
            path: path.clone(),
            named: named.cloned(),
            place: place.clone(),
        };
        match (name, words) {
            ("logformat", [text]) => scope.formats.push((None, text.clone(), place.clone())),
            ("logformat", [text, named, ..]) => {
                let format = (Some(named.clone()), text.clone(), place.clone());
                scope.formats.push(format);
            }
            ("customlog" | "globallog", [path, named, ..]) => {
                scope.logs.push(log(path, Some(named)));
            }
            ("transferlog" | "customlog", [path, ..]) => scope.logs.push(log(path, None)),
            ("errorlog", [path, ..]) => scope.error_logs.push(log(path, None)),
            ("errorlogformat", [_, ..]) => scope.has_error_format = true,
            _ => {}
        }
    }

    fn included(
        &mut self,
        pattern: &str,
        optional: bool,
        place: &Place,
        depth: usize,
    ) -> Result<(), ConfigError> {
        let failed = |reason| ConfigError::Include {
            place: place.clone(),
            name: pattern.to_owned(),
            reason,
        };
        if depth >= DEEPEST {
            return Err(failed("files include files too deeply".to_owned()));
        }
        match (self.include)(pattern) {
            Ok(files) => files
                .iter()
                .try_for_each(|(file, text)| self.file(file, text, depth + 1)),
            Err(_) if optional => Ok(()),
            Err(reason) => Err(failed(reason)),
        }
    }

    /// With the variables that the configuration itself defined; others stay as they are.
    fn expanded(&self, word: &str) -> String {
        let mut expanded = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once("${") {
            expanded += before;
            match after.split_once('}') {
                Some((name, behind)) => {
                    match self.variables.get(name) {
                        Some(value) => expanded += value,
                        None => expanded.extend(["${", name, "}"]),
                    }
                    rest = behind;
                }
                None => {
                    expanded += "${";
                    rest = after;
                }
            }
        }
        expanded + rest
    }
}

fn definitions(scopes: &[Scope]) -> Definitions {
    let mut definitions = Definitions::default();
    let Some((server, _)) = scopes.split_first() else {
        return definitions;
    };
    for scope in scopes {
        for (name, text, place) in &scope.formats {
            definitions.formats.push(Definition {
                name: name.clone().unwrap_or_default(),
                text: text.clone(),
                place: place.clone(),
                format: Format::apache(text),
            });
        }
        for raw in &scope.logs {
            definitions
                .logs
                .push(log(raw, scope, server, heirs(scope, scopes)));
        }
        for raw in &scope.error_logs {
            definitions.logs.push(Log {
                path: raw.path.clone(),
                named: "the error log's".to_owned(),
                format: if scope.has_error_format || server.has_error_format {
                    Err(undefined("ErrorLogFormat"))
                } else {
                    Format::named("apache-error")
                },
                place: raw.place.clone(),
                contexts: vec![scope.label.clone()],
            });
        }
    }
    definitions
}

/// For whom a scope's logs are written: a virtual host's own replace the server's.
fn heirs(scope: &Scope, scopes: &[Scope]) -> Vec<String> {
    let mut heirs = vec![scope.label.clone()];
    if scopes
        .first()
        .is_some_and(|server| std::ptr::eq(server, scope))
    {
        let without = scopes.iter().skip(1).filter(|host| host.logs.is_empty());
        heirs.extend(without.map(|host| host.label.clone()));
    }
    heirs
}

fn log(raw: &RawLog, scope: &Scope, server: &Scope, contexts: Vec<String>) -> Log {
    // The last definition of a name wins, wherever it stands; a host's own hide the server's.
    let find = |wanted: Option<&str>| {
        let formats = scope
            .formats
            .iter()
            .rev()
            .chain(server.formats.iter().rev());
        let mut formats = formats.filter(|(name, ..)| name.as_deref() == wanted);
        formats.next().map(|(_, text, _)| text.as_str())
    };
    let format = match raw.named.as_deref() {
        None => Format::apache(find(None).unwrap_or(COMMON)),
        Some(named) => match find(Some(named)) {
            Some(text) => Format::apache(text),
            None => inline(named),
        },
    };
    Log {
        path: raw.path.clone(),
        named: raw
            .named
            .clone()
            .unwrap_or_else(|| "TransferLog".to_owned()),
        format,
        place: raw.place.clone(),
        contexts,
    }
}

fn inline(text: &str) -> Result<Format, FormatError> {
    if text == "CLF" {
        Format::apache(COMMON)
    } else if text.contains('%') {
        Format::apache(text)
    } else {
        Err(undefined(text))
    }
}

/// Lines with those that a backslash continues joined to them, and the number of the first.
fn logical_lines(text: &str) -> Vec<(String, u64)> {
    let mut lines: Vec<(String, u64)> = Vec::new();
    let mut continues = false;
    for (line, number) in text.lines().zip(1..) {
        let (line, goes_on) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some((before, _)) if continues => *before += line,
            _ => lines.push((line.to_owned(), number)),
        }
        continues = goes_on;
    }
    lines
}

/// The words of a directive: a quoted one may hold spaces, and its quotes behind backslashes.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let quote = Some(first).filter(|c| matches!(c, '"' | '\''));
        let mut word = String::new();
        let mut chars = rest
            .char_indices()
            .skip(usize::from(quote.is_some()))
            .peekable();
        let mut end = None;
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            match c {
                '\\' if next == Some('\\') || (quote.is_some() && next == quote) => {
                    word.extend(next);
                    chars.next();
                }
                c if Some(c) == quote => {
                    end = Some(at + c.len_utf8());
                    break;
                }
                c if quote.is_none() && c.is_whitespace() => {
                    end = Some(at);
                    break;
                }
                c => word.push(c),
            }
        }
        if quote.is_some() && end.is_none() {
            return Err("a quoted text has no end on its line");
        }
        words.push(word);
        rest = rest
            .get(end.unwrap_or(rest.len())..)
            .unwrap_or_default()
            .trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::tests::show;

    const MAIN: &str = r#"
Define LOGS /srv/logs
ErrorLog ${APACHE_LOG_DIR}/error.log
LogFormat "%h %l %u %t \"%r\" %>s %O" port
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \
\"%{User-Agent}i\" %{remote}p" port
<IfModule mod_log_config.c>
  CustomLog ${APACHE_LOG_DIR}/access.log port
</IfModule>
<VirtualHost *:80>
  ServerName a.example.org
</VirtualHost>
<VirtualHost *:443>
  LogFormat "%a %t %{remote}p" port
  CustomLog ${LOGS}/b.log port env=!quiet
  CustomLog "|/usr/bin/rotatelogs ${LOGS}/c.%Y 86400" "%t %a \"%U\""
  CustomLog ${LOGS}/d.log gone
  TransferLog ${LOGS}/e.log
  IncludeOptional gone/*.conf
  Include more.conf
</VirtualHost>
"#;

    fn files(name: &str) -> Result<Vec<(String, String)>, String> {
        match name {
            "more.conf" => Ok(vec![(
                name.to_owned(),
                "customlog /srv/f.log '%t %U'".to_owned(),
            )]),
            _ => Err("no such file".to_owned()),
        }
    }

    #[test]
    fn logs_have_the_formats_that_are_in_effect() {
        let definitions = apache("httpd.conf", MAIN, &mut files).unwrap();
        insta::assert_snapshot!(show(&definitions));
        let format = definitions.format_of("/var/log/apache2/error.log").unwrap();
        assert_eq!(format.name(), "apache-error");
        assert!(
            definitions
                .format_of("/var/log/apache2/access.log.1")
                .unwrap()
                .has_port()
        );
    }

    #[test]
    fn errors_name_the_line() {
        let error = |text| apache("h.conf", text, &mut files).unwrap_err().to_string();
        insta::assert_snapshot!(["\nLogFormat \"%h", "Include gone"].map(error).join("\n"));
        let mut itself = |_: &str| Ok(vec![("h.conf".to_owned(), "Include x".to_owned())]);
        assert!(apache("h.conf", "Include x", &mut itself).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "([a-z%$ {}'\"\\\\#<>é\n]|CustomLog |LogFormat |<VirtualHost>|Define ){0,60}") {
            let _ = apache("x", &text, &mut files);
        }
    }
}
