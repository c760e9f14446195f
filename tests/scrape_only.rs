//! A scrape by names has the lines of these families as a scrape of all has them, byte by byte, and reads
//! nothing of the others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mcp_vitals::traces::TraceConfig;
use mcp_vitals::{Collected, Desc, Format, Samples, Vitals, VitalsBuilder};

/// The lines of each family by the name that its first comment has.
fn families(text: &str) -> BTreeMap<&str, String> {
    let mut families: BTreeMap<&str, String> = BTreeMap::new();
    let mut name = "";
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(comment) = line.strip_prefix("# ") {
            name = comment.split(' ').nth(1).unwrap();
        }
        let lines = families.entry(name).or_default();
        lines.push_str(line);
        lines.push('\n');
    }
    families
}

fn only(vitals: &Vitals, format: Format, names: &[&str]) -> String {
    let mut text = Vec::new();
    vitals.scrape_only(format, names, &mut text);
    String::from_utf8(text).unwrap()
}

fn all(vitals: &Vitals, format: Format) -> String {
    let mut text = Vec::new();
    vitals.scrape_as(format, &mut text);
    String::from_utf8(text).unwrap()
}

/// What each format has behind the last family.
fn end(format: Format) -> &'static str {
    if format == Format::OpenMetrics { "# EOF\n" } else { "" }
}

/// One of each kind, of one page and of many, of the host, of its collectors and of our own.
fn engine(builder: VitalsBuilder) -> Vitals {
    let builder = builder.service("app", "1").const_label("region", "eu");
    let vitals = builder.system_metrics(false).series_limit(5_000).build().unwrap();
    let calls = vitals.register(Desc::counter("app_calls_total", "Calls.").labels(["n"])).unwrap();
    let level = vitals.register(Desc::updown("app_open", "Open.").labels(["n"])).unwrap();
    let load = vitals.register(Desc::gauge("app_load", "").labels(["n"])).unwrap();
    for n in 0..4_500 {
        calls.with([&n.to_string()]).add(n * n);
        level.with([&(n % 70).to_string()]).sub(n);
        load.with([&(n % 3).to_string()]).set(n as f64 / 7.0);
    }
    let times = Desc::histogram("app_seconds", "Time.").labels(["n"]);
    let times = vitals.register(times).unwrap();
    let tracer = vitals.tracer("app");
    for n in 0..100u64 {
        let span = tracer.span("work");
        let _current = span.enter();
        times.with([&(n % 20).to_string()]).record_nanos(n * 10_000_000);
    }
    // Both are `jobs` to somebody.
    vitals.counter("jobs_total", "Jobs done.").unwrap().add(3);
    vitals.gauge("jobs", "Jobs.").unwrap().set(2.0);
    // More than it may have: what is past that is shown by the engine.
    let few = Desc::counter("few_total", "Few.").labels(["n"]).series_limit(2);
    let few = vitals.register(few).unwrap();
    (0..9).for_each(|n| few.with([&(n % 3).to_string()]).inc());
    vitals
}

/// Some numbers are the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With exemplars, which lines have in one format alone.
fn traced() -> VitalsBuilder {
    Vitals::builder().traces(TraceConfig::to_memory())
}

#[test]
fn each_family_is_as_in_a_scrape_of_all() {
    let _alone = alone();
    let vitals = engine(traced());
    let observed = Desc::gauge("app_observed", "Asked.").labels(["n"]);
    for n in ["a", "b"] {
        vitals.callback_gauge(observed.clone(), [n], || 0.1).unwrap();
    }
    let rooms = Desc::gauge("app_rooms", "Rooms.").labels(["n"]);
    let described = (rooms, Desc::counter("app_seats_total", "Seats."));
    let collect = |out: &mut Samples, (rooms, seats): &(Collected<1>, Collected<0>)| {
        out.set(rooms, ["\"1\""], 1.5);
        out.set(rooms, ["2"], -3.0);
        out.set(seats, [], 7.0);
    };
    vitals.collector("rooms", described, collect).unwrap();
    for format in [Format::Text, Format::OpenMetrics, Format::Text] {
        quiet(&vitals, format, || {
            let text = all(&vitals, format);
            let names: Vec<&str> = families(&text).into_keys().collect();
            assert!(names.len() > 40, "{names:?}");
            let alone = names.iter().map(|name| (name.to_string(), only(&vitals, format, &[name])));
            let alone: Vec<_> = alone.collect();
            // In the order of the text, whatever theirs, and once.
            let reversed: Vec<&str> = names.iter().rev().copied().collect();
            let (most, again) =
                (only(&vitals, format, &reversed), only(&vitals, format, &names.repeat(2)));
            move |text| {
                let whole = families(text);
                for (name, alone) in &alone {
                    assert!(*alone == whole[&**name].clone() + end(format), "{name} in {format:?}");
                }
                assert!(most == *text && again == *text, "all of them in {format:?}");
            }
        });
    }
}

/// Checks what `scrape` makes against a scrape of all after it, between two in which nothing has changed:
/// threads of the engine and of the test before may be about to end.
fn quiet<C: FnOnce(&str)>(vitals: &Vitals, format: Format, scrape: impl Fn() -> C) {
    // Of itself a scrape of all tells the next one.
    let still = |text: &str| {
        let lines = text.lines();
        lines.filter(|line| !line.contains("_scrape_duration_")).map(str::to_owned).collect()
    };
    for _ in 0..1_000 {
        let before: Vec<String> = still(&all(vitals, format));
        let check = scrape();
        let after = all(vitals, format);
        let again: Vec<String> = still(&all(vitals, format));
        if before == still(&after) && before == again {
            return check(&after);
        }
    }
    panic!("something always changes");
}

#[test]
fn a_family_is_found_by_each_of_its_names() {
    let _alone = alone();
    let vitals = engine(traced());
    for format in [Format::Text, Format::OpenMetrics] {
        let found = |names: &[&str]| -> Vec<String> {
            let text = only(&vitals, format, names);
            families(&text).into_keys().map(str::to_owned).collect()
        };
        let short = |name: &str| match format {
            Format::Text => name.to_owned(),
            _ => name.strip_suffix("_total").or(name.strip_suffix("_info")).unwrap().to_owned(),
        };
        let calls = [short("app_calls_total")];
        assert_eq!(found(&["app_calls_total"]), calls);
        assert_eq!(found(&["app_calls", "app_calls_total"]), calls);
        assert_eq!(found(&["target"]), [short("target_info")]);
        for name in ["app_seconds", "app_seconds_bucket", "app_seconds_sum", "app_seconds_count"] {
            assert_eq!(found(&[name]), ["app_seconds"]);
        }
        // One that is another's name is that one's alone.
        assert_eq!(found(&["jobs"]), ["jobs"]);
        assert_eq!(found(&["jobs_total"]), ["jobs_total"]);
        let heaviest = "mcp_vitals_overflow_heaviest";
        assert_eq!(found(&[heaviest]), [heaviest]);
        for nobody in [
            "",
            "app",
            "app_calls_",
            "app_calls_total_total",
            "app_calls_total{n=\"1\"}",
            "app_open_count",
            "app_seconds_",
            "app_seconds_total",
            "_total",
            "APP_OPEN",
        ] {
            assert_eq!(only(&vitals, format, &[nobody]), end(format), "{nobody}");
        }
        assert_eq!(only(&vitals, format, &[]), end(format));
    }
    let mut nothing = Vec::new();
    Vitals::disabled().scrape_only(Format::OpenMetrics, &["app_open"], &mut nothing);
    assert!(nothing.is_empty());
}

/// Neither the text of others is made, nor what a scrape of all takes told of one of some.
#[test]
fn what_is_not_asked_for_is_left_alone() {
    let _alone = alone();
    // Without the threads of traces, which take memory when they like.
    let vitals = engine(Vitals::builder());
    let value = |name: &str| vitals.snapshot().value(name, &[]).unwrap();
    let memory = || value("mcp_vitals_memory_used_bytes");
    let before = memory();
    let text = only(&vitals, Format::Text, &["app_load", "jobs", "nothing"]);
    assert_eq!(text.lines().filter(|line| line.starts_with("app_load{")).count(), 3);
    let kept = memory() - before;
    assert!((1.0..4096.0).contains(&kept), "{kept} bytes");
    assert_eq!(value("mcp_vitals_scrape_duration_seconds"), 0.0);
    all(&vitals, Format::Text);
    assert!(memory() - before > 100_000.0);
    assert_eq!(value("mcp_vitals_scrape_duration_seconds"), 1.0);
}

#[test]
fn collectors_are_asked_whatever_is() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let _alone = alone();
    let vitals = Vitals::builder().system_metrics(false).build().unwrap();
    let asked = || {
        ASKED.fetch_add(1, Ordering::SeqCst);
        1.0
    };
    vitals.callback_gauge(Desc::gauge("app_observed", "Asked."), [], asked).unwrap();
    assert_eq!(only(&vitals, Format::Text, &["nothing"]), "");
    assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    let text = "# HELP app_observed Asked.\n# TYPE app_observed gauge\napp_observed 1\n";
    assert_eq!(only(&vitals, Format::Text, &["app_observed"]), text);
}
