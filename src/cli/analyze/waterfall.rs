//! A trace as bars: when each of its spans ran, and when it was waited for.

use std::cmp::Reverse;

use mcp_vitals::traces::analysis::{Trace, TraceSpan};

use super::super::terminal::{BOLD, CYAN, DIM, PLAIN, RED};
use super::text::{clean, duration, fit, width};

/// Waited for; running.
const PATH: char = '█';
const RUNS: char = '░';

/// Columns of a duration: `99.9 ms`.
const TOOK: usize = 8;
/// Columns of the names.
const NAMES: std::ops::RangeInclusive<usize> = 16..=48;
/// Levels that are indented.
const MOST_INDENT: usize = 24;

/// Appends the bars of up to `most` spans: those on the critical path first, then the longest.
pub(super) fn write(trace: &Trace<'_>, most: usize, columns: usize, out: &mut String) {
    let spans: Vec<TraceSpan<'_>> = trace.spans().collect();
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&at| {
        let span = &spans[at];
        Reverse((span.depth == 0, span.path_nanos, span.end_unix_nanos - span.start_unix_nanos))
    });
    order.truncate(most);
    order.sort_unstable();
    let several = spans.iter().any(|span| span.span.service != spans[0].span.service);
    let label = |span: &TraceSpan<'_>| {
        let indent = "  ".repeat((span.depth as usize).min(MOST_INDENT));
        let orphan = if span.is_orphan { "(…) " } else { "" };
        let service =
            if several { format!("{}: ", clean(&span.span.service)) } else { String::new() };
        format!("{indent}{orphan}{service}{}", clean(&span.span.name))
    };
    let widest = order.iter().map(|&at| width(&label(&spans[at]))).max().unwrap_or(0);
    let names = widest.clamp(*NAMES.start(), (columns / 2).clamp(*NAMES.start(), *NAMES.end()));
    let bars = columns.saturating_sub(names + 2 * (TOOK + 1) + 1).max(10);
    let scale = Scale::of(trace, bars);
    let path = scale.path(trace);
    let (start, end) = trace.window_unix_nanos();
    let total = duration(end - start);
    let head = format!("{} {:>TOOK$} {:>TOOK$} ", fit("span", names), "took", "path");
    let ruler = format!("0{total:>room$}", room = bars - 1);
    out.push_str(&format!("{BOLD}{head}{PLAIN}{DIM}{ruler}{PLAIN}\n"));
    for &at in &order {
        let span = &spans[at];
        let took = duration(span.end_unix_nanos - span.start_unix_nanos);
        let waited = match span.path_nanos {
            0 => String::new(),
            nanos => duration(nanos),
        };
        let name = fit(&label(span), names);
        let name = if span.span.failed { format!("{RED}{name}{PLAIN}") } else { name };
        let bar = scale.bar(span, path.get(&at).map_or(&[], Vec::as_slice));
        out.push_str(&format!("{name} {took:>TOOK$} {waited:>TOOK$} {bar}\n"));
    }
    if order.len() < spans.len() {
        let left = spans.len() - order.len();
        out.push_str(&format!("{DIM}and {left} spans that were shorter{PLAIN}\n"));
    }
    let orphans =
        if spans.iter().any(|span| span.is_orphan) { "; (…) its parent is missing" } else { "" };
    let failed = if trace.failures() > 0 { "; red: it failed" } else { "" };
    out.push_str(&format!(
        "{CYAN}{PATH}{PLAIN} {DIM}waited for: the critical path{PLAIN}   \
         {RUNS} {DIM}ran{orphans}{failed}{PLAIN}\n"
    ));
}

struct Scale {
    start: u64,
    end: u64,
    bars: usize,
}

impl Scale {
    /// From the first start to the last end, also of what outlasted the roots.
    fn of(trace: &Trace<'_>, bars: usize) -> Scale {
        let (start, end) = trace.window_unix_nanos();
        Scale { start, end, bars }
    }

    /// Which column has this moment.
    fn column(&self, nanos: u64) -> usize {
        let length = u128::from(self.end - self.start).max(1);
        let passed = u128::from(nanos.clamp(self.start, self.end) - self.start);
        (passed * self.bars as u128 / length) as usize
    }

    /// From which column to which, one at least.
    fn columns(&self, start: u64, end: u64) -> (usize, usize) {
        let from = self.column(start).min(self.bars - 1);
        (from, self.column(end).max(from + 1))
    }

    /// By span, where its own part of the path is.
    fn path(&self, trace: &Trace<'_>) -> std::collections::HashMap<usize, Vec<(usize, usize)>> {
        let mut path = std::collections::HashMap::<usize, Vec<_>>::new();
        for segment in trace.critical_path() {
            let columns = self.columns(segment.start_unix_nanos, segment.end_unix_nanos);
            path.entry(segment.span).or_default().push(columns);
        }
        path
    }

    fn bar(&self, span: &TraceSpan<'_>, path: &[(usize, usize)]) -> String {
        let (from, to) = self.columns(span.start_unix_nanos, span.end_unix_nanos);
        let mut cells = vec![' '; self.bars];
        cells[from..to].fill(RUNS);
        for &(from, to) in path {
            cells[from..to].fill(PATH);
        }
        let mut bar = String::new();
        for run in cells.chunk_by(|one, next| one == next) {
            let text: String = run.iter().collect();
            match run[0] {
                PATH => bar.push_str(&format!("{CYAN}{text}{PLAIN}")),
                _ => bar.push_str(&text),
            }
        }
        bar.trim_end().to_owned()
    }
}
