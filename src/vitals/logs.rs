//! The logs of an engine: its rings, its flusher, its sinks, and what it says of them.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::held::{Held, Notes};
use super::told::{Told, told};
use super::traces::Traces;
use super::{Vitals, flight};
use crate::collect::Largest;
use crate::error::Error;
use crate::export::sink::memory::Memory;
use crate::export::sink::stderr::{self, StderrSink};
use crate::export::sink::{Loss, Sink, SinkEvents, SinkThread};
use crate::flusher::{Flusher, Form, Manner, Outlet};
use crate::logs::config::{QUEUE_BYTES, RING_BYTES, RINGS, To, Wanted};
use crate::logs::export::Exporter;
use crate::logs::inlet::Inlet;
use crate::logs::{Level, LogConfig, LogFilter, LogFormat, Logger, Loggers, Redactions};
use crate::metrics::{Counter, Desc, Gauge};
use crate::ring::set::{Rings, Settings};
use crate::shard::space::Space;
use crate::store::flight::{FlightRecorder, Recorder};
use crate::store::lines::{Bounds, RecentLines};
use crate::sync::lock;
use crate::traces::TraceConfig;

/// Lines and bytes that a sink in memory keeps.
const MEMORY_LINES: usize = 10_000;
const MEMORY_BYTES: usize = 16 << 20;

/// What an engine has where it logs.
pub(crate) struct Logs {
    loggers: Loggers,
    flusher: Flusher,
    held: Held,
    memory: Option<Memory>,
    traces: Option<Traces>,
    flight: Option<Mutex<flight::Shown>>,
    /// Where there is a console, and somebody wants lines at all.
    #[cfg(feature = "console")]
    recent: Option<Arc<RecentLines>>,
    shown: Mutex<Shown>,
}

impl Logs {
    /// Opens the sinks and starts the flusher. On an error what had been started has stopped again.
    pub(crate) fn start(
        vitals: &Vitals,
        config: &LogConfig,
        traces: Option<&TraceConfig>,
        flight: Option<&FlightRecorder>,
        recent: Option<Bounds>,
        space: &Arc<Space>,
        service: &(String, String),
    ) -> Result<Logs, Error> {
        let traced = traces.map(|config| (config, service));
        let service = service.0.as_str();
        let settings = Settings {
            ring_bytes: config.ring_bytes.unwrap_or(RING_BYTES) as usize,
            rings: config.rings.unwrap_or(RINGS) as usize,
            overflow: config.overflow,
        };
        let no_room = || Error::MemoryLimit { name: "logs".into(), limit: space.limit() };
        let lines = &config.redaction;
        let spans = traced.map_or(lines, |(of, _)| of.redaction_or(lines));
        let redactions = Redactions { lines: lines.clone(), spans: spans.clone() };
        let held = Held::new(config, settings, service, &redactions)?;
        let rings = Rings::in_store(settings, space.clone(), held.store()).ok_or_else(no_room)?;
        let journal = held.journal(&rings);
        let mut is_noted = journal.is_some();
        let mut memory = None;
        let mut outlets = Vec::new();
        let mut shown = Shown::new(vitals)?;
        let queue_bytes = config.queue_bytes.unwrap_or(QUEUE_BYTES) as usize;
        for wanted in &config.sinks {
            let events = Arc::new(SinkEvents::default());
            // The first file.
            let noted = is_noted && matches!(wanted.to, To::File(_));
            is_noted &= !noted;
            let notes = journal.as_ref().filter(|_| noted).map(|notes| (&held, notes));
            let (name, form, sink) =
                open(wanted, service, &events, &mut memory, notes, rings.id())?;
            shown.add(vitals, name, events.clone())?;
            let sink = SinkThread::start(name, sink, queue_bytes, events)?;
            let outlet = Outlet::new(sink, form, wanted.level);
            outlets.push(if noted { outlet.noted() } else { outlet });
        }
        held.adopt(service, &outlets, redactions);
        let recorder = match flight {
            Some(flight) => Some(Recorder::new(flight.clone(), space.clone()).ok_or_else(no_room)?),
            None => None,
        };
        let recent = recent.map(|bounds| {
            Arc::new(RecentLines::new(bounds, !config.without_source, space.clone()))
        });
        let manner = Manner {
            patience: config.patience(),
            redaction: config.redaction.clone(),
            limit: config.limit,
            source: !config.without_source,
            recorder: recorder.clone(),
            #[cfg(feature = "console")]
            recent: recent.clone(),
            #[cfg(not(feature = "console"))]
            recent,
        };
        let traces = traced
            .map(|(of, service)| Traces::start(vitals, of, service, config, space, rings.id()))
            .transpose()?;
        let (traces, spans) = traces.unzip();
        let durable = held.flusher(journal);
        let flusher = Flusher::start(rings.clone(), outlets, spans, durable, manner)?;
        if let (Some(exemplars), Some(traces)) = (vitals.exemplars(), &traces) {
            let (mut largest, keep) = (Largest::default(), traces.keeper());
            flusher.also(move || {
                exemplars.turn();
                largest.tell(&exemplars, &keep);
            });
        }
        if config.flush_on_panic {
            super::panics::watch(flusher.nudge());
        }
        let loggers = Loggers::new(rings, config.filter.clone());
        let flight = recorder.map(|recorder| flight::Shown::new(vitals, recorder)).transpose()?;
        let (shown, flight) = (Mutex::new(shown), flight.map(Mutex::new));
        Ok(Logs {
            loggers,
            flusher,
            held,
            memory,
            traces,
            flight,
            #[cfg(feature = "console")]
            recent,
            shown,
        })
    }

    pub(crate) fn logger(&self, name: &str) -> Logger {
        self.loggers.get(name)
    }

    pub(crate) fn filter(&self) -> LogFilter {
        self.loggers.filter()
    }

    pub(crate) fn set_filter(&self, filter: LogFilter) {
        self.loggers.set_filter(filter);
    }

    /// For lines in other crates' words.
    pub(crate) fn inlet(&self) -> Inlet {
        self.loggers.inlet()
    }

    pub(super) fn recorder(&self) -> Option<Arc<Recorder>> {
        Some(lock(self.flight.as_ref()?).recorder().clone())
    }

    #[cfg(feature = "console")]
    pub(crate) fn recent(&self) -> Option<Arc<RecentLines>> {
        self.recent.clone()
    }

    pub(crate) fn traces(&self) -> Option<&Traces> {
        self.traces.as_ref()
    }

    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        self.flusher.flush(deadline)
    }

    pub(crate) fn captured(&self) -> Vec<String> {
        let Some(memory) = &self.memory else { return Vec::new() };
        self.flush(Instant::now() + Duration::from_secs(10));
        memory.lines()
    }

    /// Takes no more lines, and writes out what there is.
    pub(crate) fn stop(&self, deadline: Instant) -> bool {
        self.loggers.close();
        if let Some(traces) = &self.traces {
            traces.close();
        }
        let all = self.flusher.stop(deadline);
        self.held.finish();
        all
    }

    /// Brings the metrics up to date.
    pub(crate) fn refresh(&self) {
        let mut shown = lock(&self.shown);
        shown.cut.tell(self.loggers.cut());
        shown.unnamed.tell(self.held.unnamed());
        shown.refresh(&self.flusher);
        drop(shown);
        if let Some(traces) = &self.traces {
            traces.refresh(&self.flusher);
        }
        if let Some(flight) = &self.flight {
            lock(flight).refresh();
        }
    }
}

/// A sink, what it is called, and how it wants its lines.
fn open(
    wanted: &Wanted,
    service: &str,
    events: &Arc<SinkEvents>,
    memory: &mut Option<Memory>,
    noted: Option<(&Held, &Notes)>,
    engine: u64,
) -> Result<(&'static str, Form, Box<dyn Sink>), Error> {
    let coloured = matches!(wanted.to, To::Stderr) && stderr::wants_colour();
    let lines = |or: LogFormat| Form::Lines(wanted.format.unwrap_or(or).fit(coloured));
    Ok(match &wanted.to {
        To::File(file) => {
            let journal = noted.and_then(|(held, notes)| held.notes(notes));
            let sink = file.open(service, events.clone(), journal)?;
            if let Some((held, _)) = noted {
                held.set_log(sink.path());
            }
            ("file", lines(LogFormat::Json), Box::new(sink))
        }
        To::Stderr => {
            let or = if coloured { LogFormat::Pretty } else { LogFormat::Json };
            ("stderr", lines(or), Box::new(StderrSink::default()))
        }
        To::Memory => {
            let sink = memory.insert(Memory::new(MEMORY_LINES, MEMORY_BYTES)).clone();
            ("memory", lines(LogFormat::Json), Box::new(sink))
        }
        To::Export(export) => {
            let rule = "another engine has the exporter already";
            let export = lock(export).take().ok_or(Error::Logs { rule })?;
            ("export", Form::Frames, Box::new(Exporter::new(export, engine)))
        }
    })
}

/// What the metrics say of one sink.
struct ShownSink {
    kind: &'static str,
    events: Arc<SinkEvents>,
    written: [Told; 5],
    lost: [[Told; 5]; 3],
    happened: [Told; 6],
    bytes: Told,
    queued: Gauge,
}

/// What the metrics say of the logs.
struct Shown {
    ring: [Told; 5],
    own: [Told; 5],
    poison: Told,
    redacted: Told,
    limited: Told,
    repeated: Told,
    restarted: Told,
    unnamed: Told,
    cut: Told,
    sinks: Vec<ShownSink>,
}

const LOST: &str = "mcp_vitals_log_lost_total";

impl Shown {
    fn new(vitals: &Vitals) -> Result<Shown, Error> {
        let lost = lost(vitals)?;
        let errors = vitals.register_own(
            Desc::counter("mcp_vitals_log_flusher_total", "What happened to the logs' flusher.")
                .labels(["event"]),
        )?;
        let cut = vitals.register_own(Desc::counter(
            "mcp_vitals_log_span_fields_cut_total",
            "Fields of tracing's spans that were cut, and lines that outer spans were left out of.",
        ))?;
        let redacted = vitals.register_own(Desc::counter(
            "mcp_vitals_log_redacted_total",
            "Values and parts of texts that were kept out of the logs.",
        ))?;
        let held_back = vitals.register_own(
            Desc::counter(
                "mcp_vitals_log_held_back_total",
                "Lines over the limit of their call site, or the same as the one before.",
            )
            .labels(["reason"]),
        )?;
        Ok(Shown {
            ring: Level::ALL.map(|level| told(lost.with(["ring", level.as_str(), "full"]))),
            own: Level::ALL.map(|level| told(lost.with(["ring", level.as_str(), "own"]))),
            poison: told(errors.with(["poison"])),
            redacted: told(redacted.with([])),
            limited: told(held_back.with(["limit"])),
            repeated: told(held_back.with(["repeat"])),
            restarted: told(errors.with(["restarted"])),
            unnamed: told(errors.with(["unnamed"])),
            cut: told(cut.with([])),
            sinks: Vec::new(),
        })
    }

    fn add(
        &mut self,
        vitals: &Vitals,
        sink: &'static str,
        events: Arc<SinkEvents>,
    ) -> Result<(), Error> {
        // A second one of a kind has its number.
        let name = match self.sinks.iter().filter(|shown| shown.kind == sink).count() {
            0 => sink.to_owned(),
            before => format!("{sink}_{}", before + 1),
        };
        let lines = vitals.register_own(
            Desc::counter("mcp_vitals_log_lines_total", "Lines that a sink has written.")
                .labels(["sink", "level"]),
        )?;
        let bytes = vitals.register_own(
            Desc::counter("mcp_vitals_log_written_bytes_total", "Bytes that a sink has written.")
                .labels(["sink"]),
        )?;
        let happened = vitals.register_own(
            Desc::counter(
                "mcp_vitals_log_sink_events_total",
                "What happened to a sink of the logs.",
            )
            .labels(["sink", "event"]),
        )?;
        let queued = vitals.register_own(
            Desc::gauge("mcp_vitals_log_queued_bytes", "Bytes that wait for a sink of the logs.")
                .labels(["sink"]),
        )?;
        let lost = lost(vitals)?;
        let name = name.as_str();
        self.sinks.push(ShownSink {
            kind: sink,
            events,
            written: Level::ALL.map(|level| told(lines.with([name, level.as_str()]))),
            lost: Loss::OF_LOGS.map(|why| {
                Level::ALL.map(|level| told(lost.with([name, level.as_str(), why.as_str()])))
            }),
            happened: ["error", "restarted", "rotated", "reopened", "compressed", "removed"]
                .map(|event| told(happened.with([name, event]))),
            bytes: told(bytes.with([name])),
            queued: queued.with([name]),
        });
        Ok(())
    }

    fn refresh(&mut self, flusher: &Flusher) {
        let tell = |told: &mut [Told; 5], now: &[u64]| {
            told.iter_mut().zip(now).for_each(|(told, now)| told.tell(*now));
        };
        tell(&mut self.ring, &flusher.counts().lost());
        tell(&mut self.own, &flusher.own());
        let kept_out = flusher.counts().kept_out();
        self.poison.tell(kept_out.poison);
        self.redacted.tell(kept_out.redacted);
        self.limited.tell(kept_out.limited);
        self.repeated.tell(kept_out.repeated);
        self.restarted.tell(flusher.counts().restarted());
        for ShownSink { events, written, lost, happened, bytes, queued, .. } in &mut self.sinks {
            tell(written, &events.written());
            for (lost, why) in lost.iter_mut().zip(Loss::OF_LOGS) {
                tell(lost, &events.lost(why));
            }
            let now = [
                events.errors(),
                events.restarted(),
                events.rotations(),
                events.reopened(),
                events.compressed(),
                events.removed(),
            ];
            happened.iter_mut().zip(now).for_each(|(told, now)| told.tell(now));
            bytes.tell(events.written_bytes());
            queued.set(events.queued_bytes() as f64);
        }
    }
}

fn lost(vitals: &Vitals) -> Result<crate::metrics::Family<Counter, 3>, Error> {
    let help = "Lines that were lost, in the rings or in front of a sink.";
    vitals.register_own(Desc::counter(LOST, help).labels(["place", "level", "reason"]))
}

impl Vitals {
    /// The logger of this name, which lines carry; the same one for the same name. Locks and
    /// allocates: make it once and keep it.
    ///
    /// Where the builder was given no [`logs`](crate::VitalsBuilder::logs) it takes no lines.
    pub fn logger(&self, name: &str) -> Logger {
        self.logs().map_or_else(Logger::disabled, |logs| logs.logger(name))
    }

    /// Waits until what was logged before is written by every sink; false when it took longer than
    /// `deadline`, or some of it was lost on the way at the end.
    pub fn flush(&self, deadline: Duration) -> bool {
        self.logs().is_none_or(|logs| logs.flush(Instant::now() + deadline.min(super::LONGEST)))
    }

    /// The lines that the sink in memory has, the oldest first, after a flush: for tests.
    ///
    /// ```
    /// use mcp_vitals::{Vitals, info, logs::LogConfig};
    ///
    /// let vitals = Vitals::builder().logs(LogConfig::to_memory()).build()?;
    /// info!(vitals.logger("search"), "indexed", documents = 12);
    /// assert!(vitals.captured_logs()[0].contains("\"documents\":12"));
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn captured_logs(&self) -> Vec<String> {
        self.logs().map_or_else(Vec::new, Logs::captured)
    }

    /// Which lines are logged.
    pub fn log_filter(&self) -> LogFilter {
        self.logs().map_or_else(LogFilter::off, Logs::filter)
    }

    /// Changes which lines are logged, from the next call on; a [`Level`], or a [`LogFilter`] with
    /// levels by module: `vitals.set_log_filter("info,my_server::search=debug".parse::<LogFilter>()?)`.
    pub fn set_log_filter(&self, filter: impl Into<LogFilter>) {
        if let Some(logs) = self.logs() {
            logs.set_filter(filter.into());
        }
    }

    /// The last lines, for the console; nothing where there is none, or where nothing is logged.
    #[cfg(feature = "console")]
    pub(crate) fn recent_lines(&self) -> Option<Arc<RecentLines>> {
        self.logs()?.recent()
    }

    /// For lines in other crates' words; nothing where nothing is logged.
    #[cfg_attr(not(any(feature = "log", feature = "tracing")), allow(dead_code))]
    pub(crate) fn inlet(&self) -> Option<Inlet> {
        self.logs().map(Logs::inlet)
    }

    /// [`flush`](Self::flush) for whoever must not keep the engine alive.
    #[cfg_attr(not(feature = "log"), allow(dead_code))]
    pub(crate) fn weak_flush(&self) -> impl Fn(Duration) -> bool + Send + Sync + use<> {
        let core = self.core.as_ref().map_or_else(Weak::new, Arc::downgrade);
        move |deadline| match core.upgrade() {
            Some(core) => Vitals { core: Some(core) }.flush(deadline),
            None => true,
        }
    }

    pub(super) fn logs(&self) -> Option<&Logs> {
        self.core.as_ref()?.logs.get()
    }
}
