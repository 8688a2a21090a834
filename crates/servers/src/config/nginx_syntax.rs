//! nginx's configuration as directives: words, quotes, blocks and includes.

use std::{iter::Peekable, str::CharIndices, sync::Arc};

use super::{ConfigError, DEEPEST, Include, Place};

/// A directive with its words, and its block where it has one.
#[derive(Debug)]
pub struct Directive {
    /// Its name and what follows, without quotes.
    pub words: Vec<String>,
    /// Where its name stands.
    pub place: Place,
    /// The directives between its braces.
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        self.word(0) == name
    }

    /// The word of this number, the name being 0; empty where there is none.
    pub fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    /// The directives between its braces; none where it has no block.
    pub fn block(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// Reads a file's directives, with those of the files it includes in the place of the include.
///
/// # Errors
/// When the text is no nginx configuration, or an include cannot be followed.
pub fn directives(
    file: &str,
    text: &str,
    include: Include<'_>,
) -> Result<Vec<Directive>, ConfigError> {
    parse(file, text, include, 0)
}

pub(super) fn parse(
    file: &str,
    text: &str,
    include: Include<'_>,
    depth: usize,
) -> Result<Vec<Directive>, ConfigError> {
    let mut parser = Parser {
        tokens: Tokens::new(file, text),
        include,
        depth,
    };
    parser.directives(0)
}

struct Parser<'a, 'i> {
    tokens: Tokens<'a>,
    include: Include<'i>,
    depth: usize,
}

impl Parser<'_, '_> {
    /// The directives up to the end of the block, or of the file where `nesting` is 0.
    fn directives(&mut self, nesting: usize) -> Result<Vec<Directive>, ConfigError> {
        let mut directives = Vec::new();
        let mut words = Vec::new();
        let mut place = self.tokens.place();
        if nesting + self.depth > DEEPEST {
            return Err(self
                .tokens
                .error("blocks or includes are nested too deeply"));
        }
        while let Some(token) = self.tokens.next()? {
            match token {
                Token::Word(word) => {
                    if words.is_empty() {
                        place = self.tokens.place();
                    }
                    words.push(word);
                }
                Token::End if words.is_empty() => {}
                Token::End => {
                    let words = std::mem::take(&mut words);
                    if words.first().is_some_and(|word| word == "include") {
                        let name = words.get(1).map_or("", String::as_str);
                        directives.extend(self.included(name, &place, nesting)?);
                    } else {
                        directives.push(Directive {
                            words,
                            place: place.clone(),
                            block: None,
                        });
                    }
                }
                Token::Open => {
                    let words = std::mem::take(&mut words);
                    let is_code = words
                        .first()
                        .is_some_and(|word| word.ends_with("_by_lua_block"));
                    let block = if is_code {
                        self.tokens.skip_code()?;
                        Vec::new()
                    } else {
                        self.directives(nesting + 1)?
                    };
                    directives.push(Directive {
                        words,
                        place: place.clone(),
                        block: Some(block),
                    });
                }
                Token::Close if nesting > 0 && words.is_empty() => return Ok(directives),
                Token::Close => return Err(self.tokens.error("unexpected '}'")),
            }
        }
        if nesting > 0 {
            return Err(self
                .tokens
                .error("the file ends inside a block: a '}' is missing"));
        }
        if words.is_empty() {
            Ok(directives)
        } else {
            Err(self
                .tokens
                .error("the file ends inside a directive: a ';' is missing"))
        }
    }

    fn included(
        &mut self,
        name: &str,
        place: &Place,
        nesting: usize,
    ) -> Result<Vec<Directive>, ConfigError> {
        let files = (self.include)(name).map_err(|reason| ConfigError::Include {
            place: place.clone(),
            name: name.to_owned(),
            reason,
        })?;
        let mut directives = Vec::new();
        for (file, text) in files {
            let depth = self.depth + nesting + 1;
            directives.extend(parse(&file, &text, self.include, depth)?);
        }
        Ok(directives)
    }
}

enum Token {
    Word(String),
    End,
    Open,
    Close,
}

struct Tokens<'a> {
    file: Arc<str>,
    line: u64,
    chars: Peekable<CharIndices<'a>>,
}

impl<'a> Tokens<'a> {
    fn new(file: &str, text: &'a str) -> Self {
        Self {
            file: file.into(),
            line: 1,
            chars: text.char_indices().peekable(),
        }
    }

    fn place(&self) -> Place {
        Place {
            file: self.file.clone(),
            line: self.line,
        }
    }

    fn error(&self, problem: &'static str) -> ConfigError {
        ConfigError::Syntax {
            place: self.place(),
            problem,
        }
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.chars.next().map(|(_, c)| c);
        self.line += u64::from(next == Some('\n'));
        next
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, c)| *c)
    }

    fn next(&mut self) -> Result<Option<Token>, ConfigError> {
        loop {
            match self.peek() {
                None => return Ok(None),
                Some(c) if c.is_whitespace() => drop(self.bump()),
                Some('#') => while self.bump().is_some_and(|c| c != '\n') {},
                Some(mark @ (';' | '{' | '}')) => {
                    self.bump();
                    return Ok(Some(match mark {
                        ';' => Token::End,
                        '{' => Token::Open,
                        _ => Token::Close,
                    }));
                }
                Some(quote @ ('"' | '\'')) => {
                    self.bump();
                    return self.quoted(quote).map(Some);
                }
                Some(_) => return Ok(Some(Token::Word(self.word()))),
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, ConfigError> {
        let start = self.error("a quoted text without its end begins here");
        let mut word = String::new();
        while let Some(c) = self.bump() {
            match c {
                '\\' => self.escaped(&mut word),
                c if c == quote => return Ok(Token::Word(word)),
                c => word.push(c),
            }
        }
        Err(start)
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek() {
            match c {
                // `${name}` is a variable, not a block.
                '{' if word.ends_with('$') => {}
                ';' | '{' => break,
                c if c.is_whitespace() => break,
                _ => {}
            }
            self.bump();
            match c {
                '\\' => self.escaped(&mut word),
                c => word.push(c),
            }
        }
        word
    }

    /// What follows a backslash: it is kept before what needs none.
    fn escaped(&mut self, word: &mut String) {
        match self.bump() {
            Some(c @ ('"' | '\'' | '\\')) => word.push(c),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(c) => word.extend(['\\', c]),
            None => word.push('\\'),
        }
    }

    /// Passes over a block of Lua, which has braces and quotes of its own.
    fn skip_code(&mut self) -> Result<(), ConfigError> {
        let start = self.error("a block of code without its '}' begins here");
        let mut open = 1_u32;
        while let Some(c) = self.bump() {
            match c {
                '{' => open += 1,
                '}' => open -= 1,
                '"' | '\'' => {
                    while let Some(inside) = self.bump() {
                        match inside {
                            '\\' => drop(self.bump()),
                            inside if inside == c || inside == '\n' => break,
                            _ => {}
                        }
                    }
                }
                '-' if self.peek() == Some('-') => while self.bump().is_some_and(|c| c != '\n') {},
                _ => {}
            }
            if open == 0 {
                return Ok(());
            }
        }
        Err(start)
    }
}
