//! The cells of a line.

use std::borrow::Cow;

use thiserror::Error;

/// A quotation mark that RFC 4180 §2 does not allow where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Stray {
    /// It is never closed.
    #[error("a quotation mark is never closed")]
    Open,
    /// Something other than a separator comes after the closing one.
    #[error("something stands behind a closing quotation mark")]
    Behind,
    /// A cell that does not begin with one holds one.
    #[error("a cell that does not begin with a quotation mark holds one")]
    Inside,
}

/// The cells of a table's line without its end (RFC 4180 §2): where a cell is quoted, what is in it.
///
/// # Errors
/// When a quotation mark is where none may be.
pub fn cells(line: &str, separator: char) -> Result<Vec<Cow<'_, str>>, Stray> {
    let mut cells = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        let (cell, after) = match text.strip_prefix('"') {
            Some(quoted) => quoted_cell(quoted, separator)?,
            None => match text.split_once(separator) {
                Some((cell, after)) => (Cow::Borrowed(cell), Some(after)),
                None => (Cow::Borrowed(text), None),
            },
        };
        if !text.starts_with('"') && cell.contains('"') {
            return Err(Stray::Inside);
        }
        cells.push(cell);
        rest = after;
    }
    Ok(cells)
}

fn quoted_cell(text: &str, separator: char) -> Result<(Cow<'_, str>, Option<&str>), Stray> {
    let mut cell = Cow::Borrowed("");
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or(Stray::Open)?;
        cell += part;
        match after.strip_prefix('"') {
            // RFC 4180 §2.7: two marks are one.
            Some(after) => {
                cell += "\"";
                rest = after;
            }
            None if after.is_empty() => return Ok((cell, None)),
            None => {
                let after = after.strip_prefix(separator).ok_or(Stray::Behind)?;
                return Ok((cell, Some(after)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_are_as_rfc_4180_says() {
        assert_eq!(cells("a,b c,", ',').unwrap(), ["a", "b c", ""]);
        assert_eq!(cells("", ',').unwrap(), [""]);
        assert_eq!(cells("\"a,\"\"b\"\"\",\"\"", ',').unwrap(), ["a,\"b\"", ""]);
        assert_eq!(cells("a;\"b;c\"", ';').unwrap(), ["a", "b;c"]);
    }

    #[test]
    fn a_stray_mark_is_refused() {
        assert_eq!(cells("a,\"b", ','), Err(Stray::Open));
        assert_eq!(cells("\"a\"b,c", ','), Err(Stray::Behind));
        assert_eq!(cells("a\"b,c", ','), Err(Stray::Inside));
    }

    proptest! {
        #[test]
        fn what_is_quoted_comes_back(wanted in prop::collection::vec("[a,\"ß ]{0,5}", 1..6)) {
            let quoted: Vec<String> = wanted
                .iter()
                .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")))
                .collect();
            let line = quoted.join(",");
            prop_assert_eq!(cells(&line, ',').unwrap(), wanted);
        }

        #[test]
        fn any_line_is_read_or_refused(line in "[a,\"ß;\t]{0,20}") {
            let _ = cells(&line, ',');
        }
    }
}
