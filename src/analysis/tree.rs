//! Spans to trees, and their self times.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use super::{Analysis, Irregular, SpanData};
use crate::traces::SpanKind;

/// What was found of a span. A trace's nodes stand parents first, so that a subtree is a range.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where the next one stands that is not within it, counted from the trace's first.
    pub(super) until: usize,
    pub(super) depth: u32,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) self_nanos: u64,
    pub(super) path_nanos: u64,
    pub(super) is_orphan: bool,
}

/// Siblings from `first` on, which stand before `end`: the children of `at` for `at + 1` and its
/// `until`, the roots for all of a trace.
pub(super) fn siblings(nodes: &[Node], first: usize, end: usize) -> impl Iterator<Item = usize> {
    let mut next = first;
    std::iter::from_fn(move || {
        let at = (next < end).then_some(next)?;
        next = nodes[at].until;
        Some(at)
    })
}

/// Nanoseconds of each span in which no child of it runs.
pub(super) fn self_times(nodes: &mut [Node]) {
    for at in 0..nodes.len() {
        let Node { start, end, until, .. } = nodes[at];
        let (mut reached, mut covered) = (start, 0u64);
        // They come by their starts: what is before `reached` is counted already.
        for child in siblings(nodes, at + 1, until) {
            let from = nodes[child].start.max(reached);
            let to = nodes[child].end.min(end);
            if to > from {
                covered += to - from;
                reached = to;
            }
        }
        nodes[at].self_nanos = end - start - covered;
    }
}

/// A span while its tree is put together.
#[derive(Clone)]
struct Draft {
    /// Its place in the trace before it has one in a tree.
    parent: Option<usize>,
    is_orphan: bool,
    placed: bool,
    /// Nanoseconds that its clock is behind the root's.
    shift: i128,
}

/// Puts traces together.
pub(super) fn build(mut spans: Vec<SpanData>) -> Analysis {
    let mut irregular = Irregular::default();
    let all = spans.len();
    // Stable: of two of one id the first stays.
    spans.sort_by_key(|span| (span.trace_id, span.span_id));
    spans.dedup_by_key(|span| (span.trace_id, span.span_id));
    irregular.duplicates = (all - spans.len()) as u64;
    let mut analysis = Analysis { irregular, ..Analysis::default() };
    let mut order = Vec::with_capacity(spans.len());
    let mut from = 0;
    for trace in spans.chunk_by(|one, next| one.trace_id == next.trace_id) {
        let mut build = Build::new(trace, &mut analysis.irregular);
        build.run();
        order.extend(build.order.iter().map(|at| from + at));
        analysis.nodes.append(&mut build.nodes);
        analysis.traces.push(from..from + trace.len());
        from += trace.len();
    }
    // Into the order of the trees, without a copy of any.
    let mut loose: Vec<Option<SpanData>> = spans.into_iter().map(Some).collect();
    analysis.spans = order.into_iter().filter_map(|at| loose[at].take()).collect();
    analysis
}

/// One trace's trees.
struct Build<'a> {
    spans: &'a [SpanData],
    drafts: Vec<Draft>,
    /// Children of all, those of one parent beside each other: the parent's place in `first` says
    /// where they begin.
    children: Vec<usize>,
    first: Vec<usize>,
    order: Vec<usize>,
    nodes: Vec<Node>,
    irregular: &'a mut Irregular,
}

impl<'a> Build<'a> {
    fn new(spans: &'a [SpanData], irregular: &'a mut Irregular) -> Build<'a> {
        let place: HashMap<_, _> =
            spans.iter().enumerate().map(|(at, span)| (span.span_id, at)).collect();
        let drafts: Vec<Draft> = spans
            .iter()
            .map(|span| {
                let parent = span.parent_span_id.and_then(|id| place.get(&id).copied());
                let is_orphan = span.parent_span_id.is_some() && parent.is_none();
                Draft { parent, is_orphan, placed: false, shift: 0 }
            })
            .collect();
        irregular.orphans += drafts.iter().filter(|draft| draft.is_orphan).count() as u64;
        let mut first = vec![0; spans.len() + 1];
        drafts.iter().filter_map(|draft| draft.parent).for_each(|parent| first[parent + 1] += 1);
        for at in 0..spans.len() {
            first[at + 1] += first[at];
        }
        let mut next = first.clone();
        let mut children = vec![0; first.last().copied().unwrap_or(0)];
        for (at, draft) in drafts.iter().enumerate() {
            if let Some(parent) = draft.parent {
                children[next[parent]] = at;
                next[parent] += 1;
            }
        }
        let (order, nodes) = (Vec::new(), Vec::with_capacity(spans.len()));
        Build { spans, drafts, children, first, order, nodes, irregular }
    }

    fn run(&mut self) {
        let key = |at: &usize| {
            let span = &self.spans[*at];
            (span.start_unix_nanos, Reverse(span.end_unix_nanos), span.span_id)
        };
        let mut by_start: Vec<usize> = (0..self.spans.len()).collect();
        by_start.sort_by_key(key);
        // The roots that are there, and where each loop is cut.
        let mut roots: Vec<usize> =
            by_start.iter().copied().filter(|&at| self.drafts[at].parent.is_none()).collect();
        let mut reached = vec![0; self.spans.len()];
        for (look, &at) in by_start.iter().enumerate() {
            if let Some(cut) = self.cut(at, look + 1, &mut reached) {
                self.irregular.loops += 1;
                self.drafts[cut].parent = None;
                roots.push(cut);
            }
        }
        roots.sort_by_key(key);
        for root in roots {
            self.tree(root);
        }
    }

    /// Where to cut the loop that the way up from `at` runs into, if it is a new one: at its earliest
    /// span. `reached` says by which look a span was reached first, so that no way is gone twice.
    fn cut(&self, mut at: usize, look: usize, reached: &mut [usize]) -> Option<usize> {
        while reached[at] == 0 {
            reached[at] = look;
            at = self.drafts[at].parent?;
        }
        if reached[at] != look {
            return None;
        }
        let key = |at: usize| (self.spans[at].start_unix_nanos, self.spans[at].span_id);
        let (mut earliest, begin) = (at, at);
        loop {
            at = self.drafts[at].parent?;
            if at == begin {
                return Some(earliest);
            }
            if key(at) < key(earliest) {
                earliest = at;
            }
        }
    }

    /// Places a root and all below it.
    fn tree(&mut self, root: usize) {
        // Behind a span's children the span again: then all of them are placed.
        enum Step {
            Place(usize, u32),
            Done(usize),
        }
        let mut steps = vec![Step::Place(root, 0)];
        let mut siblings = Vec::new();
        while let Some(step) = steps.pop() {
            let (at, depth) = match step {
                Step::Place(at, depth) => (at, depth),
                Step::Done(node) => {
                    self.nodes[node].until = self.nodes.len();
                    continue;
                }
            };
            if std::mem::replace(&mut self.drafts[at].placed, true) {
                continue;
            }
            let (start, end) = self.times(at);
            let is_orphan = self.drafts[at].is_orphan;
            steps.push(Step::Done(self.nodes.len()));
            self.order.push(at);
            let (until, self_nanos, path_nanos) = (0, 0, 0);
            self.nodes.push(Node { until, depth, start, end, self_nanos, path_nanos, is_orphan });
            siblings.clear();
            for child in self.range(at) {
                let child = self.children[child];
                self.drafts[child].shift = self.shift(at, child);
                let (start, end) = self.times(child);
                siblings.push((start, Reverse(end), self.spans[child].span_id, child));
            }
            siblings.sort_unstable();
            let below = siblings.iter().rev();
            steps.extend(below.map(|(.., child)| Step::Place(*child, depth.saturating_add(1))));
        }
    }

    fn range(&self, at: usize) -> Range<usize> {
        self.first[at]..self.first[at + 1]
    }

    /// Start and end by the root's clock.
    fn times(&self, at: usize) -> (u64, u64) {
        let moved = |nanos: u64| {
            let moved = i128::from(nanos) + self.drafts[at].shift;
            moved.clamp(0, u64::MAX.into()) as u64
        };
        let span = &self.spans[at];
        let start = moved(span.start_unix_nanos);
        (start, moved(span.end_unix_nanos).max(start))
    }

    /// By how much a child's times are moved. Its caller waits for a server's span, so that it lies
    /// within the caller's: where it does not, their clocks differ. It is then put into the middle,
    /// the way there taken to be as long as the way back, or, being longer, at the beginning; so does
    /// Jaeger's query service. What is of the same service has its parent's clock.
    fn shift(&mut self, parent: usize, child: usize) -> i128 {
        let (outer, inner) = (&self.spans[parent], &self.spans[child]);
        if outer.service == inner.service {
            return self.drafts[parent].shift;
        }
        if inner.kind != SpanKind::Server {
            return 0;
        }
        let (from, to) = self.times(parent);
        let (start, end) =
            (inner.start_unix_nanos, inner.end_unix_nanos.max(inner.start_unix_nanos));
        let (length, room) = (end - start, to - from);
        let target = match length <= room {
            true if from <= start && end <= to => return 0,
            true => from + (room - length) / 2,
            false if from <= start && start <= to => return 0,
            false => from,
        };
        self.irregular.moved += 1;
        i128::from(target) - i128::from(start)
    }
}
