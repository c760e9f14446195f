//! The critical path: which span was waited for. [`Trace::critical_path`](super::Trace::critical_path)
//! says what it is.

use std::cmp::Reverse;

use super::tree::{Node, siblings};

/// From the first root's start to the end of the root that ended last.
pub(super) fn window(nodes: &[Node]) -> (u64, u64) {
    let roots = || siblings(nodes, 0, nodes.len());
    let start = roots().map(|at| nodes[at].start).min().unwrap_or(0);
    let end = roots().map(|at| nodes[at].end).max().unwrap_or(0);
    (start, end.max(start))
}

/// Writes to each node what of its trace's path is its own.
pub(super) fn charge(nodes: &mut [Node]) {
    let mut charged = vec![0u64; nodes.len()];
    walk(nodes, |at, from, to| charged[at] += to - from);
    for (node, charged) in nodes.iter_mut().zip(charged) {
        node.path_nanos = charged;
    }
}

/// Names the pieces of the path, in no order: the node, from when, to when.
pub(super) fn walk(nodes: &[Node], mut see: impl FnMut(usize, u64, u64)) {
    let (start, end) = window(nodes);
    // The roots are the children of nobody, to whom nothing is charged.
    let mut open = vec![(None, start, end)];
    let mut children = Vec::new();
    while let Some((owner, from, to)) = open.pop() {
        let mut charge = |from, to| {
            if let Some(owner) = owner
                && from < to
            {
                see(owner, from, to);
            }
        };
        let (first, last) = owner.map_or((0, nodes.len()), |at: usize| (at + 1, nodes[at].until));
        children.clear();
        children.extend(siblings(nodes, first, last).filter_map(|at| {
            let (start, end) = (nodes[at].start.max(from), nodes[at].end.min(to));
            (start < end).then_some((Reverse(end), start, at))
        }));
        children.sort_unstable();
        let mut reached = to;
        for &(Reverse(end), start, at) in &children {
            if end <= reached {
                charge(end, reached);
                open.push((Some(at), start, end));
                reached = start;
            }
        }
        charge(from, reached);
    }
}
