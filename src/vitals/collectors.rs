//! Registering numbers that are asked for at each scrape.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use super::{Core, SERIES_LIMIT, Vitals, check};
use crate::Error;
use crate::collectors::{Describe, Engine, Samples, Wanted, WantedFamily, Work};
use crate::metrics::{Counter, Desc, Gauge};
use crate::registry::Spec;

impl Vitals {
    /// Registers a gauge whose reading is asked for at each scrape: one series, with these label
    /// values. Further ones of the same metric are registered alike, each with a callback of its
    /// own.
    ///
    /// ```
    /// use std::collections::VecDeque;
    /// use std::sync::{Arc, Mutex};
    ///
    /// use mcp_vitals::Desc;
    /// # let vitals = mcp_vitals::Vitals::builder().build()?;
    /// let jobs = Arc::new(Mutex::new(VecDeque::from(["index", "embed"])));
    /// let depth = Desc::gauge("queue_depth", "Jobs that wait.").labels(["queue"]);
    /// let queue = Arc::downgrade(&jobs);
    /// vitals.callback_gauge(depth, ["jobs"], move || {
    ///     queue.upgrade().map_or(f64::NAN, |jobs| jobs.lock().unwrap().len() as f64)
    /// })?;
    /// assert!(vitals.export_prometheus().contains("queue_depth{queue=\"jobs\"} 2\n"));
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    ///
    /// Callbacks run on threads of the engine, under the rules of [`collector`](Self::collector),
    /// where their failures are counted by the metric's name. They cost a scrape 0.2 µs each, beside
    /// the two thread switches for all of them. A metric has no more of them than its series limit.
    /// For many series of one source, or series that come and go, a collector is what to use.
    ///
    /// # Errors
    /// As [`register`](Self::register); [`Error::Conflict`] where the metric has a callback for
    /// these values already; [`Error::OutOfRange`] past its series limit, or where it declares
    /// series; [`Error::Collector`] after [`shutdown`](Self::shutdown); [`Error::Spawn`].
    pub fn callback_gauge<const N: usize>(
        &self,
        desc: Desc<Gauge, N>,
        values: [&str; N],
        read: impl FnMut() -> f64 + Send + 'static,
    ) -> Result<Collector, Error> {
        self.callback(desc, values, Box::new(read))
    }

    /// The same for a counter: a total that is kept elsewhere and only grows. As an `f64` it is
    /// exact to 2^53. A value that is not finite or below 0 is left out, counted in
    /// `mcp_vitals_refused_total`.
    ///
    /// # Errors
    /// As [`callback_gauge`](Self::callback_gauge).
    pub fn callback_counter<const N: usize>(
        &self,
        desc: Desc<Counter, N>,
        values: [&str; N],
        read: impl FnMut() -> f64 + Send + 'static,
    ) -> Result<Collector, Error> {
        self.callback(desc, values, Box::new(read))
    }

    /// Registers a source of many series whose label sets come and go: a pool's statistics, the
    /// depth of each queue. At each scrape `collect` says all that is there now; what it does not
    /// name disappears.
    ///
    /// * `name`: tells its failures from those of others, in the label `collector`.
    /// * `families`: what it gives samples of, as a [`Desc`] or a tuple, array or `Vec` of such.
    /// * `collect`: is given the [`Samples`] to fill and, in the shape of `families`, what to say
    ///   with which family a sample is of.
    ///
    /// ```
    /// use mcp_vitals::Desc;
    /// # let vitals = mcp_vitals::Vitals::builder().build()?;
    /// struct Pool { name: &'static str, open: u32, waits: u64 }
    /// let pools = [Pool { name: "main", open: 3, waits: 17 }, Pool { name: "side", open: 1, waits: 0 }];
    ///
    /// let open = Desc::gauge("pool_open", "Connections.").labels(["pool"]);
    /// let waits = Desc::counter("pool_waits_total", "Waits for a connection.").labels(["pool"]);
    /// vitals.collector("pools", (open, waits), move |out, (open, waits)| {
    ///     for pool in &pools {
    ///         out.set(open, [pool.name], pool.open.into());
    ///         out.set(waits, [pool.name], pool.waits as f64);
    ///     }
    /// })?;
    /// let snapshot = vitals.snapshot();
    /// assert_eq!(snapshot.value("pool_waits_total", &[("pool", "main")]), Some(17.0));
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    ///
    /// # Where and when it runs
    /// On a thread of the engine, never on the scraping one, and never twice at a time. One thread
    /// asks all collectors and callbacks in turn, those that were quick last time first: that is two
    /// thread switches a scrape, 13 µs, whatever their number, and 0.1 µs a sample. Where one takes long (25 ms, or less when
    /// the deadline is short) a further thread goes on with the others.
    ///
    /// A scrape waits [`collect_deadline`](crate::VitalsBuilder::collect_deadline) at most, for all
    /// of them together, and goes on without those that are late. Such a one is not asked again
    /// while it runs, and what it gives in the end is dropped: it is of a time that has passed. What
    /// is always too slow is best kept by a task of the host's, and read here. With 64 that hang at
    /// once no more threads are started; the last one asks none but those that came back before.
    ///
    /// What scrapes by polling, as the tower service does, waits on the thread that polls.
    ///
    /// # When it fails
    /// A panic is caught, and reported by the host's panic hook; all that it gave in that run is left
    /// out, as is what is late: a value of the last scrape would look like one of now. Both are
    /// counted in `mcp_vitals_collector_failures_total`, with the `reason` `panic` or `deadline`;
    /// at the next scrape it is asked again. (With `panic = "abort"` nothing can be caught.)
    ///
    /// # What it may do
    /// Anything: record, register, remove collectors, let go of the engine, scrape. A scrape by it
    /// is without callbacks and collectors. It should hold what it reads weakly: it lives as
    /// long as the engine, and one that holds a [`Vitals`] keeps that from ending until
    /// [`shutdown`](Self::shutdown) or [`Collector::remove`].
    ///
    /// # Errors
    /// As [`register`](Self::register), for each family; none is registered then.
    /// [`Error::Collector`] where the name is taken, 64 collectors are registered, or after
    /// [`shutdown`](Self::shutdown); [`Error::OutOfRange`] where a family declares series;
    /// [`Error::Spawn`].
    pub fn collector<D: Describe>(
        &self,
        name: &str,
        families: D,
        mut collect: impl FnMut(&mut Samples, &D::Families) + Send + 'static,
    ) -> Result<Collector, Error> {
        let mut wanted = Wanted::default();
        let families = families.describe(&mut wanted);
        let Some(core) = &self.core else { return Ok(Collector::disabled()) };
        wanted.0.iter().try_for_each(|wanted| self.check_wanted(wanted))?;
        let work = Work::Many(Box::new(move |out| collect(out, &families)));
        // Here: what is refused must not be dropped, a host's code, while locks are held.
        let work = Arc::new(Mutex::new(work));
        let id =
            core.with_engine(|engine| core.collectors.collector(engine, name, wanted.0, &work));
        Ok(Collector { core: Arc::downgrade(core), id: id? })
    }

    fn callback<K, const N: usize>(
        &self,
        desc: Desc<K, N>,
        values: [&str; N],
        read: Box<dyn FnMut() -> f64 + Send>,
    ) -> Result<Collector, Error> {
        let Some(core) = &self.core else { return Ok(Collector::disabled()) };
        let mut wanted = Wanted::default();
        wanted.add(desc);
        let Some(wanted) = wanted.0.pop() else { return Ok(Collector::disabled()) };
        self.check_wanted(&wanted)?;
        let work = Arc::new(Mutex::new(Work::One(read)));
        let id =
            core.with_engine(|engine| core.collectors.callback(engine, wanted, &values, &work));
        Ok(Collector { core: Arc::downgrade(core), id: id? })
    }

    fn check_wanted(&self, wanted: &WantedFamily) -> Result<(), Error> {
        let name = &wanted.spec.name;
        self.check_reserved(name)?;
        // There at 0 whatever the collector says: no.
        check(name, "declared series", wanted.declared as u64, 0..=0)?;
        let series = wanted.series_limit.map_or(1, u64::from);
        check(name, "series_limit", series, SERIES_LIMIT)
    }
}

impl Core {
    fn with_engine<T>(&self, run: impl FnOnce(&Engine<'_>) -> T) -> T {
        run(&Engine {
            table: &self.table,
            limits: self.limits,
            losses: &|spec: &Spec| self.own.sample_losses(spec),
            failures: &|collector| self.own.failures(collector),
        })
    }
}

/// A callback or collector that is registered. Dropping it does nothing: it stays for as long as
/// the engine does, or until it is [removed](Self::remove).
pub struct Collector {
    core: Weak<Core>,
    id: u64,
}

impl Collector {
    fn disabled() -> Collector {
        Collector { core: Weak::new(), id: 0 }
    }

    /// Removes it: no scrape that begins now asks or shows it, and its name and those of its
    /// families are free again. A run that is under way is not waited for; its closure is dropped
    /// after it. Harmless where the engine is gone.
    pub fn remove(self) {
        if let Some(core) = self.core.upgrade() {
            core.collectors.remove(self.id, &core.table, |release| {
                let _turn = core.table.turn();
                release();
            });
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("id", &self.id).finish_non_exhaustive()
    }
}
