//! The Prometheus text format, version 0.0.4.

use super::number;
use crate::snapshot::{Head, HistogramReading, Number, Visit};

/// Longest number: 20 digits and a point, or a float's 24.
const LONGEST_NUMBER: usize = 26;

/// Writes a scrape as text 0.0.4 into a buffer of the caller's. Each line is a copy of what the
/// series rendered at its birth, and one number; nothing is allocated but the buffer's growth.
pub(crate) struct Text<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Text { out }
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
        self.out.extend_from_slice(head.text.as_bytes());
    }

    #[inline]
    fn number(&mut self, line: &str, _labels: &str, value: Number) {
        // Once for the whole line, so that the copies below don't look again.
        self.out.reserve(line.len() + LONGEST_NUMBER);
        self.out.extend_from_slice(line.as_bytes());
        match value {
            Number::Total(total) => number::push_integer(self.out, total),
            Number::Level(level) => number::push_signed(self.out, level),
            Number::Reading(reading) => number::push_float(self.out, reading),
        }
        self.out.push(b'\n');
    }

    fn cell(&mut self, _low: u64, _high: u64, _count: u64) {}

    fn histogram(&mut self, line: &str, labels: &str, reading: &HistogramReading<'_>) {
        let mut count = 0;
        for (bound, alone) in reading.bounds_text.iter().zip(reading.buckets) {
            count += alone;
            self.out.reserve(line.len() + bound.len() + LONGEST_NUMBER);
            self.out.extend_from_slice(line.as_bytes());
            self.out.extend_from_slice(bound.as_bytes());
            number::push_integer(self.out, count);
            self.out.push(b'\n');
        }
        self.begin(reading.name, "_sum", labels);
        number::push_scaled(self.out, reading.sum, reading.decimals);
        self.out.push(b'\n');
        self.begin(reading.name, "_count", labels);
        number::push_integer(self.out, count);
        self.out.push(b'\n');
    }
}
