//! All rows of a segment, one after the other.

use super::{
    Segment,
    page::{Access, RowPage},
};
use crate::{Error, Row};

/// All rows of a segment in the order of [`Row::order`]; memory is that of one page. Ends with
/// the first error.
pub struct Rows<'a> {
    segment: &'a Segment,
    access: Access,
    page: Option<RowPage<'a>>,
    /// The row that comes next, in the segment and in its page.
    next: u64,
    place: usize,
}

impl Segment {
    /// All rows, one after the other.
    pub const fn rows(&self) -> Rows<'_> {
        self.rows_by(Access::All)
    }

    pub(super) const fn rows_by(&self, access: Access) -> Rows<'_> {
        Rows {
            segment: self,
            access,
            page: None,
            next: 0,
            place: 0,
        }
    }
}

impl Rows<'_> {
    fn row(&mut self) -> Result<Row, Error> {
        let page = match &mut self.page {
            Some(page) if self.place < page.rows() => page,
            other => {
                let (group, page, place) = self.segment.allocations.place_of(self.next);
                self.place = place;
                other.insert(RowPage::new(self.segment, group, page, self.access))
            }
        };
        page.row(self.place)
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.segment.len() {
            return None;
        }
        let row = self.row();
        match row {
            Ok(_) => {
                self.next += 1;
                self.place += 1;
            }
            Err(_) => self.next = u64::MAX,
        }
        Some(row)
    }
}
