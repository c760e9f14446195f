//! What the engine says of itself: its losses, its memory, what a scrape costs.

use std::sync::{Arc, Mutex};

use crate::Error;
use crate::collectors::{Failures, SampleLosses};
use crate::metrics::sample::Sampler;
use crate::metrics::{Counter, Desc, Family, Gauge, Histogram};
use crate::registry::table::Table;
use crate::registry::{Limits, Losses, MetricKind, Spec};
use crate::sync::lock;
use crate::vitals::add_family;
use crate::{clock, shard};

/// What stands for a label where a whole set went past a limit.
const ALL_LABELS: &str = "_all";

/// The engine's own metrics, `mcp_vitals_…`.
pub(crate) struct Own {
    overflow: Family<Counter, 2>,
    cut: Family<Counter, 1>,
    clamped: Family<Counter, 1>,
    refused: Family<Counter, 1>,
    lost: Family<Counter, 1>,
    mismatched: Counter,
    duplicates: Family<Counter, 1>,
    collector_failures: Family<Counter, 2>,
    series: Gauge,
    memory_used: Gauge,
    shards: Gauge,
    shards_leased: Gauge,
    common_records: Gauge,
    common_lost: Gauge,
    clock_went_back: Gauge,
    /// Held while a metric's sampling is set, so that what is shown is what is in force.
    sampling_ratio: Mutex<Family<Gauge, 1>>,
    pub(crate) scrape_duration: Histogram,
}

impl Own {
    pub(crate) fn register(table: &Table) -> Result<Own, Error> {
        // One series for each metric that can lose something, whatever limit labels have.
        let most = 1_000_000;
        let limits = Limits {
            series: most,
            label_values: most,
            value_length: 4096,
            removable: false,
            idle: 0,
        };
        // Collectors may come and go under ever new names: those past these share one, which needs room.
        let of_collectors = Limits { series: 2_100, label_values: 1_000, ..limits };
        let by_metric = |name: &str, help: &str| {
            add_family(table, Desc::counter(name, help).labels(["metric"]), limits, Losses::none)
        };
        let gauge = |name: &str, help: &str| {
            add_family(table, Desc::gauge(name, help), limits, Losses::none)
                .map(|family| family.with([]))
        };
        let observed = |name: &str, help: &str| {
            add_family(table, Desc::observed(name, help), limits, Losses::none)
                .map(|family| family.with([]))
        };
        let own = Own {
            overflow: add_family(
                table,
                Desc::counter(
                    "mcp_vitals_series_overflow_total",
                    "Label values past a limit that became _other, by label; label is _all where the whole set did.",
                )
                .labels(["metric", "label"]),
                limits,
                Losses::none,
            )?,
            cut: by_metric(
                "mcp_vitals_values_cut_total",
                "Label values cut at the length limit, each time a label set is looked up.",
            )?,
            clamped: by_metric(
                "mcp_vitals_clamped_total",
                "Observations above the histogram's range, kept as its highest value in the buckets.",
            )?,
            refused: by_metric(
                "mcp_vitals_refused_total",
                "Values refused because they are not finite, negative, or too large for any sum.",
            )?,
            lost: by_metric(
                "mcp_vitals_lost_total",
                "Observations lost because memory_limit had no room for their cells.",
            )?,
            mismatched: add_family(
                table,
                Desc::counter(
                    "mcp_vitals_mismatched_total",
                    "Records by name whose labels or kind are not the metric's.",
                ),
                limits,
                Losses::none,
            )?
            .with([]),
            duplicates: by_metric(
                "mcp_vitals_duplicate_samples_total",
                "Samples that a collector gave for a label set which it had given already.",
            )?,
            collector_failures: add_family(
                table,
                Desc::counter(
                    "mcp_vitals_collector_failures_total",
                    "Scrapes that a collector or callback gave nothing to: it panicked, or had not \
                     come back by the deadline.",
                )
                .labels(["collector", "reason"]),
                of_collectors,
                Losses::none,
            )?,
            series: gauge("mcp_vitals_series", "Series of this engine.")?,
            memory_used: gauge(
                "mcp_vitals_memory_used_bytes",
                "Bytes of cells and series charged to memory_limit.",
            )?,
            shards: gauge("mcp_vitals_shards", "Shards of the process.")?,
            shards_leased: gauge(
                "mcp_vitals_shards_leased",
                "Shards of the process that a living thread records into.",
            )?,
            common_records: observed(
                "mcp_vitals_common_records_total",
                "Records of the process that took a locked add because their thread had no cell.",
            )?,
            common_lost: observed(
                "mcp_vitals_common_lost_total",
                "Records of the process that were lost because there was no memory for a cell.",
            )?,
            clock_went_back: observed(
                "mcp_vitals_clock_went_back_total",
                "Timed spans of the process that were kept as 0 because the clock went back.",
            )?,
            sampling_ratio: Mutex::new(add_family(
                table,
                Desc::gauge(
                    "mcp_vitals_sampling_ratio",
                    "Share of a metric's observations that is kept, once it has been sampled.",
                )
                .labels(["metric"]),
                limits,
                Losses::none,
            )?),
            scrape_duration: add_family(
                table,
                Desc::histogram(
                    "mcp_vitals_scrape_duration_seconds",
                    "How long it takes to merge and encode all series.",
                )
                .buckets(&[0.0001, 0.001, 0.01, 0.1, 0.5, 1.0, 5.0]),
                limits,
                Losses::none,
            )?
            .with([]),
        };
        gauge("mcp_vitals_memory_limit_bytes", "The memory_limit.")?
            .set(table.space().limit() as f64);
        Ok(own)
    }

    /// The counter of what others print to a guarded stdout; only a server that guards it has one.
    pub(crate) fn strays(&self, table: &Table) -> Result<Counter, Error> {
        let desc = Desc::counter(
            "mcp_vitals_stdout_strays_total",
            "Lines that something printed to stdout, which is the protocol's.",
        );
        let limits =
            Limits { series: 1, label_values: 1, value_length: 1, removable: false, idle: 0 };
        add_family(table, desc, limits, Losses::none).map(|family| family.with([]))
    }

    /// The counters of one family's losses, there at 0 from the start.
    pub(crate) fn losses(&self, metric: &str, labels: &[String], histogram: bool) -> Arc<Losses> {
        let counter = |family: &Family<Counter, 1>, wanted: bool| {
            if wanted { family.with([metric]) } else { Counter::DISABLED }
        };
        let overflow = |label: &str| self.overflow.with([metric, label]);
        let labelled = !labels.is_empty();
        let all = if labelled { overflow(ALL_LABELS) } else { Counter::DISABLED };
        // An only label is the whole set.
        let label_overflow = match labels {
            [_] => [all.clone()].into(),
            _ => labels.iter().map(|label| overflow(label)).collect(),
        };
        Arc::new(Losses {
            overflow: all,
            label_overflow,
            cut: counter(&self.cut, labelled),
            clamped: counter(&self.clamped, histogram),
            refused: counter(&self.refused, histogram),
            lost: counter(&self.lost, histogram),
            mismatched: self.mismatched.clone(),
        })
    }

    /// Keeps one in `n` of a metric's observations from now on, and shows that.
    pub(crate) fn sample(&self, metric: &str, sampler: &Sampler, table: &Table, n: u32) {
        let ratio = lock(&self.sampling_ratio);
        let was = sampler.rate();
        sampler.set(table.space(), n);
        // A metric that never was sampled needs no line that says so.
        if was > 1 || n > 1 {
            ratio.with([metric]).set(1.0 / f64::from(n));
        }
    }

    /// The same of a family whose samples a collector gives.
    pub(crate) fn sample_losses(&self, spec: &Spec) -> SampleLosses {
        let counter = |family: &Family<Counter, 1>, wanted: bool| {
            if wanted { family.with([&spec.name]) } else { Counter::DISABLED }
        };
        let labelled = !spec.labels.is_empty();
        SampleLosses {
            overflow: self.overflow.with([&spec.name, ALL_LABELS]),
            cut: counter(&self.cut, labelled),
            refused: counter(&self.refused, spec.kind == MetricKind::Counter),
            duplicates: counter(&self.duplicates, true),
        }
    }

    /// The counters of one collector's failures, at 0 from the start.
    pub(crate) fn failures(&self, collector: &str) -> Failures {
        let of = |reason| self.collector_failures.with([collector, reason]);
        Failures { panic: of("panic"), deadline: of("deadline") }
    }

    /// Sets the readings that are taken when somebody looks; `collected` samples came from
    /// collectors.
    pub(crate) fn refresh(&self, table: &Table, collected: usize) {
        let families = table.families();
        let series: u32 = families.in_order.iter().map(|family| family.series_count()).sum();
        self.series.set(f64::from(series) + collected as f64);
        self.memory_used.set(table.space().used() as f64);
        let (mut shards, mut leased) = (0, 0);
        for shard in shard::pool().iter() {
            shards += 1;
            leased += u32::from(shard.is_leased());
        }
        self.shards.set(f64::from(shards));
        self.shards_leased.set(f64::from(leased));
        self.clock_went_back.set(clock::times_went_back() as f64);
        self.common_lost.set(shard::common_lost() as f64);
        self.common_records.set(shard::common_records() as f64);
    }
}

impl Losses {
    /// Losses that are not counted: those of the metrics that count losses.
    pub(crate) fn none() -> Arc<Losses> {
        Arc::new(Losses {
            overflow: Counter::DISABLED,
            label_overflow: Box::default(),
            cut: Counter::DISABLED,
            clamped: Counter::DISABLED,
            refused: Counter::DISABLED,
            lost: Counter::DISABLED,
            mismatched: Counter::DISABLED,
        })
    }
}
