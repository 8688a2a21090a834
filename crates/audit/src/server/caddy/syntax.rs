//! The Caddyfile as far as logs need it: sites, what they import, their directives by place.

use std::{ops::Range, sync::Arc};

use portledger_servers::config::Place;

use crate::{
    Finding, LookError, Rule,
    machine::{Machine, folder, text, under},
};

const DEEPEST: usize = 16;
const MOST: usize = 2_000;

/// A configuration's files and what they say.
#[derive(Default)]
pub(super) struct Files {
    texts: Vec<(Arc<str>, String)>,
    /// The global options.
    pub(super) options: Vec<Directive>,
    pub(super) sites: Vec<Site>,
    snippets: Vec<(String, Vec<Directive>)>,
    pub(super) unreadable: Vec<Finding>,
}

/// A site: what is served under some names.
pub(super) struct Site {
    /// Its first name.
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) directives: Vec<Directive>,
    /// Where a directive can be put; `None` where the whole file is the site.
    pub(super) inside: Option<usize>,
}

/// A directive with its arguments, and what is in its braces.
#[derive(Debug, Clone)]
pub(super) struct Directive {
    pub(super) words: Vec<String>,
    pub(super) block: Vec<Self>,
    pub(super) place: Place,
}

impl Directive {
    pub(super) fn name(&self) -> &str {
        self.word(0)
    }

    pub(super) fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    /// The directive of this name in its braces.
    pub(super) fn inner(&self, name: &str) -> Option<&Self> {
        self.block.iter().find(|directive| directive.name() == name)
    }
}

struct Token {
    text: String,
    range: Range<usize>,
    line: u64,
    /// A quoted brace is none.
    is_quoted: bool,
}

impl Token {
    fn is(&self, brace: &str) -> bool {
        !self.is_quoted && self.text == brace
    }
}

impl Files {
    pub(super) fn read(machine: &dyn Machine, path: &str) -> Result<Self, LookError> {
        let mut files = Self::default();
        let main = text(machine, path)?;
        files.file(machine, path, main, 0)?;
        for site in 0..files.sites.len() {
            let directives = files.sites.get(site).map(|site| site.directives.clone());
            let directives = files.expanded(machine, directives.unwrap_or_default(), 0)?;
            if let Some(site) = files.sites.get_mut(site) {
                site.directives = directives;
            }
        }
        Ok(files)
    }

    pub(super) fn text(&self, file: &str) -> &str {
        let mut texts = self.texts.iter();
        texts
            .find(|(name, _)| **name == *file)
            .map_or("", |(_, text)| text.as_str())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.texts
            .iter()
            .map(|(name, _)| name.to_string())
            .collect()
    }

    /// A file of sites.
    fn file(
        &mut self,
        machine: &dyn Machine,
        path: &str,
        text: String,
        depth: usize,
    ) -> Result<(), LookError> {
        let file: Arc<str> = path.into();
        let tokens = tokens(&file, &text)?;
        self.texts.push((file.clone(), text));
        let mut parser = Parser {
            file: file.clone(),
            tokens: &tokens,
            at: 0,
        };
        let is_main = self.texts.len() == 1;
        while let Some(first) = parser.peek() {
            let place = parser.place(first.line);
            if first.is("{") {
                parser.at += 1;
                let options = parser.block(0)?;
                if is_main && self.sites.is_empty() {
                    self.options = options;
                }
                continue;
            }
            let line = first.line;
            let mut names: Vec<String> = Vec::new();
            let mut last_line = line;
            let mut inside = None;
            while let Some(token) = parser.peek() {
                // Names go on behind a comma.
                let goes_on = names.last().is_some_and(|name| name.ends_with(','));
                if token.line != last_line && !goes_on {
                    break;
                }
                parser.at += 1;
                if token.is("{") {
                    inside = Some(token.range.end);
                    break;
                }
                last_line = token.line;
                names.push(token.text.clone());
            }
            let goes_on = names.last().is_some_and(|name| name.ends_with(','));
            if inside.is_none() && goes_on {
                return Err(syntax(
                    &place,
                    "nothing follows the comma behind this address",
                ));
            }
            let name = names.first().cloned().unwrap_or_default();
            if inside.is_none() && name == "import" {
                let pattern = names.get(1).cloned().unwrap_or_default();
                self.import(machine, &pattern, &place, depth)?;
                continue;
            }
            let directives = match inside {
                Some(_) => parser.block(0)?,
                None => parser.all()?,
            };
            if let Some(snippet) = name.strip_prefix('(') {
                let snippet = snippet.trim_end_matches(')').to_owned();
                self.snippets.push((snippet, directives));
            } else if !name.starts_with("&(") {
                self.sites.push(Site {
                    name: name.trim_end_matches(',').to_owned(),
                    place,
                    directives,
                    inside,
                });
            }
        }
        Ok(())
    }

    /// Files with further sites.
    fn import(
        &mut self,
        machine: &dyn Machine,
        pattern: &str,
        place: &Place,
        depth: usize,
    ) -> Result<(), LookError> {
        if depth >= DEEPEST || self.texts.len() >= MOST {
            return Err(syntax(place, "files import files too deeply"));
        }
        for name in machine.glob(&under(folder(&place.file), pattern)) {
            match text(machine, &name) {
                Ok(_) if self.texts.iter().any(|(known, _)| **known == *name) => {}
                Ok(text) => self.file(machine, &name, text, depth + 1)?,
                Err(error) => {
                    let finding = Finding::at(Rule::Unreadable, place, error.to_string());
                    self.unreadable.push(finding);
                }
            }
        }
        Ok(())
    }

    /// The directives with what they import: a snippet, or a file of directives.
    fn expanded(
        &mut self,
        machine: &dyn Machine,
        directives: Vec<Directive>,
        depth: usize,
    ) -> Result<Vec<Directive>, LookError> {
        let mut all = Vec::new();
        for directive in directives {
            if directive.name() != "import" {
                all.push(directive);
                continue;
            }
            if depth >= DEEPEST {
                return Err(syntax(&directive.place, "imports import too deeply"));
            }
            let name = directive.word(1);
            let mut snippets = self.snippets.iter();
            let imported = match snippets.find(|(known, _)| known == name) {
                Some((_, directives)) => directives.clone(),
                None => self.directives_of(machine, name, &directive.place)?,
            };
            all.extend(self.expanded(machine, imported, depth + 1)?);
            if all.len() > 100_000 {
                return Err(syntax(&directive.place, "imports import too much"));
            }
        }
        Ok(all)
    }

    fn directives_of(
        &mut self,
        machine: &dyn Machine,
        pattern: &str,
        place: &Place,
    ) -> Result<Vec<Directive>, LookError> {
        let mut all = Vec::new();
        for name in machine.glob(&under(folder(&place.file), pattern)) {
            let Ok(text) = text(machine, &name) else {
                continue;
            };
            let file: Arc<str> = name.as_str().into();
            let tokens = tokens(&file, &text)?;
            let mut parser = Parser {
                file: file.clone(),
                tokens: &tokens,
                at: 0,
            };
            all.extend(parser.all()?);
            if !self.texts.iter().any(|(known, _)| *known == file) {
                self.texts.push((file, text));
            }
        }
        Ok(all)
    }
}

fn syntax(place: &Place, what: &str) -> LookError {
    LookError::Syntax(format!("{place}: {what}"))
}

struct Parser<'t> {
    file: Arc<str>,
    tokens: &'t [Token],
    at: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    fn place(&self, line: u64) -> Place {
        Place {
            file: self.file.clone(),
            line,
        }
    }

    /// Directives up to the brace that ends them, which is taken as well.
    fn block(&mut self, depth: usize) -> Result<Vec<Directive>, LookError> {
        let mut directives = Vec::new();
        loop {
            let Some(token) = self.peek() else {
                let line = self.tokens.last().map_or(1, |token| token.line);
                return Err(syntax(&self.place(line), "a '{' has no '}'"));
            };
            if token.is("}") {
                self.at += 1;
                return Ok(directives);
            }
            directives.push(self.directive(depth)?);
        }
    }

    /// Directives up to the end of the file.
    fn all(&mut self) -> Result<Vec<Directive>, LookError> {
        let mut directives = Vec::new();
        while let Some(token) = self.peek() {
            if token.is("}") {
                return Err(syntax(&self.place(token.line), "a '}' without its '{'"));
            }
            directives.push(self.directive(0)?);
        }
        Ok(directives)
    }

    fn directive(&mut self, depth: usize) -> Result<Directive, LookError> {
        let line = self.peek().map_or(1, |token| token.line);
        let mut directive = Directive {
            words: Vec::new(),
            block: Vec::new(),
            place: self.place(line),
        };
        if depth >= DEEPEST {
            return Err(syntax(&directive.place, "blocks hold blocks too deeply"));
        }
        while let Some(token) = self.peek() {
            if token.line != line || token.is("}") {
                break;
            }
            self.at += 1;
            if token.is("{") {
                directive.block = self.block(depth + 1)?;
                break;
            }
            directive.words.push(token.text.clone());
        }
        Ok(directive)
    }
}

fn tokens(file: &Arc<str>, text: &str) -> Result<Vec<Token>, LookError> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let mut token = Token {
            text: String::new(),
            range: at..at + c.len_utf8(),
            line,
            is_quoted: matches!(c, '"' | '`'),
        };
        match c {
            '\n' => line += 1,
            '#' => while characters.next_if(|(_, c)| *c != '\n').is_some() {},
            '"' | '`' => {
                loop {
                    match characters.next() {
                        Some((end, quote)) if quote == c => {
                            token.range.end = end + 1;
                            break;
                        }
                        Some((_, '\\')) if c == '"' => {
                            let next = characters.next().map(|(_, c)| c);
                            line += u64::from(next == Some('\n'));
                            token
                                .text
                                .extend(next.filter(|next| *next != '"').map(|_| '\\'));
                            token.text.extend(next);
                        }
                        Some((_, other)) => {
                            line += u64::from(other == '\n');
                            token.text.push(other);
                        }
                        None => {
                            let place = Place {
                                file: file.clone(),
                                line: token.line,
                            };
                            return Err(syntax(&place, "a quoted text has no end"));
                        }
                    }
                }
                tokens.push(token);
            }
            c if c.is_whitespace() => {}
            c => {
                token.text.push(c);
                while let Some((at, c)) = characters.next_if(|(_, c)| !c.is_whitespace()) {
                    token.text.push(c);
                    token.range.end = at + c.len_utf8();
                }
                if token.text.starts_with("<<") && token.text.len() > 2 {
                    let place = Place {
                        file: file.clone(),
                        line,
                    };
                    return Err(syntax(&place, "here-documents are not read here"));
                }
                tokens.push(token);
            }
        }
    }
    Ok(tokens)
}
