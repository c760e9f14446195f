//! The Prometheus text format, version 0.0.4, and OpenMetrics, whose series are spelled the same.

use std::mem::MaybeUninit;

use super::format::Format;
use super::pages::Pages;
use super::{number, open};
use crate::pool::Pool;
use crate::snapshot::{
    Head, HistogramReading, Line, Number, NumberKind, Numbers, PAGE, PageHead, Visit,
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

    fn page<'b>(
        &mut self,
        kind: NumberKind,
        head: &PageHead,
        now: &[u64; PAGE],
        line: impl Fn(&PageHead, usize) -> Line<'b>,
    ) {
        let Text { out, pages, charge, .. } = self;
        let past = |begin: &str, number| write_number(out.text(), begin, number);
        let text = pages.page(kind, head, now, line, *charge, past);
        out.page(text);
    }

    fn numbers<'b, N: AsMut<Numbers> + Send>(
        &mut self,
        kind: NumberKind,
        sheets: &mut [N],
        read: impl Fn(&mut N) + Sync,
        line: impl Fn(&PageHead, usize) -> Line<'b>,
    ) {
        let Text { out, pages, charge, pool, .. } = self;
        let mut gone = pages.update(kind, sheets, read, pool, *out);
        // One after the other from here on: in the order of the text, and the budget's.
        for sheet in sheets {
            let past = |begin: &str, number| write_number(out.text(), begin, number);
            pages.add_missing(kind, sheet.as_mut(), &line, *charge, past);
            let texts = pages.texts(sheet.as_mut()).skip(gone);
            texts.for_each(|text| out.page(text));
            gone = 0;
        }
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
