//! ISC's notation: words, quoted strings, braces and semicolons.

use super::Reason;

/// A part of a declaration.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(Box<str>),
    /// What stood between quotation marks, without escapes.
    Quoted(Vec<u8>),
    Open,
    Close,
    End,
}

impl Token {
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// Longer than any lease with all its options.
const LONGEST: usize = 64 << 10;

/// Puts declarations together from lines, one at a time.
#[derive(Clone, Default)]
pub(super) struct Scanner {
    tokens: Vec<Token>,
    depth: usize,
    bytes: usize,
    error: Option<Reason>,
}

/// A declaration, or why it is none.
pub(super) type Declared = Result<Vec<Token>, Reason>;

impl Scanner {
    /// Takes the next line; gives the declaration that ends with it, or that it shows to be cut
    /// short. A line holds the end of one declaration at most: so ISC writes them.
    pub(super) fn line(&mut self, line: &[u8]) -> Option<Declared> {
        let begins = line.first().is_some_and(u8::is_ascii_alphabetic);
        // What was being written when the server died is followed by a whole declaration.
        let cut = if begins && !self.is_empty() {
            self.finish()
        } else {
            None
        };
        self.bytes = self.bytes.saturating_add(line.len());
        if self.bytes > LONGEST {
            self.tokens.clear();
            self.error.get_or_insert(Reason::TooLong(LONGEST));
        }
        let ended = self.tokens_of(line);
        let whole = if ended { self.finish() } else { None };
        // Where both are, the cut one is told: the whole one is lost only where a declaration
        // stands in a single line behind one that is cut.
        cut.or(whole)
    }

    /// There are no more lines.
    pub(super) fn finish(&mut self) -> Option<Declared> {
        let Self {
            tokens,
            depth,
            error,
            ..
        } = std::mem::take(self);
        match error {
            Some(error) => Some(Err(error)),
            None if depth > 0 => Some(Err(Reason::Unfinished)),
            None if tokens.is_empty() => None,
            None => Some(Ok(tokens)),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.error.is_none()
    }

    /// Whether a declaration ends here.
    fn tokens_of(&mut self, line: &[u8]) -> bool {
        let mut rest = line;
        let mut ended = false;
        while let [first, after @ ..] = rest {
            rest = after;
            let token = match first {
                b'#' => break,
                b'{' => {
                    self.depth += 1;
                    Token::Open
                }
                b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    ended |= self.depth == 0;
                    Token::Close
                }
                b';' => {
                    ended |= self.depth == 0;
                    Token::End
                }
                b'"' => match quoted(rest) {
                    Some((octets, after)) => {
                        rest = after;
                        Token::Quoted(octets)
                    }
                    None => {
                        self.error.get_or_insert(Reason::Unfinished);
                        break;
                    }
                },
                space if space.is_ascii_whitespace() => continue,
                _ => {
                    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"{};\"#".contains(byte);
                    let length = rest.iter().position(is_end).unwrap_or(rest.len());
                    let (more, after) = rest.split_at(length);
                    rest = after;
                    let word = [&[*first], more].concat();
                    Token::Word(String::from_utf8_lossy(&word).into())
                }
            };
            if self.error.is_none() {
                self.tokens.push(token);
            }
        }
        ended
    }
}

/// The octets before the closing mark, and what follows it. `\ooo` is an octet in octal, and a
/// backslash before anything else is that itself.
fn quoted(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut octets = Vec::new();
    loop {
        let (first, after) = rest.split_first()?;
        rest = after;
        match first {
            b'"' => return Some((octets, rest)),
            b'\\' => {
                let digits = rest.first_chunk::<3>();
                let octal = digits
                    .filter(|digits| digits.iter().all(|it| (b'0'..=b'7').contains(it)))
                    .and_then(|digits| str::from_utf8(digits).ok())
                    .and_then(|digits| u8::from_str_radix(digits, 8).ok());
                match octal {
                    Some(octet) => {
                        octets.push(octet);
                        rest = rest.get(3..)?;
                    }
                    None => {
                        let (escaped, after) = rest.split_first()?;
                        rest = after;
                        octets.push(match escaped {
                            b'n' => b'\n',
                            b'r' => b'\r',
                            b't' => b'\t',
                            other => *other,
                        });
                    }
                }
            }
            other => octets.push(*other),
        }
    }
}
