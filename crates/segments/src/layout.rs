//! The files of a segment and their columns: what the writer writes and the reader expects.

/// How a column's values are encoded, which decides how they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// DELTA_BINARY_PACKED.
    Delta,
    /// PLAIN, of 32 bits.
    Plain,
    /// BYTE_STREAM_SPLIT.
    Split,
    /// DELTA_BYTE_ARRAY.
    DeltaText,
    /// Places in the chunk's dictionary of texts.
    Dictionary,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An unsigned number of so many bits, up to 64.
    Number(u8),
    /// A time in the file's resolution.
    Time,
    /// A text.
    Text,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    pub(crate) encoding: Encoding,
    /// Whether each page's least and most value are kept, to look rows up by.
    pub(crate) bounds: bool,
    /// Whether pages are left as they are, as zstd would save next to nothing: unpacking them
    /// would take as long as reading packed deltas does.
    pub(crate) bare: bool,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) file: &'static str,
    /// The name of the schema, and of what a row is.
    pub(crate) rows: &'static str,
    /// Rows of a page. Every page but a row group's last has so many, in every column.
    pub(crate) page_rows: usize,
    pub(crate) columns: &'static [Column],
}

/// Rows of a row group. Every group but the last has so many.
pub(crate) const GROUP_ROWS: usize = 1 << 20;

/// The longest text of a column, in bytes.
pub(crate) const TEXT_BYTES: usize = 4_096;

const fn column(name: &'static str, kind: Kind, encoding: Encoding) -> Column {
    Column {
        name,
        kind,
        optional: false,
        encoding,
        bounds: false,
        bare: false,
    }
}

impl Column {
    const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    const fn bounds(mut self) -> Self {
        self.bounds = true;
        self
    }

    const fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Whether values are decoded to 32 bits; all others but texts are to 64.
    pub(crate) const fn is_narrow(&self) -> bool {
        match self.kind {
            Kind::Number(bits) => bits < 32 || (bits == 32 && !self.optional),
            Kind::Time | Kind::Text => false,
        }
    }
}

/// The columns of [`ALLOCATIONS`], by place.
pub(crate) mod allocation {
    pub(crate) const EXTERNAL: usize = 0;
    pub(crate) const FIRST: usize = 1;
    pub(crate) const LAST: usize = 2;
    pub(crate) const TRANSPORT: usize = 3;
    pub(crate) const FROM: usize = 4;
    pub(crate) const TO: usize = 5;
    pub(crate) const SUBSCRIBER: usize = 6;
    pub(crate) const DEVICE: usize = 7;
    pub(crate) const CONCLUDED: usize = 8;
}

/// Allocations by external address, first port and start.
pub(crate) static ALLOCATIONS: Layout = Layout {
    file: "allocations.parquet",
    rows: "allocations",
    page_rows: 4_096,
    columns: &[
        column("external", Kind::Number(32), Encoding::Delta).bounds(),
        column("first_port", Kind::Number(16), Encoding::Delta).bounds(),
        column("last_port", Kind::Number(16), Encoding::Delta).bounds(),
        column("transport", Kind::Number(8), Encoding::Delta)
            .optional()
            .bounds()
            .bare(),
        column("from", Kind::Time, Encoding::Delta).bounds().bare(),
        column("to", Kind::Time, Encoding::Delta)
            .optional()
            .bounds()
            .bare(),
        column("subscriber", Kind::Number(32), Encoding::Delta).bare(),
        column("device", Kind::Text, Encoding::Dictionary).bare(),
        column("concluded", Kind::Number(8), Encoding::Delta).bounds(),
    ],
};

/// For each allocation, in the same order, the record that told of it first.
pub(crate) static NUMBERS: Layout = Layout {
    file: "numbers.parquet",
    rows: "numbers",
    page_rows: 4_096,
    columns: &[column("opened", Kind::Number(64), Encoding::Delta).bare()],
};

/// The columns of [`SUBSCRIBERS`], by place.
pub(crate) mod subscriber {
    pub(crate) const REALM: usize = 0;
    pub(crate) const INTERNAL: usize = 1;
    pub(crate) const FIRST: usize = 2;
}

/// Subscribers by realm and internal address, both as texts. Pages are small: most questions are
/// for one of them.
pub(crate) static SUBSCRIBERS: Layout = Layout {
    file: "subscribers.parquet",
    rows: "subscribers",
    page_rows: 512,
    columns: &[
        column("realm", Kind::Text, Encoding::DeltaText).bounds(),
        column("internal", Kind::Text, Encoding::DeltaText)
            .bounds()
            .bare(),
        column("first", Kind::Number(32), Encoding::Delta).bare(),
    ],
};

/// Rows of [`ALLOCATIONS`] by subscriber.
pub(crate) static BY_SUBSCRIBER: Layout = Layout {
    file: "by_subscriber.parquet",
    rows: "by_subscriber",
    page_rows: 4_096,
    columns: &[column("row", Kind::Number(32), Encoding::Split)],
};

/// The columns of [`RECORDS`], by place.
pub(crate) mod record {
    pub(crate) const NUMBER: usize = 0;
    pub(crate) const AT: usize = 1;
    pub(crate) const KIND: usize = 2;
    pub(crate) const DEVICE: usize = 3;
    pub(crate) const EXTERNAL: usize = 4;
    pub(crate) const FIRST: usize = 5;
    pub(crate) const COUNT: usize = 6;
    pub(crate) const TRANSPORT: usize = 7;
    pub(crate) const SUBSCRIBER: usize = 8;
    pub(crate) const SINCE: usize = 9;
    pub(crate) const DETAILS: usize = 10;
}

/// The records themselves by number. In this order neighbours have little in common but their
/// time, so that most columns are split into bytes, which leaves zstd the high ones; and how many
/// ports a block has says in nothing what its last port would say in a byte.
pub(crate) static RECORDS: Layout = Layout {
    file: "records.parquet",
    rows: "records",
    page_rows: 4_096,
    columns: &[
        column("number", Kind::Number(64), Encoding::Delta).bounds(),
        column("at", Kind::Time, Encoding::Delta),
        column("kind", Kind::Number(8), Encoding::Delta),
        column("device", Kind::Text, Encoding::Dictionary),
        column("external", Kind::Number(32), Encoding::Split).optional(),
        column("first_port", Kind::Number(16), Encoding::Split).optional(),
        column("ports", Kind::Number(32), Encoding::Delta).optional(),
        column("transport", Kind::Number(8), Encoding::Delta).optional(),
        column("subscriber", Kind::Number(32), Encoding::Split).optional(),
        column("since", Kind::Time, Encoding::Split).optional(),
        column("details", Kind::Text, Encoding::DeltaText).optional(),
    ],
};
