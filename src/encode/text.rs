//! The Prometheus text format, version 0.0.4, and OpenMetrics, whose series are spelled the same.

use std::mem::MaybeUninit;

use super::format::Format;
use super::pages::Pages;
use super::{number, open};
use crate::pool::Pool;
use crate::snapshot::{
    Head, HistogramReading, Line, Number, NumberKind, Numbers, PAGE, PageHead, Visit, each_number,
};

/// Where text goes.
pub(crate) trait Sink {
    /// To append to.
    fn text(&mut self) -> &mut Vec<u8>;

    /// Takes many bytes that stand side by side.
    fn page(&mut self, page: &[u8]);

    /// Where the next of them will be copied to, if they are.
    fn room(&mut self) -> &[MaybeUninit<u8>];
}

/// A buffer that takes everything.
impl Sink for Vec<u8> {
    #[inline]
    fn text(&mut self) -> &mut Vec<u8> {
        self
    }

    fn page(&mut self, page: &[u8]) {
        self.extend_from_slice(page);
    }

    #[inline]
    fn room(&mut self) -> &[MaybeUninit<u8>] {
        self.spare_capacity_mut()
    }
}

/// Hands text on in slices: pages as they are kept, without a copy, and what stands between them
/// collected first.
pub(crate) struct Slices<'a, F: FnMut(&[u8])> {
    between: &'a mut Vec<u8>,
    to: F,
}

/// Bytes below which a slice is not worth a call of its own, and up to which they are collected.
const SLICE: usize = 1024;

impl<'a, F: FnMut(&[u8])> Slices<'a, F> {
    pub(crate) fn new(between: &'a mut Vec<u8>, to: F) -> Self {
        between.clear();
        Slices { between, to }
    }

    pub(crate) fn flush(&mut self) {
        if !self.between.is_empty() {
            (self.to)(self.between);
            self.between.clear();
        }
    }
}

impl<F: FnMut(&[u8])> Sink for Slices<'_, F> {
    #[inline]
    fn text(&mut self) -> &mut Vec<u8> {
        if self.between.len() >= 16 * SLICE {
            self.flush();
        }
        self.between
    }

    fn page(&mut self, page: &[u8]) {
        if page.len() < SLICE {
            return self.text().extend_from_slice(page);
        }
        self.flush();
        (self.to)(page);
    }

    fn room(&mut self) -> &[MaybeUninit<u8>] {
        &[]
    }
}

/// Writes a scrape as text 0.0.4 or OpenMetrics; nothing is allocated but the sink's growth and, for series that
/// are new, what is kept of them.
pub(crate) struct Text<'a, S> {
    format: Format,
    /// The names that are asked for, where not all are.
    only: Option<&'a [&'a str]>,
    out: &'a mut S,
    pages: &'a mut Pages,
    /// Takes bytes of the engine's memory budget, or refuses.
    charge: &'a dyn Fn(u64) -> bool,
    pool: &'a Pool,
}

/// Sheets that several threads bring up to date together: 262,144 series, so that they are woken up
/// a few times for a million. 2 MiB of numbers.
const SHEETS_AT_ONCE: usize = 64;

impl<'a, S: Sink> Text<'a, S> {
    pub(crate) fn new(
        format: Format,
        only: Option<&'a [&'a str]>,
        out: &'a mut S,
        pages: &'a mut Pages,
        charge: &'a dyn Fn(u64) -> bool,
        pool: &'a Pool,
    ) -> Self {
        Text { format, only, out, pages, charge, pool }
    }

    /// What stands behind the last family.
    pub(crate) fn finish(self) {
        if self.format == Format::OpenMetrics {
            self.out.text().extend_from_slice(open::END);
        }
    }
}

impl<S: Sink> Visit for Text<'_, S> {
    const CELLS: bool = false;

    fn wants(&self, head: &Head<'_>) -> bool {
        head.is_of(self.only)
    }

    fn family(&mut self, head: &Head<'_>) {
        match self.format {
            Format::OpenMetrics => open::head(self.out.text(), head),
            // Text; protobuf has a visitor of its own.
            _ => self.out.text().extend_from_slice(head.text.as_bytes()),
        }
    }

    fn at_once(&self) -> usize {
        if self.pool.is_many() { SHEETS_AT_ONCE } else { 1 }
    }

    fn only<'b>(
        &mut self,
        family: &Head<'_>,
        kind: NumberKind,
        page: &PageHead,
        now: &[u64; PAGE],
        line: impl Fn(&PageHead, usize) -> Line<'b>,
    ) {
        let text = self.pages.only(family, kind, page, now, &line, self.charge);
        if self.format == Format::Text {
            self.out.page(text.with_head);
        } else {
            open::head(self.out.text(), family);
            self.out.page(text.lines());
        }
        if text.refused != 0 {
            let refused = PageHead { present: text.refused, ..*page };
            each_number(kind, &refused, now, line, |number, line| self.number(number, line));
        }
    }

    fn numbers<'b, N: AsMut<Numbers> + Send>(
        &mut self,
        kind: NumberKind,
        sheets: &mut [N],
        read: impl Fn(&mut N) + Sync,
        line: impl Fn(&PageHead, usize) -> Line<'b>,
    ) {
        let mut gone = self.pages.update(kind, sheets, read, self.pool, self.out);
        // One after the other from here on: in the order of the text, and the budget's.
        for sheet in sheets {
            let sheet = sheet.as_mut();
            let refused = self.pages.add_missing(kind, sheet, &line, self.charge);
            self.pages.texts(sheet).skip(gone).for_each(|text| self.out.page(text));
            gone = 0;
            if refused {
                for (page, now) in sheet.pages() {
                    let refused = PageHead { present: self.pages.missing(sheet, page), ..*page };
                    each_number(kind, &refused, now, &line, |number, line| {
                        self.number(number, line);
                    });
                }
            }
        }
    }

    fn number(&mut self, number: Number, line: Line<'_>) {
        write_number(self.out.text(), self.pages.render(line), number);
    }

    fn sample<'b>(
        &mut self,
        number: Number,
        begin: &str,
        _labels: impl Iterator<Item = (&'b str, &'b str)>,
    ) {
        write_number(self.out.text(), begin, number);
    }

    fn cell(&mut self, _low: u64, _high: u64, _count: u64) {}

    fn histogram(
        &mut self,
        page: PageHead,
        index: usize,
        line: Line<'_>,
        reading: &HistogramReading<'_>,
    ) {
        let Text { out, pages, charge, .. } = self;
        out.text().extend_from_slice(pages.histogram(page, index, line, reading, *charge));
    }
}

/// A line of its own.
fn write_number(out: &mut Vec<u8>, begin: &str, number: Number) {
    out.extend_from_slice(begin.as_bytes());
    out.extend_from_slice(number::Buffer::default().format(number));
    out.push(b'\n');
}
