//! `measured`. Where every series is known as the family is made, its documentation recommends
//! fixed label sets and the dense form; for values that turn up later, a dynamic set. The tools of
//! an MCP server are of the latter kind, so both are shown: `measured` interns tools as they come,
//! `measured-dense` is told all of them beforehand. A handle is a `LabelId`. Labels that are looked up
//! go to `inc` and `observe` as they come, a status as the enum that the documentation recommends.

use std::sync::Arc;

use measured::label::StaticLabelSet;
use measured::lasso::{Rodeo, RodeoReader};
use measured::metric::group::Encoding;
use measured::metric::histogram::Thresholds;
use measured::metric::name::MetricName;
use measured::metric::{LabelId, MetricFamilyEncoding};
use measured::text::TextEncoder;
use measured::{CounterVec, FixedCardinalityLabel, GaugeVec, HistogramVec, LabelGroup};
use paracord::ParaCord;

use super::called::{looked_up, observed};
use super::{Scraped, Subject, Texts, prefill, runs};
use crate::totals::{Holdings, read_text};
use crate::work::{self, BOUNDS, SECONDS, seconds, start_value};

pub(super) const NAME: &str = "measured";
const DENSE: &str = "measured-dense";

type Histograms<L> = HistogramVec<L, { BOUNDS.len() }>;
pub(super) type Encoder = TextEncoder<Vec<u8>>;

#[derive(Clone, Copy, FixedCardinalityLabel)]
#[label(rename_all = "snake_case")]
enum Status {
    Success,
    Error,
    Cancelled,
    Timeout,
}

fn status(name: &str) -> Status {
    match name {
        "success" => Status::Success,
        "error" => Status::Error,
        "cancelled" => Status::Cancelled,
        _ => Status::Timeout,
    }
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = Dynamic)]
struct DynamicLabels<'a> {
    #[label(dynamic_with = ParaCord)]
    tool: &'a str,
    #[label(fixed_with = RodeoReader)]
    operation: &'a str,
    status: Status,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = Dense)]
struct DenseLabels<'a> {
    #[label(fixed_with = RodeoReader)]
    tool: &'a str,
    #[label(fixed_with = RodeoReader)]
    operation: &'a str,
    status: Status,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = DynamicPair)]
struct DynamicPairLabels<'a> {
    #[label(dynamic_with = ParaCord)]
    tool: &'a str,
    #[label(fixed_with = RodeoReader)]
    operation: &'a str,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = DensePair)]
struct DensePairLabels<'a> {
    #[label(fixed_with = RodeoReader)]
    tool: &'a str,
    #[label(fixed_with = RodeoReader)]
    operation: &'a str,
}

fn names(of: impl IntoIterator<Item = &'static str>) -> RodeoReader {
    of.into_iter().collect::<Rodeo>().into_reader()
}

fn dense_set(tools: impl IntoIterator<Item = &'static str>) -> Dense {
    let (tool, operation) = (names(tools), names(work::OPERATIONS));
    Dense { tool, operation, status: StaticLabelSet::new() }
}

fn dense_pair_set(tools: impl IntoIterator<Item = &'static str>) -> DensePair {
    DensePair { tool: names(tools), operation: names(work::OPERATIONS) }
}

fn dynamic_counters() -> CounterVec<Dynamic> {
    let (tool, operation) = (ParaCord::default(), names(work::OPERATIONS));
    CounterVec::with_label_set(Dynamic { tool, operation, status: StaticLabelSet::new() })
}

fn dense_counters_of(labels: &[[&'static str; 3]]) -> CounterVec<Dense> {
    CounterVec::dense_with_label_set(dense_set(labels.iter().map(|labels| labels[0])))
}

fn dynamic_histograms() -> Histograms<DynamicPair> {
    let (tool, operation) = (ParaCord::default(), names(work::OPERATIONS));
    let thresholds = Thresholds::with_buckets(BOUNDS);
    Histograms::with_label_set_and_metadata(DynamicPair { tool, operation }, thresholds)
}

fn dense_histograms_of(labels: &[[&'static str; 2]]) -> Histograms<DensePair> {
    let set = dense_pair_set(labels.iter().map(|labels| labels[0]));
    Histograms::dense_with_label_set_and_metadata(set, Thresholds::with_buckets(BOUNDS))
}

fn dynamic([tool, operation, name]: [&str; 3]) -> DynamicLabels<'_> {
    DynamicLabels { tool, operation, status: status(name) }
}

fn dense([tool, operation, name]: [&str; 3]) -> DenseLabels<'_> {
    DenseLabels { tool, operation, status: status(name) }
}

fn dynamic_pair([tool, operation]: [&str; 2]) -> DynamicPairLabels<'_> {
    DynamicPairLabels { tool, operation }
}

fn dense_pair([tool, operation]: [&str; 2]) -> DensePairLabels<'_> {
    DensePairLabels { tool, operation }
}

fn one_histogram() -> (Arc<Histograms<DensePair>>, DensePairLabels<'static>) {
    let family = dense_histograms_of(&[work::ONE_HISTOGRAM]);
    (Arc::new(family), dense_pair(work::ONE_HISTOGRAM))
}

fn render(family: &impl MetricFamilyEncoding<Encoder>, name: &'static str, out: &mut Vec<u8>) {
    out.clear();
    let mut encoder = TextEncoder::new(std::mem::take(out));
    let name = MetricName::from_str(name);
    let done = encoder.write_help(name, work::HELP);
    done.and_then(|()| family.collect_family_into(name, &mut encoder)).expect("a Vec takes all");
    *out = encoder.writer;
}

pub(super) fn reader<F: MetricFamilyEncoding<Encoder>>(
    family: Arc<F>,
    name: &'static str,
) -> impl Fn() -> Result<Holdings, String> {
    move || {
        let mut out = Vec::new();
        render(&*family, name, &mut out);
        read_text(&String::from_utf8_lossy(&out), name, 1.0)
    }
}

pub fn counter(threads: usize) -> Subject {
    let family = Arc::new(dense_counters_of(&[work::ONE]));
    let handle = (Arc::clone(&family), family.with_labels(dense(work::ONE)));
    let runs = runs!(threads, handle.clone(), |h| h.0.get_metric(h.1).inc());
    Subject::new(NAME, runs, reader(family, work::COUNTER))
}

pub fn gauge(threads: usize) -> Subject {
    let family = Arc::new(GaugeVec::dense_with_label_set(dense_set([work::ONE[0]])));
    let handle = (Arc::clone(&family), family.with_labels(dense(work::ONE)));
    let runs = runs!(threads, handle.clone(), |h| {
        h.0.get_metric(h.1).inc();
        h.0.get_metric(h.1).dec()
    }, then h.0.get_metric(h.1).inc());
    Subject::new(NAME, runs, reader(family, work::GAUGE))
}

pub fn histogram(threads: usize) -> Subject {
    let (family, labels) = one_histogram();
    let handle = (Arc::clone(&family), family.with_labels(labels));
    let runs = runs!(threads, handle.clone(), SECONDS, |h, v| h.0.get_metric(h.1).observe(v));
    Subject::new(NAME, runs, reader(family, work::HISTOGRAM))
}

pub fn timer(threads: usize) -> Subject {
    let (family, labels) = one_histogram();
    let handle = (Arc::clone(&family), labels);
    let runs = runs!(threads, handle.clone(), |h| h.0.start_timer(h.1).observe());
    Subject::new(NAME, runs, reader(family, work::HISTOGRAM))
}

/// Types alone differ between what is told beforehand and what isn't.
macro_rules! called {
    ($make:ident, $name:expr, $family:expr, $of:path, counter) => {
        pub fn $make(sets: usize, threads: usize) -> Subject {
            let sets = work::called_counters(sets);
            let family = Arc::new($family(sets));
            let handle = || Arc::clone(&family);
            let runs = looked_up(threads, sets, handle, |f, l| f.inc($of(l)));
            Subject::new($name, runs, reader(family, work::COUNTER))
        }
    };
    ($make:ident, $name:expr, $family:expr, $of:path, histogram) => {
        pub fn $make(sets: usize, threads: usize) -> Subject {
            let sets = work::called_histograms(sets);
            let family = Arc::new($family(sets));
            let handle = || Arc::clone(&family);
            let runs = observed(threads, sets, &SECONDS, handle, |f, l, v| f.observe($of(l), v));
            Subject::new($name, runs, reader(family, work::HISTOGRAM))
        }
    };
}

called!(called_counter, NAME, |_| dynamic_counters(), dynamic, counter);
called!(called_dense_counter, DENSE, dense_counters_of, dense, counter);
called!(called_histogram, NAME, |_| dynamic_histograms(), dynamic_pair, histogram);
called!(called_dense_histogram, DENSE, dense_histograms_of, dense_pair, histogram);

/// So do the four texts.
macro_rules! texts {
    ($make:ident, $name:expr, $family:expr, $of:path, counters) => {
        pub fn $make(series: usize) -> Box<dyn Scraped> {
            let labels = work::counter_labels(series);
            let family = Arc::new($family(labels));
            let ids: Vec<_> = labels.iter().map(|&l| family.with_labels($of(l))).collect();
            for (i, &id) in ids.iter().enumerate() {
                family.get_metric(id).inc_by(start_value(i));
            }
            let touched = Arc::clone(&family);
            let touch = move |&id: &LabelId<_>, _| touched.get_metric(id).inc();
            let render = move |out: &mut Vec<u8>| render(&*family, work::COUNTER, out);
            Texts::boxed($name, ids, touch, render)
        }
    };
    ($make:ident, $name:expr, $family:expr, $of:path, histograms) => {
        pub fn $make(series: usize) -> Box<dyn Scraped> {
            let labels = work::histogram_labels(series);
            let family = Arc::new($family(labels));
            let ids: Vec<_> = labels.iter().map(|&l| family.with_labels($of(l))).collect();
            prefill(series, |series, i| family.get_metric(ids[series]).observe(seconds(i)));
            let touched = Arc::clone(&family);
            let touch = move |&id: &LabelId<_>, i| touched.get_metric(id).observe(seconds(i));
            let render = move |out: &mut Vec<u8>| render(&*family, work::HISTOGRAM, out);
            Texts::boxed($name, ids, touch, render)
        }
    };
}

texts!(counters, NAME, |_| dynamic_counters(), dynamic, counters);
texts!(dense_counters, DENSE, dense_counters_of, dense, counters);
texts!(histograms, NAME, |_| dynamic_histograms(), dynamic_pair, histograms);
texts!(dense_histograms, DENSE, dense_histograms_of, dense_pair, histograms);
