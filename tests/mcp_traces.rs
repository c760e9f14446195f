//! Each request that an instrumented server answers has a span: its name and attributes, what it is
//! below, how it ended, and what is its child.
#![cfg(feature = "rmcp")]

mod mcp_fixture;
mod seen;

use std::slice::from_ref;
use std::sync::Arc;

use mcp_fixture::*;
use mcp_vitals::logs::LogConfig;
use mcp_vitals::traces::{Parent, Sampler, SpanKind, SpanStatus, TraceConfig};
use mcp_vitals::{
    InstrumentExt, InstrumentServiceExt, Level, Logger, SpanContext, Tracer, Vitals, info,
};
use rmcp::model::*;
use rmcp::service::{PeerRequestOptions, RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler};
use seen::{Seen, span, spans};
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "00f067aa0ba902b7";

fn tracing(config: TraceConfig) -> Vitals {
    let logs = LogConfig::to_memory().level(Level::Debug);
    Vitals::builder().system_metrics(false).logs(logs).traces(config).build().unwrap()
}

fn traced() -> Vitals {
    tracing(TraceConfig::to_memory())
}

fn of(trace: &str, span: &str) -> String {
    format!("00-{trace}-{span}-01")
}

#[tokio::test]
async fn each_request_has_a_span_named_and_described_by_the_convention() {
    let vitals = traced();
    let mut raw = Raw::connect(Fixture::default().instrumented(&vitals));
    raw.initialize().await;
    raw.ask(8, "tools/list", json!({})).await;
    raw.ask(1, "tools/call", json!({"name": "add", "arguments": {"a": 2, "b": 2}})).await;
    raw.ask(2, "tools/call", json!({"name": "fail"})).await;
    raw.ask(3, "tools/call", json!({"name": "broken"})).await;
    let long = "n".repeat(10_000);
    raw.ask(4, "tools/call", json!({"name": long})).await;
    raw.ask(5, "prompts/get", json!({"name": "greet"})).await;
    raw.ask(51, "prompts/get", json!({"name": "nosuch"})).await;
    raw.ask(6, "resources/read", json!({"uri": "file:///nosuch"})).await;
    raw.ask(7, "acme/thing", json!({})).await;
    let seen = spans(&vitals);
    let names: Vec<_> = seen.iter().map(|span| span.name.as_str()).collect();
    let expected = [
        "initialize",
        "tools/list",
        "tools/call add",
        "tools/call fail",
        "tools/call broken",
        "tools/call",
        "prompts/get greet",
        "prompts/get",
        "resources/read",
        "_other",
    ];
    assert_eq!(names, expected);
    for (n, span) in seen.iter().enumerate() {
        assert_eq!((span.kind, span.parent.as_str()), (SpanKind::Server, ""));
        assert!(!seen[..n].iter().any(|other| other.trace == span.trace), "a trace each");
        span.has(&[("network.transport", "pipe")]);
        span.has_not(&["mcp.session.id", "network.protocol.name"]);
    }
    let unset = |span: &Seen| assert_eq!((span.status, &*span.message), (SpanStatus::Unset, ""));
    let [_, _, add, fail, broken, unknown, greet, nosuch, read, custom] = &seen[..] else {
        panic!()
    };
    add.has(&[
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "add"),
        ("gen_ai.operation.name", "execute_tool"),
        ("jsonrpc.request.id", "1"),
        ("mcp.protocol.version", "2025-11-25"),
    ]);
    add.has_not(&["error.type", "rpc.response.status_code"]);
    unset(add);
    fail.has(&[("error.type", "tool_error")]);
    assert_eq!(fail.status, SpanStatus::Error);
    broken.has(&[("error.type", "-32603"), ("rpc.response.status_code", "-32603")]);
    assert_eq!((broken.status, &*broken.message), (SpanStatus::Error, "broken"));
    // What the client did wrong is none of the server's errors.
    unknown.has(&[("rpc.response.status_code", "-32602"), ("gen_ai.tool.name", &long[..256])]);
    unknown.has_not(&["error.type"]);
    unset(unknown);
    greet.has(&[("gen_ai.prompt.name", "greet"), ("mcp.method.name", "prompts/get")]);
    greet.has_not(&["gen_ai.operation.name"]);
    nosuch.has(&[("gen_ai.prompt.name", "nosuch"), ("rpc.response.status_code", "-32601")]);
    read.has(&[("mcp.resource.uri", "file:///nosuch"), ("rpc.response.status_code", "-32002")]);
    custom.has(&[("mcp.method.name", "acme/thing")]);
    // The histogram, the line and the span have the same two readings of the clock.
    let text = vitals.export_prometheus();
    let sum = text.lines().find_map(|line| {
        let rest = line.strip_prefix("mcp_request_duration_seconds_sum{")?;
        rest.contains("tool=\"add\"").then(|| rest.rsplit_once(' ')?.1.parse::<f64>().ok())?
    });
    assert!((sum.unwrap() - add.nanos as f64 / 1e9).abs() <= 1e-9, "{sum:?} {}", add.nanos);
}

#[tokio::test]
async fn a_line_of_a_request_has_the_ids_of_its_span() {
    let vitals = traced();
    let client = connect(Fixture::default().instrumented(&vitals)).await;
    client.call_tool(call("add", json!({"a": 1, "b": 1}))).await.unwrap();
    let add = span(&vitals, "tools/call add");
    let lines: Vec<Value> = vitals
        .captured_logs()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["tool"] == "add")
        .collect();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert_eq!(
            (line["trace_id"].as_str(), line["span_id"].as_str()),
            (Some(&*add.trace), Some(&*add.id))
        );
    }
}

#[tokio::test]
async fn how_a_request_ended_otherwise_is_what_its_span_says() {
    let vitals = traced();
    let fixture = Fixture::default();
    let client = connect(fixture.clone().instrumented(&vitals).answer_panics(true)).await;
    client.call_tool(call("boom", json!({}))).await.unwrap_err();
    let boom = span(&vitals, "tools/call boom");
    boom.has(&[("error.type", "panic")]);
    assert_eq!((boom.status, &*boom.message), (SpanStatus::Error, "panic"));

    let request =
        ClientRequest::CallToolRequest(CallToolRequest::new(call("withdrawn", json!({}))));
    let options = PeerRequestOptions::no_options();
    let waits = client.send_request_with_option(request, options).await.unwrap();
    until("it waits", || in_flight(&vitals, "withdrawn") == 1.0).await;
    waits.cancel(None).await.unwrap();
    until("it is over", || in_flight(&vitals, "withdrawn") == 0.0).await;
    let withdrawn = span(&vitals, "tools/call withdrawn");
    withdrawn.has(&[("mcp_vitals.outcome", "cancelled")]);
    withdrawn.has_not(&["error.type"]);
    assert_eq!(withdrawn.status, SpanStatus::Unset);

    drop(vitals.request("tools/call").tool("boom").start());
    let dropped = spans(&vitals).pop().unwrap();
    dropped.has(&[("error.type", "dropped")]);
    assert_eq!((dropped.status, &*dropped.message), (SpanStatus::Error, "dropped"));
}

/// Says what is current where it runs, across a wait, and where it is dropped.
#[derive(Clone)]
struct Nested {
    tracer: Tracer,
    logger: Logger,
}

struct Late(Logger);

impl Drop for Late {
    fn drop(&mut self) {
        info!(self.0, "late");
    }
}

impl ServerHandler for Nested {
    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let _late = Late(self.logger.clone());
        drop(self.tracer.span("before"));
        tokio::task::yield_now().await;
        drop(self.tracer.span("after"));
        info!(self.logger, "inside");
        let baggage = Parent::current().unwrap();
        let tenant = baggage.baggage().get("tenant").unwrap_or_default();
        let mut sent = std::collections::HashMap::new();
        mcp_vitals::traces::inject_current(&mut sent);
        let sent = sent.remove("traceparent").unwrap_or_default();
        let text = [ContentBlock::text(tenant), ContentBlock::text(sent)];
        Ok(CallToolResult::success(text.into()).into())
    }
}

fn nested(vitals: &Vitals) -> Nested {
    Nested { tracer: vitals.tracer("nested"), logger: vitals.logger("nested") }
}

#[track_caller]
fn assert_nested(vitals: &Vitals, seen: &[Seen], request: &Seen) {
    for name in ["before", "after"] {
        let child = seen.iter().find(|span| span.name == name).unwrap();
        assert_eq!((&child.parent, &child.trace), (&request.id, &request.trace));
        assert!(!child.remote_parent);
    }
    let lines = vitals.captured_logs();
    for message in ["inside", "late"] {
        let line = lines.iter().find(|line| line.contains(&format!("\"{message}\""))).unwrap();
        assert!(line.contains(&request.trace) && line.contains(&request.id), "{line}");
    }
}

#[tokio::test]
async fn meta_brings_the_parent_and_the_handler_is_its_child() {
    let ask = json!({
        "name": "x",
        "_meta": {
            "traceparent": of(TRACE, CALLER),
            "tracestate": "vendor=1",
            "baggage": "tenant=blue%20one",
        },
    });
    for service in [false, true] {
        let vitals = traced();
        let mut raw = match service {
            true => Raw::connect(nested(&vitals).instrumented_service(&vitals)),
            false => Raw::connect(nested(&vitals).instrumented(&vitals)),
        };
        raw.initialize().await;
        let answer = raw.ask(1, "tools/call", ask.clone()).await;
        let request = span(&vitals, "tools/call");
        assert_eq!((&*request.trace, &*request.parent), (TRACE, CALLER));
        assert!(request.remote_parent);
        assert_eq!(request.tracestate, "vendor=1");
        assert!(answer.contains("blue one") && answer.contains(&request.id), "{answer}");
        assert_nested(&vitals, &spans(&vitals), &request);
        assert!(SpanContext::current().is_none());
    }
}

#[tokio::test]
async fn what_is_malformed_begins_a_trace_and_is_counted() {
    let vitals = traced();
    let mut raw = Raw::connect(nested(&vitals).instrumented(&vitals));
    raw.initialize().await;
    let cases = [
        (json!({"traceparent": of(TRACE, CALLER).to_uppercase()}), "traceparent", "format"),
        (json!({"traceparent": 7}), "traceparent", "length"),
        (json!({"traceparent": of(TRACE, "0000000000000000")}), "traceparent", "zero_id"),
        (json!({"traceparent": of(TRACE, CALLER), "tracestate": "A=1"}), "tracestate", "format"),
        (json!({"traceparent": of(TRACE, CALLER), "baggage": "="}), "baggage", "format"),
    ];
    for (n, (meta, header, reason)) in cases.into_iter().enumerate() {
        raw.ask(n as u64, "tools/call", json!({"name": "x", "_meta": meta})).await;
        let request = spans(&vitals).pop().unwrap();
        let good = header != "traceparent";
        assert_eq!(request.trace == TRACE, good, "{header} {reason}");
        assert_eq!((request.parent.is_empty(), &*request.tracestate), (!good, ""));
        let labels = [("header", header), ("reason", reason)];
        assert_eq!(value(&vitals, "mcp_vitals_propagation_errors_total", &labels), 1.0);
    }
}

async fn serve(vitals: &Vitals, with: StreamableHttpServerConfig) -> String {
    let vitals = vitals.clone();
    let service = StreamableHttpService::new(
        move || Ok(nested(&vitals).instrumented(&vitals)),
        Arc::new(LocalSessionManager::default()),
        with,
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().nest_service("/mcp", service);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/mcp")
}

#[tokio::test]
async fn over_http_the_headers_are_the_parent_and_beside_meta_a_link() {
    const OTHER: &str = "11f067aa0ba902b7";
    let vitals = traced();
    let stateless = StreamableHttpServerConfig::default().with_legacy_session_mode(false);
    let url = serve(&vitals, stateless).await;
    let post = async |headers: &[(&str, String)], meta: Value| {
        let address = url.strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap();
        let version = meta["io.modelcontextprotocol/protocolVersion"].as_str();
        let version = version.unwrap_or("2025-11-25").to_owned();
        let body = json!({"jsonrpc": "2.0", "id": "a", "method": "tools/call",
            "params": {"name": "x", "_meta": meta}})
        .to_string();
        let mut text = format!(
            "POST /mcp HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n\
             mcp-session-id: s-1\r\nmcp-protocol-version: {version}\r\ncontent-length: {}\r\n",
            body.len()
        );
        headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        spans(&vitals).into_iter().rfind(|span| span.name == "tools/call").unwrap()
    };
    let http = ("traceparent", of(TRACE, OTHER));
    let tenant = ("baggage", "tenant=red".to_owned());
    let alone = post(&[http.clone(), tenant.clone()], json!({})).await;
    assert_eq!((&*alone.trace, &*alone.parent, &alone.links), (TRACE, OTHER, &vec![]));
    alone.has(&[
        ("network.transport", "tcp"),
        ("network.protocol.name", "http"),
        ("network.protocol.version", "1.1"),
        ("mcp.session.id", "s-1"),
        ("jsonrpc.request.id", "a"),
    ]);
    let both = post(from_ref(&http), json!({"traceparent": of(TRACE, CALLER)})).await;
    assert_eq!((&*both.parent, &both.links), (CALLER, &vec![OTHER.to_owned()]));
    // The same in both places is no link to itself.
    let same = post(from_ref(&http), json!({"traceparent": of(TRACE, OTHER)})).await;
    assert_eq!((&*same.parent, &same.links), (OTHER, &vec![]));
    // A bad one beside a good one: the good one.
    let bad = post(from_ref(&http), json!({"traceparent": "?"})).await;
    assert_eq!((&*bad.parent, &bad.links), (OTHER, &vec![]));
    // Two of them are none.
    let twice = post(&[http.clone(), http], json!({})).await;
    assert_eq!((&*twice.parent, twice.trace == TRACE), ("", false));
    // From 2026-07-28 on there are no sessions, whatever a header says.
    let new = meta();
    let later = post(&[("mcp-method", "tools/call".into()), ("mcp-name", "x".into())], new).await;
    later.has_not(&["mcp.session.id"]);
}

#[tokio::test]
async fn what_is_not_sampled_is_passed_on_as_such_and_not_recorded() {
    let vitals = tracing(TraceConfig::to_memory().sampler(Sampler::Never));
    let mut raw = Raw::connect(nested(&vitals).instrumented(&vitals));
    raw.initialize().await;
    let meta = json!({"traceparent": of(TRACE, CALLER).replace("-01", "-00")});
    let answer = raw.ask(1, "tools/call", json!({"name": "x", "_meta": meta})).await;
    assert!(answer.contains(TRACE) && answer.contains("-00\""), "{answer}");
    assert!(!answer.contains(CALLER), "ids of its own: {answer}");
    assert!(spans(&vitals).is_empty());
    // The line still says which trace it is.
    assert!(vitals.captured_logs().iter().any(|line| line.contains(TRACE)));
}

#[tokio::test]
async fn with_propagation_only_what_came_goes_on_unchanged() {
    let vitals = tracing(TraceConfig::propagation_only());
    let mut raw = Raw::connect(nested(&vitals).instrumented(&vitals));
    raw.initialize().await;
    let meta = json!({"traceparent": of(TRACE, CALLER), "baggage": "tenant=blue"});
    let answer = raw.ask(1, "tools/call", json!({"name": "x", "_meta": meta})).await;
    assert!(answer.contains(&of(TRACE, CALLER)) && answer.contains("blue"), "{answer}");
    assert!(spans(&vitals).is_empty());
    let lines = vitals.captured_logs();
    let inside = lines.iter().find(|line| line.contains("\"inside\"")).unwrap();
    assert!(inside.contains(TRACE) && inside.contains(CALLER), "{inside}");
}

#[cfg(feature = "rmcp-client")]
mod client {
    use mcp_vitals::TracedClient;
    use mcp_vitals::traces::InSpan;

    use super::*;

    #[tokio::test]
    async fn a_clients_request_and_the_servers_are_of_one_trace() {
        let (ours, theirs) = (traced(), traced());
        let client = connect(Fixture::default().instrumented(&theirs)).await;
        let tracer = ours.tracer("planner");
        let plan = tracer.span("plan");
        let plan_id = plan.context().span_id().unwrap().to_string();
        async {
            let sum = call("add", json!({"a": 1, "b": 1}));
            client.call_tool_traced(&tracer, sum).await.unwrap();
            client.peer().call_tool_traced(&tracer, call("fail", json!({}))).await.unwrap();
            let greet = GetPromptRequestParams::new("greet");
            client.get_prompt_traced(&tracer, greet).await.unwrap();
            let read = ReadResourceRequestParams::new("file:///x");
            client.read_resource_traced(&tracer, read).await.unwrap_err();
        }
        .in_span(plan)
        .await;
        for name in ["tools/call add", "tools/call fail", "prompts/get greet", "resources/read"] {
            let (sent, handled) = (span(&ours, name), span(&theirs, name));
            assert_eq!((sent.kind, handled.kind), (SpanKind::Client, SpanKind::Server));
            assert_eq!((&handled.trace, &handled.parent), (&sent.trace, &sent.id));
            assert_eq!(sent.parent, plan_id);
            sent.has(&[("mcp.protocol.version", "2025-11-25")]);
        }
        span(&ours, "tools/call add").has(&[("gen_ai.operation.name", "execute_tool")]);
        span(&ours, "tools/call fail").has(&[("error.type", "tool_error")]);
        // Whose fault it was does not matter to whoever asked.
        let read = span(&ours, "resources/read");
        read.has(&[("error.type", "-32002"), ("rpc.response.status_code", "-32002")]);
        assert_eq!((read.status, &*read.message), (SpanStatus::Error, "no such resource"));
    }

    #[tokio::test]
    async fn a_request_that_nobody_waits_for_says_so() {
        let vitals = traced();
        let client = connect(Fixture::default().instrumented(&vitals)).await;
        let tracer = vitals.tracer("planner");
        {
            let asked = client.call_tool_traced(&tracer, call("park", json!({})));
            tokio::select! {
                biased;
                _ = asked => panic!("nobody let it go"),
                () = until("it waits", || in_flight(&vitals, "park") == 1.0) => {}
            }
        }
        let seen = spans(&vitals);
        let asked = seen.iter().find(|span| span.kind == SpanKind::Client).unwrap();
        assert_eq!((asked.status, &*asked.message), (SpanStatus::Error, "dropped"));
    }
}
