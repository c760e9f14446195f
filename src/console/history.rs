//! What the last hour was like: points of ten seconds, and of one second while somebody looks.

use std::collections::{HashMap, VecDeque};

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::interval::{Interval, OTHER, Work, add, millis};
use super::reading::{Of, Reading, Slow, whole};
use super::state::{Exemplar, Hex};

/// Points of each length, and seconds of a point.
const COARSE: (usize, f64) = (360, 10.0);
const FINE: (usize, f64) = (300, 1.0);

/// Tools that have columns of their own.
const MOST_TOOLS: usize = 20;

/// Buckets of the heat map: the first one's bound in milliseconds, and each twice the one before. The
/// last has what is above, too.
const HEAT: usize = 24;
const HEAT_FIRST: f64 = 0.05;

/// The history of an engine.
#[derive(Default)]
pub(super) struct History {
    tools: Vec<Tool>,
    coarse: Track,
    fine: Track,
}

/// A tool that has columns.
struct Tool {
    name: Box<str>,
    total: u64,
}

/// Points that follow each other.
#[derive(Default)]
struct Track(VecDeque<Point>);

/// What a time was like.
struct Point {
    /// Its end, in seconds of the epoch.
    unix_s: f64,
    /// Nothing: a time that nobody looked at.
    seen: Option<Box<Seen>>,
}

struct Seen {
    all: Requests,
    in_flight: f32,
    sessions: f32,
    /// In the order of the history's tools; nothing of those that did nothing.
    tools: Vec<Option<Requests>>,
    other: Option<Requests>,
    heat: [u32; HEAT],
    cpu_percent: Option<f32>,
    memory_bytes: Option<f64>,
    tasks_pending: Option<f32>,
    agents_active: Option<f32>,
    tokens_rate: f32,
}

/// Requests of a time; percentiles in milliseconds.
#[derive(Clone, Copy)]
struct Requests {
    rate: f32,
    errors: f32,
    error_ratio: Option<f32>,
    percentiles: [Option<f32>; 3],
    slow: Option<(Hex, f32)>,
}

impl Requests {
    fn of(work: &Work, seconds: f64) -> Requests {
        let per_second = |count: u64| (count as f64 / seconds) as f32;
        let percentile = |share| work.millis(share).map(|millis| millis as f32);
        Requests {
            rate: per_second(work.ended),
            errors: per_second(work.errors),
            error_ratio: work.error_ratio().map(|ratio| ratio as f32),
            percentiles: [0.5, 0.95, 0.99].map(percentile),
            slow: work.slow.map(|Slow { trace, units, .. }| (Hex(trace), millis(units) as f32)),
        }
    }
}

/// Which points are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) coarse: bool,
    pub(super) fine: bool,
    /// Those after this time, in seconds of the epoch.
    pub(super) since: f64,
}

impl Wanted {
    /// Out of `range=coarse` or `range=fine`, both unless said, and `since=` seconds of the epoch.
    pub(super) fn read(query: &str) -> Result<Wanted, &'static str> {
        let mut wanted = Wanted { coarse: true, fine: true, since: 0.0 };
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("range", "coarse")) => wanted.fine = false,
                Some(("range", "fine")) => wanted.coarse = false,
                Some(("range", _)) => return Err("range: coarse or fine"),
                Some(("since", since)) => {
                    wanted.since = since.parse().map_err(|_| "since: seconds of the epoch")?;
                }
                _ => {}
            }
        }
        Ok(wanted)
    }
}

impl History {
    /// Adds a point of about ten seconds.
    pub(super) fn coarse(&mut self, now: &Reading, unix_ms: u64, came: &Interval) {
        self.settle(now);
        let point = self.point(now, unix_ms, came);
        self.coarse.push(point, COARSE);
    }

    /// Adds a point of about a second.
    pub(super) fn fine(&mut self, now: &Reading, unix_ms: u64, came: &Interval) {
        if self.tools.is_empty() {
            self.settle(now);
        }
        let point = self.point(now, unix_ms, came);
        self.fine.push(point, FINE);
    }

    /// Gives columns to the tools with the most requests. One that has them keeps them, unless another
    /// has twice as many requests: a tool does not come and go.
    fn settle(&mut self, now: &Reading) {
        let mut totals: HashMap<&str, u64> = HashMap::new();
        for (labels, number) in now.numbers(Of::Requests) {
            if let Some(tool) = labels.first() {
                add(totals.entry(tool).or_default(), whole(*number));
            }
        }
        // What is told apart by nobody has a column of its own.
        totals.remove(OTHER);
        for tool in &mut self.tools {
            tool.total = totals.remove(&*tool.name).unwrap_or(0);
        }
        let mut others: Vec<(&str, u64)> = totals.into_iter().collect();
        others.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        for (name, total) in others {
            if self.tools.len() < MOST_TOOLS {
                self.tools.push(Tool { name: name.into(), total });
                continue;
            }
            let least = self.tools.iter().enumerate().min_by_key(|(_, tool)| tool.total);
            let Some((place, _)) = least.filter(|(_, least)| total / 2 > least.total) else {
                break;
            };
            self.tools[place] = Tool { name: name.into(), total };
            for track in [&mut self.coarse, &mut self.fine] {
                let seen = track.0.iter_mut().filter_map(|point| point.seen.as_mut());
                let places = seen.filter_map(|seen| seen.tools.get_mut(place));
                places.for_each(|requests| *requests = None);
            }
        }
    }

    fn point(&self, now: &Reading, unix_ms: u64, came: &Interval) -> Point {
        let seconds = came.seconds.max(1e-3);
        let mut works: Vec<Option<Work>> = self.tools.iter().map(|_| None).collect();
        let mut others = None::<Work>;
        for ([tool, _], work) in &came.tools {
            let place = self.tools.iter().position(|known| known.name == *tool);
            let sum = match place {
                Some(place) => &mut works[place],
                None => &mut others,
            };
            sum.get_or_insert_default().add(work);
        }
        let requests = |work: Option<Work>| work.map(|work| Requests::of(&work, seconds));
        let sum = |of: Of| {
            let series = now.numbers(of);
            let sum: f64 = series.iter().map(|(_, number)| number.as_f64()).sum();
            (!series.is_empty()).then_some(sum as f32)
        };
        let resident = now.numbers(Of::Memory).iter();
        let mut resident =
            resident.filter(|(labels, _)| labels.iter().any(|kind| &**kind == "rss"));
        let mut heat = [0u32; HEAT];
        for (nanos, count) in came.all.cells.iter() {
            let bucket = &mut heat[bucket(millis(nanos))];
            *bucket = bucket.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        }
        let seen = Seen {
            all: Requests::of(&came.all, seconds),
            in_flight: now.number(Of::InFlight).unwrap_or(0.0) as f32,
            sessions: now.number(Of::Sessions).unwrap_or(0.0) as f32,
            tools: works.into_iter().map(requests).collect(),
            other: requests(others),
            heat,
            cpu_percent: now.number(Of::Cpu).map(|percent| percent as f32),
            memory_bytes: resident.next().map(|(_, number)| number.as_f64()),
            tasks_pending: sum(Of::TasksPending),
            agents_active: sum(Of::AgentsActive),
            tokens_rate: (came.tokens() as f64 / seconds) as f32,
        };
        Point { unix_s: unix_ms as f64 / 1e3, seen: Some(Box::new(seen)) }
    }

    /// About how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        [&self.coarse, &self.fine].into_iter().map(Track::bytes).sum::<usize>()
            + self.tools.iter().map(|tool| size_of::<Tool>() + tool.name.len()).sum::<usize>()
    }

    /// All of it that is wanted, as JSON.
    pub(super) fn json(&self, wanted: Wanted) -> Vec<u8> {
        serde_json::to_vec(&Shown { history: self, wanted }).unwrap_or_default()
    }
}

/// The bucket of the heat map that a duration falls into.
fn bucket(millis: f64) -> usize {
    let mut bound = HEAT_FIRST;
    let above = (0..HEAT - 1).take_while(|_| {
        let above = millis > bound;
        bound *= 2.0;
        above
    });
    above.count()
}

impl Track {
    /// Adds `point`, after a gap where there was one, and forgets what is too old.
    fn push(&mut self, point: Point, (most, seconds): (usize, f64)) {
        // A clock that was set back takes with it what it would have yet to come.
        while self.0.back().is_some_and(|last| last.unix_s >= point.unix_s) {
            self.0.pop_back();
        }
        if let Some(last) = self.0.back()
            && point.unix_s - last.unix_s > 2.5 * seconds
            && last.seen.is_some()
        {
            let unix_s = last.unix_s + seconds;
            self.0.push_back(Point { unix_s, seen: None });
        }
        let oldest = point.unix_s - most as f64 * seconds * 1.1;
        self.0.push_back(point);
        while self.0.len() > most || self.0.front().is_some_and(|first| first.unix_s < oldest) {
            self.0.pop_front();
        }
    }

    fn bytes(&self) -> usize {
        let seen =
            self.0.iter().filter_map(|point| point.seen.as_ref()).map(|seen| {
                size_of::<Seen>() + seen.tools.capacity() * size_of::<Option<Requests>>()
            });
        self.0.capacity() * size_of::<Point>() + seen.sum::<usize>()
    }
}

struct Shown<'a> {
    history: &'a History,
    wanted: Wanted,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Shown { history: History { tools, coarse, fine }, wanted } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("step_s", &COARSE.1)?;
        map.serialize_entry("fine_step_s", &FINE.1)?;
        let tracks = [("coarse", coarse, wanted.coarse), ("fine", fine, wanted.fine)];
        for (name, track, _) in tracks.into_iter().filter(|(.., wanted)| *wanted) {
            let first = track.0.partition_point(|point| point.unix_s <= wanted.since);
            map.serialize_entry(name, &Columns { tools, track, first })?;
        }
        map.end()
    }
}

/// A track's points, column by column.
struct Columns<'a> {
    tools: &'a [Tool],
    track: &'a Track,
    /// The first that is wanted.
    first: usize,
}

impl Columns<'_> {
    fn points(&self) -> impl Iterator<Item = &Point> {
        self.track.0.range(self.first..)
    }

    /// What `of` says of each point; null where nobody looked.
    fn column<T>(&self, of: impl Fn(&Seen) -> T) -> Column<impl Fn() -> Vec<Option<T>>> {
        Column(move || {
            self.points().map(|point| point.seen.as_deref().map(&of)).collect::<Vec<_>>()
        })
    }
}

/// What is put together when it is written.
struct Column<F>(F);

impl<T: Serialize, F: Fn() -> Vec<Option<T>>> Serialize for Column<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Columns", 9)?;
        let times = Column(|| self.points().map(|point| Some(point.unix_s)).collect());
        out.serialize_field("t", &times)?;
        out.serialize_field("all", &All(self))?;
        out.serialize_field("tools", &Tools(self))?;
        out.serialize_field("heat", &Heat(self))?;
        out.serialize_field("cpu_percent", &self.column(|seen| seen.cpu_percent.map(short)))?;
        out.serialize_field("memory_bytes", &self.column(|seen| seen.memory_bytes))?;
        out.serialize_field("tasks_pending", &self.column(|seen| seen.tasks_pending))?;
        out.serialize_field("agents_active", &self.column(|seen| seen.agents_active))?;
        out.serialize_field("tokens_rate", &self.column(|seen| short(seen.tokens_rate)))?;
        out.end()
    }
}

struct All<'a>(&'a Columns<'a>);

impl Serialize for All<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Columns { .. } = self.0;
        let mut map = serializer.serialize_map(None)?;
        let of = |of: fn(&Requests) -> Option<f32>| self.0.column(move |seen| of(&seen.all));
        map.serialize_entry("rate", &of(|all| Some(short(all.rate))))?;
        map.serialize_entry("error_ratio", &of(|all| all.error_ratio.map(short)))?;
        map.serialize_entry("p50_ms", &of(|all| all.percentiles[0].map(short)))?;
        map.serialize_entry("p95_ms", &of(|all| all.percentiles[1].map(short)))?;
        map.serialize_entry("p99_ms", &of(|all| all.percentiles[2].map(short)))?;
        map.serialize_entry("in_flight", &self.0.column(|seen| seen.in_flight))?;
        map.serialize_entry("sessions", &self.0.column(|seen| seen.sessions))?;
        map.end()
    }
}

struct Tools<'a>(&'a Columns<'a>);

impl Serialize for Tools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.0;
        let mut map = serializer.serialize_map(None)?;
        for (place, tool) in columns.tools.iter().enumerate() {
            let of = move |seen: &Seen| seen.tools.get(place).copied().flatten();
            map.serialize_entry(&*tool.name, &Row { columns, of })?;
        }
        let has_other =
            |point: &Point| point.seen.as_ref().is_some_and(|seen| seen.other.is_some());
        if columns.points().any(has_other) {
            map.serialize_entry(OTHER, &Row { columns, of: |seen: &Seen| seen.other })?;
        }
        map.end()
    }
}

/// One tool's columns.
struct Row<'a, F> {
    columns: &'a Columns<'a>,
    of: F,
}

impl<F: Fn(&Seen) -> Option<Requests>> Serialize for Row<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Row { columns, of } = self;
        let mut map = serializer.serialize_map(None)?;
        // Nothing happened is 0 a second, and of no length.
        let rate = |of: Option<f32>| short(of.unwrap_or(0.0));
        let rates = columns.column(|seen| rate(of(seen).map(|tool| tool.rate)));
        map.serialize_entry("rate", &rates)?;
        let errors = columns.column(|seen| rate(of(seen).map(|tool| tool.errors)));
        map.serialize_entry("errors", &errors)?;
        for (name, place) in [("p50_ms", 0), ("p95_ms", 1), ("p99_ms", 2)] {
            let percentile = columns.column(|seen| of(seen)?.percentiles[place].map(short));
            map.serialize_entry(name, &percentile)?;
        }
        let slow = columns.column(|seen| {
            let (trace_id, ms) = of(seen)?.slow?;
            Some(Exemplar { trace_id, ms: f64::from(short(ms)) })
        });
        map.serialize_entry("slow", &slow)?;
        map.end()
    }
}

struct Heat<'a>(&'a Columns<'a>);

impl Serialize for Heat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let bounds: Vec<f64> = (0..HEAT as i32).map(|k| HEAT_FIRST * 2f64.powi(k)).collect();
        map.serialize_entry("bounds_ms", &bounds)?;
        map.serialize_entry("counts", &self.0.column(|seen| seen.heat))?;
        map.end()
    }
}

/// With four digits, which is more than a chart shows.
fn short(number: f32) -> f32 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    let scale = 10f64.powi(3 - f64::from(number.abs()).log10().floor() as i32);
    ((f64::from(number) * scale).round() / scale) as f32
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
