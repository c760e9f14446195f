//! The Prometheus text format, version 0.0.4.

use super::number;
use super::pages::{Page, Pages};
use crate::snapshot::{Head, HistogramReading, Line, Number, PAGE, Visit};

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

    /// Adds a line to a page, or, past the budget, writes it from scratch as in every scrape.
    #[cold]
    fn add(&mut self, page: &mut Page, index: usize, value: Number, line: Line<'_>) {
        if !page.add(index, value, line.text, self.charge) {
            self.sample(value, line);
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

    fn totals<'b>(
        &mut self,
        number: usize,
        present: u64,
        totals: &[u64],
        line: impl Fn(usize) -> Option<Line<'b>>,
    ) {
        let mut page = self.pages.take(self.family, number);
        let mut changed = page.differing(totals) & present;
        while changed != 0 {
            let index = changed.trailing_zeros() as usize;
            changed &= changed - 1;
            let total = Number::Total(totals[index]);
            if !page.change(index, total)
                && let Some(line) = line(number * PAGE + index)
            {
                self.add(&mut page, index, total, line);
            }
        }
        self.out.extend_from_slice(page.text());
        self.pages.put(self.family, number, page);
    }

    fn number(&mut self, place: usize, value: Number, line: Line<'_>) {
        let (number, index) = (place / PAGE, place % PAGE);
        let mut page = match self.open.take() {
            Some((open, page)) if open == number => page,
            open => {
                self.open = open;
                self.close();
                self.pages.take(self.family, number)
            }
        };
        if !page.holds(index, value) && !page.change(index, value) {
            self.add(&mut page, index, value, line);
        }
        self.open = Some((number, page));
    }

    fn sample(&mut self, number: Number, line: Line<'_>) {
        self.out.extend_from_slice(line.text.as_bytes());
        self.out.extend_from_slice(number::Buffer::default().format(number));
        self.out.push(b'\n');
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
