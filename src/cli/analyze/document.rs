//! The report for programs.

use mcp_vitals::traces::analysis::{Analysis, Trace, Trait};
use serde_json::{Value, json};

/// One document; times are nanoseconds.
pub(super) fn json(analysis: &Analysis, trace: Option<Trace<'_>>, top: usize) -> String {
    let names: Vec<Value> = analysis
        .names()
        .iter()
        .take(top)
        .map(|stats| {
            json!({
                "name": stats.name,
                "service": stats.service,
                "count": stats.count,
                "failures": stats.failures,
                "self_nanos": stats.self_nanos,
                "path_nanos": stats.path_nanos,
                "p50_nanos": stats.p50_nanos,
                "p90_nanos": stats.p90_nanos,
                "p99_nanos": stats.p99_nanos,
                "max_nanos": stats.max_nanos,
                "total_nanos": stats.total_nanos,
            })
        })
        .collect();
    let traces: Vec<Value> = analysis.slowest().iter().take(top).map(head).collect();
    let differences: Vec<Value> = analysis
        .differences(top)
        .iter()
        .map(|found| {
            let what = match found.what {
                Trait::Attribute(key, value) => json!({"attribute": key, "value": value}),
                Trait::Span(name) => json!({"span": name}),
                Trait::Failure(name) => json!({"failed": name}),
                other => json!({"other": other.to_string()}),
            };
            json!({
                "what": what,
                "slow": found.slow,
                "all_slow": found.all_slow,
                "other": found.other,
                "all_other": found.all_other,
            })
        })
        .collect();
    let irregular = analysis.irregular();
    let document = json!({
        "traces": analysis.traces().len(),
        "spans": analysis.span_count(),
        "failures": analysis.traces().map(|trace| trace.failures()).sum::<usize>(),
        "irregular": {
            "duplicates": irregular.duplicates,
            "orphans": irregular.orphans,
            "loops": irregular.loops,
            "moved": irregular.moved,
        },
        "names": names,
        "slowest": traces,
        "differences": differences,
        "trace": trace.as_ref().map(whole),
    });
    format!("{document}\n")
}

fn head(trace: &Trace<'_>) -> Value {
    let (start, end) = trace.window_unix_nanos();
    json!({
        "trace_id": trace.trace_id().map(|id| id.to_string()),
        "root": trace.root().map(|root| root.span.name.to_string()),
        "start_unix_nanos": start,
        "duration_nanos": end - start,
        "spans": trace.spans().len(),
        "failures": trace.failures(),
    })
}

fn whole(trace: &Trace<'_>) -> Value {
    let spans: Vec<Value> = trace
        .spans()
        .map(|span| {
            json!({
                "span_id": span.span.span_id.to_string(),
                "parent_span_id": span.span.parent_span_id.map(|id| id.to_string()),
                "name": &*span.span.name,
                "service": &*span.span.service,
                "failed": span.span.failed,
                "depth": span.depth,
                "start_unix_nanos": span.start_unix_nanos,
                "end_unix_nanos": span.end_unix_nanos,
                "self_nanos": span.self_nanos,
                "path_nanos": span.path_nanos,
            })
        })
        .collect();
    let path: Vec<Value> = trace
        .critical_path()
        .iter()
        .map(|segment| {
            json!({
                "span": segment.span,
                "start_unix_nanos": segment.start_unix_nanos,
                "end_unix_nanos": segment.end_unix_nanos,
            })
        })
        .collect();
    let mut document = head(trace);
    document["tree"] = spans.into();
    document["critical_path"] = path.into();
    document
}
