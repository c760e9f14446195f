//! Settings of an engine's traces.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::export::ExportSpans;
use super::resource::{Resource, ResourceValue};
use super::sample::Sampler;
use super::tail::Tail;
use crate::error::{Error, check};
use crate::export::sink::{Sink, SinkEvents};
use crate::export::trace::TraceFile;
use crate::logs::LogFile;
use crate::logs::Redaction;
use crate::ring::draft::Limits;
use crate::store::recent::Bounds;

/// Which spans are recorded, and where they go.
#[derive(Clone, Debug)]
#[must_use]
pub struct TraceConfig {
    pub(crate) sampler: Sampler,
    pub(crate) limits: Limits,
    pub(crate) open_spans: bool,
    pub(crate) redaction: Option<Redaction>,
    pub(crate) propagation_only: bool,
    pub(crate) keep: Option<Tail>,
    pub(crate) store: Option<Bounds>,
    pub(crate) exporters: Vec<Wanted>,
    /// What the host says of itself beside the service's name.
    pub(crate) resource: Vec<(String, ResourceValue)>,
    pub(crate) queue_bytes: u32,
}

/// An exporter that was asked for, until the first engine takes it.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) name: &'static str,
    pub(crate) to: To,
}

/// Where an exporter comes from.
#[derive(Clone)]
pub(crate) enum To {
    /// The host's own.
    Export(Arc<Mutex<Option<Box<dyn ExportSpans>>>>),
    /// One of ours, which every engine opens for itself.
    Way(Arc<dyn Way>),
}

/// A way out of ours, as it was set up.
pub(crate) trait Way: Send + Sync {
    /// What its thread (15 bytes at most) and its metrics are called.
    fn name(&self) -> &'static str;

    /// Checks its settings, and gets it ready for what an engine sends.
    fn open(&self, origin: Origin<'_>) -> Result<Box<dyn Sink>, Error>;
}

/// Whose spans a way out takes.
#[derive(Clone)]
pub(crate) struct Origin<'a> {
    pub(crate) resource: &'a Resource,
    /// The name that the host gave its service, which may be none.
    pub(crate) service: &'a str,
    /// The number of the engine's rings.
    pub(crate) engine: u64,
    pub(crate) events: Arc<SinkEvents>,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const SECOND: u64 = 1_000_000_000;

/// Bytes of spans that wait for an exporter.
const QUEUE_BYTES: u32 = 4 << 20;

impl Default for TraceConfig {
    fn default() -> TraceConfig {
        TraceConfig {
            sampler: Sampler::Always,
            limits: Limits { counts: [128; 3], bytes: 16 << 10 },
            open_spans: false,
            redaction: None,
            propagation_only: false,
            keep: None,
            store: Some(Bounds {
                bytes: 8 << 20,
                traces: 2_000,
                age: 3_600 * SECOND,
                slow: SECOND,
            }),
            exporters: Vec::new(),
            resource: Vec::new(),
            queue_bytes: QUEUE_BYTES,
        }
    }
}

impl TraceConfig {
    /// All traces, kept in memory alone.
    pub fn to_memory() -> TraceConfig {
        TraceConfig::default()
    }

    /// No spans of our own, for a server that exports OpenTelemetry's already: what comes with a
    /// request is current in its handler, so that its log lines have the ids, and is passed on
    /// unchanged. A span that is begun here stands for the one that was current.
    pub fn propagation_only() -> TraceConfig {
        TraceConfig { propagation_only: true, ..TraceConfig::default() }
    }

    /// Which traces are recorded; default [`Sampler::Always`].
    pub fn sampler(mut self, sampler: Sampler) -> TraceConfig {
        self.sampler = sampler;
        self
    }

    /// Also writes a frame where a span begins, so that those that are open can be listed; it costs
    /// about as much as the one at its end. Default no.
    pub fn open_spans(mut self, on: bool) -> TraceConfig {
        self.open_spans = on;
        self
    }

    /// What is kept out of names, attributes, events, links and status messages, before anything of a
    /// span is kept or exported; default what the logs keep out.
    pub fn redaction(mut self, redaction: Redaction) -> TraceConfig {
        self.redaction = Some(redaction);
        self
    }

    /// Which of the recorded traces are kept, decided when it is known how they went; without it all
    /// are. Changed while running by [`Vitals::set_tail_rules`](crate::Vitals::set_tail_rules).
    pub fn keep(mut self, rules: Tail) -> TraceConfig {
        self.keep = Some(rules);
        self
    }

    /// How many recent traces can be [looked up](crate::Vitals::traces). Past a bound the one goes
    /// that nothing came of for the longest: an ordinary one first, then a
    /// [slow](Self::slow_traces) one, then one with an error; these two share half of the store.
    ///
    /// * `bytes`: 64 KiB to 1 GiB, charged to
    ///   [`memory_limit`](crate::VitalsBuilder::memory_limit) as they are used; default 8 MiB. One
    ///   trace has an eighth of it at most.
    /// * `age`: since its last span, a second to 7 days; default 1 h.
    /// * `traces`: 1 to 100,000; default 2,000.
    pub fn store(mut self, bytes: u64, age: Duration, traces: u32) -> TraceConfig {
        let slow = self.store.map_or(SECOND, |store| store.slow);
        self.store = Some(Bounds { bytes, traces, age: nanos(age), slow });
        self
    }

    /// From which duration on a trace is kept longer than others; default 1 s.
    pub fn slow_traces(mut self, duration: Duration) -> TraceConfig {
        if let Some(store) = &mut self.store {
            store.slow = nanos(duration);
        }
        self
    }

    /// No trace can be looked up, and none is kept in memory.
    pub fn without_store(mut self) -> TraceConfig {
        self.store = None;
        self
    }

    /// Adds an exporter of the host's own, called on a thread of its own. The first engine that is built
    /// with these settings gets it.
    pub fn export(self, export: impl ExportSpans) -> TraceConfig {
        self.exporter("export", Box::new(export))
    }

    /// Adds an exporter under this name, which its thread (15 bytes at most) and its metrics have.
    pub(crate) fn exporter(
        mut self,
        name: &'static str,
        export: Box<dyn ExportSpans>,
    ) -> TraceConfig {
        self.exporters.push(Wanted { name, to: To::Export(Arc::new(Mutex::new(Some(export)))) });
        self
    }

    /// Adds one of our own.
    pub(crate) fn way(mut self, way: impl Way + 'static) -> TraceConfig {
        self.exporters.push(Wanted { name: way.name(), to: To::Way(Arc::new(way)) });
        self
    }

    /// An attribute of the process that sends the spans, beside `service.name`, `service.version`,
    /// `telemetry.sdk.*`, `host.name`, `os.type`, `process.pid` and `process.executable.name`; the last
    /// of a name counts, also over these; but `service.name` and `service.version` are those of the
    /// builder's [`service`](crate::VitalsBuilder::service) where it has them.
    ///
    /// ```
    /// use mcp_vitals::traces::TraceConfig;
    ///
    /// let traces = TraceConfig::to_memory()
    ///     .resource("deployment.environment.name", "staging")
    ///     .resource("service.instance.id", 7);
    /// ```
    pub fn resource(mut self, key: &str, value: impl Into<ResourceValue>) -> TraceConfig {
        self.resource.push((key.to_owned(), value.into()));
        self
    }

    /// Adds an exporter that sends OTLP: see [`Otlp`](super::Otlp).
    #[cfg(any(feature = "otlp", feature = "otlp-grpc"))]
    pub fn otlp(self, otlp: super::Otlp) -> TraceConfig {
        self.way(otlp)
    }

    /// Adds an exporter that sends Zipkin's v2 JSON: see [`Zipkin`](super::Zipkin).
    #[cfg(feature = "zipkin")]
    pub fn zipkin(self, zipkin: super::Zipkin) -> TraceConfig {
        self.way(zipkin)
    }

    /// Adds a file that spans are written to: OTLP's `TracesData` in JSON, one a line of up to 512
    /// spans, as the OpenTelemetry Collector's file exporter writes and its receiver reads it.
    ///
    /// It is rolled, shared and cared for as a log file is; not the same file as one.
    ///
    /// ```
    /// use mcp_vitals::{logs::LogFile, traces::TraceConfig};
    ///
    /// let file = LogFile::new("/var/log/search/traces.jsonl").keep_files(3);
    /// let traces = TraceConfig::to_memory().file(file);
    /// ```
    pub fn file(self, file: LogFile) -> TraceConfig {
        self.way(TraceFile(file))
    }

    /// Bytes of spans that may wait for each exporter, 64 KiB to 1 GiB; default 4 MiB.
    pub fn queue_bytes(mut self, bytes: u32) -> TraceConfig {
        self.queue_bytes = bytes;
        self
    }

    /// Refuses what is out of its range.
    /// What is kept out of spans, where `logs` is what is kept out of lines.
    pub(crate) fn redaction_or<'a>(&'a self, logs: &'a Redaction) -> &'a Redaction {
        self.redaction.as_ref().unwrap_or(logs)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.keep.as_ref().map_or(Ok(()), Tail::check)?;
        if let Some(Bounds { bytes, traces, age, .. }) = self.store {
            check("", "traces.store (bytes)", bytes, 64 << 10..=1 << 30)?;
            check("", "traces.store (seconds)", age / SECOND, 1..=7 * 86_400)?;
            check("", "traces.store (traces)", traces.into(), 1..=100_000)?;
        }
        check("", "traces.queue_bytes", self.queue_bytes.into(), 64 << 10..=1 << 30)
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().min(u64::MAX.into()) as u64
}
