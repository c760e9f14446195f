//! What a scrape wrote last, kept so that the next one changes digits instead of writing lines.
//!
//! A [`Page`] is the text of 64 neighbouring series of a family. A series that was removed takes
//! its page with it, which is then written anew.

use super::histogram::Lines;
use super::page::Page;
use crate::snapshot::{HistogramReading, Line, Number, NumberKind, PAGE, PageHead};

/// What is kept of all families of an engine.
#[derive(Default)]
pub(crate) struct Pages {
    families: Vec<FamilyPages>,
    /// Room to render one line's begin in.
    scratch: String,
    lines: Lines,
}

/// Of a family whose series are numbers its pages, of one of histograms what its lines begin with.
#[derive(Default)]
struct FamilyPages {
    numbers: Vec<Page>,
    begins: Vec<Begins>,
}

/// What the bucket lines of 64 neighbouring histograms begin with.
#[derive(Default)]
struct Begins {
    version: u32,
    texts: Vec<Box<str>>,
    /// Bytes that the texts take, and those that were charged.
    taken: u64,
    charged: u64,
}

impl Pages {
    /// Brings a page up to date; what has no room in the budget goes to `past`, line by line.
    #[inline]
    pub(crate) fn update<'a, 'b>(
        &'a mut self,
        head: PageHead,
        kind: NumberKind,
        bits: &[u64; PAGE],
        line: impl Fn(usize) -> Line<'b>,
        charge: &dyn Fn(u64) -> bool,
        mut past: impl FnMut(&str, Number),
    ) -> &'a [u8] {
        let page = nth(&mut nth(&mut self.families, head.family).numbers, head.number);
        if page.version != head.version {
            page.clear();
            page.version = head.version;
        }
        let mut missing = page.missing(head.present);
        while missing != 0 {
            let index = missing.trailing_zeros() as usize;
            missing &= missing - 1;
            let number = kind.of(bits[index]);
            self.scratch.clear();
            line(index).render(&mut self.scratch);
            if !page.add(index, number, &self.scratch, charge) {
                past(&self.scratch, number);
            }
        }
        page.update(kind, bits);
        page.text()
    }

    /// The lines of a histogram.
    pub(crate) fn histogram(
        &mut self,
        head: PageHead,
        index: usize,
        line: Line<'_>,
        reading: &HistogramReading<'_>,
        charge: &dyn Fn(u64) -> bool,
    ) -> &[u8] {
        let begins = nth(&mut nth(&mut self.families, head.family).begins, head.number);
        if begins.version != head.version {
            // Refunds nothing: what is emptied here is filled again, by series like those that went.
            begins.texts.iter_mut().for_each(|text| *text = Box::default());
            begins.taken = 0;
            begins.version = head.version;
        }
        if begins.texts.get(index).is_none_or(|text| text.is_empty()) {
            self.scratch.clear();
            line.render(&mut self.scratch);
            let taken = begins.taken + (self.scratch.len() + size_of::<Box<str>>()) as u64;
            if taken > begins.charged && !charge(taken - begins.charged) {
                return self.lines.render(&self.scratch, reading);
            }
            begins.taken = taken;
            begins.charged = begins.charged.max(taken);
            *nth(&mut begins.texts, index) = self.scratch.as_str().into();
        }
        self.lines.render(&begins.texts[index], reading)
    }
}

/// The `n`th of a list that grows as far as it is asked for.
fn nth<T: Default>(list: &mut Vec<T>, n: usize) -> &mut T {
    if list.len() <= n {
        list.resize_with(n + 1, T::default);
    }
    &mut list[n]
}
