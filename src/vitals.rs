//! `Vitals`, the one handle: starts, ties together, stops everything.

mod collectors;
#[cfg(feature = "console")]
mod console;
mod flight;
#[cfg(target_os = "linux")]
mod held;
#[cfg(not(target_os = "linux"))]
#[path = "vitals/held_elsewhere.rs"]
mod held;
pub(crate) mod installed;
mod logs;
mod panics;
mod propagation;
mod scrape;
#[cfg(all(feature = "signals", unix))]
mod signals;
mod told;
mod traces;

pub use collectors::Collector;
pub use installed::{OnThread, global};
#[cfg(feature = "rmcp")]
pub(crate) use propagation::Propagation;
use scrape::{Kept, Reader};

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, LazyLock, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::Error;
use crate::builder::VitalsBuilder;
use crate::cardinality::{self, Cardinality};
use crate::collect::Scrape;
use crate::collectors::{Collectors, Round, show};
use crate::encode::format::Format;
use crate::export::Source;
use crate::logs::LogConfig;
use crate::mcp::{CatalogOptions, Mcp};
use crate::metrics::sample::RATES;
use crate::metrics::{Counter, Desc, Family, Gauge, Histogram, Kind, Metric, UpDown};
use crate::outlets::{Counted, Outlets};
use crate::own::Own;
use crate::pool::Pool;
use crate::registry::table::{TARGET_INFO, Table};
use crate::registry::{FamilyRef, Limits, Losses, MetricKind, Turn};
use crate::shard::space::Space;
use crate::snapshot::{Snapshot, SnapshotBuilder, Visit};
use crate::stdio::{self, StdoutGuard};
use crate::sync::lock;

/// An engine: its metrics and the ways out of the process.
///
/// One `Arc`, to clone and pass on. Engines are independent of each other, so tests run side by
/// side; the shards that threads record into belong to the process.
#[derive(Clone)]
pub struct Vitals {
    core: Option<Arc<Core>>,
}

struct Core {
    /// The ways out, until they are stopped.
    outlets: Mutex<Outlets>,
    /// Set before anybody else has the handle.
    mcp: OnceLock<Mcp>,
    own: Own,
    limits: Limits,
    collectors: Collectors,
    /// Set before anybody else has the handle, where the builder asked for them.
    logs: OnceLock<logs::Logs>,
    /// By metric, what the builder said of its sampling, and of how long a series may be idle.
    sampling: HashMap<String, u32>,
    idle: HashMap<String, Duration>,
    kept: Mutex<Kept>,
    /// Those that the ways out offer.
    #[cfg(any(feature = "http", feature = "tower"))]
    formats: &'static [Format],
    pool: Pool,
    stopping: Stopping,
    // The last: families go at once where no handle is left.
    table: Table,
}

/// What [`Vitals::mcp`] gives where nothing is recorded.
static DISABLED_MCP: LazyLock<Mcp> = LazyLock::new(|| {
    Mcp::register(&Vitals::disabled(), &CatalogOptions::default())
        .unwrap_or_else(|_| unreachable!("a disabled engine refuses nothing"))
});

/// One stop of an engine at a time.
#[derive(Default)]
struct Stopping {
    busy: Mutex<bool>,
    over: Condvar,
}

/// The turn of a stop, until dropped.
struct Stop<'a>(&'a Stopping);

impl Stopping {
    /// Waits for the stop that is under way; nothing where that takes longer than `deadline`.
    fn turn(&self, deadline: Duration) -> Option<Stop<'_>> {
        let busy = lock(&self.busy);
        let waited = self.over.wait_timeout_while(busy, deadline, |busy| *busy);
        let mut busy = waited.unwrap_or_else(PoisonError::into_inner).0;
        let free = !std::mem::replace(&mut *busy, true);
        free.then(|| Stop(self))
    }
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        *lock(&self.0.busy) = false;
        self.0.over.notify_all();
    }
}

impl Vitals {
    /// Settings for a new engine.
    pub fn builder() -> VitalsBuilder {
        VitalsBuilder::default()
    }

    /// A handle of the same type that records nothing, opens nothing and starts nothing.
    pub fn disabled() -> Vitals {
        Vitals { core: None }
    }

    /// Whether this is the handle that records nothing.
    pub fn is_disabled(&self) -> bool {
        self.core.is_none()
    }

    pub(crate) fn start(builder: VitalsBuilder) -> Result<Vitals, Error> {
        let space = Arc::new(Space::new(builder.memory_limit));
        let table = Table::new(space, &builder.const_labels);
        let wants_exemplars = builder.exemplars.unwrap_or(builder.traces.is_some());
        let table = if wants_exemplars { table.with_exemplars() } else { table };
        let limits = Limits {
            series: builder.series(),
            label_values: builder.label_values(),
            value_length: builder.value_length_limit,
            removable: false,
            idle: 0,
        };
        let own = Own::register(&table)?;
        let pool = Pool::new(builder.scrape_threads)?;
        let core = Arc::new(Core {
            table,
            own,
            limits,
            sampling: builder.sampling.clone(),
            idle: builder.idle.clone(),
            collectors: Collectors::new(builder.collect_deadline),
            logs: OnceLock::new(),
            kept: Mutex::default(),
            #[cfg(any(feature = "http", feature = "tower"))]
            formats: if builder.native_histograms { Format::ALL } else { Format::TEXTS },
            pool,
            stopping: Stopping::default(),
            mcp: OnceLock::new(),
            outlets: Mutex::default(),
        });
        let vitals = Vitals { core: Some(core.clone()) };
        core.describe(&builder.service)?;
        if builder.flight.is_some() && builder.logs.is_none() && builder.traces.is_none() {
            return Err(Error::Logs { rule: "a flight recorder without logs and traces" });
        }
        if builder.logs.is_some() || builder.traces.is_some() {
            let (space, service) = (core.table.space(), &builder.service);
            let config = builder.logs.clone().unwrap_or_else(LogConfig::nothing);
            let traces = builder.traces.as_ref();
            let flight = builder.flight.as_ref();
            let recent = builder.recent_lines().filter(|_| builder.logs.is_some());
            let logs = logs::Logs::start(&vitals, &config, traces, flight, recent, space, service)?;
            let _ = core.logs.set(logs);
        }
        // Its requests are logged.
        let _ = core.mcp.set(Mcp::register(&vitals, &builder.catalog)?);
        #[cfg(all(feature = "signals", unix))]
        if builder.handle_signals {
            signals::watch(&core)?;
        }
        // The last: nothing fails after it, and what it has started ends with `vitals`.
        *lock(&core.outlets) = Outlets::start(&vitals, &builder)?;
        Ok(vitals)
    }

    /// Registers a metric, or gives the one that is there if it was registered just the same.
    ///
    /// # Errors
    /// A name, label or boundary that breaks a rule, a name that is taken by something else or is
    /// the engine's own (`mcp_vitals_…`, `target_info`), a limit out of range, no memory left.
    pub fn register<K: Kind, const N: usize>(
        &self,
        desc: Desc<K, N>,
    ) -> Result<Family<K, N>, Error> {
        self.check_reserved(&desc.spec.name)?;
        self.register_own(desc)
    }

    /// Refuses a host the names that are the engine's own.
    fn check_reserved(&self, name: &str) -> Result<(), Error> {
        if self.core.is_some() { check_free(name) } else { Ok(()) }
    }

    /// [`register`](Self::register) for the engine itself, whose names are not reserved.
    pub(crate) fn register_own<K: Kind, const N: usize>(
        &self,
        mut desc: Desc<K, N>,
    ) -> Result<Family<K, N>, Error> {
        let Some(core) = &self.core else { return Ok(Family::new(FamilyRef::none())) };
        desc.idle = core.idle.get(&desc.spec.name).copied().unwrap_or(desc.idle);
        let (name, labels) = (desc.spec.name.clone(), desc.spec.labels.clone());
        let histogram = desc.spec.kind == MetricKind::Histogram;
        let sample = core.sampling.get(&name).copied();
        if sample.is_some() && !histogram {
            return Err(Error::NotSampled { name });
        }
        let sample = sample.unwrap_or(desc.sample);
        check(&name, "sample", sample.into(), RATES)?;
        let new = Cell::new(false);
        let family = add_family(&core.table, desc, core.limits, || {
            new.set(true);
            core.own.losses(&name, &labels, histogram)
        })?;
        // Of one that was there already, the sampling that is in force stands.
        if new.get() && sample > 1 {
            core.sample(&name, sample)?;
        }
        Ok(family)
    }

    /// Of the histogram `metric` keeps one observation in `n` from now on, `1..=65_536`, which then
    /// weighs `n`; 1 keeps all. See [`Desc::sample`].
    ///
    /// Recording goes on meanwhile, and what comes of it stays right on average. A section that is
    /// being timed is kept or passed over as was decided at its start. The share in force is shown
    /// as
    /// `mcp_vitals_sampling_ratio`. Briefly locks.
    ///
    /// ```
    /// # let vitals = mcp_vitals::Vitals::builder().build()?;
    /// vitals.set_sampling("mcp_request_duration_seconds", 64)?;
    /// let metric = [("metric", "mcp_request_duration_seconds")];
    /// assert_eq!(vitals.snapshot().value("mcp_vitals_sampling_ratio", &metric), Some(1.0 / 64.0));
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    ///
    /// # Errors
    /// `n` out of range; a metric that is not registered, is no histogram, or is the engine's own.
    pub fn set_sampling(&self, metric: &str, n: u32) -> Result<(), Error> {
        check(metric, "sample", n.into(), RATES)?;
        let Some(core) = &self.core else { return Ok(()) };
        check_free(metric)?;
        core.sample(metric, n)
    }

    /// The MCP metrics: their families, and helpers for what only the server's own code knows.
    #[inline]
    pub fn mcp(&self) -> &Mcp {
        match self.core.as_ref().and_then(|core| core.mcp.get()) {
            Some(mcp) => mcp,
            None => &DISABLED_MCP,
        }
    }

    /// Registers a counter without labels.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, Error> {
        Ok(self.register(Desc::counter(name, help))?.with([]))
    }

    /// Registers a gauge without labels.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        Ok(self.register(Desc::gauge(name, help))?.with([]))
    }

    /// Registers an up-down gauge without labels.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn updown(&self, name: &str, help: &str) -> Result<UpDown, Error> {
        Ok(self.register(Desc::updown(name, help))?.with([]))
    }

    /// Registers a histogram of durations without labels.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn histogram(&self, name: &str, help: &str) -> Result<Histogram, Error> {
        Ok(self.register(Desc::histogram(name, help))?.with([]))
    }

    /// Finds a registered metric by its name, to record with labels by name.
    ///
    /// ```
    /// use mcp_vitals::Desc;
    /// # let vitals = mcp_vitals::Vitals::builder().build()?;
    /// vitals.register(Desc::counter("calls_total", "Calls.").labels(["tool", "status"]))?;
    /// vitals.metric("calls_total")?.inc(&[("status", "success"), ("tool", "search")]);
    /// assert_eq!(vitals.snapshot().sum("calls_total", &[]), 1.0);
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownMetric`] when nobody registered the name.
    pub fn metric(&self, name: &str) -> Result<Metric, Error> {
        let Some(core) = &self.core else { return Ok(Metric::disabled()) };
        Metric::find(&core.table.families(), name)
            .ok_or_else(|| Error::UnknownMetric { name: name.to_owned() })
    }

    /// Appends all metrics in the Prometheus text format 0.0.4.
    ///
    /// Once `out` has its capacity and every thread has been seen, a scrape allocates nothing, until
    /// many numbers have outgrown the room that their text has (four digits each, once), and
    /// unless there are callbacks or collectors: these it waits for, up to `collect_deadline`.
    /// Scrapes take turns with each other; recording threads are never stopped, and an idle one
    /// is read like any other. Appends nothing when disabled.
    pub fn scrape_into(&self, out: &mut Vec<u8>) {
        self.scrape_as(Format::Text, out);
    }

    /// [`scrape_into`](Self::scrape_into) in the format that a scraper wants: see
    /// [`Format::negotiate`]. Costs the same in both texts, but for a few more bytes to write for a histogram
    /// with exemplars; in protobuf, of which nothing is kept, more: see `docs/MONITORING.md`.
    pub fn scrape_as(&self, format: Format, out: &mut Vec<u8>) {
        let Some(core) = &self.core else { return };
        core.scrape_into(format, None, out, Duration::MAX);
    }

    /// [`scrape_as`](Self::scrape_as) of the families that are named, and of no others: what
    /// `/metrics?name[]=a&name[]=b` answers.
    ///
    /// * `names`: those of metrics, as text or OpenMetrics has them, or of their samples
    ///   (`a_bucket`, `a_sum`, `a_count`). In any order, each as often as you like; one that is not
    ///   there is passed over. Of none nothing is shown but OpenMetrics' `# EOF`.
    ///
    /// ```
    /// use mcp_vitals::Format;
    /// # let vitals = mcp_vitals::Vitals::builder().build()?;
    /// vitals.counter("jobs_total", "Jobs done.")?.add(3);
    /// vitals.gauge("queue_length", "Jobs that wait.")?.set(2.0);
    /// let mut body = Vec::new();
    /// vitals.scrape_only(Format::Text, &["jobs_total"], &mut body);
    /// let text = "# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total 3\n";
    /// assert_eq!(String::from_utf8_lossy(&body), text);
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    ///
    /// The lines are those that a scrape of all has. Costs what these families take of one, and for
    /// each other family some nanoseconds a name: nothing of it is read but exemplars, which are gathered
    /// for all where the format has them. All callbacks and collectors are asked, and waited for. Not
    /// counted in `mcp_vitals_scrape_duration_seconds`.
    pub fn scrape_only(&self, format: Format, names: &[&str], out: &mut Vec<u8>) {
        let Some(core) = &self.core else { return };
        core.scrape_into(format, Some(names), out, Duration::MAX);
    }

    /// [`scrape_into`](Self::scrape_into), handed over in slices that stand one after the other:
    /// what was kept of the last scrape and brought up to date, without a copy. For a writer of
    /// one's own, where all of it together would be too much to copy.
    ///
    /// ```
    /// # let vitals = mcp_vitals::Vitals::builder().build()?;
    /// let mut bytes = 0;
    /// vitals.scrape_with(|text| bytes += text.len());
    /// assert!(bytes > 0);
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    ///
    /// The engine's turn is held meanwhile: another scrape waits, and one from within `to` would
    /// wait for ever. So `to` must not block.
    pub fn scrape_with(&self, to: impl FnMut(&[u8])) {
        let Some(core) = &self.core else { return };
        core.scrape_with(to);
    }

    /// Where `/metrics` listens; nothing without [`VitalsBuilder::listen`], when the port was taken
    /// and skipped, or after [`shutdown`](Self::shutdown).
    #[cfg(feature = "http")]
    pub fn metrics_addr(&self) -> Option<std::net::SocketAddr> {
        lock(&self.core.as_ref()?.outlets).addr()
    }

    /// The file that this copy was given at the start; nothing without
    /// [`VitalsBuilder::textfile`], or after [`shutdown`](Self::shutdown).
    pub fn textfile_path(&self) -> Option<std::path::PathBuf> {
        lock(&self.core.as_ref()?.outlets).textfile_path()
    }

    /// `/metrics` as a tower service, to mount in a server that runs already.
    ///
    /// # Errors
    /// [`Error::MemoryLimit`] when there is no room for its own counters.
    #[cfg(feature = "tower")]
    pub fn metrics_service(&self) -> Result<crate::MetricsService, Error> {
        Ok(crate::MetricsService::new(self.source("tower")?))
    }

    /// Keeps stdout for the protocol of a stdio server; what else is printed there goes to stderr and
    /// is counted in `mcp_vitals_stdout_strays_total`. Call it before anything else may print.
    ///
    /// With the feature `rmcp` what it returns is the transport to serve on:
    /// `server.serve(vitals.guard_stdout()?)`. See [`StdoutGuard`].
    ///
    /// # Errors
    /// [`Error::StdoutGuard`] when stdout is guarded already or closed, and where there are no pipes
    /// in the place of file descriptors: elsewhere than on Unix.
    pub fn guard_stdout(&self) -> Result<StdoutGuard, Error> {
        let strays = match &self.core {
            Some(core) => core.own.strays(&core.table)?,
            None => Counter::DISABLED,
        };
        StdoutGuard::take(move |lines| strays.add(lines))
    }

    /// Writes the textfile once more, lets answers that are under way end, lets go of callbacks and
    /// collectors, writes the logs out, and stops the threads, all within `deadline` and a quarter.
    /// Loggers take no lines any more. Recording and scraping by hand go
    /// on working. The second call is harmless, and waits for the first within its own deadline; the last handle that is dropped does the same with
    /// a deadline of two seconds.
    pub fn shutdown(&self, deadline: Duration) {
        let deadline = deadline.min(LONGEST);
        let until = Instant::now() + deadline;
        if let Some(core) = &self.core {
            core.stop(deadline);
        }
        stdio::settle(until);
    }

    /// What the ways out read from: this engine, for as long as it is there.
    pub(crate) fn source(&self, way: &str) -> Result<Arc<dyn Source>, Error> {
        let core = self.core.as_ref().map_or_else(Weak::new, Arc::downgrade);
        Ok(Arc::new(Reader::new(core, Counted::register(self, way)?)))
    }

    /// All metrics in the Prometheus text format 0.0.4.
    pub fn export_prometheus(&self) -> String {
        let mut out = Vec::new();
        self.scrape_into(&mut out);
        // What is written comes from `&str` and digits.
        String::from_utf8(out).unwrap_or_default()
    }

    /// All metrics at this moment, as plain data. Waits for callbacks and collectors as
    /// [`scrape_into`](Self::scrape_into) does.
    pub fn snapshot(&self) -> Snapshot {
        let mut builder = SnapshotBuilder::default();
        if let Some(core) = &self.core {
            let collected = core.collectors.collect(Duration::MAX);
            let mut turn = core.table.turn();
            let Kept { scrape, collected: count, .. } = &mut *lock(&core.kept);
            *count = collected.as_deref().map_or(0, Round::samples);
            core.walk(&mut turn, scrape, collected.as_deref(), &mut builder);
        }
        builder.finish()
    }

    /// How many series each family with labels has, its limits, and what goes past them: for a
    /// report, or a look when `mcp_vitals_series_overflow_total` grows. Empty when disabled. Locks
    /// each family briefly against new series.
    pub fn cardinality(&self) -> Cardinality {
        self.core.as_ref().map(|core| Cardinality::of(&core.table)).unwrap_or_default()
    }

    /// The bytes that cells, series and buffers of this engine may take together:
    /// `memory_limit`. What lies outside it is named in `docs/ARCHITECTURE.md`. 0 when disabled.
    pub fn memory_ceiling(&self) -> u64 {
        self.core.as_ref().map_or(0, |core| core.table.space().limit())
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.stop(crate::background::DROP_DEADLINE);
    }
}

impl Core {
    /// `target_info` and `mcp_vitals_build_info`: constants that say who this is, as far as the
    /// host said so.
    fn describe(&self, service: &(String, String)) -> Result<(), Error> {
        let build = Desc::info("mcp_vitals_build_info", "Version of mcp-vitals; always 1.");
        let build = add_family(&self.table, build.labels(["version"]), self.limits, Losses::none)?;
        build.with([env!("CARGO_PKG_VERSION")]).set(1.0);
        if service.0.is_empty() {
            return Ok(());
        }
        let target = Desc::info(TARGET_INFO, "Name and version of the service; always 1.")
            .labels(["service_name", "service_version"]);
        let labels = target.spec.labels.clone();
        let losses = || self.own.losses(TARGET_INFO, &labels, false);
        let target = add_family(&self.table, target, self.limits, losses)?;
        target.with([&service.0, &service.1]).set(1.0);
        Ok(())
    }

    fn sample(&self, metric: &str, n: u32) -> Result<(), Error> {
        let families = self.table.families();
        let Some(index) = families.by_name(metric) else {
            return Err(Error::UnknownMetric { name: metric.to_owned() });
        };
        let Some(histogram) = &families.in_order[index].histogram else {
            return Err(Error::NotSampled { name: metric.to_owned() });
        };
        self.own.sample(metric, &histogram.sampler, &self.table, n);
        Ok(())
    }

    fn stop(&self, deadline: Duration) {
        let started = Instant::now();
        // One that a signal asks for comes while the host's is under way, and the process ends after it.
        let Some(_turn) = self.stopping.turn(deadline) else { return };
        // Taken out first: the endpoint's thread may be about to ask for the lock.
        let mut outlets = std::mem::take(&mut *lock(&self.outlets));
        // Collectors that hang, for another's scrape and then for this, leave half of the time for
        // writing what the others say.
        let last = |text: &mut Vec<u8>| self.scrape_into(Format::Text, None, text, deadline / 4);
        outlets.stop(last, deadline);
        self.collectors.stop(deadline.saturating_sub(started.elapsed()));
        // The last, with what the others had to say; a quarter of the time is theirs whatever
        // happened before.
        if let Some(logs) = self.logs.get() {
            let left = deadline.saturating_sub(started.elapsed()).max(deadline / 4);
            logs.stop(Instant::now() + left);
        }
    }

    fn walk<V: Visit>(
        &self,
        turn: &mut Turn<'_>,
        scrape: &mut Scrape,
        collected: Option<&Round>,
        visit: &mut V,
    ) {
        self.table.sweep(turn);
        if let Some(logs) = self.logs.get() {
            logs.refresh();
        }
        self.own.refresh(&self.table, collected.map_or(0, Round::samples));
        scrape.walk(&self.table.families(), turn, visit);
        if let Some(round) = collected {
            show(round, self.table.constants(), visit);
        }
        cardinality::show(&self.table, visit);
    }
}

/// What `series_limit` may be.
pub(crate) const SERIES_LIMIT: RangeInclusive<u64> = 1..=1_000_000;

/// As long as a deadline is taken for: no clock adds all that a `Duration` may be.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What `idle_expiry` may be: up to 45 days, of the 49 that 32 bits of milliseconds hold.
const IDLE_MILLIS: RangeInclusive<u64> = 10..=45 * 86_400_000;

/// Adds a family to `table`, with its declared series.
pub(crate) fn add_family<K: Kind, const N: usize>(
    table: &Table,
    desc: Desc<K, N>,
    engine: Limits,
    losses: impl FnOnce() -> Arc<Losses>,
) -> Result<Family<K, N>, Error> {
    let declared = desc.declared.len() as u64;
    // What is declared has its place: a limit of the host's own must have room for it, the engine's
    // is for what comes later.
    let series = match desc.series_limit {
        Some(series) => {
            check(&desc.spec.name, "series_limit", series.into(), SERIES_LIMIT)?;
            check(&desc.spec.name, "declared series", declared, 0..=series.into())?;
            series
        }
        None => {
            check(&desc.spec.name, "declared series", declared, 0..=*SERIES_LIMIT.end())?;
            engine.series.max(declared as u32)
        }
    };
    let most = *SERIES_LIMIT.end() as u32;
    let values = match desc.label_values {
        Some(values) => {
            check(&desc.spec.name, "label_values_limit", values.into(), SERIES_LIMIT)?;
            values
        }
        // An only label has as many values as there are series; and who said how many series a family
        // may have did not mean fewer.
        None if N == 1 || desc.series_limit.is_some() => most,
        None => engine.label_values,
    };
    if !desc.idle.is_zero() {
        check_idle(&desc.spec.name, desc.idle)?;
    }
    let limits = Limits {
        series,
        label_values: values.max(distinct(&desc.declared)),
        removable: desc.removable || !desc.idle.is_zero(),
        idle: u32::try_from(desc.idle.as_millis()).unwrap_or(u32::MAX),
        ..engine
    };
    let family = Family::new(FamilyRef::new(table.register(desc.spec, limits, losses)?));
    for set in &desc.declared {
        family.with(std::array::from_fn(|label| set[label].as_str()));
    }
    Ok(family)
}

/// The most distinct values that a label has among the declared sets.
fn distinct<const N: usize>(declared: &[[String; N]]) -> u32 {
    let of = |label: usize| declared.iter().map(|set| &set[label]).collect::<HashSet<_>>().len();
    (0..N).map(of).max().unwrap_or(0) as u32
}

/// Whether `name` may be a host's, or the error that says that it is the engine's own.
pub(crate) fn check_free(name: &str) -> Result<(), Error> {
    if name.starts_with("mcp_vitals_") || name == TARGET_INFO {
        return Err(Error::Reserved { name: name.to_owned() });
    }
    Ok(())
}

/// Whether a series of `metric` may be removed after this long, or the error that says so.
pub(crate) fn check_idle(metric: &str, after: Duration) -> Result<(), Error> {
    let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    check(metric, "idle_expiry in milliseconds", millis, IDLE_MILLIS)
}

pub(crate) use crate::error::check;

impl fmt::Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vitals").field("disabled", &self.is_disabled()).finish_non_exhaustive()
    }
}
