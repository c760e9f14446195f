//! Whatever is wrong with what we are given: a defined result, and nothing lost in silence.

use std::time::Duration;

use mcp_vitals::{Desc, Error, Histogram, Unit, Vitals};

fn engine() -> Vitals {
    Vitals::builder().build().unwrap()
}

fn counted(vitals: &Vitals, what: &str, metric: &str) -> f64 {
    let name = format!("mcp_vitals_{what}_total");
    vitals.snapshot().value(&name, &[("metric", metric)]).unwrap_or_else(|| {
        panic!("{name} has no series for {metric}");
    })
}

fn mismatched(vitals: &Vitals) -> f64 {
    vitals.snapshot().value("mcp_vitals_mismatched_total", &[]).unwrap()
}

type Record = fn(&Histogram);

/// An error says the value and the rule in one line.
fn says(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    assert!(!text.contains('\n') && parts.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn wrong_metric_names_are_refused() {
    let vitals = engine();
    let long_but_right = "a".repeat(5_000);
    vitals.counter(&long_but_right, "Long.").unwrap();
    for name in ["", "9lives", "a-b", "a b", "a\nb", "ä", "a{b}", "a\"", "\0", "a.b"] {
        let before = vitals.export_prometheus().lines().count();
        for error in [
            vitals.counter(name, "Help.").unwrap_err(),
            vitals.gauge(name, "Help.").unwrap_err(),
            vitals.updown(name, "Help.").unwrap_err(),
            vitals.histogram(name, "Help.").unwrap_err(),
        ] {
            assert!(matches!(&error, Error::InvalidName { name: n } if n == name), "{error:?}");
            says(&error, &["[a-zA-Z_:][a-zA-Z0-9_:]*"]);
        }
        assert_eq!(vitals.export_prometheus().lines().count(), before, "{name:?} left a trace");
    }
}

#[test]
fn wrong_label_names_are_refused() {
    let vitals = Vitals::builder().const_label("region", "eu").build().unwrap();
    let register = |labels: [&str; 2]| {
        vitals.register(Desc::counter("calls_total", "Calls.").labels(labels)).map(|_| ())
    };
    for (labels, wrong, rule) in [
        (["tool", "tool"], "tool", "twice"),
        (["tool", "region"], "region", "twice"),
        (["tool", "__name__"], "__name__", "__"),
        (["tool", "vitals_copy"], "vitals_copy", "textfile"),
        (["tool", ""], "", "must match"),
        (["tool", "a:b"], "a:b", "must match"),
        (["tool", "a b"], "a b", "must match"),
        (["tool", "9"], "9", "must match"),
        (["tool", "é"], "é", "must match"),
        (["a\"} 1\n", "tool"], "a\"} 1\n", "must match"),
    ] {
        let error = register(labels).unwrap_err();
        assert!(
            matches!(&error, Error::InvalidLabel { metric, label, .. }
                if metric == "calls_total" && label == wrong),
            "{error:?}"
        );
        says(&error, &[rule]);
    }
    // A refusal leaves the name free.
    register(["tool", "status"]).unwrap();
    let le = vitals.register(Desc::histogram("time_seconds", "Time.").labels(["le"])).unwrap_err();
    assert!(matches!(&le, Error::InvalidLabel { label, .. } if label == "le"), "{le:?}");
    let many = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
    // Sixteen, and the constant one.
    let error = vitals.register(Desc::gauge("wide", "Wide.").labels(many)).unwrap_err();
    says(&error, &["at most 16"]);
}

#[test]
fn wrong_constant_labels_are_refused() {
    let build = |labels: &[(&str, &str)]| {
        let builder = Vitals::builder();
        labels.iter().fold(builder, |builder, (n, v)| builder.const_label(n, v)).build()
    };
    for labels in [
        &[("a", "1"), ("a", "2")][..],
        &[("", "1")],
        &[("a-b", "1")],
        &[("__x", "1")],
        // The textfile's own, whether there is one or not.
        &[("vitals_copy", "1")],
        // Labels of the engine's own series.
        &[("metric", "1")],
        &[("le", "1")],
    ] {
        let error = build(labels).unwrap_err();
        assert!(matches!(&error, Error::InvalidLabel { .. }), "{labels:?}: {error:?}");
    }
    // Their values may be anything.
    let vitals = build(&[("a", "\"\\\n\u{0}")]).unwrap();
    vitals.counter("jobs_total", "Jobs.").unwrap().inc();
    assert!(vitals.export_prometheus().contains("jobs_total{a=\"\\\"\\\\\\n\u{0}\"} 1\n"));
}

#[test]
fn records_by_name_with_wrong_labels_are_counted() {
    let vitals = engine();
    vitals.register(Desc::counter("calls_total", "Calls.").labels(["tool", "status"])).unwrap();
    let calls = vitals.metric("calls_total").unwrap();
    let wrong: [&[(&str, &str)]; 6] = [
        &[],
        &[("tool", "a")],
        &[("tool", "a"), ("status", "ok"), ("more", "b")],
        &[("tool", "a"), ("tool", "a")],
        &[("tool", "a"), ("state", "ok")],
        &[("TOOL", "a"), ("status", "ok")],
    ];
    wrong.iter().for_each(|labels| calls.inc(labels));
    assert_eq!(mismatched(&vitals), wrong.len() as f64);
    assert_eq!(vitals.snapshot().label_sets("calls_total").count(), 0);
    calls.inc(&[("status", "ok"), ("tool", "a")]);
    assert_eq!(vitals.snapshot().sum("calls_total", &[]), 1.0);
    assert_eq!(mismatched(&vitals), wrong.len() as f64);

    let error = vitals.metric("call_total").unwrap_err();
    assert!(matches!(&error, Error::UnknownMetric { name } if name == "call_total"));
    says(&error, &["call_total"]);
}

#[test]
fn wrong_verbs_are_counted() {
    let vitals = engine();
    vitals.counter("c_total", "C.").unwrap();
    vitals.gauge("g", "G.").unwrap();
    vitals.updown("u", "U.").unwrap();
    vitals.histogram("h_seconds", "H.").unwrap();
    let second = Duration::from_secs(1);
    // How many of the eight verbs are not the metric's.
    for (name, wrong, read) in
        [("c_total", 6.0, 3.0), ("g", 3.0, 3.0), ("u", 4.0, 0.0), ("h_seconds", 5.0, 3.0)]
    {
        let before = mismatched(&vitals);
        let metric = vitals.metric(name).unwrap().clone();
        metric.inc(&[]);
        metric.add(&[], 2);
        metric.dec(&[]);
        metric.set(&[], 5.0);
        metric.observe(&[], 1.0);
        metric.record(&[], second);
        metric.record_units(&[], 1);
        metric.sub(&[], 2);
        assert_eq!(mismatched(&vitals) - before, wrong, "{name}");
        assert_eq!(vitals.snapshot().value(name, &[]), Some(read), "{name}");
    }
}

#[test]
fn observations_that_are_no_number_of_the_unit_are_refused_and_counted() {
    let vitals = engine();
    let latency = vitals.histogram("latency_seconds", "Latency.").unwrap();
    let by_name = vitals.metric("latency_seconds").unwrap();
    let refused = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -f64::MIN_POSITIVE];
    for value in refused {
        latency.observe(value);
        by_name.observe(&[], value);
    }
    assert_eq!(counted(&vitals, "refused", "latency_seconds"), 2.0 * refused.len() as f64);
    assert_eq!(vitals.snapshot().value("latency_seconds", &[]), Some(0.0));
    // Zero of both signs, and less than half a nanosecond, are zero.
    [0.0, -0.0, 1e-10, f64::MIN_POSITIVE].iter().for_each(|&value| latency.observe(value));
    let snapshot = vitals.snapshot();
    let read = snapshot.histogram("latency_seconds", &[]).unwrap();
    assert_eq!((read.count(), read.sum_units()), (4, 0));
    assert_eq!(counted(&vitals, "clamped", "latency_seconds"), 0.0);
}

#[test]
fn durations_beyond_the_range_are_clamped_and_counted() {
    const HOUR: u64 = 3_600_000_000_000;
    let vitals = engine();
    let latency = vitals.histogram("latency_seconds", "Latency.").unwrap();
    latency.record_nanos(HOUR);
    assert_eq!(counted(&vitals, "clamped", "latency_seconds"), 0.0);
    latency.record_nanos(HOUR + 1);
    assert_eq!(counted(&vitals, "clamped", "latency_seconds"), 1.0);
    {
        let snapshot = vitals.snapshot();
        let read = snapshot.histogram("latency_seconds", &[]).unwrap();
        // Whole in the sum, and an hour in its bucket.
        assert_eq!((read.count(), read.sum_units()), (2, 2 * HOUR + 1));
        assert!(read.quantile(1.0) < 3_700.0);
        let below = read.buckets().iter().find(|(bound, _)| *bound == 60.0).unwrap();
        assert_eq!(below.1, 0);
    }

    // The longest that is kept.
    let ages = vitals.histogram("age_seconds", "Ages.").unwrap();
    ages.record_nanos(i64::MAX as u64);
    let text = vitals.export_prometheus();
    assert!(text.contains("age_seconds_bucket{le=\"60.0\"} 0\n"));
    assert!(text.contains("age_seconds_bucket{le=\"+Inf\"} 1\n"));
    assert!(text.contains("age_seconds_sum 9223372036.854775807\n"));
    assert_eq!(counted(&vitals, "clamped", "age_seconds"), 1.0);
}

#[test]
fn what_no_sum_holds_is_refused_and_counted() {
    let vitals = engine();
    let huge: [(&str, Record); 5] = [
        ("a_seconds", |h| h.record_nanos(u64::MAX)),
        ("b_seconds", |h| h.record(Duration::MAX)),
        ("c_seconds", |h| h.observe(f64::MAX)),
        ("d_seconds", |h| h.record_nanos(1 << 63)),
        ("e_seconds", |h| h.observe(9_223_372_036.854_776)),
    ];
    for (name, record) in huge {
        let histogram = vitals.histogram(name, "Huge.").unwrap();
        histogram.record_nanos(7);
        record(&histogram);
        let snapshot = vitals.snapshot();
        let read = snapshot.histogram(name, &[]).unwrap();
        assert_eq!((read.count(), read.sum_units()), (1, 7), "{name}");
        assert_eq!(counted(&vitals, "refused", name), 1.0, "{name}");
        assert_eq!(counted(&vitals, "clamped", name), 0.0, "{name}");
    }
}

/// Whoever chooses the sizes, on however many threads: a sum that goes back is a restart to
/// whoever reads it.
#[test]
fn a_sum_never_goes_back() {
    let vitals = engine();
    let sizes = Desc::histogram("size_bytes", "Sizes.").unit(Unit::Bytes).buckets(&[1e3]);
    let sizes = vitals.register(sizes).unwrap().with([]);
    let sum = || vitals.snapshot().histogram("size_bytes", &[]).unwrap().sum_units();
    let mut before = 0;
    let mut check = |bytes| {
        let after = sum();
        assert!(after >= before, "{before}, then {after} with {bytes}");
        before = after;
    };
    for bytes in [1_000, 1 << 62, 1 << 63, 5, u64::MAX, (1 << 63) - 1, 7].repeat(4) {
        sizes.record_units(bytes);
        check(bytes);
        // In cells of its own: this thread keeps its shard.
        std::thread::scope(|scope| scope.spawn(|| sizes.record_units(bytes)).join().unwrap());
        check(bytes);
    }
    assert_eq!(sum(), u64::MAX);
    assert_eq!(vitals.snapshot().value("size_bytes", &[]), Some(2.0 * 4.0 * 5.0));
    assert_eq!(counted(&vitals, "refused", "size_bytes"), 2.0 * 4.0 * 2.0);
}

#[test]
fn gauges_show_any_float() {
    let vitals = engine();
    let gauge = vitals.gauge("reading", "Read.").unwrap();
    for (value, text) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (-0.0, "0"),
        (f64::MAX, "1.7976931348623157e308"),
        (f64::MIN_POSITIVE / 2.0, "1.1125369292536007e-308"),
        (-1.5, "-1.5"),
    ] {
        gauge.set(value);
        let exported = vitals.export_prometheus();
        assert!(exported.contains(&format!("\nreading {text}\n")), "{value}");
    }
    // What was no number stays none until it is set again, as arithmetic has it.
    gauge.set(f64::NAN);
    gauge.inc();
    assert!(gauge.get().is_nan());
    gauge.set(2.0);
    assert_eq!(gauge.get(), 2.0);
}

/// No value can end its line, its quotes or its series.
#[test]
fn hostile_values_and_help_stay_in_their_place() {
    let vitals = engine();
    let help = "one\\two\nthree \"four\"\r\t\u{0}\u{1b}[31m # TYPE x counter";
    let calls = vitals.register(Desc::counter("calls_total", help).labels(["a", "b"])).unwrap();
    let values = [
        "",
        " ",
        "\"",
        "\\",
        "\n",
        "\r\n",
        "\t",
        "\u{0}",
        "\u{7f}",
        "\u{1b}[2J",
        "\u{2028}",
        "\u{feff}",
        "\u{202e}",
        "\\n",
        "\\\\\"",
        "\",b=\"x",
        "\"} 1\ncalls_total{a=\"",
        "{}",
        "#",
        "# HELP calls_total x",
        "_other",
        "\u{10ffff}",
        "NaN",
    ];
    for (n, a) in values.iter().enumerate() {
        for b in values {
            calls.with([a, b]).add(n as u64 + 1);
            vitals.metric("calls_total").unwrap().inc(&[("b", b), ("a", a)]);
        }
    }
    let snapshot = vitals.snapshot();
    assert_eq!(snapshot.label_sets("calls_total").count(), values.len() * values.len());
    for (n, a) in values.iter().enumerate() {
        for b in values {
            let read = snapshot.value("calls_total", &[("a", a), ("b", b)]);
            assert_eq!(read, Some(n as f64 + 2.0), "{a:?} {b:?}");
        }
    }
    let text = vitals.export_prometheus();
    let own: Vec<&str> = text.split('\n').filter(|line| line.contains("calls_total")).collect();
    let of_it = own.iter().filter(|line| line.starts_with("calls_total{a=\""));
    assert_eq!(of_it.count(), values.len() * values.len());
    let help = own.iter().find(|line| line.starts_with("# HELP calls_total "));
    assert!(help.unwrap().starts_with("# HELP calls_total one\\\\two\\nthree \"four\"\r\t\u{0}"));
}

#[test]
fn two_meanings_of_one_name_are_an_error_and_the_first_stands() {
    let vitals = engine();
    let times = || Desc::histogram("time_seconds", "Time.").buckets(&[0.1, 1.0]);
    vitals.register(times().labels(["tool"])).unwrap().with(["a"]).record_nanos(1);
    // The same again is the same family.
    vitals.register(times().labels(["tool"])).unwrap().with(["a"]).record_nanos(1);
    assert_eq!(vitals.snapshot().value("time_seconds", &[("tool", "a")]), Some(2.0));

    let conflict = |error: Error, what: &str| {
        assert!(matches!(&error, Error::Conflict { .. }), "{error:?}");
        says(&error, &["time_seconds", what]);
    };
    conflict(vitals.counter("time_seconds", "Time.").unwrap_err(), "type");
    conflict(vitals.register(times()).map(|_| ()).unwrap_err(), "labels");
    conflict(vitals.register(times().labels(["status"])).map(|_| ()).unwrap_err(), "labels");
    conflict(vitals.register(times().labels(["tool", "x"])).map(|_| ()).unwrap_err(), "labels");
    let help = Desc::histogram("time_seconds", "Times.").labels(["tool"]);
    conflict(vitals.register(help).map(|_| ()).unwrap_err(), "help");
    let finer = times().buckets(&[0.1, 1.1]).labels(["tool"]);
    conflict(vitals.register(finer).map(|_| ()).unwrap_err(), "buckets");
    let finer = times().cells_per_octave(256).labels(["tool"]);
    conflict(vitals.register(finer).map(|_| ()).unwrap_err(), "buckets");
    let other = times().unit(Unit::Bytes).labels(["tool"]);
    conflict(vitals.register(other).map(|_| ()).unwrap_err(), "unit");
    let longer = times().highest(Duration::from_secs(7_200)).labels(["tool"]);
    conflict(vitals.register(longer).map(|_| ()).unwrap_err(), "range");

    // The engine's own are taken too, whether they are there or not.
    for name in ["mcp_vitals_series", "mcp_vitals_of_mine_total", "target_info"] {
        let error = vitals.gauge(name, "Series of this engine.").unwrap_err();
        assert!(matches!(&error, Error::Reserved { name: n } if n == name), "{error:?}");
        says(&error, &[name, "the engine's own"]);
    }
    vitals.gauge("mcp_vitals", "Mine.").unwrap();
    assert_eq!(vitals.snapshot().value("time_seconds", &[("tool", "a")]), Some(2.0));
}

#[test]
fn a_sample_name_belongs_to_one_family() {
    for suffix in ["_bucket", "_sum", "_count"] {
        let vitals = engine();
        vitals.histogram("foo", "Foo.").unwrap();
        let name = format!("foo{suffix}");
        let error = vitals.counter(&name, "Other.").unwrap_err();
        assert!(matches!(&error, Error::Conflict { name: n, .. } if *n == name), "{error:?}");
        says(&error, &[&format!("metric \"{name}\" is exposed by another family already")]);
        assert!(vitals.metric(&name).is_err());

        // And the other way round.
        let vitals = engine();
        vitals.counter(&name, "First.").unwrap().inc();
        let error = vitals.histogram("foo", "Foo.").unwrap_err();
        assert!(matches!(&error, Error::Conflict { name: n, .. } if *n == name), "{error:?}");
        assert_eq!(vitals.snapshot().value(&name, &[]), Some(1.0));
    }
}

#[test]
fn a_refused_registration_leaves_nothing_behind() {
    let vitals = engine();
    vitals.counter("foo_count", "First.").unwrap();
    let series = |vitals: &Vitals| vitals.snapshot().value("mcp_vitals_series", &[]);
    let before = series(&vitals);
    vitals.histogram("foo", "Taken.").unwrap_err();
    let descending = Desc::histogram("bar_seconds", "Bar.").buckets(&[2.0, 1.0]);
    vitals.register(descending).unwrap_err();
    vitals.counter("foo-bar", "Name.").unwrap_err();
    assert_eq!(series(&vitals), before);
    let text = vitals.export_prometheus();
    assert!(!text.contains("metric=\"foo\"") && !text.contains("bar_seconds"), "{text}");
    vitals.histogram("bar_seconds", "Bar.").unwrap();
}

#[test]
fn wrong_buckets_are_refused() {
    let vitals = engine();
    let many: Vec<f64> = (1..=501).map(f64::from).collect();
    let crowded: Vec<f64> = (0..65).map(|n| 1.1 + f64::from(n) / 1_000.0).collect();
    let wrong: [&[f64]; 10] = [
        &[1.0, 1.0],
        &[1.0, 0.5],
        &[f64::NAN],
        &[0.1, f64::INFINITY],
        &[f64::NEG_INFINITY, 1.0],
        &[-1.0, 1.0],
        &[1e12],
        // One nanosecond for both.
        &[1e-9, 1.4e-9],
        &many,
        &crowded,
    ];
    for bounds in wrong {
        let desc = Desc::histogram("time_seconds", "Time.").buckets(bounds);
        let error = vitals.register(desc).unwrap_err();
        assert!(matches!(&error, Error::InvalidBuckets { .. }), "{bounds:?}: {error:?}");
        says(&error, &["time_seconds"]);
    }
    // No boundaries at all are right: `+Inf` is always there.
    let desc = Desc::histogram("time_seconds", "Time.").buckets(&[]);
    vitals.register(desc).unwrap().with([]).observe(1.0);
    let text = vitals.export_prometheus();
    assert!(text.contains("time_seconds_bucket{le=\"+Inf\"} 1\ntime_seconds_sum 1\n"));
}

#[test]
fn limits_out_of_range_are_refused() {
    let out_of_range = |result: Result<Vitals, Error>, name: &str| {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::OutOfRange { field, .. } if *field == name), "{error:?}");
        says(&error, &[name, "must be"]);
    };
    for bytes in [0, (1 << 20) - 1, (1 << 40) + 1, u64::MAX] {
        out_of_range(Vitals::builder().memory_limit(bytes).build(), "memory_limit");
    }
    for series in [0, 1_000_001, u32::MAX] {
        out_of_range(Vitals::builder().series_limit(series).build(), "series_limit");
        let vitals = engine();
        let desc = Desc::counter("jobs_total", "Jobs.").labels(["q"]).series_limit(series);
        let error = vitals.register(desc).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { field: "series_limit", .. }), "{error:?}");
        says(&error, &["metric \"jobs_total\": series_limit is"]);
        assert!(vitals.metric("jobs_total").is_err());
    }
    for bytes in [0, 15, 4_097, u32::MAX] {
        out_of_range(Vitals::builder().value_length_limit(bytes).build(), "value_length_limit");
    }
    let times = || Desc::histogram("time_seconds", "Time.");
    let vitals = engine();
    for desc in [
        times().highest(Duration::ZERO),
        times().highest(Duration::MAX),
        times().highest_units(1 << 63),
    ] {
        let error = vitals.register(desc).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { field: "highest", .. }), "{error:?}");
    }
    assert!(Vitals::builder().memory_limit(0).build_or_disabled().is_disabled());
}

#[test]
fn a_disabled_handle_takes_everything_and_shows_nothing() {
    let vitals = Vitals::disabled();
    vitals.counter("not a name", "").unwrap().inc();
    vitals.metric("unknown").unwrap().inc(&[("a", "b")]);
    let latency = vitals.histogram("", "").unwrap();
    latency.observe(f64::NAN);
    assert_eq!(latency.start_timer().stop(), Duration::ZERO);
    assert_eq!(vitals.export_prometheus(), "");
    assert_eq!(vitals.snapshot().families().count(), 0);
    assert_eq!(vitals.memory_ceiling(), 0);
}
