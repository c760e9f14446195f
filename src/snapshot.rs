//! Plain data between collecting and encoding: no atomics, no I/O.

use crate::registry::Clash;
pub(crate) use crate::registry::places::PAGE;
use crate::registry::places::Shown;
pub(crate) use crate::registry::{BoundText, Line, MetricKind};

/// Whoever walks a scrape: an encoder, or the builder of a [`Snapshot`].
pub(crate) trait Visit {
    /// Whether [`cell`](Self::cell) is wanted: a text encoder has no use for it.
    const CELLS: bool;

    /// Whether this family is: of another nothing is read.
    fn wants(&self, _head: &Head<'_>) -> bool {
        true
    }

    /// A family with at least one series; its series follow.
    fn family(&mut self, head: &Head<'_>);

    /// How many sheets of a large family it takes at once.
    fn at_once(&self) -> usize {
        1
    }

    /// A family that has one page of numbers, which is most of them: one for each bit of its `present`, as
    /// bits of their kind. Anything stands where there is no series.
    fn only<'a>(
        &mut self,
        family: &Head<'_>,
        kind: NumberKind,
        page: &PageHead,
        now: &[u64; PAGE],
        line: impl Fn(&PageHead, usize) -> Line<'a>,
    ) {
        self.family(family);
        each_number(kind, page, now, line, |number, line| self.number(number, line));
    }

    /// The numbers of a larger family's next series, in sheets that follow each other.
    ///
    /// * `read`: to be called once of each sheet, by any thread, before its numbers are asked for.
    fn numbers<'a, N: AsMut<Numbers> + Send>(
        &mut self,
        kind: NumberKind,
        sheets: &mut [N],
        read: impl Fn(&mut N) + Sync,
        line: impl Fn(&PageHead, usize) -> Line<'a>,
    ) {
        for sheet in sheets {
            read(sheet);
            for (page, now) in sheet.as_mut().pages() {
                each_number(kind, page, now, &line, |number, line| self.number(number, line));
            }
        }
    }

    /// One number of those.
    fn number(&mut self, number: Number, line: Line<'_>);

    /// A number without a place: it was asked for at this scrape and may be gone in the next. `begin`
    /// is what its line begins with, up to the number.
    fn sample<'a>(
        &mut self,
        number: Number,
        begin: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    );

    /// A part of the next histogram: `count` observations from `low` to `high` units, which one
    /// thread made.
    fn cell(&mut self, low: u64, high: u64, count: u64);

    /// The histogram at `index` of a page.
    fn histogram(
        &mut self,
        page: PageHead,
        index: usize,
        line: Line<'_>,
        reading: &HistogramReading<'_>,
    );
}

/// Pages of a sheet: those whose number divided by this is the same are handed over together.
pub(crate) const SHEET: usize = 64;

/// What a sheet's series stand at.
#[derive(Default)]
pub(crate) struct Numbers {
    /// The number of its family within the engine, and its own within the family.
    pub(crate) family: usize,
    pub(crate) sheet: usize,
    /// The pages that have a series, in their order.
    pub(crate) heads: Vec<PageHead>,
    /// For each of these what [`Visit::only`] is given.
    pub(crate) bits: Vec<[u64; PAGE]>,
}

impl Numbers {
    pub(crate) fn pages(&self) -> impl Iterator<Item = (&PageHead, &[u64; PAGE])> + Clone {
        self.heads.iter().zip(&self.bits)
    }
}

/// Gives each number of a page that is there, with its line.
pub(crate) fn each_number<'a>(
    kind: NumberKind,
    head: &PageHead,
    now: &[u64; PAGE],
    line: impl Fn(&PageHead, usize) -> Line<'a>,
    mut give: impl FnMut(Number, Line<'a>),
) {
    for (index, &bits) in now.iter().enumerate() {
        if head.present & 1 << index != 0 {
            give(kind.of(bits), line(head, index));
        }
    }
}

/// Neighbouring series, the same in every scrape.
#[derive(Clone, Copy)]
pub(crate) struct PageHead {
    /// The number of its family within the engine.
    pub(crate) family: usize,
    /// Its number within the family.
    pub(crate) number: usize,
    /// Another one than last time says that what was kept of the page is stale.
    pub(crate) version: u32,
    /// A bit for each series that is there.
    pub(crate) present: u64,
}

impl PageHead {
    /// What a page of a family is now.
    #[inline]
    pub(crate) fn of(family: usize, number: usize, (version, present): Shown) -> PageHead {
        PageHead { family, number, version, present }
    }
}

/// What is said of a family before its series.
pub(crate) struct Head<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: MetricKind,
    pub(crate) help: &'a str,
    /// Whether another family has its name in OpenMetrics; none of what has the same in all formats.
    pub(crate) clash: Option<&'a Clash>,
    /// `# HELP` and `# TYPE` of text 0.0.4, rendered.
    pub(crate) text: &'a str,
    /// Of a histogram: the boundaries in the exposed unit.
    pub(crate) bounds: &'a [f64],
    /// How many places after the point make an integer that is observed one of that unit.
    pub(crate) decimals: u8,
}

impl<'a> Head<'a> {
    /// The name that OpenMetrics has for the family, where it is another: without `_total`, `_info`.
    pub(crate) fn short(&self) -> Option<&'a str> {
        self.clash?.short(self.name, self.kind)
    }

    /// Whether one of the names that a scrape is for is the family's, in whichever format, or that of
    /// a sample of it: who scrapes sees no others. No two families share one. A scrape for no names in
    /// particular is for all.
    pub(crate) fn is_of(&self, only: Option<&[&str]>) -> bool {
        let Some(names) = only else { return true };
        let short = self.short();
        names.iter().any(|name| match name.strip_prefix(self.name) {
            Some("") => true,
            Some("_bucket" | "_sum" | "_count") => self.kind == MetricKind::Histogram,
            _ => short == Some(name),
        })
    }
}

/// What the numbers of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberKind {
    Total,
    Level,
    Reading,
}

impl NumberKind {
    /// The number that `bits` are.
    pub(crate) fn of(self, bits: u64) -> Number {
        match self {
            NumberKind::Total => Number::Total(bits),
            NumberKind::Level => Number::Level(bits as i64),
            NumberKind::Reading => Number::Reading(f64::from_bits(bits)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Total(u64),
    Level(i64),
    Reading(f64),
}

impl Number {
    pub(crate) fn kind(self) -> NumberKind {
        match self {
            Number::Total(_) => NumberKind::Total,
            Number::Level(_) => NumberKind::Level,
            Number::Reading(_) => NumberKind::Reading,
        }
    }

    /// What [`NumberKind::of`] makes the number of.
    pub(crate) fn bits(self) -> u64 {
        match self {
            Number::Total(total) => total,
            Number::Level(level) => level as u64,
            Number::Reading(reading) => reading.to_bits(),
        }
    }

    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Number::Total(total) => total as f64,
            Number::Level(level) => level as f64,
            Number::Reading(reading) => reading,
        }
    }
}

/// A histogram as one read of its cells gives it.
pub(crate) struct HistogramReading<'a> {
    pub(crate) name: &'a str,
    /// For each bucket.
    pub(crate) bounds_text: &'a [BoundText],
    /// Observations in each bucket alone, the last for `+Inf`.
    pub(crate) buckets: &'a [u64],
    /// In the integer unit; `decimals` places after the point make the exposed one.
    pub(crate) sum: u64,
    pub(crate) decimals: u8,
    /// log2 of the cells an octave.
    pub(crate) bits: u32,
    /// In the order of the buckets, one of each at most; none where nobody wants them.
    pub(crate) exemplars: &'a [Exemplar],
}

/// An observation and the span that it was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exemplar {
    pub(crate) bucket: usize,
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
    /// In the integer unit.
    pub(crate) units: u64,
    pub(crate) unix_millis: u64,
}

/// All metrics at one moment, as plain data: for a host's own tests and reports.
///
/// ```
/// # let vitals = mcp_vitals::Vitals::builder().build()?;
/// vitals.counter("jobs_total", "Jobs done.")?.add(3);
/// assert_eq!(vitals.snapshot().value("jobs_total", &[]), Some(3.0));
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    families: Vec<FamilySnapshot>,
}

#[derive(Clone, Debug)]
struct FamilySnapshot {
    name: String,
    type_name: &'static str,
    bounds: Vec<f64>,
    series: Vec<(Vec<(String, String)>, Value)>,
}

#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    Histogram(HistogramSnapshot),
}

/// One histogram at one moment, merged over all threads.
#[derive(Clone, Debug)]
pub struct HistogramSnapshot {
    count: u64,
    sum: u64,
    decimals: u8,
    buckets: Vec<(f64, u64)>,
    hdr: hdrhistogram::Histogram<u64>,
}

impl Snapshot {
    /// The value of a counter or gauge, or the count of a histogram. `labels` may be given in any
    /// order, constant labels may be left out. Nothing when there is no such series.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        Some(match self.find(name, labels)? {
            Value::Number(value) => *value,
            Value::Histogram(histogram) => histogram.count as f64,
        })
    }

    /// A histogram; labels as in [`value`](Self::value).
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Option<&HistogramSnapshot> {
        match self.find(name, labels)? {
            Value::Histogram(histogram) => Some(histogram),
            Value::Number(_) => None,
        }
    }

    /// The sum over all series of `name` whose labels include `labels`: counts for histograms.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let family = self.families.iter().filter(|family| family.name == name);
        let series = family.flat_map(|family| &family.series);
        series
            .filter(|(own, _)| includes(own, labels))
            .map(|(_, value)| match value {
                Value::Number(value) => *value,
                Value::Histogram(histogram) => histogram.count as f64,
            })
            // Not `sum`, which says -0 of nothing.
            .fold(0.0, |sum, value| sum + value)
    }

    /// Names and types (`counter`, `gauge`, `histogram`) of all families that have a series.
    pub fn families(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.families.iter().map(|family| (family.name.as_str(), family.type_name))
    }

    /// The label sets of a family, constant labels last.
    pub fn label_sets(&self, name: &str) -> impl Iterator<Item = &[(String, String)]> {
        let family = self.families.iter().find(move |family| family.name == name);
        family.into_iter().flat_map(|family| family.series.iter().map(|(labels, _)| &labels[..]))
    }

    fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<&Value> {
        let family = self.families.iter().find(|family| family.name == name)?;
        let mut found = family.series.iter().filter(|(own, _)| includes(own, labels));
        let (_, value) = found.next()?;
        // A second one matches when labels were left out that are not constant: none is meant.
        found.next().is_none().then_some(value)
    }
}

fn includes(own: &[(String, String)], labels: &[(&str, &str)]) -> bool {
    labels.iter().all(|(name, value)| own.iter().any(|(n, v)| n == name && v == value))
}

impl HistogramSnapshot {
    /// Observations: by construction the sum of the buckets.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The exact sum in the exposed unit (seconds, bytes).
    pub fn sum(&self) -> f64 {
        self.sum as f64 / 10f64.powi(i32::from(self.decimals))
    }

    /// The exact sum in the integer unit (nanoseconds, bytes).
    pub fn sum_units(&self) -> u64 {
        self.sum
    }

    /// Classic buckets: boundary in the exposed unit, and observations at or below it; `+Inf` last.
    pub fn buckets(&self) -> &[(f64, u64)] {
        &self.buckets
    }

    /// The value in the exposed unit that a share `quantile` (0 to 1) of the observations does not
    /// exceed, within half a cell (0.8 % at 64 cells an octave, 0.2 % at 256).
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.hdr.value_at_quantile(quantile) as f64 / 10f64.powi(i32::from(self.decimals))
    }

    /// The merged read for HdrHistogram's own tools: interval logs, further merging. Values are
    /// the middles of our cells, in the integer unit.
    pub fn hdr(&self) -> &hdrhistogram::Histogram<u64> {
        &self.hdr
    }
}

/// Builds a [`Snapshot`] from a scrape.
#[derive(Default)]
pub(crate) struct SnapshotBuilder {
    snapshot: Snapshot,
    cells: Vec<(u64, u64)>,
}

impl SnapshotBuilder {
    pub(crate) fn finish(self) -> Snapshot {
        self.snapshot
    }

    fn push<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>, value: Value) {
        if let Some(family) = self.snapshot.families.last_mut() {
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
            family.series.push((labels.collect(), value));
        }
    }
}

impl Visit for SnapshotBuilder {
    const CELLS: bool = true;

    fn family(&mut self, head: &Head<'_>) {
        self.snapshot.families.push(FamilySnapshot {
            name: head.name.to_owned(),
            type_name: head.kind.type_name(),
            bounds: head.bounds.to_vec(),
            series: Vec::new(),
        });
    }

    fn number(&mut self, number: Number, line: Line<'_>) {
        self.push(line.labels(), Value::Number(number.as_f64()));
    }

    fn sample<'a>(
        &mut self,
        number: Number,
        _begin: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        self.push(labels, Value::Number(number.as_f64()));
    }

    fn cell(&mut self, low: u64, high: u64, count: u64) {
        self.cells.push((low + (high - low) / 2, count));
    }

    fn histogram(
        &mut self,
        _page: PageHead,
        _index: usize,
        line: Line<'_>,
        reading: &HistogramReading<'_>,
    ) {
        // Two digits are 128 cells an octave there: of our 64 a middle is the last value of one of
        // them, which is what a quantile gives. More of ours need three digits, which are 1,024.
        let digits = if reading.bits > 6 { 3 } else { 2 };
        let mut hdr = hdrhistogram::Histogram::<u64>::new(digits)
            .unwrap_or_else(|_| unreachable!("two and three significant digits are within 0 to 5"));
        // Never refused: it resizes itself.
        for (middle, count) in self.cells.drain(..) {
            let _ = hdr.record_n(middle, count);
        }
        let bounds = self.snapshot.families.last().map_or(&[][..], |family| &family.bounds);
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let mut count = 0;
        let buckets = bounds
            .zip(reading.buckets)
            .map(|(bound, alone)| {
                count += alone;
                (bound, count)
            })
            .collect();
        let (sum, decimals) = (reading.sum, reading.decimals);
        let histogram = HistogramSnapshot { count, sum, decimals, buckets, hdr };
        self.push(line.labels(), Value::Histogram(histogram));
    }
}
