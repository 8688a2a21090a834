//! Thrift's compact protocol, as far as Parquet's footers and page headers need it.
//!
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>

/// Why bytes have no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

pub(crate) type Parsed<T> = Result<T, Malformed>;

/// The type of a field or of a list's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    True,
    False,
    Byte,
    Integer,
    Double,
    Binary,
    List,
    Map,
    Struct,
}

impl Kind {
    fn new(code: u8) -> Parsed<Self> {
        Ok(match code {
            1 => Self::True,
            2 => Self::False,
            3 => Self::Byte,
            4..=6 => Self::Integer,
            7 => Self::Double,
            8 => Self::Binary,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Struct,
            _ => return Err(Malformed("a field of no known type")),
        })
    }
}

/// Deeper than anything in a Parquet file.
const DEEPEST: u32 = 16;

/// Reads a struct from bytes; what the caller does not know is skipped.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            depth: 0,
        }
    }

    /// What has not been read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Calls `each` with every field of a struct; it reads the value and says so by `true`.
    pub(crate) fn fields(
        &mut self,
        mut each: impl FnMut(&mut Self, i64, Kind) -> Parsed<bool>,
    ) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Malformed("structures nested too deeply"));
        }
        let mut id = 0_i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                break;
            }
            id = match head >> 4 {
                0 => self.integer()?,
                delta => id.wrapping_add(i64::from(delta)),
            };
            let kind = Kind::new(head & 15)?;
            if !each(self, id, kind)? {
                self.skip(kind)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Calls `each` for every element of a list of `kind`; returns their number. No more are
    /// believed than there are bytes.
    pub(crate) fn list(
        &mut self,
        kind: Kind,
        mut each: impl FnMut(&mut Self) -> Parsed<()>,
    ) -> Parsed<usize> {
        let (of, count) = self.list_head()?;
        // Lists of booleans carry one type for both values.
        let fits = of == kind || (kind == Kind::Byte && matches!(of, Kind::True | Kind::False));
        if count > 0 && !fits {
            return Err(Malformed("a list of the wrong type"));
        }
        for _ in 0..count {
            each(self)?;
        }
        Ok(count)
    }

    fn list_head(&mut self) -> Parsed<(Kind, usize)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => usize::try_from(self.varint()?).unwrap_or(usize::MAX),
            count => usize::from(count),
        };
        if count > self.rest.len() {
            return Err(Malformed("a list longer than its file"));
        }
        Ok((Kind::new(head & 15)?, count))
    }

    pub(crate) fn byte(&mut self) -> Parsed<u8> {
        let (&first, rest) = self.rest.split_first().ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Parsed<u64> {
        match self.rest.split_first() {
            // Most are of one byte.
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(byte.into())
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Parsed<u64> {
        let mut value = 0_u64;
        for (at, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (at * 7);
            if byte < 0x80 {
                self.rest = self.rest.get(at + 1..).unwrap_or(&[]);
                return Ok(value);
            }
        }
        match self.rest.len() {
            10.. => Err(Malformed("a number of more than 64 bits")),
            _ => Err(CUT_OFF),
        }
    }

    pub(crate) fn integer(&mut self) -> Parsed<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// An integer that counts something.
    pub(crate) fn count(&mut self) -> Parsed<u64> {
        u64::try_from(self.integer()?).map_err(|_| Malformed("a negative count"))
    }

    pub(crate) fn binary(&mut self) -> Parsed<&'a [u8]> {
        let length = usize::try_from(self.varint()?).map_err(|_| CUT_OFF)?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Parsed<&'a str> {
        std::str::from_utf8(self.binary()?).map_err(|_| Malformed("a text that is not UTF-8"))
    }

    fn take(&mut self, length: usize) -> Parsed<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(taken)
    }

    fn skip(&mut self, kind: Kind) -> Parsed<()> {
        match kind {
            Kind::True | Kind::False => {}
            Kind::Byte => drop(self.byte()?),
            Kind::Integer => drop(self.varint()?),
            Kind::Double => drop(self.take(8)?),
            Kind::Binary => drop(self.binary()?),
            Kind::Struct => self.fields(|_, _, _| Ok(false))?,
            Kind::List => {
                let (of, count) = self.list_head()?;
                self.skip_many(of, count)?;
            }
            Kind::Map => return Err(Malformed("a map, which no Parquet file has")),
        }
        Ok(())
    }

    fn skip_many(&mut self, of: Kind, count: usize) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Malformed("structures nested too deeply"));
        }
        for _ in 0..count {
            match of {
                Kind::True | Kind::False => drop(self.byte()?),
                of => self.skip(of)?,
            }
        }
        self.depth -= 1;
        Ok(())
    }
}

const CUT_OFF: Malformed = Malformed("it ends too early");

/// Writes a struct.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    last: Vec<u8>,
}

impl Writer {
    /// Begins the fields of a struct.
    pub(crate) fn begin(&mut self) {
        self.last.push(0);
    }

    /// Ends the struct begun last.
    pub(crate) fn end(&mut self) {
        self.last.pop();
        self.bytes.push(0);
    }

    /// A field that is a struct; its own fields follow.
    pub(crate) fn structure(&mut self, id: u8) {
        self.head(id, 12);
        self.begin();
    }

    /// A field that is an integer of 32 bits.
    pub(crate) fn integer(&mut self, id: u8, value: i32) {
        self.head(id, 5);
        let value = i64::from(value);
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Field numbers ascend by at most 15 in what we write.
    fn head(&mut self, id: u8, kind: u8) {
        if let Some(last) = self.last.last_mut() {
            self.bytes.push((id - *last) << 4 | kind);
            *last = id;
        }
    }
}
