//! What a scrape shows is what was recorded: random engines against the dullest model, read back
//! by a parser that is not ours.

mod round_trip;

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;

use mcp_vitals::{Counter, Desc, Error, Family, Gauge, Histogram, UpDown, Vitals};
use openmetrics_parser::{PrometheusType, PrometheusValue};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use round_trip::{as_read, cut, find, number, read};

const CONSTANT: (&str, &str) = ("zone", "\"eu\\1\"\n");
const VALUE_LIMIT: usize = 40;
/// Highest trackable value, in nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Counter,
    Gauge,
    UpDown,
    Histogram,
}

#[derive(Clone, Debug)]
struct Metric {
    of: Of,
    help: String,
    labels: usize,
    /// Nanoseconds, ascending.
    bounds: Vec<u64>,
}

/// One record: which metric, which labels, how, and how much.
#[derive(Clone, Debug)]
struct Record {
    metric: usize,
    values: [usize; 2],
    by_name: bool,
    amount: u64,
    reading: f64,
}

#[derive(Clone, Debug)]
struct Plan {
    metrics: Vec<Metric>,
    /// What labels choose from, so that some meet.
    values: Vec<String>,
    records: Vec<Record>,
}

fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        4 => any::<char>().prop_map(String::from),
        4 => "[a-z]{0,6}",
        4 => prop::sample::select(vec![
            "\"", "\\", "\n", "\r", "\\n", "\\\"", "} 1\n", "\",a=\"", "{", ",", " ", "#", "\u{0}",
            "\u{2028}", "\u{1b}", "_other", "ä", "€", "\u{1f980}", "# EOF\n", "le=\"1\"",
        ])
        .prop_map(String::from),
    ];
    vec(pieces, 0..12).prop_map(|pieces| pieces.concat().replace('\u{e00d}', ""))
}

/// Values of every magnitude alike.
fn amount() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0u32..64).prop_map(|(bits, shift)| bits >> shift)
}

fn metric() -> impl Strategy<Value = Metric> {
    let of = prop::sample::select(vec![Of::Counter, Of::Gauge, Of::UpDown, Of::Histogram]);
    let bounds = btree_set(amount().prop_map(|bound| bound >> 14), 0..20);
    (of, hostile(), 0..=2usize, bounds).prop_map(|(of, help, labels, bounds)| {
        // Below 2^50 ns, 13 days, seconds as a float name the nanosecond without a doubt.
        let bounds = bounds.into_iter().collect();
        Metric { of, help, labels, bounds }
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    (vec(metric(), 1..6), vec(hostile(), 1..6)).prop_flat_map(|(metrics, values)| {
        let reading = prop_oneof![any::<f64>(), (-1000i32..1000).prop_map(f64::from)];
        let record = (0..metrics.len(), [0..values.len(), 0..values.len()], any::<bool>());
        let record = (record, amount(), any::<prop::sample::Index>(), 0u64..3, reading).prop_map({
            let metrics = metrics.clone();
            move |((metric, values, by_name), amount, index, beside, reading)| {
                // On a boundary, just below or just above one, where there is one to choose.
                let bounds = &metrics[metric].bounds;
                let amount = match bounds.is_empty() || by_name {
                    true => amount,
                    false => (index.get(bounds) + beside).saturating_sub(1),
                };
                Record { metric, values, by_name, amount, reading }
            }
        });
        let (metrics, values) = (Just(metrics), Just(values));
        (metrics, values, vec(record, 0..120)).prop_map(|(metrics, values, records)| Plan {
            metrics,
            values,
            records,
        })
    })
}

/// A family whatever its number of labels.
enum Any<K> {
    None(Family<K, 0>),
    One(Family<K, 1>),
    Two(Family<K, 2>),
}

impl<K: mcp_vitals::Kind> Any<K> {
    fn register(vitals: &Vitals, desc: Desc<K, 0>, labels: usize) -> Result<Any<K>, Error> {
        Ok(match labels {
            0 => Any::None(vitals.register(desc)?),
            1 => Any::One(vitals.register(desc.labels(["a"]))?),
            _ => Any::Two(vitals.register(desc.labels(["a", "b"]))?),
        })
    }

    fn with(&self, a: &str, b: &str) -> K {
        match self {
            Any::None(family) => family.with([]),
            Any::One(family) => family.with([a]),
            Any::Two(family) => family.with([a, b]),
        }
    }
}

enum Handle {
    Counter(Any<Counter>),
    Gauge(Any<Gauge>),
    UpDown(Any<UpDown>),
    Histogram(Any<Histogram>),
}

fn name(index: usize) -> String {
    format!("metric_{index}")
}

fn register(vitals: &Vitals, index: usize, metric: &Metric) -> Result<Handle, Error> {
    let (name, help, labels) = (name(index), &*metric.help, metric.labels);
    Ok(match metric.of {
        Of::Counter => Handle::Counter(Any::register(vitals, Desc::counter(&name, help), labels)?),
        Of::Gauge => Handle::Gauge(Any::register(vitals, Desc::gauge(&name, help), labels)?),
        Of::UpDown => Handle::UpDown(Any::register(vitals, Desc::updown(&name, help), labels)?),
        Of::Histogram => {
            let bounds: Vec<f64> = metric.bounds.iter().map(|&n| n as f64 / 1e9).collect();
            let desc = Desc::histogram(&name, help).buckets(&bounds);
            Handle::Histogram(Any::register(vitals, desc, labels)?)
        }
    })
}

/// What a histogram is given: no sum of a plan's observations reaches 2^63, where sums end.
fn observed(record: &Record) -> u64 {
    record.amount.min(1 << 56)
}

fn perform(vitals: &Vitals, handles: &[Handle], plan: &Plan, record: &Record) {
    let metric = &plan.metrics[record.metric];
    let [a, b] = record.values.map(|value| &*plan.values[value]);
    let labels = &[("b", b), ("a", a)][2 - metric.labels.min(2)..];
    // Of one label it is `a`; of two they are given in the wrong order, which is right by name.
    let by_name = record.by_name.then(|| vitals.metric(&name(record.metric)).unwrap());
    match (&handles[record.metric], by_name) {
        (Handle::Counter(_), Some(metric)) => metric.add(labels, record.amount),
        (Handle::Counter(family), None) => family.with(a, b).add(record.amount),
        (Handle::Gauge(_), Some(metric)) => metric.set(labels, record.reading),
        (Handle::Gauge(family), None) => family.with(a, b).set(record.reading),
        (Handle::UpDown(_), Some(metric)) => metric.dec(labels),
        (Handle::UpDown(family), None) => family.with(a, b).add(record.amount >> 2),
        (Handle::Histogram(_), Some(metric)) => {
            metric.record(labels, std::time::Duration::from_nanos(observed(record)));
        }
        (Handle::Histogram(family), None) => family.with(a, b).record_nanos(observed(record)),
    }
}

/// What the dullest engine would hold of one series: all of it.
#[derive(Default)]
struct Held {
    total: u64,
    level: i64,
    reading: f64,
    observed: Vec<u64>,
}

type Model = BTreeMap<(usize, Vec<String>), Held>;

fn model(plan: &Plan) -> Model {
    let mut model = Model::new();
    for (index, metric) in plan.metrics.iter().enumerate() {
        // Without labels a series is there from the start.
        if metric.labels == 0 {
            model.entry((index, Vec::new())).or_default();
        }
    }
    for record in &plan.records {
        let metric = &plan.metrics[record.metric];
        let values = record.values.map(|value| cut(&plan.values[value], VALUE_LIMIT));
        let key = (record.metric, values[..metric.labels].to_vec());
        let held = model.entry(key).or_default();
        match (metric.of, record.by_name) {
            (Of::Counter, _) => held.total = held.total.wrapping_add(record.amount),
            (Of::Gauge, _) => held.reading = record.reading,
            (Of::UpDown, true) => held.level = held.level.wrapping_sub(1),
            (Of::UpDown, false) => {
                held.level = held.level.wrapping_add_unsigned(record.amount >> 2)
            }
            (Of::Histogram, _) => held.observed.push(observed(record)),
        }
    }
    model
}

/// `units` nanoseconds in seconds, by hand.
fn seconds(units: u64) -> f64 {
    format!("{}.{:09}", units / 1_000_000_000, units % 1_000_000_000).parse().unwrap()
}

fn same(read: f64, held: f64) -> bool {
    read == held || read.is_nan() && held.is_nan()
}

fn check(plan: &Plan) {
    let (constant, value) = CONSTANT;
    let vitals = Vitals::builder()
        .const_label(constant, value)
        .value_length_limit(VALUE_LIMIT as u32)
        .build()
        .unwrap();
    let mut handles = Vec::new();
    for (index, metric) in plan.metrics.iter().enumerate() {
        match register(&vitals, index, metric) {
            Ok(handle) => handles.push(handle),
            // More than 64 boundaries in an octave don't come of twenty.
            Err(error) => panic!("{error}"),
        }
    }
    // Scraped on the way too: the next scrape may build on what the last one wrote.
    let mut performed = 0;
    let third = plan.records.len().div_ceil(3);
    for end in [0, third, 2 * third, 3 * third, 3 * third] {
        let end = end.min(plan.records.len());
        let so_far = Plan { records: plan.records[..end].to_vec(), ..plan.clone() };
        if end > performed {
            record(&vitals, &handles, &so_far, &so_far.records[performed..]);
            performed = end;
        }
        compare(&vitals, &so_far);
        round_trip::open::agrees(&vitals);
    }
}

/// Gauges show whoever was last: in order. All else on two threads at once.
fn record(vitals: &Vitals, handles: &[Handle], plan: &Plan, records: &[Record]) {
    let is_gauge = |record: &&Record| plan.metrics[record.metric].of == Of::Gauge;
    thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                let mine = records.iter().enumerate().filter(|(n, _)| n % 2 == half);
                let mine = mine.map(|(_, record)| record).filter(|record| !is_gauge(record));
                mine.for_each(|record| perform(vitals, handles, plan, record));
            });
        }
    });
    records.iter().filter(is_gauge).for_each(|record| {
        perform(vitals, handles, plan, record);
    });
}

fn compare(vitals: &Vitals, plan: &Plan) {
    let text = vitals.export_prometheus();
    let read = read(&text);
    let model = model(plan);
    for (index, metric) in plan.metrics.iter().enumerate() {
        let name = name(index);
        let series = model.keys().filter(|(of, _)| *of == index).count();
        let Some(family) = read.families.get(&name) else {
            assert_eq!(series, 0, "{name} is missing");
            continue;
        };
        assert_eq!(family.iter_samples().count(), series);
        assert_eq!(family.help, as_read(&metric.help));
        let expected = match metric.of {
            Of::Counter => PrometheusType::Counter,
            Of::Gauge | Of::UpDown => PrometheusType::Gauge,
            Of::Histogram => PrometheusType::Histogram,
        };
        assert_eq!(family.family_type, expected);
    }
    let snapshot = vitals.snapshot();
    let mut clamped = vec![0; plan.metrics.len()];
    for ((index, values), held) in &model {
        let metric = &plan.metrics[*index];
        let own = ["a", "b"].into_iter().zip(values.iter().map(|value| &**value));
        let labels: Vec<(&str, &str)> = own.chain([CONSTANT]).collect();
        let found = find(&read.families[&name(*index)], &labels);
        let found = found.unwrap_or_else(|| panic!("no {} {labels:?}\n{text}", name(*index)));
        let by_snapshot = snapshot.value(&name(*index), &labels).unwrap();
        match metric.of {
            Of::Counter => {
                let number = number(found);
                match i64::try_from(held.total) {
                    Ok(total) => assert_eq!(number.as_i64(), Some(total)),
                    Err(_) => assert_eq!(number.as_f64(), held.total as f64),
                }
                assert_eq!(by_snapshot, held.total as f64);
            }
            Of::Gauge => {
                assert!(same(number(found).as_f64(), held.reading), "{found:?} {}", held.reading);
                assert!(same(by_snapshot, held.reading));
            }
            Of::UpDown => {
                assert_eq!(number(found).as_i64(), Some(held.level));
                assert_eq!(by_snapshot, held.level as f64);
            }
            Of::Histogram => {
                let PrometheusValue::Histogram(found) = found else { panic!("{found:?}") };
                let count = held.observed.len() as u64;
                let sum = held.observed.iter().fold(0, |sum: u64, n| sum.wrapping_add(*n));
                assert_eq!(found.count, Some(count));
                assert_eq!(found.sum.unwrap().as_f64(), seconds(sum));
                assert_eq!(found.buckets.len(), metric.bounds.len() + 1);
                let last = found.buckets.last().unwrap();
                assert_eq!(
                    (last.upper_bound, last.count.as_i64()),
                    (f64::INFINITY, Some(count as i64))
                );
                for (bucket, &bound) in found.buckets.iter().zip(&metric.bounds) {
                    let within = held.observed.iter().filter(|&&n| n <= bound).count() as i64;
                    assert_eq!(bucket.upper_bound, bound as f64 / 1e9);
                    assert_eq!(
                        bucket.count.as_i64(),
                        Some(within),
                        "le {bound} of {held:?}",
                        held = held.observed
                    );
                }
                let own = snapshot.histogram(&name(*index), &labels).unwrap();
                assert_eq!((own.count(), own.sum_units()), (count, sum));
                assert_eq!(own.hdr().len(), count);
                // Text reads the boundaries' counts, a snapshot adds the cells up: they agree.
                for (&(bound, within), bucket) in own.buckets().iter().zip(&found.buckets) {
                    assert_eq!(
                        (bound, Some(within as i64)),
                        (bucket.upper_bound, bucket.count.as_i64())
                    );
                }
                let highest = metric.bounds.last().map_or(HOUR, |&last| HOUR.max(last + 1));
                clamped[*index] += held.observed.iter().filter(|&&n| n > highest).count();
            }
        }
    }
    for (index, clamped) in clamped.into_iter().enumerate() {
        if plan.metrics[index].of == Of::Histogram {
            let read = snapshot.value("mcp_vitals_clamped_total", &[("metric", &name(index))]);
            assert_eq!(read, Some(clamped as f64));
        }
    }
    for lost in ["series_overflow", "mismatched", "refused", "lost"] {
        assert_eq!(snapshot.sum(&format!("mcp_vitals_{lost}_total"), &[]), 0.0, "{lost}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_was_recorded_is_what_a_parser_reads(plan in plan()) {
        check(&plan);
    }

    #[test]
    fn any_text_comes_back(
        help in hostile(),
        a in hostile(),
        b in hostile(),
        constant in hostile(),
        count in amount(),
        reading: f64,
    ) {
        round_trip::text_comes_back(&help, &a, &b, &constant, count, reading);
    }

    /// Tokens and bytes have no decimals: what is recorded is what is shown.
    #[test]
    fn whole_units_are_exact(values in vec(amount().prop_map(|n| n >> 8), 0..50)) {
        let vitals = Vitals::builder().build().unwrap();
        let sizes = Desc::histogram("size_bytes", "Size.").unit(mcp_vitals::Unit::Bytes);
        let bounds = [0.5, 1.0, 2.5, 1023.9, 1024.0, 1e6, 1e15];
        let sizes = vitals.register(sizes.buckets(&bounds)).unwrap().with([]);
        values.iter().for_each(|&value| sizes.record_units(value));
        let read = read(&vitals.export_prometheus());
        let found = find(&read.families["size_bytes"], &[]).unwrap();
        let PrometheusValue::Histogram(found) = found else { panic!("{found:?}") };
        for (bucket, bound) in found.buckets.iter().zip(bounds) {
            let within = values.iter().filter(|&&value| value as f64 <= bound).count();
            prop_assert_eq!(bucket.count.as_i64(), Some(within as i64));
        }
        let sum: u64 = values.iter().sum();
        prop_assert_eq!(found.sum.unwrap().as_i64(), Some(sum as i64));
    }
}

/// What the fuzzer starts from, and what it has found so far.
#[test]
fn every_seed_comes_back() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/exposition");
    let mut read = 0;
    for seed in std::fs::read_dir(seeds).unwrap() {
        round_trip::bytes_come_back(&std::fs::read(seed.unwrap().path()).unwrap());
        read += 1;
    }
    assert!(read >= 8, "{read} seeds");
}
