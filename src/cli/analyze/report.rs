//! The report for people.

use mcp_vitals::traces::analysis::{Analysis, Difference, Trace};

use super::super::terminal::{BOLD, DIM, PLAIN};
use super::table::{Table, Tone};
use super::text::{clean, duration};
use super::waterfall;

/// Bars of the slowest trace, and of one that was asked for.
const SOME_BARS: usize = 30;
const MANY_BARS: usize = 1_000;

/// All of it; of a trace that was asked for only that.
pub(super) fn text(
    analysis: &Analysis,
    trace: Option<Trace<'_>>,
    asked: bool,
    top: usize,
    columns: usize,
) -> String {
    let mut out = String::new();
    if !asked {
        summary(analysis, &mut out);
        names(analysis, top, columns, &mut out);
        slowest(analysis, top, columns, &mut out);
        differences(&analysis.differences(top), columns, &mut out);
    }
    if let Some(trace) = trace {
        let id = trace.trace_id().map(|id| id.to_string()).unwrap_or_default();
        let spans = count(trace.spans().len(), "span");
        let slowest = if asked { "" } else { "Slowest: " };
        let took = duration(trace.duration_nanos());
        let line = format!("{slowest}trace {id}{PLAIN}, {took}, {spans}");
        out.push_str(&format!("{BOLD}{line}\n"));
        let most = if asked { MANY_BARS } else { SOME_BARS };
        waterfall::write(&trace, most, columns, &mut out);
    }
    out
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn summary(analysis: &Analysis, out: &mut String) {
    let failed: usize = analysis.traces().map(|trace| trace.failures()).sum();
    let traces = count(analysis.traces().len(), "trace");
    let spans = count(analysis.span_count(), "span");
    out.push_str(&format!("{BOLD}{traces}, {spans}, {failed} failed{PLAIN}\n"));
    let irregular = analysis.irregular();
    for (number, what) in [
        (irregular.duplicates, "there twice, left out"),
        (irregular.orphans, "without their parent, taken for roots"),
        (irregular.loops, "loops of parents, cut"),
        (irregular.moved, "moved to their caller's clock"),
    ] {
        if number > 0 {
            out.push_str(&format!("{DIM}{number} {what}{PLAIN}\n"));
        }
    }
    out.push('\n');
}

fn names(analysis: &Analysis, top: usize, columns: usize, out: &mut String) {
    let names = analysis.names();
    let several = names.iter().any(|stats| stats.service != names[0].service);
    let mut heads = vec!["<span, by its own time"];
    if several {
        heads.push("<service");
    }
    heads.extend(["count", "failed", "self", "path", "p50", "p90", "p99", "max", "total"]);
    let mut table = Table::new(&heads);
    for stats in names.iter().take(top) {
        let mut cells = vec![clean(stats.name)];
        if several {
            cells.push(clean(stats.service));
        }
        cells.extend([stats.count, stats.failures].map(|count| count.to_string()));
        let times = [
            stats.self_nanos,
            stats.path_nanos,
            stats.p50_nanos,
            stats.p90_nanos,
            stats.p99_nanos,
            stats.max_nanos,
            stats.total_nanos,
        ];
        cells.extend(times.map(duration));
        table.add(Tone::Plain, cells);
    }
    table.write(columns, out);
    more(names.len(), top, "name", out);
    out.push('\n');
}

fn more(all: usize, top: usize, what: &str, out: &mut String) {
    if all > top {
        let left = count(all - top, &format!("more {what}"));
        out.push_str(&format!("{DIM}and {left}; --top shows them{PLAIN}\n"));
    }
}

fn slowest(analysis: &Analysis, top: usize, columns: usize, out: &mut String) {
    let traces = analysis.slowest();
    let mut table = Table::new(&["<slowest, by their roots", "took", "spans", "failed", "<trace"]);
    for trace in traces.iter().take(top) {
        let id = trace.trace_id().map(|id| id.to_string()).unwrap_or_default();
        let root = trace.root().map(|root| clean(&root.span.name)).unwrap_or_default();
        let failures = trace.failures();
        let tone = if failures > 0 { Tone::Failed } else { Tone::Plain };
        let spans = trace.spans().len().to_string();
        let took = duration(trace.duration_nanos());
        table.add(tone, vec![root, took, spans, failures.to_string(), id]);
    }
    table.write(columns, out);
    more(traces.len(), top, "trace", out);
    out.push('\n');
}

fn differences(differences: &[Difference<'_>], columns: usize, out: &mut String) {
    if differences.is_empty() {
        return;
    }
    let mut table = Table::new(&["<what slow traces have (above p90)", "slow", "others"]);
    for found in differences {
        let share = |with: u64, all: u64| format!("{with} of {all}");
        table.add(
            Tone::Plain,
            vec![
                clean(&found.what.to_string()),
                share(found.slow, found.all_slow),
                share(found.other, found.all_other),
            ],
        );
    }
    table.write(columns, out);
    out.push('\n');
}
