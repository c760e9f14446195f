//! What an engine is at, as the page is told.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Serialize, Serializer};

use super::interval::{Interval, OTHER, Work, add, busiest, millis};
use super::reading::{Labels, Observed, Of, Reading, Slow, whole};
use super::rules::Told;
use crate::Cardinality;
use crate::snapshot::Number;

/// Entries of any list; those beyond are added up as `_other` where they can be.
const MOST: usize = 50;

#[derive(Serialize)]
pub(super) struct State<'a> {
    unix_ms: u64,
    uptime_s: f64,
    service: Service<'a>,
    /// How long the rates and percentiles reach back.
    interval_s: f64,
    requests: Requests,
    tools: Vec<Tool>,
    agents: Agents,
    tasks: Tasks,
    neural: Neural,
    memory: Memory,
    auth: Auth,
    process: Process,
    rules: &'a [Told],
    cardinality: &'a Families,
    engine: Engine,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
struct Requests {
    total: u64,
    /// By the label `status`; `client_errors` are those of them that are the caller's own fault.
    errors: u64,
    client_errors: u64,
    cancelled: u64,
    in_flight: i64,
    sessions: i64,
    #[serde(flatten)]
    recent: Recent,
}

/// What the last seconds were like.
#[derive(Serialize)]
struct Recent {
    rate: Option<f64>,
    /// Errors of the server's own.
    error_rate: Option<f64>,
    error_ratio: Option<f64>,
    #[serde(flatten)]
    took: Took,
}

#[derive(Serialize)]
struct Took {
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: Option<f64>,
}

#[derive(Serialize)]
struct Tool {
    tool: Box<str>,
    operation: Box<str>,
    /// Several, which no series of `/metrics` is.
    summed: bool,
    total: u64,
    errors: u64,
    cancelled: u64,
    #[serde(flatten)]
    recent: Recent,
    exemplar: Option<Exemplar>,
}

#[derive(Clone, Serialize)]
pub(super) struct Exemplar {
    pub(super) trace_id: Hex,
    pub(super) ms: f64,
}

/// An id as it is written.
#[derive(Clone, Copy)]
pub(super) struct Hex(pub(super) [u8; 16]);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", u128::from_be_bytes(self.0)))
    }
}

impl From<Slow> for Exemplar {
    fn from(slow: Slow) -> Exemplar {
        Exemplar { trace_id: Hex(slow.trace), ms: millis(slow.units) }
    }
}

#[derive(Serialize)]
struct Agents {
    active: Vec<Named>,
    spawned: Vec<Named>,
    failed: Vec<Named>,
    spawned_rate: Option<f64>,
    failed_rate: Option<f64>,
}

/// One series of a family, with its labels by their own names.
struct Named {
    names: &'static [&'static str],
    labels: Labels,
    key: &'static str,
    number: Number,
    /// Of its last seconds, where it has one.
    rate: Option<Option<f64>>,
}

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.names.iter().zip(&self.labels) {
            map.serialize_entry(name, value)?;
        }
        match self.number {
            Number::Total(total) => map.serialize_entry(self.key, &total)?,
            Number::Level(level) => map.serialize_entry(self.key, &level)?,
            Number::Reading(reading) => map.serialize_entry(self.key, &reading)?,
        }
        if let Some(rate) = &self.rate {
            map.serialize_entry("rate", rate)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Tasks {
    pending: Vec<Named>,
    running: Option<i64>,
    /// Those that ended.
    by_status: Vec<Named>,
    total: u64,
    rate: Option<f64>,
    #[serde(flatten)]
    took: Took,
}

#[derive(Serialize)]
struct Neural {
    models: Vec<Model>,
    tokens_rate: Option<f64>,
}

#[derive(Default, Serialize)]
struct Model {
    model: Box<str>,
    inferences: u64,
    tokens_in: u64,
    tokens_out: u64,
    rate: Option<f64>,
    tokens_rate: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
}

#[derive(Serialize)]
struct Memory {
    operations: Vec<Named>,
}

#[derive(Serialize)]
struct Auth {
    success: u64,
    failed: u64,
    by_method: Vec<Named>,
    failed_rate: Option<f64>,
    rate_limit_hits: u64,
}

#[derive(Serialize)]
struct Process {
    cpu_percent: Option<f64>,
    memory_percent: Option<f64>,
    memory: Vec<Named>,
    threads: Option<f64>,
    open_fds: Option<f64>,
    cpu_seconds: Option<f64>,
}

/// The families with the most series, and what went past their limits.
#[derive(Default, Serialize)]
pub(super) struct Families {
    series: u64,
    families: Vec<Family>,
    offenders: Vec<Offender>,
}

#[derive(Serialize)]
struct Family {
    name: String,
    series: u32,
    limit: u32,
    overflow: u64,
}

#[derive(Serialize)]
struct Offender {
    family: String,
    label: String,
    value: String,
    /// At least so often.
    count: u64,
}

impl Families {
    pub(super) fn of(cardinality: Cardinality) -> Families {
        let series = cardinality.families.iter().map(|family| u64::from(family.series)).sum();
        let mut offenders: Vec<Offender> = Vec::new();
        for family in &cardinality.families {
            for label in &family.labels {
                // What may have come once says nothing.
                let heavy = label.heaviest.iter().filter(|heavy| heavy.count - heavy.error > 1);
                offenders.extend(heavy.map(|heavy| Offender {
                    family: family.name.clone(),
                    label: label.name.clone(),
                    value: heavy.value.clone(),
                    count: heavy.count - heavy.error,
                }));
            }
        }
        offenders.sort_by_key(|offender| Reverse(offender.count));
        offenders.truncate(MOST);
        let families = cardinality.families.into_iter().take(MOST).map(|family| {
            let past: u64 = match &family.labels[..] {
                // An only label is the whole set, and counted once.
                [_] => 0,
                labels => labels.iter().map(|label| label.overflow).sum(),
            };
            Family {
                overflow: family.overflow + past,
                name: family.name,
                series: family.series,
                limit: family.series_limit,
            }
        });
        Families { series, families: families.collect(), offenders }
    }
}

#[derive(Serialize)]
struct Engine {
    series: Option<f64>,
    memory_bytes: Option<f64>,
    memory_limit: Option<f64>,
    shards: Option<f64>,
    scrapes: u64,
    scrape_last_ms: Option<f64>,
    scrape_p99_ms: Option<f64>,
    records_common: Option<f64>,
    log_lines: u64,
    log_lost: Vec<Named>,
    spans: u64,
    span_lost: Vec<Named>,
    console: Cost,
}

/// What the console itself costs.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Cost {
    pub(super) viewers: u64,
    pub(super) viewers_most: u64,
    /// Those of the lines of the logs, of which there may be as many.
    pub(super) followers: u64,
    pub(super) lines_bytes: u64,
    /// How long the last state took to make.
    pub(super) state_ms: f64,
    pub(super) history_bytes: usize,
}

/// What stands beside the numbers of a reading.
pub(super) struct Beside<'a> {
    pub(super) unix_ms: u64,
    pub(super) uptime_s: f64,
    pub(super) service: &'a (String, String),
    pub(super) rules: &'a [Told],
    pub(super) cardinality: &'a Families,
    pub(super) scrape_last_ms: Option<f64>,
    pub(super) cost: Cost,
}

impl<'a> State<'a> {
    pub(super) fn new(now: &Reading, last: &Interval, beside: Beside<'a>) -> State<'a> {
        let Beside { unix_ms, uptime_s, service, rules, cardinality, scrape_last_ms, cost } =
            beside;
        let statuses = |status: &'static str| {
            now.total(Of::Requests, move |labels| labels.get(2).is_some_and(|is| &**is == status))
        };
        let auths = |status: &'static str| {
            now.total(Of::Auth, move |labels| labels.get(1).is_some_and(|is| &**is == status))
        };
        let client = |labels: &Labels| labels.get(2).is_some_and(|is| is.starts_with("client_"));
        let scrapes = now.histograms(Of::ScrapeDuration).first();
        State {
            unix_ms,
            uptime_s,
            service: Service { name: &service.0, version: &service.1 },
            interval_s: last.seconds,
            requests: Requests {
                total: now.total(Of::Requests, |_| true),
                errors: statuses("error"),
                client_errors: now.total(Of::Errors, client),
                cancelled: statuses("cancelled"),
                in_flight: now.number(Of::InFlight).unwrap_or(0.0) as i64,
                sessions: now.number(Of::Sessions).unwrap_or(0.0) as i64,
                recent: recent(last, &last.all),
            },
            tools: tools(now, last),
            agents: Agents {
                active: list(now, Of::AgentsActive, &["type", "status"], "value"),
                spawned: list(now, Of::AgentsSpawned, &["type"], "total"),
                failed: list(now, Of::AgentsFailed, &["type", "reason"], "total"),
                spawned_rate: last.rate(last.agents_spawned),
                failed_rate: last.rate(last.agents_failed),
            },
            tasks: tasks(now, last),
            neural: Neural { models: models(now, last), tokens_rate: last.rate(last.tokens()) },
            memory: memory(now, last),
            auth: Auth {
                success: auths("success"),
                failed: auths("failed"),
                by_method: list(now, Of::Auth, &["method", "status"], "total"),
                failed_rate: last.rate(last.auth_failed),
                rate_limit_hits: now.total(Of::RateLimited, |_| true),
            },
            process: Process {
                cpu_percent: now.number(Of::Cpu),
                memory_percent: now.number(Of::MemoryPercent),
                memory: list(now, Of::Memory, &["type"], "bytes"),
                threads: now.number(Of::Threads),
                open_fds: now.number(Of::OpenFds),
                cpu_seconds: now.number(Of::CpuSeconds),
            },
            rules,
            cardinality,
            engine: Engine {
                series: now.number(Of::Series),
                memory_bytes: now.number(Of::MemoryUsed),
                memory_limit: now.number(Of::MemoryLimit),
                shards: now.number(Of::Shards),
                scrapes: scrapes.map_or(0, |scrapes| scrapes.count),
                scrape_last_ms,
                scrape_p99_ms: scrapes.and_then(|all| all.cells.quantile(0.99)).map(millis),
                records_common: now.number(Of::CommonRecords),
                log_lines: now.total(Of::LogLines, |_| true),
                log_lost: list(now, Of::LogLost, &["reason"], "total"),
                spans: now.total(Of::Spans, |_| true),
                span_lost: list(now, Of::SpanLost, &["reason"], "total"),
                console: cost,
            },
        }
    }
}

fn recent(last: &Interval, work: &Work) -> Recent {
    Recent {
        rate: last.rate(work.ended),
        error_rate: last.rate(work.errors),
        error_ratio: work.error_ratio(),
        took: Took {
            p50_ms: work.millis(0.5),
            p95_ms: work.millis(0.95),
            p99_ms: work.millis(0.99),
            max_ms: work.cells.max().map(millis),
        },
    }
}

/// The tools and operations with the most requests, the others as one.
fn tools(now: &Reading, last: &Interval) -> Vec<Tool> {
    let mut slow: HashMap<[&str; 2], Slow> = HashMap::new();
    for Observed { labels, exemplars, .. } in now.histograms(Of::Duration) {
        let [tool, operation] = &**labels else { continue };
        if let Some(slowest) = exemplars.iter().max_by_key(|slow| slow.units) {
            slow.insert([tool, operation], *slowest);
        }
    }
    let mut rows = busiest(now);
    let rest = rows.split_off(rows.len().min(MOST));
    let nothing = Work::default();
    let tool = |of: [&str; 2], [total, errors, cancelled]: [u64; 3], work: &Work, slow| Tool {
        tool: of[0].into(),
        operation: of[1].into(),
        summed: false,
        total,
        errors,
        cancelled,
        recent: recent(last, work),
        exemplar: slow,
    };
    let row = |(of, sums): &([&str; 2], [u64; 3])| {
        let work = last.tools.get(&of.map(Box::from) as &[Box<str>; 2]);
        let slow = slow.get(of).copied().map(Exemplar::from);
        tool(*of, *sums, work.unwrap_or(&nothing), slow)
    };
    let mut tools: Vec<Tool> = rows.iter().map(row).collect();
    if !rest.is_empty() {
        let mut sums = [0u64; 3];
        for (_, more) in &rest {
            sums.iter_mut().zip(more).for_each(|(sum, more)| add(sum, *more));
        }
        let shown: HashSet<[&str; 2]> = rows.iter().map(|(of, _)| *of).collect();
        let mut others = Work::default();
        for ([tool, operation], work) in &last.tools {
            if !shown.contains(&[&**tool, &**operation]) {
                others.add(work);
            }
        }
        tools.push(Tool { summed: true, ..tool([OTHER, OTHER], sums, &others, None) });
    }
    tools
}

/// A family's series, those with the most first.
fn list(now: &Reading, of: Of, names: &'static [&'static str], key: &'static str) -> Vec<Named> {
    let series = now.numbers(of).iter();
    let named = series.map(|(labels, number)| Named {
        names,
        labels: labels.clone(),
        key,
        number: *number,
        rate: None,
    });
    shortened(named.collect())
}

/// The first, and the others as one.
fn shortened(mut named: Vec<Named>) -> Vec<Named> {
    named.sort_by(|a, b| b.number.as_f64().total_cmp(&a.number.as_f64()));
    let rest = named.split_off(named.len().min(MOST));
    let sum = rest.into_iter().reduce(|mut sum, next| {
        sum.number = super::reading::added(sum.number, next.number);
        sum.labels = sum.labels.iter().map(|_| OTHER.into()).collect();
        sum.rate = sum.rate.map(|rate| Some(rate.unwrap_or(0.0) + next.rate.flatten()?));
        sum
    });
    named.extend(sum);
    named
}

fn memory(now: &Reading, last: &Interval) -> Memory {
    let names = &["operation", "status"];
    let mut operations = list(now, Of::MemoryOperations, names, "total");
    for row in &mut operations {
        let [operation, status] = &*row.labels else { continue };
        let came = last.memory.get(&[operation.clone(), status.clone()]);
        row.rate = Some(last.rate(came.copied().unwrap_or(0)));
    }
    Memory { operations }
}

fn tasks(now: &Reading, last: &Interval) -> Tasks {
    let mut by_status: BTreeMap<&str, u64> = BTreeMap::new();
    for Observed { labels, count, .. } in now.histograms(Of::TaskDuration) {
        if let [_, status] = &**labels {
            *by_status.entry(status).or_default() += count;
        }
    }
    let rows = by_status.iter().map(|(status, count)| Named {
        names: &["status"],
        labels: [Box::from(*status)].into(),
        key: "total",
        number: Number::Total(*count),
        rate: None,
    });
    Tasks {
        pending: list(now, Of::TasksPending, &["priority"], "value"),
        running: now.number(Of::TasksRunning).map(|running| running as i64),
        by_status: shortened(rows.collect()),
        total: by_status.values().sum(),
        rate: last.rate(last.tasks.count()),
        took: Took {
            p50_ms: last.tasks.quantile(0.5).map(millis),
            p95_ms: last.tasks.quantile(0.95).map(millis),
            p99_ms: last.tasks.quantile(0.99).map(millis),
            max_ms: last.tasks.max().map(millis),
        },
    }
}

fn models(now: &Reading, last: &Interval) -> Vec<Model> {
    let mut models: BTreeMap<&str, Model> = BTreeMap::new();
    for Observed { labels, count, .. } in now.histograms(Of::Inference) {
        if let [model, _] = &**labels {
            models.entry(model).or_default().inferences += count;
        }
    }
    for (labels, number) in now.numbers(Of::Tokens) {
        let [model, direction] = &**labels else { continue };
        let model = models.entry(model).or_default();
        match &**direction {
            "input" => add(&mut model.tokens_in, whole(*number)),
            _ => add(&mut model.tokens_out, whole(*number)),
        }
    }
    let mut rows: Vec<Model> = models
        .into_iter()
        .map(|(name, model)| {
            let came = last.models.get(name);
            let cells = came.map(|came| &came.cells);
            Model {
                model: name.into(),
                rate: last.rate(cells.map_or(0, |cells| cells.count())),
                tokens_rate: last.rate(came.map_or(0, |came| came.tokens)),
                p50_ms: cells.and_then(|cells| cells.quantile(0.5)).map(millis),
                p95_ms: cells.and_then(|cells| cells.quantile(0.95)).map(millis),
                ..model
            }
        })
        .collect();
    rows.sort_by_key(|model| Reverse(model.inferences));
    let rest = rows.split_off(rows.len().min(MOST));
    let sum = rest.into_iter().reduce(|sum, next| Model {
        model: OTHER.into(),
        inferences: sum.inferences + next.inferences,
        tokens_in: sum.tokens_in.saturating_add(next.tokens_in),
        tokens_out: sum.tokens_out.saturating_add(next.tokens_out),
        rate: sum.rate.zip(next.rate).map(|(a, b)| a + b),
        tokens_rate: sum.tokens_rate.zip(next.tokens_rate).map(|(a, b)| a + b),
        ..Model::default()
    });
    rows.extend(sum);
    rows
}
