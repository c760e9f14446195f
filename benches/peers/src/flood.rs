//! A client that calls a million different names: what each call costs, what is kept of them, and what
//! another thread's work loses meanwhile.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mcp_vitals::{Counter, Family, Vitals};

use crate::alloc::tally;
use crate::company::{CONTROL, beside, spin};
use crate::harness::{Settings, Spread, TRIES, preempted};
use crate::report::{Row, Statistic};
use crate::sides::ours;
use crate::work;

/// Different names.
const NAMES: usize = 1_000_000;
/// Series that the family may have: the engine's default.
const ROOM: usize = 2_000;
/// Label sets that the other thread works with, there before the flood comes.
const SETS: usize = 64;
/// Calls of the flood between two looks at whether it is to go on.
const WAVE: usize = 1_000;
/// How long the other thread works before it is looked at, as bursts are elsewhere.
const BURST: Duration = Duration::from_millis(2);

/// A family, the names of the flood, and how many calls it has had.
struct Flooded {
    vitals: Vitals,
    family: Family<Counter, 3>,
    names: Vec<String>,
    next: usize,
    calls: AtomicU64,
}

impl Flooded {
    fn new(names: usize) -> Flooded {
        let (vitals, family) = ours::counters_for(ROOM);
        let names = (0..names).map(|i| format!("client.name_{i:07}")).collect();
        Flooded { vitals, family, names, next: 0, calls: AtomicU64::new(0) }
    }

    fn wave(&mut self, calls: usize) {
        for _ in 0..calls {
            let name = &self.names[self.next];
            self.family.with([name, "call", "error"]).inc();
            self.next = (self.next + 1) % self.names.len();
        }
        self.calls.fetch_add(calls as u64, Ordering::Relaxed);
    }

    /// Whether every call of the flood, and `more` of others, are in the sum of all series.
    fn check(&self, more: u64) -> Result<(), String> {
        let calls = self.calls.load(Ordering::Relaxed) + more;
        let total = ours::total(&self.vitals);
        let same = total == calls as f64;
        same.then_some(()).ok_or_else(|| format!("{total} calls are held instead of {calls}"))
    }
}

/// Nanoseconds a call, over all names once; the least of a few times.
pub fn call(name: &str, settings: Settings) -> Result<Row, String> {
    let mut rounds = Vec::new();
    for _ in 0..settings.rounds.min(5) {
        let mut flooded = Flooded::new(settings.share(NAMES));
        let calls = flooded.names.len();
        let start = Instant::now();
        flooded.wave(calls);
        rounds.push(start.elapsed().as_nanos() as f64 / calls as f64);
        flooded.check(0)?;
    }
    let mut row = Row::new(name, "ns", Statistic::Min);
    row.add_spread(ours::NAME, Spread::of(rounds), 1.0, true);
    Ok(row.finish())
}

/// Bytes that the allocator gave to the engine and all that the flood left in it; the floor is what the engine
/// says that it uses.
pub fn memory(name: &str, settings: Settings) -> Result<Row, String> {
    // What a thread takes once, whatever it records.
    Flooded::new(1).wave(1);
    let names = Flooded::new(settings.share(NAMES)).names;
    let calls = names.len();
    let (flooded, tally) = tally(|| {
        let (vitals, family) = ours::counters_for(ROOM);
        let mut flooded = Flooded { vitals, family, names, next: 0, calls: AtomicU64::new(0) };
        flooded.wave(calls);
        flooded
    });
    flooded.check(0)?;
    let used = flooded.vitals.snapshot().value("mcp_vitals_memory_used_bytes", &[]);
    let used = used.ok_or("the engine doesn't say what it uses")?;
    let mut row = Row::new(name, "bytes", Statistic::Exact);
    row.add(ours::NAME, tally.bytes as f64, true);
    row.add_floor("memory_used", Spread { min: used, median: used, rounds: 1 }, 1.0);
    Ok(row.finish())
}

/// Nanoseconds that an `inc` by handle takes during the flood, and beside the control.
pub fn slowed_handles(name: &str, settings: Settings) -> Result<Row, String> {
    slowed(name, settings, |family| {
        let handle = family.with(work::called_counters(SETS)[0]);
        Box::new(move |calls| (0..calls).for_each(|_| black_box(&handle).inc()))
    })
}

/// Nanoseconds that a lookup in the flooded family takes, and beside the control.
pub fn slowed_lookups(name: &str, settings: Settings) -> Result<Row, String> {
    slowed(name, settings, |family| {
        let family = family.clone();
        let mut labels = work::called_counters(SETS).iter().cycle();
        Box::new(move |calls| {
            labels.by_ref().take(calls as usize).for_each(|&labels| family.with(labels).inc());
        })
    })
}

/// Makes so many calls.
type Calls = Box<dyn FnMut(u64)>;

fn slowed(
    name: &str,
    settings: Settings,
    make: impl Fn(&Family<Counter, 3>) -> Calls,
) -> Result<Row, String> {
    let mut flooded = Flooded::new(settings.share(NAMES));
    let mut work = make(&flooded.family);
    let mut made = 0;
    let mut run = |calls| {
        let start = Instant::now();
        work(calls);
        made += calls;
        start.elapsed()
    };
    let mut calls = SETS as u64;
    while run(calls) < BURST {
        calls *= 2;
    }
    // A round that the scheduler broke into says nothing of the flood.
    let mut undisturbed = || {
        let before = preempted();
        run(calls / 8);
        let took = run(calls);
        (preempted() == before).then(|| took.as_nanos() as f64 / calls as f64)
    };
    let (mut during, mut control) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds {
        let mut flood = || beside(|| flooded.wave(WAVE), &mut undisturbed);
        during.extend((0..TRIES).find_map(|_| flood()));
        let mut quiet = || beside(spin, &mut undisturbed);
        control.extend((0..TRIES).find_map(|_| quiet()));
    }
    flooded.check(made)?;
    let mut row = Row::new(name, "ns", Statistic::Median);
    row.add_spread(ours::NAME, Spread::of(during), 1.0, true);
    row.add_floor(CONTROL, Spread::of(control), 1.0);
    Ok(row.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_the_total_and_one_call_too_few_is_noticed() {
        let mut flooded = Flooded::new(ROOM + 500);
        flooded.wave(3 * ROOM);
        assert_eq!(flooded.check(0), Ok(()));
        assert!(flooded.check(1).is_err());
    }

    #[test]
    fn work_beside_the_flood_is_in_the_total() {
        let settings = Settings { rounds: 1, burst: BURST, quick: true };
        for slowed in [slowed_handles, slowed_lookups] {
            assert!(slowed("name", settings).is_ok());
        }
    }
}
