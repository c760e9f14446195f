//! How long single calls take while another thread scrapes as fast as it can: percentiles, not means.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::company::{CONTROL, beside, spin};
use crate::harness::{Settings, Spread};
use crate::report::{Row, Statistic};
use crate::sides::ours;
use crate::work;

/// Alternated runs, with scrapes and with the control; each figure is their median.
const RUNS: usize = 5;
/// New series in a run.
const BIRTHS: usize = 200_000;
/// Most series that the family of the births may have.
const ROOM: usize = 1_000_000;
/// Label sets that are looked up.
const SETS: usize = 8_000;
/// Lookups in a run: two hundred are above the 99.99th percentile.
const LOOKUPS: usize = 2_000_000;
/// The longest a call can be seen to take: ten seconds.
const LONGEST: u64 = 10_000_000_000;

/// The 99th percentile of the first `with` of a label set and its `inc`.
pub fn births(name: &str, settings: Settings) -> Result<Row, String> {
    let births = settings.share(BIRTHS);
    let labels = work::called_counters(births);
    alternated(name, 99.0, settings, |scrapes| {
        let (vitals, family) = ours::counters_for(ROOM);
        let timed = || {
            let mut labels = labels.iter();
            time(births, || _ = labels.next().map(|&labels| family.with(labels).inc()))
        };
        let took = meanwhile(scrapes, &vitals, timed);
        check(&vitals, births)?;
        Ok(took)
    })
}

/// The 99.99th percentile of `with` and `inc` of label sets that are there.
pub fn lookups(name: &str, settings: Settings) -> Result<Row, String> {
    let lookups = settings.share(LOOKUPS);
    let labels = work::called_counters(SETS);
    let (vitals, family) = ours::counters_for(SETS);
    labels.iter().for_each(|&labels| family.with(labels).inc());
    let mut calls = SETS;
    alternated(name, 99.99, settings, |scrapes| {
        let timed = || {
            let mut labels = labels.iter().cycle();
            time(lookups, || _ = labels.next().map(|&labels| family.with(labels).inc()))
        };
        let took = meanwhile(scrapes, &vitals, timed);
        calls += lookups;
        check(&vitals, calls)?;
        Ok(took)
    })
}

/// Runs with scrapes and with the control by turns, and the percentile of each.
fn alternated(
    name: &str,
    percentile: f64,
    settings: Settings,
    mut run: impl FnMut(bool) -> Result<Histogram<u32>, String>,
) -> Result<Row, String> {
    let (mut scraped, mut control) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds.min(RUNS) {
        scraped.push(run(true)?.value_at_percentile(percentile) as f64);
        control.push(run(false)?.value_at_percentile(percentile) as f64);
    }
    let mut row = Row::new(name, &format!("ns p{percentile}"), Statistic::Median);
    row.add_spread(ours::NAME, Spread::of(scraped), 1.0, true);
    row.add_floor(CONTROL, Spread::of(control), 1.0);
    Ok(row.finish())
}

fn meanwhile<T>(scrapes: bool, vitals: &mcp_vitals::Vitals, work: impl FnOnce() -> T) -> T {
    if !scrapes {
        return beside(spin, work);
    }
    let mut text = Vec::new();
    let scrape = || {
        text.clear();
        vitals.scrape_into(&mut text);
    };
    beside(scrape, work)
}

/// Each call's time, a reading of the clock included.
fn time(calls: usize, mut call: impl FnMut()) -> Histogram<u32> {
    let mut took = Histogram::new_with_max(LONGEST, 3).expect("a valid range");
    for _ in 0..calls {
        let start = Instant::now();
        call();
        took.saturating_record(start.elapsed().as_nanos() as u64);
    }
    took
}

/// Scrapes have cost no call.
fn check(vitals: &mcp_vitals::Vitals, calls: usize) -> Result<(), String> {
    let total = ours::total(vitals);
    let same = total == calls as f64;
    same.then_some(()).ok_or_else(|| format!("{total} calls are held instead of {calls}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_call_beside_a_scrape_is_lost() {
        let settings = Settings { rounds: 1, burst: Duration::ZERO, quick: true };
        for figure in [births, lookups] {
            let row = figure("name", settings).unwrap();
            assert!(row.ours > Some(0.0) && row.floor > Some(0.0), "{row:?}");
        }
    }
}
