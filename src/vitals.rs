//! `Vitals`, the one handle: starts, ties together, stops everything.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::Error;
use crate::builder::VitalsBuilder;
use crate::clock::Clock;
use crate::collect::Scrape;
use crate::encode::text::Text;
use crate::metrics::{Counter, Desc, Family, Gauge, Histogram, Kind, Metric, UpDown};
use crate::own::Own;
use crate::registry::table::Table;
use crate::registry::{Limits, Losses};
use crate::shard::space::Space;
use crate::snapshot::{Snapshot, SnapshotBuilder};
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
    table: Table,
    own: Own,
    limits: Limits,
    /// Scrapes take turns; recording never waits for one.
    scrape: Mutex<Scrape>,
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
        let table = Table::new(space, &builder.const_labels)?;
        let limits =
            Limits { series: builder.series_limit, value_length: builder.value_length_limit };
        let own = Own::register(&table)?;
        let core = Core { table, own, limits, scrape: Mutex::default() };
        let vitals = Vitals { core: Some(Arc::new(core)) };
        vitals.describe(&builder.service)?;
        Ok(vitals)
    }

    /// `target_info` and `mcp_vitals_build_info`: constants that say who this is.
    fn describe(&self, service: &(String, String)) -> Result<(), Error> {
        let build = Desc::gauge("mcp_vitals_build_info", "Version of mcp-vitals; always 1.");
        let version = env!("CARGO_PKG_VERSION");
        self.register(build.labels(["version"]))?.with([version]).set(1.0);
        let target = Desc::gauge("target_info", "Name and version of the service; always 1.");
        let target = self.register(target.labels(["service_name", "service_version"]))?;
        target.with([&service.0, &service.1]).set(1.0);
        Ok(())
    }

    /// Registers a metric, or gives the one that is there if it was registered just the same.
    ///
    /// # Errors
    /// A name, label or boundary that breaks a rule, a name that is taken by something else, a
    /// limit out of range, no memory left.
    pub fn register<K: Kind, const N: usize>(
        &self,
        desc: Desc<K, N>,
    ) -> Result<Family<K, N>, Error> {
        let Some(core) = &self.core else { return Ok(Family::new(None)) };
        let (name, labelled) = (desc.spec.name.clone(), N > 0);
        let histogram = desc.spec.kind == crate::registry::MetricKind::Histogram;
        add_family(&core.table, desc, core.limits, || core.own.losses(&name, labelled, histogram))
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
        Metric::find(core.table.families(), name)
            .ok_or_else(|| Error::UnknownMetric { name: name.to_owned() })
    }

    /// Appends all metrics in the Prometheus text format 0.0.4.
    ///
    /// Once `out` has its capacity and every thread has been seen, a scrape allocates nothing.
    /// Scrapes take turns with each other; recording threads are never stopped, and an idle one
    /// is read like any other. Appends nothing when disabled.
    pub fn scrape_into(&self, out: &mut Vec<u8>) {
        let Some(core) = &self.core else { return };
        let clock = Clock::get();
        let started = clock.now();
        core.walk(&mut Text::new(out));
        core.own.scrape_duration.record_nanos(clock.nanos_since(started));
    }

    /// All metrics in the Prometheus text format 0.0.4.
    pub fn export_prometheus(&self) -> String {
        let mut out = Vec::new();
        self.scrape_into(&mut out);
        // What is written comes from `&str` and digits.
        String::from_utf8(out).unwrap_or_default()
    }

    /// All metrics at this moment, as plain data.
    pub fn snapshot(&self) -> Snapshot {
        let mut builder = SnapshotBuilder::default();
        if let Some(core) = &self.core {
            core.walk(&mut builder);
        }
        builder.finish()
    }

    /// The bytes that cells, series and buffers of this engine may take together:
    /// `memory_limit`. What lies outside it is named in `docs/ARCHITECTURE.md`. 0 when disabled.
    pub fn memory_ceiling(&self) -> u64 {
        self.core.as_ref().map_or(0, |core| core.table.space().limit())
    }
}

impl Core {
    fn walk<V: crate::snapshot::Visit>(&self, visit: &mut V) {
        let mut scrape = lock(&self.scrape);
        self.own.refresh(&self.table);
        scrape.walk(&self.table.families(), visit);
    }
}

/// Adds a family to `table`, with its declared series.
pub(crate) fn add_family<K: Kind, const N: usize>(
    table: &Table,
    desc: Desc<K, N>,
    engine: Limits,
    losses: impl FnOnce() -> Arc<Losses>,
) -> Result<Family<K, N>, Error> {
    let limits = Limits { series: desc.series_limit.unwrap_or(engine.series), ..engine };
    check("series_limit", u64::from(limits.series), 1, 1_000_000)?;
    let family = Family::new(Some(table.register(desc.spec, limits, losses)?));
    for set in &desc.declared {
        family.with(std::array::from_fn(|label| set[label].as_str()));
    }
    Ok(family)
}

/// A limit within its range, or the error that says so.
pub(crate) fn check(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), Error> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::OutOfRange { field, value, min, max })
}

impl fmt::Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vitals").field("disabled", &self.is_disabled()).finish_non_exhaustive()
    }
}
