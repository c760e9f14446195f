//! What a scrape wrote last, kept so that the next one changes digits instead of writing lines.
//!
//! A page is the text of 64 neighbouring series of a family; a series that was removed takes its page
//! with it, which is then written anew. A [`Sheet`] is some pages.

use super::histogram::{KeptLines, Lines};
use super::sheet::{Out, Sheet};
use super::text::Sink;
use crate::pool::Pool;
use crate::snapshot::{Head, HistogramReading, Line, NumberKind, Numbers, PAGE, PageHead};

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
    sheets: Vec<Sheet>,
    begins: Vec<Begins>,
}

/// The text of a family that has one page.
pub(crate) struct Only<'a> {
    pub(crate) with_head: &'a [u8],
    /// Bytes of its head.
    head: usize,
    /// A bit for each line that had no room in the budget.
    pub(crate) refused: u64,
}

impl<'a> Only<'a> {
    pub(crate) fn lines(&self) -> &'a [u8] {
        &self.with_head[self.head..]
    }
}

/// What the bucket lines of 64 neighbouring histograms begin with.
#[derive(Default)]
struct Begins {
    version: u32,
    texts: Vec<Box<str>>,
    /// Of a few also the lines.
    lines: Vec<KeptLines>,
    /// Bytes that the texts and lines take, and those that were charged.
    taken: u64,
    charged: u64,
}

/// Histograms whose lines are kept, of each family the first: some KiB each, so not those of a family that
/// has many. In a family of few most have not changed since the last scrape.
const KEPT: usize = 8;

/// Most sheets of a family whose text goes out page by page: 32,768 series. What is larger than the caches is
/// copied faster in longer runs.
const NEAR: usize = 8;

impl Pages {
    /// Brings a family's only page up to date.
    #[inline]
    pub(crate) fn only<'b>(
        &mut self,
        family: &Head<'_>,
        kind: NumberKind,
        page: &PageHead,
        now: &[u64; PAGE],
        line: impl Fn(&PageHead, usize) -> Line<'b>,
        charge: &dyn Fn(u64) -> bool,
    ) -> Only<'_> {
        let sheet = nth(&mut nth(&mut self.families, page.family).sheets, 0);
        let mut refused = 0;
        if !sheet.is_as(page, now) {
            sheet.update_only(family.text, kind, page, now);
            add_missing(sheet, kind, [(page, now)].into_iter(), &mut self.scratch, line, charge);
            refused = sheet.missing(page);
        }
        let (with_head, head) = sheet.only_text();
        Only { with_head, head, refused }
    }

    /// Reads the numbers of sheets that follow each other, and brings the lines that are there up to
    /// date, on all threads of `pool`.
    ///
    /// Gives how many pages have gone to `out` already: of several sheets none.
    pub(crate) fn update<N: AsMut<Numbers> + Send, S: Sink>(
        &mut self,
        kind: NumberKind,
        parts: &mut [N],
        read: impl Fn(&mut N) + Sync,
        pool: &Pool,
        out: &mut S,
    ) -> usize {
        let Some((family, first)) = parts.first_mut().map(|part| {
            let numbers = part.as_mut();
            (numbers.family, numbers.sheet)
        }) else {
            return 0;
        };
        let sheets = &mut nth(&mut self.families, family).sheets;
        nth(sheets, first + parts.len() - 1);
        let near = sheets.len() <= NEAR;
        let (sheets, next) = sheets[first..].split_at_mut(parts.len());
        if let Some(next) = next.first() {
            next.fetch();
        }
        if let ([part], [sheet]) = (&mut *parts, &mut *sheets) {
            read(part);
            let out = if near { Out::Now(out) } else { Out::Later(out.room()) };
            return sheet.update(kind, part.as_mut(), out);
        }
        pool.each(parts, sheets, |part, sheet| {
            read(part);
            sheet.update(kind, part.as_mut(), Out::<S>::Later(&[]));
        });
        0
    }

    /// Adds the lines that a sheet is missing. Gives whether some had no room in the budget.
    pub(crate) fn add_missing<'b>(
        &mut self,
        kind: NumberKind,
        numbers: &Numbers,
        line: impl Fn(&PageHead, usize) -> Line<'b>,
        charge: &dyn Fn(u64) -> bool,
    ) -> bool {
        let sheet = &mut self.families[numbers.family].sheets[numbers.sheet];
        add_missing(sheet, kind, numbers.pages(), &mut self.scratch, line, charge)
    }

    /// Of the lines that a sheet's page shows those that are missing.
    pub(crate) fn missing(&self, numbers: &Numbers, page: &PageHead) -> u64 {
        self.families[numbers.family].sheets[numbers.sheet].missing(page)
    }

    /// What a line begins with, which is not kept.
    pub(crate) fn render(&mut self, line: Line<'_>) -> &str {
        self.scratch.clear();
        line.render(&mut self.scratch);
        &self.scratch
    }

    /// The texts of a sheet's pages, as they were brought up to date.
    pub(crate) fn texts<'a>(&'a self, numbers: &'a Numbers) -> impl Iterator<Item = &'a [u8]> {
        let sheet = &self.families[numbers.family].sheets[numbers.sheet];
        numbers.heads.iter().map(|head| sheet.text(head))
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
            begins.lines.clear();
            begins.taken = 0;
            begins.version = head.version;
        }
        let kept = head.number == 0 && index < KEPT;
        if begins.texts.get(index).is_none_or(|text| text.is_empty()) {
            self.scratch.clear();
            line.render(&mut self.scratch);
            let lines = if kept { KeptLines::cost(&self.scratch, reading) } else { 0 };
            let new = self.scratch.len() + size_of::<Box<str>>() + lines;
            let taken = begins.taken + new as u64;
            if taken > begins.charged && !charge(taken - begins.charged) {
                return self.lines.render(&self.scratch, reading);
            }
            begins.taken = taken;
            begins.charged = begins.charged.max(taken);
            *nth(&mut begins.texts, index) = self.scratch.as_str().into();
        }
        if kept && reading.exemplars.is_empty() {
            return nth(&mut begins.lines, index).render(&begins.texts[index], reading);
        }
        self.lines.render(&begins.texts[index], reading)
    }
}

/// Adds the lines that pages of a sheet are missing. Gives whether some had no room in the budget. Not
/// inlined: where nothing has changed, which is most often, it is not called.
#[inline(never)]
fn add_missing<'a, 'b>(
    sheet: &mut Sheet,
    kind: NumberKind,
    pages: impl Iterator<Item = (&'a PageHead, &'a [u64; PAGE])> + Clone,
    scratch: &mut String,
    line: impl Fn(&PageHead, usize) -> Line<'b>,
    charge: &dyn Fn(u64) -> bool,
) -> bool {
    let missing = |(head, _)| sheet.missing(head).count_ones() as usize;
    let mut all: usize = pages.clone().map(missing).sum();
    let mut refused = false;
    if all == 0 {
        return refused;
    }
    for (head, now) in pages {
        let mut missing = sheet.missing(head);
        while missing != 0 {
            let index = missing.trailing_zeros() as usize;
            let number = kind.of(now[index]);
            scratch.clear();
            line(head, index).render(scratch);
            let of = (missing.count_ones() as usize, all);
            refused |= !sheet.add(head, index, number, scratch, of, charge);
            missing &= missing - 1;
            all -= 1;
        }
    }
    refused
}

/// The `n`th of a list that grows as far as it is asked for.
fn nth<T: Default>(list: &mut Vec<T>, n: usize) -> &mut T {
    if list.len() <= n {
        list.resize_with(n + 1, T::default);
    }
    &mut list[n]
}
