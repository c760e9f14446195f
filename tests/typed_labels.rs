//! Labels as types record what the same labels as texts would, in any order and on any kind.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use mcp_vitals::{
    Counter, Desc, Error, Gauge, Histogram, LabelValue, Labels, Typed, UpDown, Vitals,
};

#[derive(Clone, Copy, Labels)]
enum Status {
    Success,
    Error,
    #[label("rate limited")]
    RateLimited,
}

#[derive(Clone, Copy, Labels)]
#[label(rename_all = "kebab-case", name = "op")]
#[allow(dead_code)] // Discriminants of the host's own have no part in the index.
enum Operation {
    ReadFile = 40,
    WriteFile = 3,
}

const STATUSES: [(Status, &str); 3] =
    [(Status::Success, "success"), (Status::Error, "error"), (Status::RateLimited, "rate limited")];
const OPERATIONS: [(Operation, &str); 2] =
    [(Operation::ReadFile, "read-file"), (Operation::WriteFile, "write-file")];

#[derive(Labels)]
struct Finite {
    operation: Operation,
    r#type: bool,
    #[label(name = "status")]
    st: Status,
}

#[derive(Labels)]
struct Call<'a> {
    tool: &'a str,
    operation: Operation,
    #[label(name = "status")]
    st: Status,
}

fn engine() -> Vitals {
    Vitals::builder().system_metrics(false).build().unwrap()
}

/// The series of one metric that are exposed: labels and number, as a scraper reads them.
fn exposed(vitals: &Vitals, name: &str) -> BTreeMap<String, String> {
    let text = vitals.export_prometheus();
    let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    lines.map(|(labels, value)| (labels.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_finite_set_records_under_its_own_labels() {
    let vitals = engine();
    let calls: Typed<Counter, Finite> =
        vitals.register_typed(Desc::counter("calls_total", "Calls.")).unwrap();
    let mut expected = BTreeMap::new();
    let mut n = 0;
    for (operation, operation_text) in OPERATIONS {
        for flag in [false, true] {
            for (st, status_text) in STATUSES {
                n += 1;
                calls.with(Finite { operation, r#type: flag, st }).add(n);
                let labels = format!(
                    "{{operation=\"{operation_text}\",type=\"{flag}\",status=\"{status_text}\"}}"
                );
                expected.insert(labels, n.to_string());
            }
        }
    }
    assert_eq!(expected.len(), 12);
    assert_eq!(exposed(&vitals, "calls_total"), expected);
}

#[test]
fn a_finite_set_is_there_at_zero_and_no_other_is_made() {
    let vitals = engine();
    let calls: Typed<Counter, Finite> =
        vitals.register_typed(Desc::counter("calls_total", "Calls.")).unwrap();
    let born = exposed(&vitals, "calls_total");
    assert_eq!(born.len(), 12);
    assert!(born.values().all(|value| value == "0"), "{born:?}");
    calls.with(Finite { operation: Operation::WriteFile, r#type: true, st: Status::Error }).inc();
    assert!(exposed(&vitals, "calls_total").keys().eq(born.keys()));
    // The limit is the set: a name from elsewhere makes no thirteenth series of its own.
    let by_name = vitals.metric("calls_total").unwrap();
    by_name.inc(&[("operation", "delete"), ("type", "true"), ("status", "error")]);
    let added: Vec<String> = exposed(&vitals, "calls_total")
        .into_keys()
        .filter(|labels| !born.contains_key(labels))
        .collect();
    assert_eq!(added, ["{operation=\"_other\",type=\"_other\",status=\"_other\"}"]);
}

#[test]
fn an_open_set_goes_by_its_values() {
    let vitals = engine();
    let calls: Typed<Counter, Call> =
        vitals.register_typed(Desc::counter("calls_total", "Calls.")).unwrap();
    assert!(exposed(&vitals, "calls_total").is_empty(), "nothing is known of `tool`");
    // Values that live for no longer than their record.
    for n in 0..3 {
        let tool = format!("tool {n}");
        let call = Call { tool: &tool, operation: Operation::ReadFile, st: Status::RateLimited };
        let held: Counter = calls.with(call);
        held.add(n);
    }
    let labels = |tool| {
        let labels = [("tool", tool), ("operation", "read-file"), ("status", "rate limited")];
        vitals.snapshot().value("calls_total", &labels)
    };
    assert_eq!(["tool 0", "tool 1", "tool 2"].map(labels), [Some(0.0), Some(1.0), Some(2.0)]);
}

#[test]
fn a_metric_of_borrowed_labels_can_be_kept() {
    struct Metrics {
        calls: Typed<Counter, Call<'static>>,
    }
    impl Metrics {
        fn record(&self, tool: &str) {
            self.calls.with(Call { tool, operation: Operation::ReadFile, st: Status::Error }).inc();
        }
    }
    let vitals = engine();
    let calls = vitals.register_typed(Desc::counter("calls_total", "Calls.")).unwrap();
    let metrics = Metrics { calls };
    metrics.record(&String::from("search"));
    assert_eq!(vitals.snapshot().sum("calls_total", &[("tool", "search")]), 1.0);
}

#[test]
fn any_text_is_a_value_and_an_enum_alone_is_a_set() {
    #[derive(Labels)]
    struct Texts<'a, T> {
        owned: String,
        maybe: Cow<'a, str>,
        boxed: Box<str>,
        shared: std::sync::Arc<str>,
        status: &'a Status,
        any: T,
    }
    let vitals = engine();
    let texts: Typed<Counter, Texts<&str>> =
        vitals.register_typed(Desc::counter("texts_total", "Texts.")).unwrap();
    let set = |any| Texts {
        owned: "a".to_owned(),
        maybe: Cow::Borrowed("b"),
        boxed: "c".into(),
        shared: "d".into(),
        status: &Status::Success,
        any,
    };
    texts.with(set("e\"\n")).inc();
    let key = r#"{owned="a",maybe="b",boxed="c",shared="d",status="success",any="e\"\n"}"#;
    assert_eq!(exposed(&vitals, "texts_total")[key], "1");

    let by_status: Typed<Counter, Status> =
        vitals.register_typed(Desc::counter("by_status_total", "By status.")).unwrap();
    by_status.with(Status::RateLimited).inc();
    let exposed_labels: Vec<String> = exposed(&vitals, "by_status_total").into_keys().collect();
    let all = ["error", "rate limited", "success"].map(|value| format!("{{status=\"{value}\"}}"));
    assert_eq!(exposed_labels, all);

    let by_operation: Typed<Counter, Operation> =
        vitals.register_typed(Desc::counter("by_operation_total", "By operation.")).unwrap();
    by_operation.with(Operation::WriteFile).add(3);
    let labels = [("op", "write-file")];
    assert_eq!(vitals.snapshot().value("by_operation_total", &labels), Some(3.0));
    assert_eq!(Status::RateLimited.value(), "rate limited");
}

#[test]
fn every_kind_takes_typed_labels() {
    let vitals = engine();
    let gauges: Typed<Gauge, Status> = vitals.register_typed(Desc::gauge("reading", "R.")).unwrap();
    assert!(exposed(&vitals, "reading").is_empty(), "a reading that nobody took is not 0");
    gauges.with(Status::Error).set(2.5);
    gauges.with(Status::Error).add(1.0);
    assert_eq!(vitals.snapshot().value("reading", &[("status", "error")]), Some(3.5));
    assert_eq!(exposed(&vitals, "reading").len(), 1);

    let levels: Typed<UpDown, Finite> = vitals.register_typed(Desc::updown("open", "O.")).unwrap();
    let open = || Finite { operation: Operation::ReadFile, r#type: true, st: Status::Success };
    levels.with(open()).add(5);
    levels.with(open()).dec();
    assert_eq!(levels.with(open()).get(), 4);

    let desc = Desc::histogram("took_seconds", "T.").buckets(&[1.0]);
    let took: Typed<Histogram, Call> = vitals.register_typed(desc).unwrap();
    let call = Call { tool: "search", operation: Operation::ReadFile, st: Status::Success };
    took.with(call).record(Duration::from_secs(2));
    assert_eq!(exposed(&vitals, "took_seconds_count").len(), 1);

    let waited: Typed<Histogram, Status> =
        vitals.register_typed(Desc::histogram("waited_seconds", "W.")).unwrap();
    let timer = waited.with(Status::Success).start_timer();
    timer.stop();
    let snapshot = vitals.snapshot();
    let count = |status| {
        snapshot.histogram("waited_seconds", &[("status", status)]).map(|read| read.count())
    };
    assert_eq!([count("success"), count("error")], [Some(1), Some(0)]);
}

#[test]
fn a_large_set_is_made_as_it_is_used() {
    // 2^9: more than are declared.
    #[derive(Labels, Clone, Copy)]
    struct Bits {
        a: bool,
        b: bool,
        c: bool,
        d: bool,
        e: bool,
        f: bool,
        g: bool,
        h: bool,
        i: bool,
    }
    let vitals = Vitals::builder().system_metrics(false).series_limit(5).build().unwrap();
    let sets: Typed<Counter, Bits> =
        vitals.register_typed(Desc::counter("sets_total", "Sets.")).unwrap();
    assert!(exposed(&vitals, "sets_total").is_empty());
    let all: Vec<Bits> = (0..512u32)
        .map(|bits| {
            let [a, b, c, d, e, f, g, h, i] = std::array::from_fn(|bit| bits >> bit & 1 == 1);
            Bits { a, b, c, d, e, f, g, h, i }
        })
        .collect();
    // All threads meet the same sets for the first time together.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| all.iter().for_each(|set| sets.with(*set).inc()));
        }
    });
    let exposed = exposed(&vitals, "sets_total");
    assert_eq!(exposed.len(), 512, "each has its own series: the limit is the set's size");
    assert!(exposed.values().all(|value| value == "3"), "{exposed:?}");
}

#[test]
fn a_set_of_middling_size_is_there_at_zero_too() {
    // 128 of them: too many for the table whose length is known, few enough to be declared.
    #[derive(Labels)]
    struct Bits {
        a: bool,
        b: bool,
        c: bool,
        d: bool,
        e: bool,
        f: bool,
        g: bool,
    }
    let vitals = engine();
    let sets: Typed<Counter, Bits> =
        vitals.register_typed(Desc::counter("sets_total", "Sets.")).unwrap();
    let born = exposed(&vitals, "sets_total");
    assert!(born.len() == 128 && born.values().all(|value| value == "0"), "{born:?}");
    for bits in 0..128u32 {
        let [a, b, c, d, e, f, g] = std::array::from_fn(|bit| bits >> bit & 1 == 1);
        let labels = [("a", a), ("b", b), ("c", c), ("d", d), ("e", e), ("f", f), ("g", g)];
        let labels = labels.map(|(name, value)| format!("{name}=\"{value}\"")).join(",");
        // Twice: at its first use and after it.
        for n in [bits, 1_000] {
            sets.with(Bits { a, b, c, d, e, f, g }).add(n.into());
        }
        let value = &exposed(&vitals, "sets_total")[&format!("{{{labels}}}")];
        assert_eq!(*value, (bits + 1_000).to_string(), "{labels}");
    }
}

#[test]
fn a_set_that_says_open_is_looked_up() {
    #[derive(Labels)]
    #[label(open)]
    struct ByValue {
        status: Status,
    }
    let vitals = engine();
    let calls: Typed<Counter, ByValue> =
        vitals.register_typed(Desc::counter("calls_total", "Calls.")).unwrap();
    assert!(exposed(&vitals, "calls_total").is_empty());
    let handle: Counter = calls.with(ByValue { status: Status::Error });
    handle.inc();
    assert_eq!(vitals.snapshot().value("calls_total", &[("status", "error")]), Some(1.0));
}

#[test]
fn what_the_host_said_of_the_limit_stands() {
    let vitals = engine();
    let desc = Desc::counter("calls_total", "Calls.").series_limit(11);
    let refused = vitals.register_typed::<Counter, Finite>(desc).unwrap_err();
    let declared =
        matches!(refused, Error::OutOfRange { field: "declared series", value: 12, max: 11, .. });
    assert!(declared, "{refused}");

    let desc = Desc::gauge("reading", "R.").series_limit(2);
    let readings: Typed<Gauge, Status> = vitals.register_typed(desc).unwrap();
    STATUSES.iter().for_each(|(status, _)| readings.with(*status).set(1.0));
    assert_eq!(vitals.snapshot().value("reading", &[("status", "_other")]), Some(1.0));
}

#[test]
fn a_finite_sets_series_stay_and_an_open_sets_may_go() {
    let vitals = engine();
    let desc = || Desc::counter("finite_total", "F.").removable();
    let finite: Typed<Counter, Status> = vitals.register_typed(desc()).unwrap();
    let family = vitals.register(desc().labels(["status"])).unwrap();
    finite.with(Status::Error).inc();
    assert!(!family.remove(["error"]));
    finite.with(Status::Error).inc();
    assert_eq!(exposed(&vitals, "finite_total")["{status=\"error\"}"], "2");

    let desc = || Desc::counter("open_total", "O.").removable();
    let open: Typed<Counter, Call> = vitals.register_typed(desc()).unwrap();
    let family = vitals.register(desc().labels(["tool", "operation", "status"])).unwrap();
    let call = || Call { tool: "x", operation: Operation::ReadFile, st: Status::Error };
    open.with(call()).inc();
    assert!(family.remove(["x", "read-file", "error"]));
    assert!(exposed(&vitals, "open_total").is_empty());
    open.with(call()).add(7);
    assert_eq!(vitals.snapshot().sum("open_total", &[]), 7.0);
}

#[test]
fn the_same_metric_may_be_had_both_ways() {
    let vitals = engine();
    let desc = || Desc::counter("calls_total", "Calls.");
    let typed: Typed<Counter, Status> = vitals.register_typed(desc()).unwrap();
    let family = vitals.register(desc().labels(["status"])).unwrap();
    typed.with(Status::Error).inc();
    family.with(["error"]).inc();
    let again: Typed<Counter, Status> = vitals.register_typed(desc()).unwrap();
    again.clone().with(Status::Error).inc();
    assert_eq!(typed.with(Status::Error).get(), 3);
    let other_labels = vitals.register_typed::<Counter, Operation>(desc()).unwrap_err();
    assert!(matches!(other_labels, Error::Conflict { .. }), "{other_labels}");
}

#[test]
fn a_disabled_engine_takes_typed_labels_and_keeps_nothing() {
    let vitals = Vitals::disabled();
    let finite: Typed<Counter, Finite> = vitals.register_typed(Desc::counter("a", "A.")).unwrap();
    let open: Typed<Counter, Call> = vitals.register_typed(Desc::counter("b", "B.")).unwrap();
    let gauge: Typed<Gauge, Status> = vitals.register_typed(Desc::gauge("c", "C.")).unwrap();
    let set = || Finite { operation: Operation::ReadFile, r#type: true, st: Status::Success };
    finite.with(set()).inc();
    open.with(Call { tool: "x", operation: Operation::ReadFile, st: Status::Success }).inc();
    gauge.with(Status::Success).set(1.0);
    assert_eq!((finite.with(set()).get(), gauge.with(Status::Success).get()), (0, 0.0));
}

/// A wrong name is a compile error in a typed set (see the documentation of `Labels`), and by name
/// is counted.
#[test]
fn by_name_a_wrong_label_is_counted() {
    let vitals = engine();
    let calls: Typed<Counter, Call> =
        vitals.register_typed(Desc::counter("calls_total", "Calls.")).unwrap();
    calls.with(Call { tool: "x", operation: Operation::ReadFile, st: Status::Success }).inc();
    let wrong = [("tol", "x"), ("operation", "read-file"), ("status", "success")];
    vitals.metric("calls_total").unwrap().inc(&wrong);
    let snapshot = vitals.snapshot();
    let counted = snapshot.sum("mcp_vitals_mismatched_total", &[]);
    assert_eq!((snapshot.sum("calls_total", &[]), counted), (1.0, 1.0));
}

mod renamed {
    //! The derive where the crate goes by another name, and where names of ours are the host's.
    #![allow(non_upper_case_globals, dead_code)]

    use mcp_vitals::Labels;

    mod reexport {
        pub use mcp_vitals as telemetry;
    }
    mod vitals {
        pub struct Extent;
    }
    const rest: usize = 7;
    const digit_0: usize = 7;
    struct LabelValue;
    #[allow(non_camel_case_types)]
    type usize = u8;
    #[allow(non_camel_case_types)]
    struct str;

    #[derive(Labels)]
    #[label(crate = reexport::telemetry)]
    enum Value {
        Some,
        None,
    }

    #[derive(Labels)]
    #[label(crate = reexport::telemetry)]
    struct Set {
        value: Value,
        index: bool,
    }

    #[test]
    fn the_derive_keeps_out_of_the_hosts_names() {
        let engine = super::engine();
        let desc = mcp_vitals::Desc::counter("calls_total", "Calls.");
        let calls: mcp_vitals::Typed<mcp_vitals::Counter, Set> =
            engine.register_typed(desc).unwrap();
        calls.with(Set { value: Value::None, index: true }).inc();
        let labels = [("value", "none"), ("index", "true")];
        assert_eq!(engine.snapshot().value("calls_total", &labels), Some(1.0));
    }
}
