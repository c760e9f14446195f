//! Metrics in protobuf, field by field as `io/prometheus/client/metrics.proto` numbers them: of each
//! family a `MetricFamily`, its length in front of it.
//!
//! Series are called what they are in text. A histogram is there twice, in its classic buckets and in
//! exponential ones, both of the same cells, read once.

use super::exponential::{Exponential, ZERO_THRESHOLD};
use super::line::escape::hex;
use super::wire::{self, VARINT, bytes, fixed64, int, key, long, message, zigzag};
use crate::snapshot::{
    Exemplar, Head, HistogramReading, Line, MetricKind, Number, PageHead, Visit,
};

/// `MetricType`.
const COUNTER: u8 = 0;
const GAUGE: u8 = 1;
const HISTOGRAM: u8 = 4;

/// What one scrape leaves to the next, so that it allocates nothing.
#[derive(Default)]
pub(crate) struct Room {
    bounds: Vec<f64>,
    exponential: Exponential,
}

/// Writes a scrape.
pub(crate) struct Protobuf<'a> {
    /// The names that are asked for, where not all are.
    only: Option<&'a [&'a str]>,
    out: &'a mut Vec<u8>,
    room: &'a mut Room,
    /// Where the family under way began, and what it is.
    family: Option<(usize, u8)>,
}

/// Bytes that the length of a large family has: what is moved where it has fewer is small.
const LENGTH: usize = 3;

impl<'a> Protobuf<'a> {
    pub(crate) fn new(
        only: Option<&'a [&'a str]>,
        out: &'a mut Vec<u8>,
        room: &'a mut Room,
    ) -> Self {
        Protobuf { only, out, room, family: None }
    }

    /// What stands behind the last family.
    pub(crate) fn finish(mut self) {
        self.end_family();
    }

    fn end_family(&mut self) {
        if let Some((at, _)) = self.family.take() {
            wire::end::<LENGTH>(at, self.out);
        }
    }

    fn metric<'b>(&mut self, number: Number, labels: impl Iterator<Item = (&'b str, &'b str)>) {
        let Some((_, kind)) = self.family else { return };
        message::<1>(long(4), self.out, |out| {
            self::labels(labels, out);
            // `Gauge` is field 2 of a `Metric`, `Counter` 3, and their number field 1 of either.
            let of = if kind == COUNTER { 3 } else { 2 };
            message::<1>(long(of), out, |out| fixed64(1, number.as_f64().to_bits(), out));
        });
    }
}

impl Visit for Protobuf<'_> {
    const CELLS: bool = true;

    fn wants(&self, head: &Head<'_>) -> bool {
        head.is_of(self.only)
    }

    fn family(&mut self, head: &Head<'_>) {
        self.end_family();
        let kind = match head.kind {
            MetricKind::Counter | MetricKind::Observed => COUNTER,
            MetricKind::Gauge | MetricKind::UpDown | MetricKind::Info => GAUGE,
            MetricKind::Histogram => HISTOGRAM,
        };
        self.family = Some((wire::begin::<LENGTH>(self.out), kind));
        bytes(long(1), head.name.as_bytes(), self.out);
        bytes(long(2), head.help.as_bytes(), self.out);
        int(key(3, VARINT), kind.into(), self.out);
        if kind == HISTOGRAM {
            let Room { bounds, exponential } = &mut *self.room;
            bounds.clear();
            bounds.extend_from_slice(head.bounds);
            exponential.begin(10f64.powi(i32::from(head.decimals)));
        }
    }

    fn number(&mut self, number: Number, line: Line<'_>) {
        self.metric(number, line.labels());
    }

    fn sample<'b>(
        &mut self,
        number: Number,
        _begin: &str,
        labels: impl Iterator<Item = (&'b str, &'b str)>,
    ) {
        self.metric(number, labels);
    }

    fn cell(&mut self, low: u64, high: u64, count: u64) {
        self.room.exponential.add(low + (high - low) / 2, count);
    }

    fn histogram(
        &mut self,
        _page: PageHead,
        _index: usize,
        line: Line<'_>,
        reading: &HistogramReading<'_>,
    ) {
        let Room { bounds, exponential } = &mut *self.room;
        exponential.settle();
        message::<2>(long(4), self.out, |out| {
            labels(line.labels(), out);
            message::<2>(long(7), out, |out| {
                let count = classic(bounds, reading, exponential.unit, out);
                int(key(1, VARINT), count, out);
                fixed64(2, (reading.sum as f64 / exponential.unit).to_bits(), out);
                native(exponential, out);
            });
        });
        exponential.clear();
    }
}

/// `LabelPair`s, as field 1 of whatever has them.
fn labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, out: &mut Vec<u8>) {
    for (name, value) in labels {
        message::<1>(long(1), out, |out| {
            bytes(long(1), name.as_bytes(), out);
            bytes(long(2), value.as_bytes(), out);
        });
    }
}

/// A `Bucket` for each boundary, `+Inf` the last. Gives the count.
fn classic(bounds: &[f64], reading: &HistogramReading<'_>, unit: f64, out: &mut Vec<u8>) -> u64 {
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    let mut exemplars = reading.exemplars.iter().peekable();
    let mut count = 0u64;
    for (bucket, (bound, alone)) in bounds.zip(reading.buckets).enumerate() {
        count = count.wrapping_add(*alone);
        message::<1>(long(3), out, |out| {
            int(key(1, VARINT), count, out);
            fixed64(2, bound.to_bits(), out);
            if let Some(exemplar) = exemplars.next_if(|exemplar| exemplar.bucket == bucket) {
                message::<1>(long(3), out, |out| self::exemplar(exemplar, unit, out));
            }
        });
    }
    count
}

fn exemplar(exemplar: &Exemplar, unit: f64, out: &mut Vec<u8>) {
    let mut id = |name: &str, id: &[u8]| {
        message::<1>(long(1), out, |out| {
            bytes(long(1), name.as_bytes(), out);
            message::<1>(long(2), out, |out| hex(id, out));
        });
    };
    id("trace_id", &exemplar.trace);
    id("span_id", &exemplar.span);
    fixed64(2, (exemplar.units as f64 / unit).to_bits(), out);
    // `google.protobuf.Timestamp`.
    message::<1>(long(3), out, |out| {
        int(key(1, VARINT), exemplar.unix_millis / 1_000, out);
        int(key(2, VARINT), exemplar.unix_millis % 1_000 * 1_000_000, out);
    });
}

/// What a `Histogram` has besides: its schema, what is zero, and the spans of the buckets above.
fn native(of: &Exponential, out: &mut Vec<u8>) {
    int(key(5, VARINT), zigzag(of.schema.into()), out);
    fixed64(6, ZERO_THRESHOLD.to_bits(), out);
    int(key(7, VARINT), of.zero, out);
    for (offset, length) in of.spans() {
        message::<1>(long(12), out, |out| {
            int(key(1, VARINT), zigzag(offset.into()), out);
            int(key(2, VARINT), length.into(), out);
        });
    }
    if of.deltas().next().is_some() {
        message::<1>(long(13), out, |out| {
            of.deltas().for_each(|delta| wire::varint(zigzag(delta), out));
        });
    }
}
