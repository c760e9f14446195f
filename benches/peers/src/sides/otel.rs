//! `opentelemetry_sdk` with bound instruments. It has no text exposition of its own, so it takes no
//! part in the scrapes; totals are read through its manual reader. Labels that are looked up are a
//! slice of `KeyValue`s, `String`s where they are not `'static`.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundHistogram, Counter, Histogram, Meter, MeterProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Instrument, InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Stream, Temporality,
};

use super::called::{looked_up, looked_up_static, observed};
use super::{Subject, runs};
use crate::totals::{Holdings, Point, join_labels};
use crate::work;

const NAME: &str = "opentelemetry";

/// The provider takes its reader by value, and we want to go on asking it.
#[derive(Clone, Debug)]
struct Shared(Arc<ManualReader>);

impl MetricReader for Shared {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

struct Sdk {
    provider: SdkMeterProvider,
    reader: Shared,
}

impl Sdk {
    fn new() -> Sdk {
        let reader = Shared(Arc::new(ManualReader::default()));
        Sdk { provider: SdkMeterProvider::builder().with_reader(reader.clone()).build(), reader }
    }

    /// For more label sets than the 2,000 that are kept apart unless a view says so.
    fn with_room_for(sets: usize) -> Sdk {
        let reader = Shared(Arc::new(ManualReader::default()));
        let view =
            move |_: &Instrument| Stream::builder().with_cardinality_limit(sets + 1).build().ok();
        let builder = SdkMeterProvider::builder().with_reader(reader.clone());
        Sdk { provider: builder.with_view(view).build(), reader }
    }

    fn meter(&self) -> Meter {
        self.provider.meter("peers")
    }

    fn holdings(&self) -> Result<Holdings, String> {
        let mut metrics = ResourceMetrics::default();
        self.reader.collect(&mut metrics).map_err(|error| error.to_string())?;
        let mut holdings = Holdings::new();
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                    for point in sum.data_points() {
                        let value = point.value() as f64;
                        let held = Point { value, ..Point::default() };
                        holdings.insert(labels(point.attributes()), held);
                    }
                }
                AggregatedMetrics::I64(MetricData::Sum(sum)) => {
                    for point in sum.data_points() {
                        let value = point.value() as f64;
                        let held = Point { value, ..Point::default() };
                        holdings.insert(labels(point.attributes()), held);
                    }
                }
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                    for point in histogram.data_points() {
                        let cumulative = point.bucket_counts().scan(0, |sum, count| {
                            *sum += count;
                            Some(*sum as f64)
                        });
                        let held = Point {
                            value: point.count() as f64,
                            sum: Some(point.sum()),
                            buckets: Some(point.bounds().zip(cumulative).collect()),
                        };
                        holdings.insert(labels(point.attributes()), held);
                    }
                }
                other => return Err(format!("no use for {other:?}")),
            }
        }
        Ok(holdings)
    }
}

fn labels<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let pairs: Vec<_> = attributes.map(|kv| (kv.key.as_str(), kv.value.as_str())).collect();
    join_labels(pairs.iter().map(|(key, value)| (*key, &**value)).collect())
}

fn attributes<const N: usize>(
    names: [&'static str; N],
    values: [&'static str; N],
) -> Vec<KeyValue> {
    names.into_iter().zip(values).map(|(name, value)| KeyValue::new(name, value)).collect()
}

fn bound_histogram(sdk: &Sdk) -> BoundHistogram<f64> {
    let meter = sdk.meter();
    let builder = meter.f64_histogram(work::HISTOGRAM).with_boundaries(work::BOUNDS.to_vec());
    let histogram = builder.build();
    histogram.bind(&attributes(work::HISTOGRAM_LABELS, work::ONE_HISTOGRAM))
}

pub fn counter(threads: usize) -> Subject {
    let sdk = Sdk::new();
    let counter = sdk.meter().u64_counter(work::COUNTER).build();
    let handle = Arc::new(counter.bind(&attributes(work::LABELS, work::ONE)));
    Subject::new(NAME, runs!(threads, Arc::clone(&handle), |h| h.add(1)), move || sdk.holdings())
}

pub fn updown(threads: usize) -> Subject {
    let sdk = Sdk::new();
    let gauge = sdk.meter().i64_up_down_counter(work::GAUGE).build();
    let handle = Arc::new(gauge.bind(&attributes(work::LABELS, work::ONE)));
    let runs = runs!(threads, Arc::clone(&handle), |h| { h.add(1); h.add(-1) }, then h.add(1));
    Subject::new(NAME, runs, move || sdk.holdings())
}

pub fn histogram(threads: usize) -> Subject {
    let sdk = Sdk::new();
    let handle = Arc::new(bound_histogram(&sdk));
    let runs = runs!(threads, Arc::clone(&handle), SECONDS, |h, v| h.record(v));
    Subject::new(NAME, runs, move || sdk.holdings())
}

pub fn timer(threads: usize) -> Subject {
    let sdk = Sdk::new();
    let handle = Arc::new(bound_histogram(&sdk));
    let runs = runs!(threads, Arc::clone(&handle), |h| {
        let start = Instant::now();
        h.record(start.elapsed().as_secs_f64())
    });
    Subject::new(NAME, runs, move || sdk.holdings())
}

fn owned<const N: usize>(names: [&'static str; N], values: [&str; N]) -> [KeyValue; N] {
    std::array::from_fn(|i| KeyValue::new(names[i], values[i].to_owned()))
}

pub fn called_counter(sets: usize, threads: usize) -> Subject {
    let sdk = Sdk::with_room_for(sets);
    let counter = sdk.meter().u64_counter(work::COUNTER).build();
    let call = |c: &Counter<u64>, l: [&str; 3]| c.add(1, &owned(work::LABELS, l));
    let runs = looked_up(threads, work::called_counters(sets), || counter.clone(), call);
    Subject::new(NAME, runs, move || sdk.holdings())
}

pub fn static_counter(sets: usize, threads: usize) -> Subject {
    let sdk = Sdk::with_room_for(sets);
    let counter = sdk.meter().u64_counter(work::COUNTER).build();
    let call = |c: &Counter<u64>, l: [&'static str; 3]| {
        let attributes: [_; 3] = std::array::from_fn(|i| KeyValue::new(work::LABELS[i], l[i]));
        c.add(1, &attributes);
    };
    let runs = looked_up_static(threads, work::called_counters(sets), || counter.clone(), call);
    Subject::new(NAME, runs, move || sdk.holdings())
}

pub fn called_histogram(sets: usize, threads: usize) -> Subject {
    let sdk = Sdk::with_room_for(sets);
    let meter = sdk.meter();
    let builder = meter.f64_histogram(work::HISTOGRAM);
    let histogram = builder.with_boundaries(work::BOUNDS.to_vec()).build();
    let call = |h: &Histogram<f64>, l: [&str; 2], v| h.record(v, &owned(work::HISTOGRAM_LABELS, l));
    let handle = || histogram.clone();
    let runs = observed(threads, work::called_histograms(sets), &work::SECONDS, handle, call);
    Subject::new(NAME, runs, move || sdk.holdings())
}
