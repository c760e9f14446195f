//! What is kept of one scrape for the next says what is there: an engine through hundreds of scrapes, of
//! both formats, whole, in slices and of some families alone, against a map. Series go and come back under longer and shorter
//! names, numbers grow, shrink, wrap and change their sign.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use mcp_vitals::traces::TraceConfig;
use mcp_vitals::{
    Counter, Desc, Family, Format, Gauge, Histogram, Kind, UpDown, Vitals, VitalsBuilder,
};

/// Numbers that are the same in each run.
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// Of every magnitude alike.
    fn amount(&mut self) -> u64 {
        let shift = self.below(64);
        self.bits() >> shift
    }
}

#[derive(Clone, Default)]
struct Observed {
    buckets: [u64; 3],
    sum: u64,
}

/// A family, and what the dullest engine would hold of it.
struct Checked<K, T> {
    name: &'static str,
    family: Family<K, 1>,
    /// Label values to choose from.
    values: usize,
    held: BTreeMap<String, T>,
}

const BOUNDS: [f64; 2] = [10.0, 1000.0];

impl<K: Kind, T: Default + Clone> Checked<K, T> {
    fn new(vitals: &Vitals, name: &'static str, desc: Desc<K, 0>, values: usize) -> Self {
        let family = vitals.register(desc.labels(["n"]).removable()).unwrap();
        Checked { name, family, values, held: BTreeMap::new() }
    }

    /// Changes some series, born where they are not there.
    fn change(&mut self, chance: &mut Chance, change: impl Fn(&mut Chance, &K, &mut T)) {
        let most = [0, 1, 3, self.values][chance.below(4)];
        // Of many each one of a row: the first of a page among them.
        let first = chance.below(self.values);
        for n in 0..most {
            let value = value((first + n) % self.values);
            change(chance, &self.family.with([&value]), self.held.entry(value).or_default());
        }
    }

    fn remove(&mut self, chance: &mut Chance) {
        for _ in 0..chance.below(4) {
            let value = value(chance.below(self.values));
            // That of all who find no place never goes.
            let is_there = value != "_other" && self.held.remove(&value).is_some();
            assert_eq!(self.family.remove([&value]), is_there);
        }
    }

    fn lines(&self, lines: &mut Vec<String>, number: impl Fn(&T) -> String) {
        let line = |(value, held)| format!("{}{{n=\"{value}\"}} {}", self.name, number(held));
        lines.extend(self.held.iter().map(line));
    }
}

/// Some have a text of another length in the same place.
fn value(n: usize) -> String {
    match n % 5 {
        0 => format!("{n}"),
        1 => format!("{n}{}", "x".repeat(90)),
        2 => "_other".to_owned(),
        _ => format!("tool {n}"),
    }
}

struct Engine {
    counters: Vec<Checked<Counter, u64>>,
    levels: Vec<Checked<UpDown, i64>>,
    gauges: Vec<Checked<Gauge, f64>>,
    times: Checked<Histogram, Observed>,
    vitals: Vitals,
}

impl Engine {
    fn new(builder: VitalsBuilder) -> Engine {
        let vitals = builder.system_metrics(false).build().unwrap();
        let counter = |name, values| Checked::new(&vitals, name, Desc::counter(name, "C."), values);
        let level = |name, values| Checked::new(&vitals, name, Desc::updown(name, "L."), values);
        let gauge = |name, values| Checked::new(&vitals, name, Desc::gauge(name, "G."), values);
        let times = Desc::histogram("app_bytes", "H.").unit(mcp_vitals::Unit::Bytes);
        let times = times.buckets(&BOUNDS).highest_units(u64::MAX >> 1);
        Engine {
            counters: vec![counter("app_many_total", 300), counter("app_few_total", 30)],
            levels: vec![level("app_levels", 90), level("app_level", 3)],
            gauges: vec![gauge("app_readings", 90), gauge("app_reading", 20)],
            times: Checked::new(&vitals, "app_bytes", times, 14),
            vitals,
        }
    }

    fn change(&mut self, chance: &mut Chance) {
        let kind = chance.below(4);
        for counters in &mut self.counters {
            counters.change(chance, |chance, counter, total| {
                let more = match kind {
                    0 => 1,
                    1 => chance.bits() >> 58,
                    // To where it wraps, or past that.
                    2 => (u64::MAX - *total).wrapping_add(chance.bits() >> 62),
                    _ => chance.amount(),
                };
                counter.add(more);
                *total = total.wrapping_add(more);
            });
        }
        for levels in &mut self.levels {
            levels.change(chance, |chance, level, held| {
                // To a level of any magnitude and sign, the least among them.
                let to = match chance.below(9) {
                    0 => i64::MIN,
                    n if n % 2 == 0 => chance.amount() as i64,
                    _ => -((chance.amount() >> 1) as i64),
                };
                let more = to.wrapping_sub(*held);
                if more < 0 {
                    level.sub(more.unsigned_abs())
                } else {
                    level.add(more as u64)
                }
                *held = to;
            });
        }
        for gauges in &mut self.gauges {
            gauges.change(chance, |chance, gauge, held| {
                const SPECIAL: [f64; 9] =
                    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 0.1, 9e15, 1e300, -7.0];
                let reading = match chance.below(4) {
                    0 => SPECIAL[chance.below(SPECIAL.len())],
                    1 => f64::from_bits(chance.bits()),
                    2 => chance.amount() as f64,
                    _ => chance.below(2000) as f64 / 8.0 - 100.0,
                };
                gauge.set(reading);
                *held = reading;
            });
        }
        let tracer = self.vitals.tracer("test");
        self.times.change(chance, |chance, times, held| {
            let span = (chance.below(3) == 0).then(|| tracer.span("work"));
            let _current = span.as_ref().map(|span| span.enter());
            for _ in 0..1 + chance.below(120) {
                let bytes = chance.amount() >> 16;
                times.record_units(bytes);
                held.buckets[BOUNDS.iter().filter(|bound| bytes as f64 > **bound).count()] += 1;
                held.sum += bytes;
            }
        });
    }

    fn remove(&mut self, chance: &mut Chance) {
        self.counters.iter_mut().for_each(|family| family.remove(chance));
        self.levels.iter_mut().for_each(|family| family.remove(chance));
        self.gauges.iter_mut().for_each(|family| family.remove(chance));
        self.times.remove(chance);
    }

    /// Every line of the families, in the order of the text within a histogram alone.
    fn expected(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.counters.iter().for_each(|family| family.lines(&mut lines, u64::to_string));
        self.levels.iter().for_each(|family| family.lines(&mut lines, i64::to_string));
        self.gauges.iter().for_each(|family| family.lines(&mut lines, |held| reading(*held)));
        for (value, held) in &self.times.held {
            let Observed { buckets: [a, b, c], sum } = held;
            let (two, all) = (a + b, a + b + c);
            lines.push(format!("app_bytes_bucket{{n=\"{value}\",le=\"10.0\"}} {a}"));
            lines.push(format!("app_bytes_bucket{{n=\"{value}\",le=\"1000.0\"}} {two}"));
            lines.push(format!("app_bytes_bucket{{n=\"{value}\",le=\"+Inf\"}} {all}"));
            lines.push(format!("app_bytes_sum{{n=\"{value}\"}} {sum}"));
            lines.push(format!("app_bytes_count{{n=\"{value}\"}} {all}"));
        }
        lines.sort_unstable();
        lines
    }

    /// The same lines of whatever is there, each with its number as an `f64`.
    fn snapshot(&self) -> Vec<(String, String)> {
        let (snapshot, mut lines) = (self.vitals.snapshot(), Vec::new());
        for (name, kind) in snapshot.families().filter(|(name, _)| name.starts_with("app_")) {
            for labels in snapshot.label_sets(name) {
                let [(_, value)] = labels else { panic!("{labels:?}") };
                let own = [("n", &**value)];
                let number = snapshot.value(name, &own).unwrap() + 0.0;
                if kind != "histogram" {
                    lines.push((format!("{name}{{n=\"{value}\"}}"), number.to_string()));
                    continue;
                }
                let read = snapshot.histogram(name, &own).unwrap();
                for (bound, (_, count)) in ["10.0", "1000.0", "+Inf"].iter().zip(read.buckets()) {
                    let begin = format!("{name}_bucket{{n=\"{value}\",le=\"{bound}\"}}");
                    lines.push((begin, count.to_string()));
                }
                lines.push((format!("{name}_sum{{n=\"{value}\"}}"), read.sum().to_string()));
                lines.push((format!("{name}_count{{n=\"{value}\"}}"), number.to_string()));
            }
        }
        lines.sort_unstable();
        lines
    }

    /// By the names of some families, and of nothing: those, and the text.
    fn scrape_only(&self, chance: &mut Chance) -> (Vec<&'static str>, Vec<u8>) {
        let counters = self.counters.iter().map(|family| family.name);
        let levels = self.levels.iter().map(|family| family.name);
        let gauges = self.gauges.iter().map(|family| family.name);
        let all = counters.chain(levels).chain(gauges).chain([self.times.name, "app"]);
        let names: Vec<_> = all.filter(|_| chance.below(3) == 0).collect();
        let format = [Format::Text, Format::OpenMetrics][chance.below(2)];
        let mut text = Vec::new();
        self.vitals.scrape_only(format, &names, &mut text);
        (names, text)
    }

    fn scrape(&self, chance: &mut Chance) -> Vec<u8> {
        let mut text = Vec::new();
        match chance.below(5) {
            0 => self.vitals.scrape_as(Format::OpenMetrics, &mut text),
            1 => self.vitals.scrape_into(&mut text),
            2 => {
                // Whoever takes the slices may panic at any: the next scrape is whole.
                let mut left = chance.below(12);
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    self.vitals.scrape_with(|_| {
                        left = left
                            .checked_sub(1)
                            .unwrap_or_else(|| std::panic::resume_unwind(Box::new(())));
                    });
                }));
                drop(panicked);
                return self.scrape(chance);
            }
            _ => self.vitals.scrape_with(|slice| text.extend_from_slice(slice)),
        }
        text
    }
}

fn reading(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        // Without the sign of 0.
        _ => (value + 0.0).to_string(),
    }
}

/// A line as the expected ones are: an exemplar is left out, and a reading is spelled by the standard library.
fn told(line: &str) -> String {
    let line = line.split_once(" # ").map_or(line, |(sample, _)| sample);
    let (begin, number) = line.rsplit_once(' ').unwrap();
    if !line.starts_with("app_reading") || number == "NaN" || number.ends_with("Inf") {
        return line.to_owned();
    }
    let value: f64 = number.parse().unwrap();
    format!("{begin} {}", if value == 0.0 { 0.0 } else { value })
}

/// With exemplars, which lines have in one format alone.
fn traced() -> VitalsBuilder {
    Vitals::builder().traces(TraceConfig::to_memory())
}

#[test]
fn what_is_kept_says_what_is_there() {
    for seed in 0..4 {
        let (mut engine, mut chance) = (Engine::new(traced()), Chance(seed));
        for round in 0..150 {
            match chance.below(8) {
                0 => engine.remove(&mut chance),
                // In another thread's cells.
                1..4 => thread::scope(|scope| {
                    scope.spawn(|| engine.change(&mut chance)).join().unwrap();
                }),
                _ => engine.change(&mut chance),
            }
            let check = |text: Vec<u8>, expected: Vec<String>| {
                let text = String::from_utf8(text).unwrap();
                let own = text.lines().filter(|line| line.starts_with("app_"));
                let mut lines: Vec<String> = own.map(told).collect();
                lines.sort_unstable();
                for (line, expected) in lines.iter().zip(&expected) {
                    assert_eq!(line, expected, "in round {round} of {seed}");
                }
                assert_eq!(lines.len(), expected.len(), "in round {round} of {seed}");
            };
            let expected = engine.expected();
            // In turns: what one leaves of some families is right for the other of all.
            if chance.below(2) == 0 {
                let (names, text) = engine.scrape_only(&mut chance);
                let of = |line: &&String| {
                    let sample = line.split('{').next().unwrap();
                    names.iter().any(|name| {
                        let rest = sample.strip_prefix(name);
                        matches!(rest, Some("" | "_bucket" | "_sum" | "_count"))
                    })
                };
                check(text, expected.iter().filter(of).cloned().collect());
            }
            check(engine.scrape(&mut chance), expected);
        }
    }
}

/// What the scrape had looked up is looked up again by the next one: in the cells of threads that came
/// meanwhile, too.
#[test]
fn a_scrape_that_panicked_hides_nothing_of_the_next() {
    let vitals = Vitals::builder().system_metrics(false).build().unwrap();
    let calls = Desc::counter("app_calls_total", "C.").labels(["n"]);
    let calls = vitals.register(calls).unwrap();
    let add = || (0..64).for_each(|n| calls.with([&n.to_string()]).inc());
    add();
    // The counters' page is the first slice that is large enough to go by itself.
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        vitals.scrape_with(|slice| {
            if slice.starts_with(b"app_calls_total{") {
                std::panic::resume_unwind(Box::new(()));
            }
        });
    }));
    assert!(panicked.is_err());
    thread::scope(|scope| scope.spawn(add).join().unwrap());
    let text = vitals.export_prometheus();
    let lines: Vec<&str> =
        text.lines().filter(|line| line.starts_with("app_calls_total{")).collect();
    assert_eq!(lines.len(), 64);
    assert!(lines.iter().all(|line| line.ends_with(" 2")), "{text}");
}

/// Where the budget has room for some of the lines, and now and then for one more, all are written. The
/// oracle is the snapshot: which series find no place is another matter.
#[test]
fn what_can_not_be_kept_is_said_all_the_same() {
    let (mut engine, mut chance) =
        (Engine::new(Vitals::builder().memory_limit(2 << 20)), Chance(7));
    for _ in 0..20 {
        engine.change(&mut chance);
    }
    let vitals = engine.vitals.clone();
    let rest = Desc::gauge("rest", "").labels(["n"]).series_limit(1_000_000).removable();
    let rest = vitals.register(rest.label_values_limit(1_000_000)).unwrap();
    let has_overflowed = || {
        let labels = [("metric", "rest"), ("label", "_all")];
        vitals.snapshot().value("mcp_vitals_series_overflow_total", &labels) > Some(0.0)
    };
    let mut taken = 0;
    while !has_overflowed() {
        (0..1_000).for_each(|n| drop(rest.with([&(taken + n).to_string()])));
        taken += 1_000;
    }
    for round in 0..60 {
        for _ in 0..chance.below(4) {
            rest.remove([&chance.below(taken).to_string()]);
            let value = value(chance.below(300));
            for family in &engine.counters {
                family.family.remove([&value]);
            }
            for family in &engine.gauges {
                family.family.remove([&value]);
            }
            engine.times.family.remove([&value]);
        }
        engine.change(&mut chance);
        let text = String::from_utf8(engine.scrape(&mut chance)).unwrap();
        let mut lines: Vec<(String, String)> = text
            .lines()
            .filter(|line| line.starts_with("app_"))
            .map(|line| {
                let line = line.split_once(" # ").map_or(line, |(sample, _)| sample);
                let (begin, number) = line.rsplit_once(' ').unwrap();
                (begin.to_owned(), (number.parse::<f64>().unwrap() + 0.0).to_string())
            })
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, engine.snapshot(), "in round {round}");
    }
}
