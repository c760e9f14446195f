//! The integration example, and what it leaves in the metrics, the spans and the log.
#![cfg(feature = "macros")]

#[path = "../examples/integration.rs"]
mod integration;

use std::collections::HashMap;
use std::pin::pin;
use std::task::{Context, Waker};

use mcp_vitals::logs::LogConfig;
use mcp_vitals::traces::{SpanStatus, TraceConfig};
use mcp_vitals::{Level, Vitals};
use serde_json::Value;

fn total(vitals: &Vitals, tool: &str, operation: &str, status: &str) -> f64 {
    let labels = [("tool", tool), ("operation", operation), ("status", status)];
    vitals.snapshot().value("mcp_requests_total", &labels).unwrap_or(0.0)
}

#[test]
fn its_metrics_spans_and_lines_are_there_and_belong_together() {
    let vitals = Vitals::builder()
        .logs(LogConfig::to_memory().level(Level::Debug))
        .traces(TraceConfig::to_memory())
        .build()
        .unwrap();
    vitals.install().unwrap();
    let mut run = pin!(integration::run(&vitals));
    while run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}

    // Two requests and one call of its own; nothing counted twice.
    assert_eq!(total(&vitals, "swarm.init", "execute", "success"), 2.0);
    assert_eq!(total(&vitals, "swarm.init", "execute", "error"), 1.0);
    assert_eq!(vitals.snapshot().sum("mcp_requests_total", &[]), 3.0);
    assert_eq!(vitals.snapshot().sum("mcp_request_errors_total", &[]), 1.0);
    let timed = [("tool", "swarm.init"), ("operation", "execute")];
    assert_eq!(vitals.snapshot().value("mcp_request_duration_seconds", &timed), Some(3.0));
    assert_eq!(vitals.snapshot().sum("mcp_requests_in_flight", &[]), 0.0);

    // Name, trace and span, parent, status.
    let spans: Vec<(String, [String; 2], Option<String>, SpanStatus)> =
        vitals.with_captured_spans(|spans| {
            let of = spans.iter().map(|span| {
                let ids =
                    [span.trace_id().unwrap().to_string(), span.span_id().unwrap().to_string()];
                let parent = span.parent_span_id.map(|id| id.to_string());
                (span.name.to_str().into(), ids, parent, span.status)
            });
            of.collect()
        });
    let mut names: HashMap<&str, Vec<_>> = HashMap::new();
    for span in &spans {
        names.entry(span.0.as_str()).or_default().push(span);
    }
    let requests = &names["tools/call swarm.init"];
    assert_eq!(requests.len(), 2, "{spans:?}");
    assert_eq!((requests[0].3, requests[1].3), (SpanStatus::Unset, SpanStatus::Error));
    let own = &names["execute_tool swarm.init"];
    assert_eq!(own.len(), 1);
    // The stored rows and the agents of a request are below its span, of its trace.
    for (parent, agents) in [(requests[0], 2), (requests[1], 0), (own[0], 1)] {
        let below = |name: &str| {
            let all = names[name].iter();
            all.filter(|span| span.1[0] == parent.1[0] && span.2.as_ref() == Some(&parent.1[1]))
                .count()
        };
        assert_eq!((below("spawn"), below("database_query")), (agents, usize::from(agents > 0)));
    }
    assert_eq!(names["remove"][0].2.as_ref(), Some(&names["cleanup"][0].1[1]));

    let lines: Vec<Value> =
        vitals.captured_logs().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |logger: &str, message: &str| -> Vec<&Value> {
        let wanted = |line: &&Value| line["logger"] == logger && line["message"] == message;
        lines.iter().filter(wanted).collect()
    };
    // Each line of an operation has its request's context, and the ids of the span around it.
    for message in ["operation started", "mcp operation"] {
        let operations = of("swarm", message);
        assert_eq!(operations.len(), 3, "{lines:?}");
        for (at, (line, span)) in
            operations.iter().zip([requests[0], requests[1], own[0]]).enumerate()
        {
            assert_eq!((&line["operation"], &line["tool"]), (&"init".into(), &"swarm".into()));
            assert_eq!(line["trace_id"], span.1[0].as_str(), "{line}");
            assert_eq!(line["span_id"], span.1[1].as_str());
            let request = ["r-1", "r-2"].get(at).copied();
            assert_eq!(line.get("request_id").and_then(Value::as_str), request);
            assert_eq!(line.get("region").is_some(), request.is_some());
        }
    }
    let ended: Vec<&Value> = of("swarm", "mcp operation");
    assert_eq!(
        ended.iter().map(|line| &line["status"]).collect::<Vec<_>>(),
        ["success", "error", "success"]
    );
    assert_eq!(ended[1]["error_type"], "NoSwarm");
    assert_eq!(ended[1]["exception"]["message"], "no topology for 2 agents");
    let requests_ended = of("mcp", "request ended");
    assert_eq!(
        requests_ended.iter().map(|line| &line["tool"]).collect::<Vec<_>>(),
        ["swarm.init"; 2]
    );
    assert_eq!(of("server", "refused").len(), 1);
    let by_hand = &of("server", "mcp operation")[0];
    assert_eq!(by_hand["span_id"], names["cleanup"][0].1[1].as_str());
}
