//! A pool of threads for large scrapes changes nothing in what they say.

use mcp_vitals::{Counter, Desc, Error, Gauge, Vitals, VitalsBuilder};

/// More than a family must have for more threads than one, and no round number of anything.
const SERIES: usize = 66_001;
/// Fewer than that.
const GAUGES: usize = 3_001;

struct Engine {
    counters: Vec<Option<Counter>>,
    gauges: Vec<Gauge>,
    // After the handles: of an engine that is gone each one looks whether it was the last.
    vitals: Vitals,
}

fn label(n: usize) -> String {
    format!("tool_{n:05}")
}

impl Engine {
    fn new(builder: VitalsBuilder, memory: u64) -> Engine {
        let builder = builder.system_metrics(false).series_limit(100_000).memory_limit(memory);
        let vitals = builder.build().unwrap();
        let calls = Desc::counter("app_calls_total", "Calls.").labels(["tool"]).removable();
        let calls = vitals.register(calls).unwrap();
        let load = Desc::gauge("app_load", "Load.").labels(["tool"]);
        let load = vitals.register(load).unwrap();
        vitals.register(Desc::histogram("app_seconds", "Time.")).unwrap().with([]).record_nanos(7);
        let counters = (0..SERIES).map(|n| Some(calls.with([&label(n)]))).collect();
        let gauges = (0..GAUGES).map(|n| load.with([&label(n)])).collect();
        Engine { counters, gauges, vitals }
    }

    /// Numbers that stay as long and others that grow, in few series and in many.
    fn change(&mut self, round: usize) {
        let every = [1, 100, 7, 1_000][round % 4];
        for (n, counter) in self.counters.iter().enumerate().skip(round).step_by(every) {
            let more = if n % 11 == 0 { 90 << (n % 40) } else { 3 };
            counter.iter().for_each(|counter| counter.add(more));
        }
        for (n, gauge) in self.gauges.iter().enumerate().skip(round).step_by(every) {
            gauge.set(n as f64 / [1.0, 4.0, -3.0][(n + round) % 3]);
        }
        if round == 2 {
            let calls = Desc::counter("app_calls_total", "Calls.").labels(["tool"]).removable();
            let calls = self.vitals.register(calls).unwrap();
            for n in (5..SERIES).step_by(997) {
                self.counters[n] = None;
                assert!(calls.remove([&label(n)]));
            }
        }
    }

    /// All from the host's families on: what an engine says of itself is of its own time and memory. Into
    /// a buffer, and handed out in slices.
    fn texts(&self) -> (String, String) {
        let own = |text: Vec<u8>| -> String {
            // The engine's own families come first, the catalog's next.
            let text = String::from_utf8(text).unwrap();
            text[text.find("# HELP app_").unwrap()..].to_owned()
        };
        let (mut whole, mut slices) = (Vec::new(), Vec::new());
        self.vitals.scrape_into(&mut whole);
        self.vitals.scrape_with(|slice| slices.extend_from_slice(slice));
        (own(whole), own(slices))
    }
}

fn all_threads_say_the_same(memory: u64, arranged: fn(&str) -> Vec<&str>) {
    let builders = [
        Vitals::builder(),
        Vitals::builder().scrape_threads(1),
        Vitals::builder().scrape_threads(3),
    ];
    let mut engines = builders.map(|builder| Engine::new(builder, memory));
    for round in 0..4 {
        engines.iter_mut().for_each(|engine| engine.change(round));
        let (alone, _) = engines[0].texts();
        assert!(alone.lines().filter(|line| line.starts_with("app_calls_total{")).count() > 60_000);
        for engine in &engines {
            let (whole, slices) = engine.texts();
            assert!(whole == slices);
            assert!(arranged(&whole) == arranged(&alone), "in round {round}");
        }
    }
}

#[test]
fn the_text_is_the_same_byte_for_byte() {
    all_threads_say_the_same(1 << 30, |text| vec![text]);
}

/// Lines that no room was left for are written anew each time, before those of their sheet that are
/// kept. Which ones these are is another matter: what else takes of the budget is not the same in two
/// engines to the byte.
#[test]
fn the_lines_are_the_same_where_some_can_not_be_kept() {
    all_threads_say_the_same(15 << 20, |text| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines
    });
}

#[test]
fn a_number_of_threads_out_of_range_is_refused() {
    for threads in [0, 65] {
        let refused = Vitals::builder().scrape_threads(threads).build();
        assert!(matches!(refused, Err(Error::OutOfRange { field: "scrape_threads", .. })));
    }
}

/// Of this process, those of a pool.
#[cfg(target_os = "linux")]
#[test]
fn the_threads_are_the_engines_own() {
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        // A task may end while it is looked at.
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
    };
    let threads = || {
        let names = std::fs::read_dir("/proc/self/task").unwrap().map(name);
        names.filter(|name| name.starts_with("mcp-vitals-scr6")).count()
    };
    // The seventh of a pool has the name that only this test's has.
    assert_eq!(threads(), 0);
    let vitals = Vitals::builder().scrape_threads(7).build().unwrap();
    while threads() == 0 {
        std::thread::yield_now();
    }
    drop(vitals);
    while threads() > 0 {
        std::thread::yield_now();
    }
}
