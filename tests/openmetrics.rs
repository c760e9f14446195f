//! OpenMetrics beside text 0.0.4: what its heads say, and whose names they are.

#[path = "round_trip/open.rs"]
mod open;

use mcp_vitals::{Desc, Format, Unit, Vitals};
use openmetrics_parser::openmetrics::parse_openmetrics;
use openmetrics_parser::{OpenMetricsType, OpenMetricsValue};

fn engine() -> Vitals {
    Vitals::builder().service("search-server", "1.4.0").system_metrics(false).build().unwrap()
}

fn scrape(vitals: &Vitals) -> String {
    let mut out = Vec::new();
    vitals.scrape_as(Format::OpenMetrics, &mut out);
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn assert_has(text: &str, lines: &str) {
    assert!(text.contains(lines), "no\n{lines}in\n{text}");
}

#[test]
fn the_target_comes_first_and_the_end_last() {
    let text = scrape(&engine());
    let target = "# TYPE target info\n# HELP target Name and version of the service; always 1.\n\
                  target_info{service_name=\"search-server\",service_version=\"1.4.0\"} 1\n";
    assert!(text.starts_with(target), "{text}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    assert_eq!(text.matches("# EOF").count(), 1);
    assert_has(&text, "# TYPE mcp_vitals_build info\n");
}

#[test]
fn families_are_named_and_typed_as_openmetrics_has_them() {
    let vitals = engine();
    let spent = vitals.counter("spent_seconds_total", "Time \"spent\".\nAll of it.").unwrap();
    spent.add(7);
    vitals.counter("plain", "No ending.").unwrap().inc();
    let sizes = Desc::histogram("reply_bytes", "").unit(Unit::Bytes).buckets(&[1.0, 1e6]);
    vitals.register(sizes).unwrap().with([]).record_units(5);
    let text = scrape(&vitals);
    assert_has(
        &text,
        "# TYPE spent_seconds counter\n# UNIT spent_seconds seconds\n\
         # HELP spent_seconds Time \\\"spent\\\".\\nAll of it.\nspent_seconds_total 7\n",
    );
    assert_has(&text, "# TYPE plain unknown\n# HELP plain No ending.\nplain 1\n");
    assert_has(
        &text,
        "# TYPE reply_bytes histogram\n# UNIT reply_bytes bytes\n\
         reply_bytes_bucket{le=\"1.0\"} 0\nreply_bytes_bucket{le=\"1e+06\"} 1\n\
         reply_bytes_bucket{le=\"+Inf\"} 1\nreply_bytes_sum 5\nreply_bytes_count 1\n",
    );
    open::agrees(&vitals);
}

/// A gauge `jobs` beside a counter `jobs_total`, which text takes, would be two families of one name.
#[test]
fn a_name_that_would_be_there_twice_keeps_its_ending() {
    for counter_first in [true, false] {
        let vitals = engine();
        let counter = || vitals.counter("jobs_total", "Done.").unwrap().add(2);
        if counter_first {
            counter();
        }
        vitals.gauge("jobs", "Open.").unwrap().set(3.0);
        if !counter_first {
            counter();
        }
        vitals.gauge("target", "Level.").unwrap().set(4.0);
        let text = scrape(&vitals);
        assert_has(&text, "# TYPE jobs_total unknown\n# HELP jobs_total Done.\njobs_total 2\n");
        assert_has(&text, "# TYPE jobs gauge\n# HELP jobs Open.\njobs 3\n");
        assert_has(&text, "# TYPE target_info gauge\n");
        open::agrees(&vitals);
    }
}

/// Nor may a counter and an info both be called what neither is: the info is.
#[test]
fn a_counter_beside_an_info_keeps_its_ending() {
    let vitals = engine();
    vitals.counter("target_total", "Hit.").unwrap().inc();
    let text = scrape(&vitals);
    assert_has(&text, "# TYPE target_total unknown\n# HELP target_total Hit.\ntarget_total 1\n");
    assert_eq!(text.matches("# TYPE target ").count(), 1, "{text}");
    assert_has(&text, "# TYPE target info\n");
}

#[test]
fn collectors_and_overflow_have_heads_too() {
    let vitals = Vitals::builder().series_limit(1).system_metrics(false).build().unwrap();
    let read = vitals.callback_counter(Desc::counter("read_bytes_total", "Read."), [], || 5.0);
    read.unwrap();
    vitals.gauge("read_bytes_created", "Not a timestamp.").unwrap();
    let queues = Desc::gauge("queue_ratio", "How full.").labels(["queue"]);
    let queues = vitals.collector("queues", queues, |out, queue| out.set(queue, ["a"], 0.5));
    queues.unwrap();
    let calls = vitals.register(Desc::counter("calls_total", "Calls.").labels(["tool"])).unwrap();
    for _ in 0..3 {
        ["a", "b"].into_iter().for_each(|tool| calls.with([tool]).inc());
    }
    let text = scrape(&vitals);
    assert_has(
        &text,
        "# TYPE read_bytes_total unknown\n# HELP read_bytes_total Read.\nread_bytes_total 5\n",
    );
    assert_has(
        &text,
        "# TYPE queue_ratio gauge\n# UNIT queue_ratio ratio\n# HELP queue_ratio How full.\nqueue_ratio{queue=\"a\"} 0.5\n",
    );
    assert_has(&text, "# TYPE mcp_vitals_overflow_heaviest gauge\n");
    assert_has(&text, "# TYPE calls counter\n");
    open::agrees(&vitals);
}

/// Another one's parser, which has no units for histograms.
#[test]
fn a_parser_of_openmetrics_reads_it() {
    let vitals = engine();
    vitals.request("tools/call").tool("search").start().finish(mcp_vitals::Outcome::Ok);
    vitals.counter("jobs_total", "Jobs.").unwrap().add(3);
    let text = scrape(&vitals);
    let mut last = "";
    let lines = text.split_inclusive('\n').filter(|line| {
        let of_histogram = last.ends_with(" histogram\n") && line.starts_with("# UNIT");
        last = line;
        !of_histogram
    });
    let read = parse_openmetrics(&lines.collect::<String>()).unwrap();
    let jobs = &read.families["jobs"];
    assert_eq!((&jobs.family_type, &*jobs.help), (&OpenMetricsType::Counter, "Jobs."));
    let OpenMetricsValue::Counter(value) = &jobs.iter_samples().next().unwrap().value else {
        panic!("{jobs:?}")
    };
    assert_eq!(value.value.as_i64(), Some(3));
    assert_eq!(read.families["target"].family_type, OpenMetricsType::Info);
    let times = &read.families["mcp_request_duration_seconds"];
    assert_eq!(times.family_type, OpenMetricsType::Histogram);
}

#[test]
fn a_disabled_engine_says_nothing() {
    assert_eq!(scrape(&Vitals::disabled()), "");
}
