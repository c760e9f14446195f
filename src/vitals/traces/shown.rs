//! What the metrics say of the traces.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::told::{Told, told};
use crate::error::Error;
use crate::export::sink::{Loss, SinkEvents};
use crate::flusher::Flusher;
use crate::flusher::spans::Tally;
use crate::flusher::spans::assembler::{Decisions, Dropped};
use crate::metrics::{Counter, Desc, Family, Gauge};
use crate::ring::frame::SPAN_LEVEL;
use crate::store::open::Open;
use crate::store::recent::{Evicted, Stored};
use crate::traces::tail::Why;
use crate::vitals::Vitals;

/// What the metrics say of an engine's traces.
pub(super) struct Shown {
    spans: Told,
    full: Told,
    own: Told,
    poison: Told,
    redacted: Told,
    left_out: [Told; 3],
    tail: ShownTail,
    stored: ShownStore,
    open: Option<ShownOpen>,
    lost: Family<Counter, 2>,
    exporters: Vec<ShownExporter>,
}

/// What they say of the rules.
struct ShownTail {
    kept: [Told; 7],
    dropped: [Told; 4],
    /// Kept, dropped, and of the latter late.
    spans: [Told; 3],
    refused: Told,
    waiting: Gauge,
    bytes: Gauge,
}

impl ShownTail {
    fn new(vitals: &Vitals) -> Result<ShownTail, Error> {
        let verdicts = vitals.register_own(
            Desc::counter(
                "mcp_vitals_tail_verdicts_total",
                "Traces that the tail rules have kept or dropped, and why.",
            )
            .labels(["verdict", "rule"]),
        )?;
        let spans = vitals.register_own(
            Desc::counter(
                "mcp_vitals_tail_spans_total",
                "Spans that the tail rules have kept or dropped.",
            )
            .labels(["verdict"]),
        )?;
        let refused = vitals.register_own(Desc::counter(
            "mcp_vitals_tail_keep_refused_total",
            "Traces that were to be kept when too many others were.",
        ))?;
        let waiting = vitals.register_own(Desc::gauge(
            "mcp_vitals_tail_waiting_traces",
            "Traces that wait for the tail rules' verdict.",
        ))?;
        let bytes = vitals.register_own(Desc::gauge(
            "mcp_vitals_tail_waiting_bytes",
            "Bytes of spans that wait for the tail rules' verdict.",
        ))?;
        Ok(ShownTail {
            kept: Why::ALL.map(|why| told(verdicts.with(["kept", why.as_str()]))),
            dropped: Dropped::ALL.map(|why| told(verdicts.with(["dropped", why.as_str()]))),
            spans: ["kept", "dropped", "late"].map(|verdict| told(spans.with([verdict]))),
            refused: told(refused.with([])),
            waiting: waiting.with([]),
            bytes: bytes.with([]),
        })
    }

    fn refresh(&mut self, now: &Decisions, refused: u64) {
        self.kept.iter_mut().zip(now.kept).for_each(|(told, now)| told.tell(now));
        self.dropped.iter_mut().zip(now.dropped).for_each(|(told, now)| told.tell(now));
        let spans = [now.kept_spans, now.dropped_spans - now.late_spans, now.late_spans];
        self.spans.iter_mut().zip(spans).for_each(|(told, now)| told.tell(now));
        self.refused.tell(refused);
        self.waiting.set(now.waiting as f64);
        self.bytes.set(now.waiting_bytes as f64);
    }
}

/// What they say of recent traces.
struct ShownStore {
    evicted: [Told; 4],
    left_out: Told,
    traces: Gauge,
    bytes: Gauge,
}

impl ShownStore {
    fn new(vitals: &Vitals) -> Result<ShownStore, Error> {
        let evicted = vitals.register_own(
            Desc::counter(
                "mcp_vitals_trace_store_evicted_total",
                "Traces that can't be looked up any more, and why.",
            )
            .labels(["reason"]),
        )?;
        let left_out = vitals.register_own(Desc::counter(
            "mcp_vitals_trace_store_left_out_total",
            "Spans that are missing from traces in memory, which were too long.",
        ))?;
        let traces = vitals.register_own(Desc::gauge(
            "mcp_vitals_trace_store_traces",
            "Traces that can be looked up.",
        ))?;
        let bytes = vitals.register_own(Desc::gauge(
            "mcp_vitals_trace_store_bytes",
            "Bytes of spans that can be looked up.",
        ))?;
        Ok(ShownStore {
            evicted: Evicted::ALL.map(|why| told(evicted.with([why.as_str()]))),
            left_out: told(left_out.with([])),
            traces: traces.with([]),
            bytes: bytes.with([]),
        })
    }

    fn refresh(&mut self, now: &Stored) {
        self.evicted.iter_mut().zip(now.evicted).for_each(|(told, now)| told.tell(now));
        self.left_out.tell(now.left_out);
        self.traces.set(now.traces as f64);
        self.bytes.set(now.bytes as f64);
    }
}

/// What they say of spans that are open.
struct ShownOpen {
    list: Arc<Open>,
    open: Gauge,
    oldest: Gauge,
    unlisted: Told,
}

impl ShownOpen {
    fn refresh(&mut self) {
        let begun = self.list.begun();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age = |start| now.saturating_sub(Duration::from_nanos(start)).as_secs_f64();
        self.open.set(begun.open as f64);
        self.oldest.set(begun.oldest.map_or(0.0, age));
        self.unlisted.tell(begun.unlisted);
    }
}

/// What they say of one exporter.
struct ShownExporter {
    kind: &'static str,
    events: Arc<SinkEvents>,
    exported: Told,
    lost: [Told; 4],
    happened: [Told; 2],
    queued: Gauge,
}

impl Shown {
    pub(super) fn new(vitals: &Vitals) -> Result<Shown, Error> {
        let spans = vitals.register_own(Desc::counter(
            "mcp_vitals_spans_total",
            "Spans that were recorded and have ended.",
        ))?;
        let lost = vitals.register_own(
            Desc::counter(
                "mcp_vitals_span_lost_total",
                "Spans that were lost, in the rings or in front of an exporter.",
            )
            .labels(["place", "reason"]),
        )?;
        let redacted = vitals.register_own(Desc::counter(
            "mcp_vitals_span_redacted_total",
            "Values and parts of texts that were kept out of spans.",
        ))?;
        let left_out = vitals.register_own(
            Desc::counter(
                "mcp_vitals_span_items_dropped_total",
                "Attributes, events and links that a span had no room for.",
            )
            .labels(["item"]),
        )?;
        Ok(Shown {
            spans: told(spans.with([])),
            full: told(lost.with(["ring", "full"])),
            own: told(lost.with(["ring", "own"])),
            poison: told(lost.with(["flusher", "poison"])),
            redacted: told(redacted.with([])),
            left_out: ["attribute", "event", "link"].map(|item| told(left_out.with([item]))),
            tail: ShownTail::new(vitals)?,
            stored: ShownStore::new(vitals)?,
            open: None,
            lost,
            exporters: Vec::new(),
        })
    }

    pub(super) fn add(
        &mut self,
        vitals: &Vitals,
        kind: &'static str,
        events: Arc<SinkEvents>,
    ) -> Result<(), Error> {
        // A second one of a kind has its number.
        let name = match self.exporters.iter().filter(|shown| shown.kind == kind).count() {
            0 => kind.to_owned(),
            before => format!("{kind}_{}", before + 1),
        };
        let name = name.as_str();
        let exported = vitals.register_own(
            Desc::counter("mcp_vitals_span_exported_total", "Spans that an exporter has taken.")
                .labels(["exporter"]),
        )?;
        let happened = vitals.register_own(
            Desc::counter(
                "mcp_vitals_span_exporter_events_total",
                "What happened to an exporter of spans.",
            )
            .labels(["exporter", "event"]),
        )?;
        let queued = vitals.register_own(
            Desc::gauge(
                "mcp_vitals_span_queued_bytes",
                "Bytes of spans that wait for an exporter.",
            )
            .labels(["exporter"]),
        )?;
        self.exporters.push(ShownExporter {
            kind,
            events,
            exported: told(exported.with([name])),
            lost: Loss::ALL.map(|why| told(self.lost.with([name, why.as_str()]))),
            happened: ["error", "restarted"].map(|event| told(happened.with([name, event]))),
            queued: queued.with([name]),
        });
        Ok(())
    }

    /// Also shows spans that are open.
    pub(super) fn list_open(&mut self, vitals: &Vitals, list: Arc<Open>) -> Result<(), Error> {
        let open = vitals.register_own(Desc::gauge(
            "mcp_vitals_open_spans",
            "Spans that have begun and not ended.",
        ))?;
        let oldest = vitals.register_own(Desc::gauge(
            "mcp_vitals_open_span_oldest_seconds",
            "How long ago the oldest span began that has not ended.",
        ))?;
        let unlisted = vitals.register_own(Desc::counter(
            "mcp_vitals_open_spans_unlisted_total",
            "Spans that began when too many were open.",
        ))?;
        let (open, oldest, unlisted) = (open.with([]), oldest.with([]), told(unlisted.with([])));
        self.open = Some(ShownOpen { list, open, oldest, unlisted });
        Ok(())
    }

    /// Brings the metrics up to date.
    pub(super) fn refresh(&mut self, flusher: &Flusher, tally: &Tally, refused: u64) {
        const SPANS: usize = SPAN_LEVEL as usize - 1;
        self.spans.tell(tally.spans);
        self.full.tell(flusher.counts().lost()[SPANS]);
        self.own.tell(flusher.own()[SPANS]);
        self.poison.tell(tally.poison);
        self.redacted.tell(tally.redacted);
        self.left_out.iter_mut().zip(tally.left_out).for_each(|(told, now)| told.tell(now));
        self.tail.refresh(&tally.decisions, refused);
        self.stored.refresh(&tally.stored);
        if let Some(open) = &mut self.open {
            open.refresh();
        }
        for ShownExporter { events, exported, lost, happened, queued, .. } in &mut self.exporters {
            exported.tell(events.written()[0]);
            for (lost, why) in lost.iter_mut().zip(Loss::ALL) {
                lost.tell(events.lost(why)[0]);
            }
            let now = [events.errors(), events.restarted()];
            happened.iter_mut().zip(now).for_each(|(told, now)| told.tell(now));
            queued.set(events.queued_bytes() as f64);
        }
    }
}
