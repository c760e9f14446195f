//! What the console remembers between two reads, and what it makes of the next one.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Engine;
use super::history::{History, Wanted};
use super::interval::{Before, Interval};
use super::reading::{Of, Reading};
use super::rules::{Levels, Rules};
use super::state::{Beside, Cost, Families, State};

/// How far rates and percentiles of a state reach back.
const WINDOW: Duration = Duration::from_secs(10);

/// A point of the history, and a look at the rules; a little less than the thread's own ten seconds,
/// which it is never late by.
const COARSE: Duration = Duration::from_millis(9_500);

/// Longer is no point of a second.
const FINE: f64 = 2.5;

/// A longer time between two reads is one in which nobody looked: what came in it is of no window.
const GAP: f64 = 30.0;

/// How often the series of all families are counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Sampler {
    started: Instant,
    service: (String, String),
    before: Before,
    /// What happened up to each of these moments, the newest last; together they reach a window back.
    recent: VecDeque<(Instant, Interval)>,
    /// What happened since the last point of ten seconds, and when that was.
    since: Interval,
    pointed: Option<Instant>,
    history: History,
    rules: Rules,
    cardinality: Option<(Instant, Families)>,
    /// Count and sum of all scrapes, and what the last one took.
    scrapes: (u64, u64),
    scrape_last_ms: Option<f64>,
    state_ms: f64,
}

impl Sampler {
    /// * `kept`: whether all that happens from now on is to be told, whoever looks.
    pub(super) fn new(service: (String, String), kept: bool) -> Sampler {
        let started = Instant::now();
        Sampler {
            started,
            service,
            before: if kept { Before::birth(started) } else { Before::default() },
            recent: VecDeque::new(),
            since: Interval::default(),
            pointed: None,
            history: History::default(),
            rules: Rules::new(),
            cardinality: None,
            scrapes: (0, 0),
            scrape_last_ms: None,
            state_ms: 0.0,
        }
    }

    /// Reads the engine and remembers it. False where the engine is gone.
    ///
    /// * `to`: where somebody looks, what the state is appended to.
    pub(super) fn tick(
        &mut self,
        engine: &dyn Engine,
        cost: Cost,
        to: Option<&mut Vec<u8>>,
    ) -> bool {
        let Some((mut now, unix_ms)) = read(engine) else { return false };
        self.take(&mut now, unix_ms, to.is_some());
        if let Some(to) = to {
            self.write(engine, &now, None, unix_ms, cost, to);
        }
        true
    }

    /// Remembers what was read.
    fn take(&mut self, now: &mut Reading, unix_ms: u64, looked_at: bool) {
        let came = self.came(now);
        self.before.set(now, unix_ms);
        self.remember(now, unix_ms, came.as_ref(), looked_at);
        if let Some(came) = came {
            self.recent.push_back((now.at, came));
            let keeps = |at: Instant| now.at.saturating_duration_since(at) < WINDOW;
            while self.recent.front().is_some_and(|(at, _)| !keeps(*at)) && self.recent.len() > 1 {
                self.recent.pop_front();
            }
        }
    }

    /// What came since the last tick. After a gap it begins anew, and so do windows and rules.
    fn came(&mut self, now: &Reading) -> Option<Interval> {
        let came = self.before.until(now)?;
        if came.seconds < GAP {
            return Some(came);
        }
        self.recent.clear();
        (self.since, self.pointed, self.rules) = (Interval::default(), None, Rules::new());
        None
    }

    /// Adds to the history, and evaluates the rules where it is time.
    fn remember(&mut self, now: &Reading, unix_ms: u64, came: Option<&Interval>, looked_at: bool) {
        if let Some(came) = came {
            self.since.add(came);
            if looked_at && came.seconds < FINE {
                self.history.fine(now, unix_ms, came);
            }
        }
        let early = |at: Instant| now.at.saturating_duration_since(at) < COARSE;
        if self.pointed.is_some_and(early) {
            return;
        }
        self.pointed = Some(now.at);
        let since = std::mem::take(&mut self.since);
        // The first read has nothing before it.
        let since = came.map(|_| &since);
        if let Some(since) = since {
            self.history.coarse(now, unix_ms, since);
        }
        self.rules.next(now.at, unix_ms, since, Levels::of(now));
    }

    pub(super) fn history(&self, wanted: Wanted) -> Vec<u8> {
        self.history.json(wanted)
    }

    /// Appends a state that is read now. False where the engine is gone.
    pub(super) fn state(&mut self, engine: &dyn Engine, cost: Cost, to: &mut Vec<u8>) -> bool {
        let Some((now, unix_ms)) = read(engine) else { return false };
        let came = self.came(&now);
        self.write(engine, &now, came, unix_ms, cost, to);
        true
    }

    /// * `came`: since the last tick.
    fn write(
        &mut self,
        engine: &dyn Engine,
        now: &Reading,
        came: Option<Interval>,
        unix_ms: u64,
        cost: Cost,
        to: &mut Vec<u8>,
    ) {
        let mut last = Interval::default();
        self.recent.iter().map(|(_, interval)| interval).chain(&came).for_each(|interval| {
            last.add(interval);
        });
        self.count(engine, now.at);
        self.time(now);
        let Some((_, cardinality)) = &self.cardinality else { return };
        let cost = Cost { state_ms: self.state_ms, history_bytes: self.bytes(), ..cost };
        let state = State::new(
            now,
            &last,
            Beside {
                unix_ms,
                uptime_s: now.at.saturating_duration_since(self.started).as_secs_f64(),
                service: &self.service,
                rules: self.rules.told(),
                cardinality,
                scrape_last_ms: self.scrape_last_ms,
                cost,
            },
        );
        // Nothing of it can fail: it is written to memory, and its keys are texts.
        let _ = serde_json::to_writer(&mut *to, &state);
        self.state_ms = now.at.elapsed().as_secs_f64() * 1e3;
    }

    fn count(&mut self, engine: &dyn Engine, now: Instant) {
        let old = |at: Instant| now.saturating_duration_since(at) >= COUNT_EVERY;
        if self.cardinality.as_ref().is_none_or(|(at, _)| old(*at)) {
            self.cardinality = Some((now, Families::of(engine.cardinality())));
        }
    }

    /// Says what the last scrape took; of several since the last look their mean.
    fn time(&mut self, now: &Reading) {
        let Some(all) = now.histograms(Of::ScrapeDuration).first() else { return };
        let (count, sum) = self.scrapes;
        let came = all.count.saturating_sub(count);
        if came > 0 {
            let took = all.sum.saturating_sub(sum);
            self.scrape_last_ms = Some(took as f64 / came as f64 / 1e6);
        }
        self.scrapes = (all.count, all.sum);
    }

    /// About how many bytes are remembered.
    fn bytes(&self) -> usize {
        let recent: usize = self.recent.iter().map(|(_, interval)| interval.bytes()).sum();
        let kept = self.history.bytes() + self.rules.bytes() + self.since.bytes();
        self.before.bytes() + recent + kept
    }
}

fn read(engine: &dyn Engine) -> Option<(Reading, u64)> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut now = Reading::new(Instant::now());
    engine.read(&mut now).then_some((now, u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::console::Nothing;
    use crate::snapshot::Number;

    fn reading(at: Instant, failed: u64) -> Reading {
        let mut now = Reading::new(at);
        for (status, total) in [("failed", failed), ("success", 1)] {
            now.add(Of::Auth, ["token".into(), status.into()].into(), Number::Total(total));
        }
        now
    }

    fn rule(sampler: &Sampler, name: &str) -> Value {
        let told = serde_json::to_value(sampler.rules.told()).unwrap();
        told.as_array().unwrap().iter().find(|rule| rule["name"] == name).unwrap().clone()
    }

    /// What failed in an hour that nobody looked at did not fail in the last minutes.
    #[test]
    fn what_came_while_nobody_looked_is_in_no_window() {
        let (start, name) = (Instant::now(), "PossibleBruteForceAttack");
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut sampler = Sampler::new(Default::default(), false);
        sampler.take(&mut reading(at(0), 0), 1_000, true);
        sampler.take(&mut reading(at(1), 0), 2_000, true);
        sampler.take(&mut reading(at(3_600), 100_000), 3_600_000, true);
        assert_eq!(rule(&sampler, name)["value"], json!(0.0));
        let mut out = Vec::new();
        let now = reading(at(3_600), 100_000);
        assert!(sampler.came(&now).is_some());
        sampler.write(&Nothing, &now, None, 3_600_000, Cost::default(), &mut out);
        let state: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(state["auth"]["failed_rate"], Value::Null);
        // And then it looks again.
        for second in 1..=20 {
            let failed = 100_000 + second * 500;
            sampler.take(&mut reading(at(3_600 + second), failed), 3_600_000, true);
        }
        assert_eq!(rule(&sampler, name)["state"], json!("pending"));
    }
}
