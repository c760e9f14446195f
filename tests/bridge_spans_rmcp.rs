//! A real server of the SDK whose tools are traced by `tracing`: each call is a trace of its own, and
//! the SDK's spans, which last as long as a session, are there for who asks.

use mcp_vitals::traces::{SpanRecord, TraceConfig};
use mcp_vitals::{InstrumentExt, TracingOptions, Vitals};
use rmcp::model::*;
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler, ServiceExt};
use tracing::{info_span, instrument};
use tracing_subscriber::layer::SubscriberExt;

#[derive(Clone)]
struct Server;

#[instrument]
async fn query(rows: u64) {
    tokio::task::yield_now().await;
    info_span!("decode").in_scope(|| ());
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        query(3).await;
        Ok(CallToolResult::success(vec![]).into())
    }
}

/// Two calls in one session.
async fn session(server: impl ServerHandler) {
    let (near, far) = tokio::io::duplex(4096);
    let serving = tokio::spawn(async move { server.serve(far).await.unwrap().waiting().await });
    let client = ().serve(near).await.unwrap();
    for _ in 0..2 {
        client.call_tool(CallToolRequestParams::new("query")).await.unwrap();
    }
    client.cancel().await.unwrap();
    serving.await.unwrap().unwrap();
}

/// The names from the root down to each span that ended.
fn paths(spans: &[SpanRecord<'_>]) -> Vec<String> {
    let mut paths = Vec::new();
    for span in spans {
        let (mut path, mut at) = (span.name.to_str().into_owned(), span);
        while let Some(parent) = at.parent_span_id {
            at = spans.iter().find(|span| span.span_id() == Some(parent)).unwrap();
            path = format!("{}:{path}", at.name.to_str());
        }
        paths.push(path);
    }
    paths.sort_unstable();
    paths
}

async fn run(options: TracingOptions, instrumented: bool) -> Vec<String> {
    let vitals = Vitals::builder().traces(TraceConfig::to_memory()).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer_with(options));
    let guard = tracing::subscriber::set_default(subscriber);
    match instrumented {
        true => session(Server.instrumented(&vitals)).await,
        false => session(Server).await,
    }
    drop(guard);
    vitals.with_captured_spans(paths)
}

#[tokio::test]
async fn a_call_is_a_trace_and_the_sdk_s_own_spans_are_for_who_asks() {
    let twice = |paths: &[&str]| -> Vec<String> {
        paths.iter().flat_map(|path| [path.to_string(), path.to_string()]).collect()
    };
    let found = run(TracingOptions::new(), false).await;
    assert_eq!(found, twice(&["query", "query:decode"]));
    let within = ["tools/call", "tools/call:query", "tools/call:query:decode"];
    let mut found = run(TracingOptions::new(), true).await;
    found.retain(|path| path.starts_with("tools/call"));
    assert_eq!(found, twice(&within));
    // With the SDK's own, the one of its loop goes around all that a session does.
    let all = TracingOptions::new().spans("info,rmcp=info".parse().unwrap());
    for (instrumented, path) in
        [(false, "serve_inner:query:decode"), (true, "serve_inner:tools/call:query:decode")]
    {
        let found = run(all.clone(), instrumented).await;
        assert_eq!(found.iter().filter(|found| **found == path).count(), 2, "{found:?}");
    }
}
