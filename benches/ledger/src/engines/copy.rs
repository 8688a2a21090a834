//! Rows and questions in PostgreSQL's binary format of COPY (its manual, "COPY", "Binary Format").

use std::io::{self, Write};

use crate::{data::Row, questions::Point};

/// Rows of `from_ms, to_ms, external, first, last, subscriber, device, day`.
///
/// # Errors
/// When `writer` does not take them.
pub fn send_rows(rows: &[Row], day: usize, writer: &mut impl Write) -> io::Result<()> {
    let day = i16::try_from(day).unwrap_or(i16::MAX);
    let mut out = Copy::begin();
    for row in rows {
        out.row(8);
        out.field(&row.from_ms.to_be_bytes());
        out.field(&row.to_ms.to_be_bytes());
        out.field(&row.external.cast_signed().to_be_bytes());
        out.field(&i32::from(row.first).to_be_bytes());
        out.field(&i32::from(row.last).to_be_bytes());
        out.field(&row.subscriber.cast_signed().to_be_bytes());
        out.field(&i16::from(row.device).to_be_bytes());
        out.field(&day.to_be_bytes());
        out.flush_if_full(writer)?;
    }
    out.end(writer)
}

/// Rows of `held, ports, external, subscriber, device`.
///
/// # Errors
/// When `writer` does not take them.
pub fn send_ranges(rows: &[Row], writer: &mut impl Write) -> io::Result<()> {
    let mut out = Copy::begin();
    for row in rows {
        let (first, end) = (i32::from(row.first), i32::from(row.last) + 1);
        out.row(5);
        out.range(&row.from_ms.to_be_bytes(), &row.to_ms.to_be_bytes());
        out.range(&first.to_be_bytes(), &end.to_be_bytes());
        out.field(&row.external.cast_signed().to_be_bytes());
        out.field(&row.subscriber.cast_signed().to_be_bytes());
        out.field(&i16::from(row.device).to_be_bytes());
        out.flush_if_full(writer)?;
    }
    out.end(writer)
}

/// Questions of `at_ms, external, port, first, number, day`.
///
/// # Errors
/// When `writer` does not take them.
pub fn send_points(points: &[Point], writer: &mut impl Write) -> io::Result<()> {
    let mut out = Copy::begin();
    for point in points {
        out.row(6);
        out.field(&point.at_ms.to_be_bytes());
        out.field(&point.external.cast_signed().to_be_bytes());
        out.field(&i32::from(point.port).to_be_bytes());
        out.field(&i32::from(point.first).to_be_bytes());
        out.field(&point.number.cast_signed().to_be_bytes());
        out.field(&point.day.cast_signed().to_be_bytes());
        out.flush_if_full(writer)?;
    }
    out.end(writer)
}

struct Copy(Vec<u8>);

impl Copy {
    fn begin() -> Self {
        let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
        // No flags, no header extension.
        bytes.extend_from_slice(&[0; 8]);
        Self(bytes)
    }

    fn row(&mut self, fields: i16) {
        self.0.extend_from_slice(&fields.to_be_bytes());
    }

    fn field(&mut self, bytes: &[u8]) {
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    /// Lower bound inclusive, upper exclusive (`RANGE_LB_INC` in PostgreSQL's `rangetypes.h`).
    fn range(&mut self, lower: &[u8], upper: &[u8]) {
        let length = 1 + 4 + lower.len() + 4 + upper.len();
        let length = i32::try_from(length).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.push(0x02);
        self.field(lower);
        self.field(upper);
    }

    fn flush_if_full(&mut self, writer: &mut impl Write) -> io::Result<()> {
        if self.0.len() > 1 << 16 {
            writer.write_all(&self.0)?;
            self.0.clear();
        }
        Ok(())
    }

    fn end(mut self, writer: &mut impl Write) -> io::Result<()> {
        self.0.extend_from_slice(&(-1_i16).to_be_bytes());
        writer.write_all(&self.0)
    }
}
