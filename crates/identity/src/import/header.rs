//! The first line of a table: what its columns are.

use std::fmt;

use thiserror::Error;

use super::cells::cells;
use crate::Customer;

/// A column that a table must have, or may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// `realm`; without it, or where it is empty, the realm is `default`.
    Realm,
    /// `internal`: an address or prefix.
    Internal,
    /// `from`: a time.
    From,
    /// `to`: a time, or empty while it lasts.
    To,
    /// `customer`: the operator's id of the customer.
    Customer,
}

impl Column {
    const ALL: [Self; 5] = [
        Self::Realm,
        Self::Internal,
        Self::From,
        Self::To,
        Self::Customer,
    ];

    /// What it is called in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Realm => "realm",
            Self::Internal => "internal",
            Self::From => "from",
            Self::To => "to",
            Self::Customer => "customer",
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a line is no header. It does not repeat the line, which may be somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// There is no line.
    #[error("the table is empty; begin it with the line 'realm,internal,from,to,customer'")]
    Empty,
    /// A column that must be there is not.
    #[error(
        "there is no column '{0}'; the columns internal, from, to and customer are needed, in any order, and more may follow"
    )]
    Missing(Column),
    /// Two columns of one name.
    #[error("column {0} has the name of an earlier one; give each column a name of its own")]
    Twice(usize),
    /// A column without a name, or with one that is too long or not printable.
    #[error("column {0} has no name of 1 to 64 printable bytes")]
    Name(usize),
    /// More columns than a customer has fields.
    #[error(
        "there are {0} columns besides realm, internal, from, to and customer; at most 32 are kept"
    )]
    Many(usize),
    /// The line is too long, no UTF-8, or has a stray quotation mark.
    #[error("it is not a line of UTF-8 text with cells between commas, semicolons or tabs")]
    Malformed,
}

/// What a table's columns are.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) separator: char,
    /// How many there are.
    pub(super) width: usize,
    realm: Option<usize>,
    internal: usize,
    from: usize,
    to: usize,
    customer: usize,
    /// The others: where, and their names.
    pub(super) fields: Vec<(usize, String)>,
}

impl Header {
    pub(super) fn parse(line: &str) -> Result<Self, HeaderError> {
        // Spreadsheets put a byte order mark there.
        let line = line.strip_prefix('\u{feff}').unwrap_or(line);
        let separator = [',', ';', '\t']
            .into_iter()
            .max_by_key(|separator| (line.matches(*separator).count(), *separator == ','))
            .unwrap_or(',');
        let names: Vec<String> = cells(line, separator)
            .map_err(|_| HeaderError::Malformed)?
            .iter()
            .map(|name| name.trim().to_lowercase())
            .collect();
        let place = |column: Column| names.iter().position(|name| name == column.name());
        let needed = |column| place(column).ok_or(HeaderError::Missing(column));
        let header = Self {
            separator,
            width: names.len(),
            realm: place(Column::Realm),
            internal: needed(Column::Internal)?,
            from: needed(Column::From)?,
            to: needed(Column::To)?,
            customer: needed(Column::Customer)?,
            fields: Vec::new(),
        };
        header.with_fields(&names)
    }

    /// Where a column is.
    pub(super) fn place(&self, column: Column) -> Option<usize> {
        match column {
            Column::Realm => self.realm,
            Column::Internal => Some(self.internal),
            Column::From => Some(self.from),
            Column::To => Some(self.to),
            Column::Customer => Some(self.customer),
        }
    }

    fn with_fields(mut self, names: &[String]) -> Result<Self, HeaderError> {
        for (place, name) in names.iter().enumerate() {
            let number = place + 1;
            if names.iter().take(place).any(|earlier| earlier == name) {
                return Err(HeaderError::Twice(number));
            }
            if Column::ALL.iter().any(|column| column.name() == name) {
                continue;
            }
            let fits = (1..=Customer::LONGEST_NAME).contains(&name.len());
            if !fits || name.chars().any(char::is_control) {
                return Err(HeaderError::Name(number));
            }
            self.fields.push((place, name.clone()));
        }
        if self.fields.len() > Customer::MOST_FIELDS {
            return Err(HeaderError::Many(self.fields.len()));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order_and_case_behind_a_byte_order_mark() {
        let header = Header::parse("\u{feff}Name;TO;from; Internal ;customer").unwrap();
        assert_eq!(header.separator, ';');
        assert_eq!(header.place(Column::Internal), Some(3));
        assert_eq!(header.place(Column::Realm), None);
        assert_eq!(header.fields, [(0, "name".to_owned())]);
    }

    #[test]
    fn what_is_no_header_is_refused_without_being_repeated() {
        let error = |line: &str| Header::parse(line).unwrap_err();
        let row = "100.64.3.9,2026-01-01T00:00:00Z,,Example Person";
        assert_eq!(error(row), HeaderError::Missing(Column::Internal));
        assert!(!error(row).to_string().contains("Example"));
        let base = "internal,from,to,customer";
        assert_eq!(error(&format!("{base},name,NAME")), HeaderError::Twice(6));
        assert_eq!(error(&format!("{base},")), HeaderError::Name(5));
        assert_eq!(
            error("internal,from,to,customer,\"x"),
            HeaderError::Malformed
        );
        let many: String = (0..33).map(|number| format!(",f{number}")).collect();
        assert_eq!(error(&format!("{base}{many}")), HeaderError::Many(33));
    }
}
