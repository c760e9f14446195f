//! Recent traces, as a host looks them up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::recent::{Entry, Store, Summary};
use super::table::Id;
use crate::batch::{Known, SpanRecord};
use crate::traces::{SpanBatch, TraceId};

/// Traces that a look-up gives unless it says otherwise.
const LIMIT: usize = 20;
/// Names of traces that are read at once, with the store locked.
const NAMES: usize = 64;

/// The traces in memory, from [`Vitals::traces`](crate::Vitals::traces).
///
/// ```
/// use mcp_vitals::Vitals;
/// use mcp_vitals::traces::{TraceConfig, TraceQuery};
/// use std::time::Duration;
///
/// let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build()?;
/// vitals.tracer("search").span("query").record_error(&std::fmt::Error);
/// vitals.flush(Duration::from_secs(1));
/// let failed = vitals.traces().find(&TraceQuery::new().name("query").only_errors());
/// assert_eq!(failed[0].spans().count(), 1);
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
#[derive(Clone)]
pub struct RecentTraces {
    store: Option<Arc<Store>>,
}

/// Which traces are looked for, by [`RecentTraces::find`].
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct TraceQuery {
    name: Option<String>,
    least: Duration,
    only_errors: bool,
    limit: Option<usize>,
}

impl TraceQuery {
    /// All of them, the 20 newest.
    pub fn new() -> TraceQuery {
        TraceQuery::default()
    }

    /// With a span of exactly this name.
    pub fn name(mut self, name: &str) -> TraceQuery {
        self.name = Some(name.to_owned());
        self
    }

    /// That took at least as long, from the first start to the last end.
    pub fn min_duration(mut self, duration: Duration) -> TraceQuery {
        self.least = duration;
        self
    }

    /// With a span that ended with an error.
    pub fn only_errors(mut self) -> TraceQuery {
        self.only_errors = true;
        self
    }

    /// So many at most; default 20.
    pub fn limit(mut self, traces: usize) -> TraceQuery {
        self.limit = Some(traces);
        self
    }
}

impl RecentTraces {
    pub(crate) fn new(store: Option<Arc<Store>>) -> RecentTraces {
        RecentTraces { store }
    }

    /// The trace with this id, as far as it has come: spans that have ended and were flushed.
    pub fn get(&self, trace_id: TraceId) -> Option<StoredTrace> {
        self.stored(u128::from_be_bytes(trace_id.to_bytes()))
    }

    /// Those that match, the one first whose last span ended last. Copies each that it looks into; the
    /// flusher waits for one copy at most.
    pub fn find(&self, query: &TraceQuery) -> Vec<StoredTrace> {
        let TraceQuery { name, least, only_errors, limit } = query;
        let Some(store) = &self.store else { return Vec::new() };
        let least = least.as_nanos();
        let mut found = Vec::new();
        for summary in store.list() {
            if found.len() >= limit.unwrap_or(LIMIT) {
                break;
            }
            if u128::from(summary.nanos) < least || *only_errors && !summary.failed {
                continue;
            }
            let Some(trace) = self.stored(summary.id) else { continue };
            let has =
                |name: &str| trace.spans().any(|span| span.name.as_bytes() == name.as_bytes());
            if name.as_deref().is_none_or(has) {
                found.push(trace);
            }
        }
        found
    }

    /// The newest of those that `wanted` takes by their summaries and `called` by what they are called:
    /// see [`Store::names`]. Copies no trace.
    #[cfg_attr(not(feature = "console"), allow(dead_code))]
    pub(crate) fn overview(
        &self,
        wanted: impl Fn(&Summary) -> bool,
        called: impl Fn(&str) -> bool,
        limit: usize,
    ) -> Vec<(Summary, String)> {
        let Some(store) = &self.store else { return Vec::new() };
        let mut all = store.list();
        all.retain(wanted);
        let mut found = Vec::new();
        for some in all.chunks(NAMES) {
            let names = store.names(some.iter().map(|one| one.id));
            for (summary, name) in some.iter().zip(names) {
                if found.len() >= limit {
                    return found;
                }
                // Else it has gone meanwhile.
                let name = name.map(|name| String::from_utf8_lossy(&name).into_owned());
                if let Some(name) = name.filter(|name| called(name)) {
                    found.push((*summary, name));
                }
            }
        }
        found
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.store.as_ref().map_or(0, |store| store.stored().traces as usize)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn stored(&self, id: Id) -> Option<StoredTrace> {
        let entry = self.store.as_ref()?.get(id)?;
        let mut known = Known::default();
        known.learn_all(&entry.frames);
        Some(StoredTrace { id, entry, known })
    }
}

impl fmt::Debug for RecentTraces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentTraces").field("traces", &self.len()).finish()
    }
}

/// A copy of a trace that was looked up.
pub struct StoredTrace {
    id: Id,
    entry: Entry,
    known: Known,
}

impl StoredTrace {
    /// Its id.
    pub fn trace_id(&self) -> Option<TraceId> {
        TraceId::from_bytes(self.id.to_be_bytes())
    }

    /// Its spans, in the order in which they ended.
    pub fn spans(&self) -> impl Iterator<Item = SpanRecord<'_>> {
        self.batch().spans()
    }

    pub(crate) fn batch(&self) -> SpanBatch<'_> {
        SpanBatch::new(&self.entry.frames, &self.known)
    }

    /// From the first start to the last end.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.entry.end.saturating_sub(self.entry.start))
    }

    /// When its first span began: nanoseconds since 1970, UTC.
    pub fn start_unix_nanos(&self) -> u64 {
        self.entry.start
    }

    /// Whether one of its spans ended with an error.
    pub fn has_error(&self) -> bool {
        self.entry.failed
    }

    /// Whether a local root has ended: a span without a parent, or with one in another process.
    pub fn has_root(&self) -> bool {
        self.entry.rooted
    }

    /// Spans that are missing, because the trace has an eighth of the store already.
    pub fn dropped_spans(&self) -> u32 {
        self.entry.left_out
    }
}

impl fmt::Debug for StoredTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredTrace")
            .field("trace_id", &self.trace_id())
            .field("duration", &self.duration())
            .field("spans", &self.spans().map(|span| span.name.to_string()).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
