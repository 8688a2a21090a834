//! Many questions at once, in one sweep over the segment.

use std::net::Ipv4Addr;

use super::{
    Question, Segment,
    lookup::Extent,
    page::{Access, Held, OfAddress, RowPage},
};
use crate::{Error, Holder, Row};

/// Pages of one address that are kept decoded at a time: more than a pool's addresses ever have.
const KEPT: usize = 64;

impl Segment {
    /// Answers questions sorted by [`Question::order`] in one sweep: calls `each` with a
    /// question's index for each row that answers it, in no order of time. Each page is read
    /// once (but where one address has more than 64 pages of 4,096 rows), and only the columns
    /// that are needed; nothing goes into the cache.
    ///
    /// # Errors
    /// When the questions are not sorted, or the segment cannot be read or is damaged: what `each`
    /// was told before is a part of the answers only.
    pub fn join(
        &self,
        questions: &[Question],
        each: &mut dyn FnMut(u32, &Row),
    ) -> Result<(), Error> {
        self.sweep(questions, |index, page, held| {
            each(index, &page.held(held)?);
            Ok(())
        })
    }

    /// As [`Segment::join`], for who wants no record's number: a quarter of what is read then.
    ///
    /// # Errors
    /// As [`Segment::join`].
    pub fn join_holders(
        &self,
        questions: &[Question],
        each: &mut dyn FnMut(u32, &Holder),
    ) -> Result<(), Error> {
        self.sweep(questions, |index, page, held| {
            each(index, &page.holder(held)?);
            Ok(())
        })
    }

    /// Calls `each` with the index of a question and with what answers it.
    fn sweep(
        &self,
        questions: &[Question],
        mut each: impl FnMut(u32, &RowPage<'_>, Held) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut sweep = Sweep::default();
        let mut last = None;
        for (at, question) in questions.iter().enumerate() {
            let order = (question.endpoint(), question.span.from);
            if last.is_some_and(|last| order < last) {
                return Err(Error::QuestionOutOfOrder { at });
            }
            last = Some(order);
            if !question.span.is_empty() {
                sweep.turn_to(self, question.external.address)?;
                sweep.answer(self, question, &mut each)?;
            }
        }
        Ok(())
    }
}

/// Where the sweep is.
#[derive(Default)]
struct Sweep<'a> {
    address: Option<Ipv4Addr>,
    /// The pages that may hold the address.
    pages: Vec<Candidate<'a>>,
    /// How many of them are decoded, in whole or in part.
    decoded: usize,
}

struct Candidate<'a> {
    group: u32,
    page: u32,
    /// What its values lie between.
    extent: Extent,
    decoded: Option<(RowPage<'a>, OfAddress)>,
}

impl<'a> Sweep<'a> {
    fn turn_to(&mut self, segment: &'a Segment, address: Ipv4Addr) -> Result<(), Error> {
        if self.address == Some(address) {
            return Ok(());
        }
        self.address = Some(address);
        // The page in which one address ends is often the one in which the next begins.
        let mut kept = self
            .pages
            .pop()
            .and_then(|last| last.decoded)
            .map(|(page, _)| page);
        self.pages.clear();
        self.decoded = 0;
        for group in segment.groups_of(address) {
            let bounds = segment.page_bounds(group)?;
            for page in bounds.of_address(address) {
                let extent = bounds.extent(page);
                let page = page as u32;
                let same = |kept: &mut RowPage<'_>| (kept.group, kept.page) == (group, page);
                let decoded = match kept.take_if(same) {
                    Some(page) => {
                        self.decoded += 1;
                        let rows = page.of_address(address)?;
                        Some((page, rows))
                    }
                    None => None,
                };
                self.pages.push(Candidate {
                    group,
                    page,
                    extent,
                    decoded,
                });
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        segment: &'a Segment,
        question: &Question,
        each: &mut impl FnMut(u32, &RowPage<'_>, Held) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (asked, span) = (question.external, question.span);
        let pages = self.pages.len();
        for at in 0..pages {
            let Some(candidate) = self.pages.get_mut(at) else {
                break;
            };
            // Ports ascend inside an address: what lies below this one is asked for no more. But
            // the last page may hold the next address too.
            if asked
                .port
                .is_some_and(|port| candidate.extent.last < u32::from(port))
            {
                if candidate.decoded.take_if(|_| at + 1 < pages).is_some() {
                    self.decoded -= 1;
                }
                continue;
            }
            let (group, page) = (candidate.group, candidate.page);
            let extent = candidate.extent;
            if !extent.may_hold(asked.port) || !extent.may_overlap(span) {
                continue;
            }
            if candidate.decoded.is_none() {
                let page = RowPage::new(segment, group, page, Access::Once);
                let rows = page.of_address(asked.address)?;
                candidate.decoded = Some((page, rows));
                self.decoded += 1;
            }
            if let Some((page, rows)) = &mut candidate.decoded {
                page.covering(rows, asked, span.to, |held| {
                    match held.span().overlaps(span) {
                        true => each(question.index, page, held),
                        false => Ok(()),
                    }
                })?;
            }
            if self.decoded > KEPT {
                self.forget_but(at);
            }
        }
        Ok(())
    }

    fn forget_but(&mut self, kept: usize) {
        for (at, candidate) in self.pages.iter_mut().enumerate() {
            if at != kept {
                candidate.decoded = None;
            }
        }
        self.decoded = 1;
    }
}
