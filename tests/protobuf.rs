//! Metrics in protobuf: read by `prost`, the same series as in text, and native histograms that have
//! each observation where it belongs.

#[path = "protobuf/client_model.rs"]
mod client_model;

use std::time::Duration;

use client_model::{Histogram, LabelPair, MetricFamily};
use mcp_vitals::traces::TraceConfig;
use mcp_vitals::{Desc, Format, Outcome, Unit, Vitals};
use proptest::prelude::*;
use prost::Message;

fn engine() -> Vitals {
    Vitals::builder().service("search-server", "1.4.0").system_metrics(false).build().unwrap()
}

fn read(mut bytes: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !bytes.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut bytes).unwrap());
    }
    families
}

fn scrape(vitals: &Vitals) -> Vec<MetricFamily> {
    let mut out = Vec::new();
    vitals.scrape_as(Format::Protobuf, &mut out);
    read(&out)
}

fn histogram(vitals: &Vitals, name: &str) -> Histogram {
    let family = scrape(vitals).into_iter().find(|family| family.name == name).unwrap();
    family.metric[0].histogram.clone().unwrap()
}

/// Buckets with a count: their numbers, and how many observations each has.
fn native(histogram: &Histogram) -> Vec<(i32, u64)> {
    let (mut at, mut count, mut buckets) = (0, 0, Vec::new());
    let mut deltas = histogram.positive_delta.iter();
    for span in &histogram.positive_span {
        at += span.offset;
        for _ in 0..span.length {
            count += deltas.next().unwrap();
            buckets.push((at, u64::try_from(count).unwrap()));
            at += 1;
        }
    }
    assert_eq!(deltas.next(), None);
    buckets.retain(|(_, count)| *count > 0);
    buckets
}

/// A sample as text has it: its name and labels, and its number.
fn sample(name: &str, labels: &[LabelPair], more: Option<String>, number: f64) -> (String, f64) {
    let escape =
        |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels = labels.iter().map(|label| format!("{}=\"{}\"", label.name, escape(&label.value)));
    let labels = labels.chain(more).collect::<Vec<_>>().join(",");
    let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
    (format!("{name}{labels}"), number)
}

/// All samples, as text would have them.
fn samples(families: &[MetricFamily]) -> Vec<(String, f64)> {
    let mut samples = Vec::new();
    for MetricFamily { name, metric, .. } in families {
        for of in metric {
            let labels = &of.label;
            let mut push = |suffix: &str, more, number| {
                samples.push(sample(&format!("{name}{suffix}"), labels, more, number));
            };
            if let Some(number) = of.counter.as_ref().or(of.gauge.as_ref()) {
                push("", None, number.value);
            }
            let Some(histogram) = &of.histogram else { continue };
            for bucket in &histogram.bucket {
                let bound = bucket.upper_bound;
                let le = match bound {
                    f64::INFINITY => "le=\"+Inf\"".to_owned(),
                    _ => format!("le=\"{bound:?}\""),
                };
                push("_bucket", Some(le), bucket.cumulative_count as f64);
            }
            push("_sum", None, histogram.sample_sum);
            push("_count", None, histogram.sample_count as f64);
        }
    }
    samples
}

/// Protobuf says what text does: the same heads, series and numbers, in the same order.
fn agrees(vitals: &Vitals) {
    let text = || vitals.export_prometheus();
    let (before, families, after) = (text(), scrape(vitals), text());
    let heads = families.iter().map(|family| {
        let kind = ["counter", "gauge", "", "", "histogram"][family.kind as usize];
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        [format!("# HELP {} {help}", family.name), format!("# TYPE {} {kind}", family.name)]
    });
    let text_heads: Vec<&str> = before.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(heads.flatten().collect::<Vec<_>>(), text_heads);
    let lines = |text: &str| -> Vec<(String, f64)> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let line = |line: &str| {
            let (series, number) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), number.parse().unwrap())
        };
        lines.map(line).collect()
    };
    let (before, ours, after) = (lines(&before), samples(&families), lines(&after));
    assert_eq!(before.len(), ours.len());
    for ((before, ours), after) in before.iter().zip(&ours).zip(&after) {
        assert_eq!(before.0, ours.0);
        // What the process or the engine says of itself may change at any time.
        let own = ["mcp_vitals_", "mcp_system_", "mcp_memory_", "process_"];
        if !own.iter().any(|name| ours.0.starts_with(name)) {
            assert!(before == after || before.1.is_nan(), "{before:?} {after:?}");
            let near = (before.1 - ours.1).abs() <= ours.1.abs() * 1e-15;
            assert!(near || before.1.is_nan() && ours.1.is_nan(), "{before:?} {ours:?}");
        }
    }
    for of in
        families.iter().flat_map(|family| &family.metric).filter_map(|of| of.histogram.as_ref())
    {
        let counted: u64 = native(of).iter().map(|(_, count)| count).sum();
        assert_eq!(counted + of.zero_count, of.sample_count);
        assert_eq!(of.bucket.last().unwrap().cumulative_count, of.sample_count);
    }
}

#[test]
fn the_same_series_as_in_text() {
    let vitals = Vitals::builder()
        .service("search \"server\"", "1.4.0\n\\")
        .const_label("zone", "eu")
        .series_limit(300)
        .build()
        .unwrap();
    let _work = vitals.request("tools/call").tool("search").start();
    vitals.request("tools/call").tool("index").start().finish(Outcome::Ok);
    let calls =
        vitals.register(Desc::counter("calls_total", "Calls.\n\\").labels(["tool"])).unwrap();
    // More than a page, and more than there is room for.
    for n in 0..400 {
        calls.with([&*format!("tool \"{n}\"\n\\")]).add(n);
    }
    let open = vitals.register(Desc::updown("open", "").labels(["kind", "of"])).unwrap();
    open.with(["", "a"]).dec();
    vitals.gauge("ratio", "Not a number.").unwrap().set(f64::NAN);
    let read = vitals.callback_counter(Desc::counter("read_bytes_total", "Read."), [], || 5.0);
    read.unwrap();
    let queues = Desc::gauge("queue_ratio", "How full.").labels(["queue"]);
    let queues = vitals.collector("queues", queues, |out, queue| out.set(queue, ["a"], 0.5));
    queues.unwrap();
    let sizes = Desc::histogram("size_bytes", "").unit(Unit::Bytes).buckets(&[0.0, 1.0, 1e3]);
    let sizes = vitals.register(sizes.labels(["of"])).unwrap();
    for size in [0, 0, 1, 2, 999, 1_001, u64::MAX >> 8] {
        sizes.with(["a"]).record_units(size);
    }
    sizes.with(["nothing yet"]);
    agrees(&vitals);
}

#[test]
fn families_that_are_asked_for_by_name_are_those_of_a_scrape_of_all() {
    let vitals = engine();
    vitals.counter("jobs_total", "Jobs.").unwrap().add(3);
    let sizes = Desc::histogram("size_bytes", "").unit(Unit::Bytes).buckets(&[10.0]);
    vitals.register(sizes).unwrap().with([]).record_units(7);
    let mut out = Vec::new();
    vitals.scrape_only(Format::Protobuf, &["size_bytes_sum", "jobs", "nothing"], &mut out);
    let all = scrape(&vitals);
    let named =
        all.into_iter().filter(|family| ["jobs_total", "size_bytes"].contains(&&*family.name));
    assert_eq!(read(&out), named.collect::<Vec<_>>());
}

#[test]
fn zeros_ones_and_what_many_threads_recorded() {
    let vitals = engine();
    let sizes = Desc::histogram("size_bytes", "").unit(Unit::Bytes).buckets(&[10.0]);
    let sizes = vitals.register(sizes).unwrap().with([]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| [0, 1, 1, 2, 7].into_iter().for_each(|size| sizes.record_units(size)));
        }
    });
    let of = histogram(&vitals, "size_bytes");
    assert_eq!((of.schema, of.zero_count, of.sample_count, of.sample_sum), (3, 3, 15, 33.0));
    // 1 is the upper boundary of bucket 0, 2 of bucket 8; 7 is above 2^(22 / 8), which is 6.73.
    assert_eq!(native(&of), [(0, 6), (8, 3), (23, 3)]);
    assert!(of.zero_threshold > 0.0 && of.zero_threshold < 1e-30);
    assert_eq!(of.bucket.len(), 2);
}

#[test]
fn an_exemplar_stands_at_its_bucket() {
    let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build().unwrap();
    let jobs = Desc::histogram("job_seconds", "").buckets(&[0.5, 1.0]);
    let jobs = vitals.register(jobs).unwrap().with([]);
    let span = vitals.tracer("test").span("work");
    {
        let _current = span.enter();
        jobs.record(Duration::from_millis(750));
    }
    let of = histogram(&vitals, "job_seconds");
    assert!(of.bucket[0].exemplar.is_none() && of.bucket[2].exemplar.is_none());
    let exemplar = of.bucket[1].exemplar.as_ref().unwrap();
    let ids: Vec<_> = exemplar.label.iter().map(|label| (&*label.name, &*label.value)).collect();
    let (trace, id) = (span.context().trace_id().unwrap(), span.context().span_id().unwrap());
    assert_eq!(ids, [("trace_id", &*trace.to_string()), ("span_id", &*id.to_string())]);
    assert_eq!(exemplar.value, 0.75);
    let at = exemplar.timestamp.as_ref().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = Duration::new(at.seconds as u64, at.nanos as u32);
    assert!(now.abs_diff(at) < Duration::from_secs(60), "{at:?}");
}

/// Where the builder says so, and to who asks for it; the body is what stands behind the head.
#[cfg(feature = "http")]
#[test]
fn the_endpoint_offers_it_where_it_was_told_to() {
    use std::io::{Read, Write};

    const PROMETHEUS: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
         application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let answer = |vitals: &Vitals, accept: &str| {
        let mut stream = std::net::TcpStream::connect(vitals.metrics_addr().unwrap()).unwrap();
        let head = format!("GET /metrics HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n");
        stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
    };
    let vitals = Vitals::builder().listen(0).native_histograms(true).build().unwrap();
    let (head, body) = answer(&vitals, PROMETHEUS);
    assert!(
        head.contains(&format!("content-type: {}\r\n", Format::Protobuf.content_type())),
        "{head}"
    );
    assert!(read(&body).iter().any(|family| family.name == "mcp_requests_total"));
    let (head, body) = answer(&vitals, "*/*");
    assert!(head.contains("text/plain") && body.starts_with(b"# HELP"), "{head}");
    let vitals = Vitals::builder().listen(0).build().unwrap();
    let (head, body) = answer(&vitals, PROMETHEUS);
    assert!(head.contains("openmetrics-text") && body.ends_with(b"# EOF\n"), "{head}");
}

#[cfg(feature = "http")]
#[test]
fn a_token_is_checked_before_anything_starts_and_never_printed() {
    for wrong in ["secret", "0123456789abcdef\n"] {
        let builder = Vitals::builder().metrics_token(wrong);
        assert!(!format!("{builder:?}").contains(wrong.trim_end()));
        let error = builder.build().unwrap_err();
        assert!(matches!(error, mcp_vitals::Error::MetricsToken), "{error}");
        assert!(!format!("{error} {error:?}").contains(wrong.trim_end()), "{error}");
    }
}

#[test]
fn a_disabled_engine_says_nothing() {
    assert!(scrape(&Vitals::disabled()).is_empty());
}

proptest! {
    /// Each observation is in the bucket that the definition gives it, or in the one beside where it is
    /// within half a cell of the boundary.
    #[test]
    fn observations_are_in_their_buckets(
        nanos in prop::collection::vec((any::<u64>(), 23u32..64), 1..60),
    ) {
        let vitals = engine();
        let took = vitals.register(Desc::histogram("took_seconds", "").buckets(&[1.0])).unwrap().with([]);
        let nanos: Vec<u64> = nanos.into_iter().map(|(bits, shift)| bits >> shift).collect();
        nanos.iter().for_each(|nanos| took.record_nanos(*nanos));
        let of = histogram(&vitals, "took_seconds");
        let buckets = native(&of);
        let width = 2f64.powi(-of.schema);
        let bound = |number: i32| (f64::from(number) * width).exp2();
        // Sorted, both ways: how many are not above a boundary is what quantiles are made of.
        for (number, _) in &buckets {
            let counted: u64 =
                buckets.iter().filter(|(at, _)| at <= number).map(|(_, count)| count).sum();
            let cell = 1.0 / 64.0;
            let below = |bound: f64| nanos.iter().filter(|n| **n as f64 / 1e9 <= bound).count() as u64;
            let (least, most) = (below(bound(*number) / (1.0 + cell)), below(bound(*number) * (1.0 + cell)));
            prop_assert!((least..=most).contains(&(counted + of.zero_count)), "{number}: {counted}");
        }
        agrees(&vitals);
    }
}
