//! What the times of spans say: trees, critical paths, self times, latency by name, and what slow
//! traces have that others don't.
//!
//! Input is plain data, of this process ([`SpanData`] from a `SpanRecord`) or read from a file by
//! whoever reads it, and nothing of it is trusted: spans may be missing, there twice, their own
//! ancestors, a million deep, or end before they begin. Nothing recurses; time is `n log n`.

mod compare;
mod names;
mod path;
mod span;
mod tree;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub use compare::{Difference, Trait};
pub use names::NameStats;
pub use span::SpanData;
use tree::Node;

use crate::traces::TraceId;

/// Spans, put together to traces.
///
/// ```
/// use mcp_vitals::Vitals;
/// use mcp_vitals::traces::TraceConfig;
/// use mcp_vitals::traces::analysis::{Analysis, SpanData};
///
/// let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build()?;
/// let tracer = vitals.tracer("search");
/// {
///     let outer = tracer.span("tools/call search");
///     let _current = outer.enter();
///     drop(tracer.span("query"));
/// }
/// let spans = vitals.with_captured_spans(|spans| spans.iter().map(SpanData::from).collect());
/// let analysis = Analysis::of(spans);
///
/// let trace = analysis.traces().next().expect("one trace");
/// let tree: Vec<_> = trace.spans().map(|span| (span.depth, &*span.span.name)).collect();
/// assert_eq!(tree, [(0, "tools/call search"), (1, "query")]);
/// // Each instant is charged to one span.
/// let charged: u64 = trace.spans().map(|span| span.path_nanos).sum();
/// assert_eq!(charged, trace.duration_nanos());
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Analysis {
    /// Trace after trace, and of each its trees: parents before children, siblings by their starts.
    spans: Vec<SpanData>,
    /// What was found of each.
    nodes: Vec<Node>,
    traces: Vec<Range<usize>>,
    irregular: Irregular,
}

/// What was not as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Irregular {
    /// Spans of which the trace had one already: an exporter that tried again. They are left out.
    pub duplicates: u64,
    /// Spans whose parent is not there: not exported, or still open. They are roots here.
    pub orphans: u64,
    /// Loops of spans that are their own ancestors. Each is cut at its earliest span.
    pub loops: u64,
    /// Spans of a server that were moved because its clock was not that of its caller.
    pub moved: u64,
}

/// A trace: one tree, or several where parents are missing.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    spans: &'a [SpanData],
    nodes: &'a [Node],
}

/// A span in its tree.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TraceSpan<'a> {
    /// What was recorded.
    pub span: &'a SpanData,
    /// How many spans it is within; 0 for a root.
    pub depth: u32,
    /// Nanoseconds since 1970, by the clock of the root's service.
    pub start_unix_nanos: u64,
    /// The same of its end, never before its start.
    pub end_unix_nanos: u64,
    /// Nanoseconds of it in which none of its children ran; those in which several did count once.
    pub self_nanos: u64,
    /// Nanoseconds of the trace's critical path that are its own: see [`Trace::critical_path`].
    pub path_nanos: u64,
    /// Whether it has a parent that is not there.
    pub is_orphan: bool,
}

/// A piece of a critical path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// Which span it is charged to: its index in [`Trace::spans`].
    pub span: usize,
    /// Nanoseconds since 1970.
    pub start_unix_nanos: u64,
    /// Nanoseconds since 1970, after the start.
    pub end_unix_nanos: u64,
}

impl Analysis {
    /// Puts spans together, in any order, of any number of traces. Takes memory for about as much
    /// again as they have themselves, attributes aside.
    pub fn of(spans: Vec<SpanData>) -> Analysis {
        let mut analysis = tree::build(spans);
        for trace in &analysis.traces {
            let nodes = &mut analysis.nodes[trace.clone()];
            tree::self_times(nodes);
            path::charge(nodes);
        }
        analysis
    }

    /// The traces, by their ids.
    pub fn traces(&self) -> impl ExactSizeIterator<Item = Trace<'_>> {
        self.traces.iter().map(|range| Trace {
            spans: &self.spans[range.clone()],
            nodes: &self.nodes[range.clone()],
        })
    }

    /// The traces, those that took longest first.
    pub fn slowest(&self) -> Vec<Trace<'_>> {
        let mut traces: Vec<Trace<'_>> = self.traces().collect();
        traces.sort_by_key(|trace| std::cmp::Reverse(trace.duration_nanos()));
        traces
    }

    /// The trace of this id.
    pub fn trace(&self, id: TraceId) -> Option<Trace<'_>> {
        let id_of = |range: &Range<usize>| self.spans[range.start].trace_id;
        let at = self.traces.binary_search_by_key(&id, id_of).ok()?;
        self.traces().nth(at)
    }

    /// How many spans there are.
    pub fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// What was not as it should be.
    pub fn irregular(&self) -> Irregular {
        self.irregular
    }

    /// Latency by name of span, and by service: those first whose own time is the most.
    pub fn names(&self) -> Vec<NameStats<'_>> {
        names::of(&self.spans, &self.nodes)
    }

    /// What slow traces have that others don't: attributes, spans and failures, by how much more of
    /// the slow ones have them. At most `most` of them.
    ///
    /// A trace is slow that took longer than nine tenths of those that began with the same span (same
    /// name and service); where there are fewer than ten of these, it is not compared. Only what at
    /// least two slow traces have, and a tenth more of them than of the others; a value of an
    /// attribute that is an identifier, with fewer than eight traces a value, at least half of them.
    pub fn differences(&self, most: usize) -> Vec<Difference<'_>> {
        compare::differences(self.traces(), most)
    }
}

impl<'a> Trace<'a> {
    /// Its id.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.spans.first().map(|span| span.trace_id)
    }

    /// The root that took longest: what the trace is about.
    pub fn root(&self) -> Option<TraceSpan<'a>> {
        let roots = tree::siblings(self.nodes, 0, self.nodes.len());
        let longest = roots.max_by_key(|&at| {
            let node = &self.nodes[at];
            (node.end - node.start, std::cmp::Reverse(at))
        });
        longest.and_then(|at| self.spans().nth(at))
    }

    /// Nanoseconds since 1970 of its first root's start, and of the end of the root that ended last.
    /// What outlasts the roots is not counted: nobody waited for it.
    pub fn window_unix_nanos(&self) -> (u64, u64) {
        path::window(self.nodes)
    }

    /// How long that was. Of a trace with one root: how long that took.
    pub fn duration_nanos(&self) -> u64 {
        let (start, end) = self.window_unix_nanos();
        end - start
    }

    /// How many spans failed.
    pub fn failures(&self) -> usize {
        self.spans.iter().filter(|span| span.failed).count()
    }

    /// Its spans: parents before children, siblings by their starts.
    pub fn spans(&self) -> impl ExactSizeIterator<Item = TraceSpan<'a>> + use<'a> {
        self.spans.iter().zip(self.nodes).map(|(span, node)| TraceSpan {
            span,
            depth: node.depth,
            start_unix_nanos: node.start,
            end_unix_nanos: node.end,
            self_nanos: node.self_nanos,
            path_nanos: node.path_nanos,
            is_orphan: node.is_orphan,
        })
    }

    /// Which span was waited for at each instant, in the order of time.
    ///
    /// Walked from the root's end backwards: the child that ended last was waited for, from there
    /// back to its start; then the child that had ended last by that start; and so on. What lies
    /// between them is charged to the span itself, and what is a child's to it by the same rule.
    /// A child that was still running when a later one began was not waited for. Of one that begins
    /// before its parent or outlasts it, only what lies within counts. Of two that ended at the same
    /// nanosecond the one that began first was waited for. Between several roots nothing is charged.
    ///
    /// Source: the last-returning child of CRISP (Zhang et al., "CRISP: Critical Path Analysis of
    /// Large-Scale Microservice Architectures", USENIX ATC 2022), which Jaeger's UI marks too.
    pub fn critical_path(&self) -> Vec<Segment> {
        let mut segments = Vec::new();
        path::walk(self.nodes, |span, start_unix_nanos, end_unix_nanos| {
            segments.push(Segment { span, start_unix_nanos, end_unix_nanos });
        });
        segments.sort_by_key(|segment| segment.start_unix_nanos);
        segments
    }
}
