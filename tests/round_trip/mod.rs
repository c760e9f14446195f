//! What the encoder writes, read back by a parser that is not ours. The tests and the fuzz targets
//! share it.

pub mod open;

use mcp_vitals::{Desc, Vitals};
use openmetrics_parser::prometheus::parse_prometheus;
use openmetrics_parser::{MetricFamily, MetricNumber, MetricsExposition};
use openmetrics_parser::{PrometheusType, PrometheusValue};

pub type Exposition = MetricsExposition<PrometheusType, PrometheusValue>;

/// Stands for a carriage return, which Prometheus takes for a character like any other and this
/// parser for a line's end. From the private use area; a text that holds it already is not checked.
const RETURN: char = '\u{e00d}';

/// A text as the parser gives it back.
pub fn as_read(text: &str) -> String {
    text.replace('\r', RETURN.encode_utf8(&mut [0; 4]))
}

pub fn read(text: &str) -> Exposition {
    match parse_prometheus(&as_read(text)) {
        Ok(exposition) => exposition,
        Err(error) => panic!("{error}\nin\n{text}"),
    }
}

/// The value of the series whose labels are exactly these, as the parser understood it.
pub fn find<'a>(
    family: &'a MetricFamily<PrometheusType, PrometheusValue>,
    labels: &[(&str, &str)],
) -> Option<&'a PrometheusValue> {
    let wanted: Vec<(&str, String)> = labels.iter().map(|(n, v)| (*n, as_read(v))).collect();
    let mut found = family.iter_samples().filter(|sample| {
        let own = sample.get_labelset().unwrap();
        own.iter().count() == wanted.len()
            && wanted.iter().all(|(name, value)| own.get_label_value(name) == Some(value))
    });
    let sample = found.next()?;
    assert!(found.next().is_none(), "{labels:?} is there twice");
    Some(&sample.value)
}

pub fn number(value: &PrometheusValue) -> MetricNumber {
    match value {
        PrometheusValue::Counter(counter) => counter.value,
        PrometheusValue::Gauge(number) | PrometheusValue::Unknown(number) => *number,
        other => panic!("{other:?} is no number"),
    }
}

/// What the engine keeps of a value: the dullest way to cut at a character's edge.
pub fn cut(value: &str, limit: usize) -> String {
    let mut kept = value.to_owned();
    while kept.len() > limit {
        kept.pop();
    }
    kept
}

/// A counter, a gauge and a histogram with this help and these label values, through the encoder
/// and back.
pub fn text_comes_back(help: &str, a: &str, b: &str, constant: &str, count: u64, reading: f64) {
    if [help, a, b, constant].iter().any(|text| text.contains(RETURN)) {
        return;
    }
    let vitals = Vitals::builder().const_label("c", constant).build().unwrap();
    let calls = vitals.register(Desc::counter("calls_total", help).labels(["a", "b"])).unwrap();
    let gauge = vitals.register(Desc::gauge("reading", help).labels(["b"])).unwrap();
    let times = Desc::histogram("time_seconds", help).buckets(&[1.0]).labels(["a"]);
    let times = vitals.register(times).unwrap();
    calls.with([a, b]).add(count);
    gauge.with([b]).set(reading);
    // 2^63 and more would be refused.
    let nanos = count >> 1;
    times.with([a]).record_nanos(nanos);
    // By name the same series is found again.
    vitals.metric("calls_total").unwrap().add(&[("b", b), ("a", a)], 0);

    let text = vitals.export_prometheus();
    assert!(text.ends_with('\n'));
    let read = read(&text);
    let limit = 128;
    let (a, b) = (cut(a, limit), cut(b, limit));
    for name in ["calls_total", "reading", "time_seconds"] {
        let family = &read.families[name];
        assert_eq!(family.help, as_read(help), "help of {name}");
        assert_eq!(family.iter_samples().count(), 1, "series of {name}");
    }
    let ab = [("a", &*a), ("b", &*b), ("c", constant)];
    let counter = number(find(&read.families["calls_total"], &ab).unwrap());
    match i64::try_from(count) {
        Ok(count) => assert_eq!(counter.as_i64(), Some(count)),
        Err(_) => assert_eq!(counter.as_f64(), count as f64),
    }
    let gauge = number(find(&read.families["reading"], &ab[1..]).unwrap()).as_f64();
    assert!(gauge == reading || gauge.is_nan() && reading.is_nan(), "{gauge} {reading}");
    let time = find(&read.families["time_seconds"], &[("a", &a), ("c", constant)]).unwrap();
    let PrometheusValue::Histogram(time) = time else { panic!("{time:?}") };
    assert_eq!(time.count, Some(1));
    assert_eq!(time.buckets[0].count.as_f64(), f64::from(u8::from(nanos <= 1_000_000_000)));

    open::agrees(&vitals);

    // Our own reader agrees.
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.value("calls_total", &ab), Some(count as f64));
    assert_eq!(snapshot.value("time_seconds", &[("a", &a)]), Some(1.0));
}

/// Bytes as a fuzzer makes them: sixteen for the numbers, then texts with 0xff between them.
pub fn bytes_come_back(bytes: &[u8]) {
    let Some((numbers, texts)) = bytes.split_first_chunk::<16>() else { return };
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| numbers[at + n]));
    let mut texts = texts.split(|&byte| byte == 0xff).map(String::from_utf8_lossy);
    let [help, a, b, constant] = std::array::from_fn(|_| texts.next().unwrap_or_default());
    text_comes_back(&help, &a, &b, &constant, number(0), f64::from_bits(number(8)));
}
