//! The Prometheus text format, version 0.0.4.

use super::number;
use super::pages::{Page, Pages};
use crate::snapshot::{Head, HistogramReading, Line, Number, Visit};

/// Writes a scrape as text 0.0.4 into a buffer of the caller's; nothing is allocated but the
/// buffer's growth and, for series that are new, the pages'.
pub(crate) struct Text<'a> {
    out: &'a mut Vec<u8>,
    pages: &'a mut Pages,
    /// Takes bytes of the engine's memory budget, or refuses.
    charge: &'a dyn Fn(u64) -> bool,
    family: usize,
    /// The page that is being brought up to date, taken out of `pages`.
    open: Option<(usize, Page)>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(
        out: &'a mut Vec<u8>,
        pages: &'a mut Pages,
        charge: &'a dyn Fn(u64) -> bool,
    ) -> Self {
        Text { out, pages, charge, family: 0, open: None }
    }

    /// Writes the open page out and puts it back.
    fn close(&mut self) {
        if let Some((number, page)) = self.open.take() {
            self.out.extend_from_slice(page.text());
            self.pages.put(self.family, number, page);
        }
    }

    /// `name_sum{labels} ` or `name_count{labels} `; `labels` has a comma after each.
    fn begin(&mut self, name: &str, suffix: &str, labels: &str) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
        if let Some(labels) = labels.strip_suffix(',') {
            self.out.push(b'{');
            self.out.extend_from_slice(labels.as_bytes());
            self.out.push(b'}');
        }
        self.out.push(b' ');
    }
}

impl Visit for Text<'_> {
    const CELLS: bool = false;

    fn family(&mut self, head: &Head<'_>) {
        self.family = head.number;
        self.out.extend_from_slice(head.text.as_bytes());
    }

    #[inline]
    fn number<'b>(&mut self, place: usize, value: Number, text: impl FnOnce() -> Line<'b>) {
        let (number, index) = Pages::of(place);
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            self.close();
            self.open = Some((number, self.pages.take(self.family, number)));
        }
        let Some((_, page)) = &mut self.open else { return };
        if page.holds(index, value) || page.change(index, value) {
            return;
        }
        let line = text();
        if !page.add(index, value, line.text, self.charge) {
            // Past the budget a line is written from scratch in every scrape.
            self.out.extend_from_slice(line.text.as_bytes());
            self.out.extend_from_slice(number::Buffer::default().format(value));
            self.out.push(b'\n');
        }
    }

    fn cell(&mut self, _low: u64, _high: u64, _count: u64) {}

    fn histogram(&mut self, line: Line<'_>, reading: &HistogramReading<'_>) {
        let mut count = 0;
        for (bound, alone) in reading.bounds_text.iter().zip(reading.buckets) {
            count += alone;
            // Once for the whole line, so that the copies below don't look again.
            self.out.reserve(line.text.len() + bound.len() + number::LONGEST + 1);
            self.out.extend_from_slice(line.text.as_bytes());
            self.out.extend_from_slice(bound.as_bytes());
            number::push_integer(self.out, count);
            self.out.push(b'\n');
        }
        self.begin(reading.name, "_sum", line.labels);
        number::push_scaled(self.out, reading.sum, reading.decimals);
        self.out.push(b'\n');
        self.begin(reading.name, "_count", line.labels);
        number::push_integer(self.out, count);
        self.out.push(b'\n');
    }

    fn family_end(&mut self) {
        self.close();
    }
}
