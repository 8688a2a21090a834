//! A line with the port as the server would have written it without, for programs that read only
//! the old format.

use std::{ops::Range, sync::Arc};

use thiserror::Error;

use crate::{
    Format,
    format::Kind,
    pattern::{Pattern, cut::Cut},
    reader::without_end,
};

/// Takes the port out of the lines of a format.
#[derive(Debug, Clone)]
pub struct Strip {
    pattern: Arc<Pattern>,
    cuts: Vec<Cut>,
}

/// Why no port can be taken out of a format's lines.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StripError {
    /// The format has none.
    #[error("the format writes no client's port: its lines can be read as they are")]
    NoPort,
    /// Its lines hold the port in a way of their own.
    #[error(
        "lines of '{name}' hold the port in the server's own notation, which the programs that read such logs know: there is nothing to take out"
    )]
    OwnNotation {
        /// The format.
        name: String,
    },
    /// The port stands inside of something else.
    #[error(
        "the port is no column: text of the format stands right before or behind it, and what would be left is no format of the server's"
    )]
    NoColumn,
    /// The port is there twice.
    #[error("the format writes the same port twice")]
    Twice,
}

impl Strip {
    /// For lines of `format`.
    ///
    /// # Errors
    /// When the format has no port, or none that is a column of its own or follows the address.
    pub fn new(format: &Format) -> Result<Self, StripError> {
        let Kind::Pattern(pattern) = &format.kind else {
            return Err(StripError::OwnNotation {
                name: format.name().to_owned(),
            });
        };
        Ok(Self {
            cuts: pattern.port_cuts()?,
            pattern: Arc::clone(pattern),
        })
    }

    /// Writes the line, with its end, to `stripped`: without the port, or as it is where it is not
    /// of the format. Which, is returned.
    pub fn line(&self, line: &[u8], stripped: &mut Vec<u8>) -> bool {
        let text = without_end(line);
        let Some(ports) = self.pattern.port_places(text) else {
            stripped.extend_from_slice(line);
            return false;
        };
        let mut from = 0;
        for cut in &self.cuts {
            let Range { start, end } = cut.around(&ports);
            stripped.extend_from_slice(line.get(from..start).unwrap_or_default());
            from = end;
        }
        stripped.extend_from_slice(line.get(from..).unwrap_or_default());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(format: &str, line: &str) -> String {
        let strip = Strip::new(&Format::parse(format).unwrap()).unwrap();
        let mut stripped = Vec::new();
        let is_of_format = strip.line(line.as_bytes(), &mut stripped);
        let stripped = String::from_utf8(stripped).unwrap();
        assert_eq!(is_of_format, stripped != line, "{stripped}");
        stripped
    }

    #[test]
    fn the_port_goes_with_what_sets_it_apart() {
        for (format, line, expected) in [
            (
                "nginx:$remote_addr $msec $remote_port",
                "192.0.2.1 1.0 1024\r\n",
                "192.0.2.1 1.0\r\n",
            ),
            (
                "nginx:$remote_addr $remote_port $msec",
                "192.0.2.1 1024 1.0",
                "192.0.2.1 1.0",
            ),
            (
                "nginx:$remote_port $remote_addr $msec",
                "1024 192.0.2.1 1.0",
                "192.0.2.1 1.0",
            ),
            (
                "nginx:$remote_addr $msec rport=$remote_port",
                "192.0.2.1 1.0 rport=1024\n",
                "192.0.2.1 1.0\n",
            ),
            (
                "nginx:$remote_addr $msec \"$remote_port\"",
                "192.0.2.1 1.0 \"1024\"\n",
                "192.0.2.1 1.0\n",
            ),
            (
                "nginx:[$remote_addr]:$remote_port $msec",
                "[2001:db8::1]:1024 1.0\n",
                "[2001:db8::1] 1.0\n",
            ),
            (
                "apache:%h:%{remote}p %t",
                "2001:db8::1:1024 [21/Nov/2026:10:53:22 +0100]\n",
                "2001:db8::1 [21/Nov/2026:10:53:22 +0100]\n",
            ),
            (
                "nginx:$remote_addr,$remote_port,$msec",
                "192.0.2.1,1024,1.0\n",
                "192.0.2.1,1.0\n",
            ),
            (
                "nginx:$realip_remote_addr:$realip_remote_port $msec $remote_addr $remote_port",
                "192.0.2.9:5 1.0 192.0.2.1 1024\n",
                "192.0.2.9 1.0 192.0.2.1\n",
            ),
        ] {
            assert_eq!(stripped(format, line), expected, "{format}");
        }
    }

    #[test]
    fn what_is_not_of_the_format_passes_as_it_is() {
        let format = "nginx:$remote_addr $msec $remote_port";
        for line in [
            "",
            "\n",
            "192.0.2.1 1.0\n",
            "192.0.2.1 1.0 x\n",
            "192.0.2.1 1.0 1024 1024\n",
        ] {
            assert_eq!(stripped(format, line), line);
        }
        // Either number may be the port: another's text would be cut.
        let open =
            "nginx:escape=none $msec $remote_addr $http_user_agent $remote_port $http_referer";
        let line = "1.0 192.0.2.1 a 1024 b 1024 c\n";
        assert_eq!(stripped(open, line), line);
    }

    #[test]
    fn a_format_whose_port_is_no_column_says_why() {
        let error = |format: &str| Strip::new(&Format::parse(format).unwrap()).unwrap_err();
        assert_eq!(error("nginx-combined"), StripError::NoPort);
        assert!(matches!(error("sshd"), StripError::OwnNotation { .. }));
        for format in [
            r#"nginx:{"at":$msec,"client":"$remote_addr","port":"$remote_port"}"#,
            r#"nginx:{"at":$msec,"client":"$remote_addr","port":$remote_port}"#,
        ] {
            assert_eq!(error(format), StripError::NoColumn, "{format}");
        }
        let twice = "nginx:$remote_addr $remote_port $msec $remote_port";
        assert_eq!(error(twice), StripError::Twice);
    }
}
