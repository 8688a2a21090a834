//! The bindings of a lwAFTR in a file of their own: a table with a header, one softwire a line.
//!
//! ```csv
//! b4,ipv4,psid_offset,psid_length,psid
//! 2001:db8:400:100::1,203.0.113.20,0,4,3
//! ```

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use portledger_identity::{Stray, cells};
use portledger_model::SoftwireBinding;
use thiserror::Error;

use super::rule::{BindingTable, RuleError};

/// A file that cannot be used, and where.
#[derive(Debug, Error)]
pub(crate) enum BindingsError {
    #[error("{}: cannot read it: {error}", path.display())]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{}: it has no binding; its first line names the columns, b4 and ipv4 at least", .0.display())]
    Empty(PathBuf),
    #[error("{}, line {line}: {fault}", path.display())]
    Line {
        path: PathBuf,
        line: usize,
        fault: Fault,
    },
}

/// What is wrong with a line.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    #[error("column '{name}' is not known here; there are {}", Column::NAMES.join(", "))]
    Unknown { name: String },
    #[error("column '{0}' is there twice")]
    Twice(&'static str),
    #[error("column '{0}' is missing")]
    Missing(&'static str),
    #[error(transparent)]
    Quotes(#[from] Stray),
    #[error("{values} values under {columns} columns")]
    Count { values: usize, columns: usize },
    #[error("{column}: '{text}' is not {what}")]
    Value {
        column: &'static str,
        text: String,
        what: &'static str,
    },
    #[error(transparent)]
    Binding(#[from] RuleError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    B4,
    Ipv4,
    PsidOffset,
    PsidLength,
    Psid,
}

impl Column {
    const ALL: [Self; 5] = [
        Self::B4,
        Self::Ipv4,
        Self::PsidOffset,
        Self::PsidLength,
        Self::Psid,
    ];
    /// As in `[[binding]]`.
    const NAMES: [&str; 5] = ["b4", "ipv4", "psid_offset", "psid_length", "psid"];

    const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Reads the bindings of a file.
pub(super) fn read(path: &Path) -> Result<Vec<SoftwireBinding>, BindingsError> {
    let text = fs::read_to_string(path).map_err(|error| BindingsError::Read {
        path: path.to_owned(),
        error,
    })?;
    let bindings = parse(&text).map_err(|(line, fault)| BindingsError::Line {
        path: path.to_owned(),
        line,
        fault,
    })?;
    if bindings.is_empty() {
        return Err(BindingsError::Empty(path.to_owned()));
    }
    Ok(bindings)
}

/// The bindings of a text, or what is wrong with which line. Empty lines are skipped.
fn parse(text: &str) -> Result<Vec<SoftwireBinding>, (usize, Fault)> {
    // What spreadsheets put before a table.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    let Some((number, first)) = lines.next() else {
        return Ok(Vec::new());
    };
    let columns = header(first).map_err(|fault| (number, fault))?;
    lines
        .map(|(number, line)| binding(&columns, line).map_err(|fault| (number, fault)))
        .collect()
}

fn header(line: &str) -> Result<Vec<Column>, Fault> {
    let mut columns = Vec::new();
    for cell in cells(line, ',')? {
        let name = cell.trim();
        let column = Column::ALL.into_iter().find(|known| known.name() == name);
        let column = column.ok_or_else(|| Fault::Unknown {
            name: name.to_owned(),
        })?;
        if columns.contains(&column) {
            return Err(Fault::Twice(column.name()));
        }
        columns.push(column);
    }
    for needed in [Column::B4, Column::Ipv4] {
        if !columns.contains(&needed) {
            return Err(Fault::Missing(needed.name()));
        }
    }
    Ok(columns)
}

fn binding(columns: &[Column], line: &str) -> Result<SoftwireBinding, Fault> {
    let values = cells(line, ',')?;
    if values.len() != columns.len() {
        return Err(Fault::Count {
            values: values.len(),
            columns: columns.len(),
        });
    }
    let of = |column: Column| {
        let named = columns.iter().zip(&values);
        let found = named.into_iter().find(|(known, _)| **known == column);
        found.map_or("", |(_, value): (_, &Cow<'_, str>)| value.trim())
    };
    let table = BindingTable {
        b4: value(Column::B4, of(Column::B4), "an IPv6 address")?,
        ipv4: value(Column::Ipv4, of(Column::Ipv4), "an IPv4 address")?,
        psid_offset: number(Column::PsidOffset, of(Column::PsidOffset))?,
        psid_length: number(Column::PsidLength, of(Column::PsidLength))?,
        psid: number(Column::Psid, of(Column::Psid))?,
    };
    Ok(table.checked()?)
}

fn value<T: FromStr>(column: Column, text: &str, what: &'static str) -> Result<T, Fault> {
    text.parse().map_err(|_| Fault::Value {
        column: column.name(),
        text: text.to_owned(),
        what,
    })
}

/// Nothing is 0, as in `[[binding]]`.
fn number<T: FromStr + Default>(column: Column, text: &str) -> Result<T, Fault> {
    match text {
        "" => Ok(T::default()),
        text => value(column, text, "a number that fits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order_and_may_be_left_out() {
        let text = "\u{feff}psid, psid_length,ipv4,b4\r\n3,4,\"203.0.113.20\",2001:db8::1\r\n\r\n,,203.0.113.21,2001:db8::2\r\n";
        let bindings = parse(text).unwrap();
        let whole = parse(
            "b4,ipv4,psid_offset,psid_length,psid\n2001:db8::1,203.0.113.20,0,4,3\n2001:db8::2,203.0.113.21,0,0,0",
        );
        assert_eq!(bindings, whole.unwrap());
        assert_eq!(bindings.len(), 2);
    }

    #[test]
    fn a_fault_is_told_with_its_line() {
        let header = "b4,ipv4,psid_length,psid";
        for (text, line, told) in [
            (
                "b4,ipv4,port".to_owned(),
                1,
                "column 'port' is not known here",
            ),
            ("b4,ipv4,b4".to_owned(), 1, "column 'b4' is there twice"),
            ("\nb4,psid".to_owned(), 2, "column 'ipv4' is missing"),
            (
                format!("{header}\n2001:db8::1,192.0.2.1"),
                2,
                "2 values under 4 columns",
            ),
            (
                format!("{header}\n\"2001:db8::1,192.0.2.1,4,3"),
                2,
                "a quotation mark is never closed",
            ),
            (
                format!("{header}\n\n1,192.0.2.1,4,3"),
                3,
                "b4: '1' is not an IPv6 address",
            ),
            (
                format!("{header}\n2001:db8::1,192.0.2.1,4,65536"),
                2,
                "psid: '65536' is not a number",
            ),
            (
                format!("{header}\n2001:db8::1,192.0.2.1,2,4"),
                2,
                "psid: 4 does not fit in 2 bits",
            ),
            (
                format!("{header}\n2001:db8::1,192.0.2.1,17,4"),
                2,
                "binding 2001:db8::1: ",
            ),
        ] {
            let (number, fault) = parse(&text).unwrap_err();
            assert_eq!(number, line, "{text}");
            let said = fault.to_string();
            assert!(said.contains(told), "{said}");
        }
    }
}
