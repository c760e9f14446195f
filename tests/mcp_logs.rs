//! Each request that an instrumented server answers has its lines: what they say, at which level,
//! whose they are, and what is never in them.
#![cfg(feature = "rmcp")]

mod mcp_fixture;

use std::collections::BTreeSet;
use std::sync::Arc;

use mcp_fixture::*;
use mcp_vitals::logs::{LogConfig, LogFilter, exception};
use mcp_vitals::{InstrumentExt, InstrumentServiceExt, Level, Logger, Outcome, Vitals, info};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::*;
use rmcp::service::{PeerRequestOptions, RoleServer};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{ErrorData, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use serde_json::{Value, json};

fn logging(filter: impl Into<LogFilter>) -> Vitals {
    let logs = LogConfig::to_memory().level(filter);
    Vitals::builder().system_metrics(false).logs(logs).build().unwrap()
}

fn lines(vitals: &Vitals) -> Vec<Value> {
    vitals.captured_logs().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines about ends, of `tools/call` and others.
fn ends(vitals: &Vitals) -> Vec<Value> {
    lines(vitals).into_iter().filter(|line| line["message"] == "request ended").collect()
}

#[track_caller]
fn assert_has(line: &Value, fields: Value) {
    for (key, value) in fields.as_object().unwrap() {
        assert_eq!(&line[key], value, "{key} in {line}");
    }
}

/// The only end of this tool or method.
#[track_caller]
fn the_end(vitals: &Vitals, tool: &str, operation: &str) -> Value {
    let of_it = |line: &Value| line["tool"] == tool && line["operation"] == operation;
    let mut found: Vec<_> = ends(vitals).into_iter().filter(of_it).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[tokio::test]
async fn each_answer_has_its_line_and_its_level() {
    let vitals = logging(Level::Debug);
    let mut raw = Raw::connect(Fixture::default().instrumented(&vitals));
    raw.initialize().await;
    raw.ask(1, "tools/call", json!({"name": "add", "arguments": {"a": 2, "b": 2}})).await;
    raw.ask(2, "tools/call", json!({"name": "fail"})).await;
    raw.ask(3, "tools/call", json!({"name": "broken"})).await;
    raw.ask(4, "tools/call", json!({"name": "nosuch\nforged"})).await;
    raw.ask(5, "prompts/get", json!({"name": "greet"})).await;
    raw.ask(6, "resources/read", json!({"uri": "file:///nosuch"})).await;
    raw.ask(7, "acme/thing", json!({})).await;
    raw.ask(8, "tools/list", json!({})).await;
    let expected = json!([
        {"tool": "server", "operation": "initialize", "request_id": "0", "level": "info",
         "status": "success", "outcome": "ok"},
        {"tool": "add", "operation": "execute", "request_id": "1", "level": "info",
         "status": "success", "outcome": "ok", "code": null, "error_type": null,
         "requested": null},
        {"tool": "fail", "operation": "execute", "request_id": "2", "level": "warn",
         "status": "error", "outcome": "tool_error", "error_type": "tool_error", "code": null},
        {"tool": "broken", "operation": "execute", "request_id": "3", "level": "error",
         "status": "error", "outcome": "jsonrpc_error", "error_type": "internal", "code": -32603},
        {"tool": "_other", "operation": "execute", "request_id": "4", "level": "warn",
         "status": "error", "outcome": "jsonrpc_error", "error_type": "client_invalid_params",
         "code": -32602, "requested": "nosuch\nforged"},
        {"tool": "prompts", "operation": "get", "request_id": "5", "level": "info",
         "outcome": "ok"},
        {"tool": "resources", "operation": "read", "request_id": "6", "level": "warn",
         "error_type": "client_resource_not_found", "code": -32002},
        {"tool": "_other", "operation": "_other", "request_id": "7", "level": "warn",
         "error_type": "client_method_not_found", "requested": "acme/thing"},
        {"tool": "tools", "operation": "list", "request_id": "8", "level": "info",
         "outcome": "ok"},
    ]);
    let expected = expected.as_array().unwrap();
    let lines = lines(&vitals);
    // One request after the other: a start, an end; and none for the notification.
    assert_eq!(lines.len(), 2 * expected.len(), "{lines:#?}");
    for (pair, expected) in lines.chunks(2).zip(expected) {
        let [start, end] = pair else { unreachable!() };
        assert_has(end, expected.clone());
        let both = json!({"logger": "mcp", "mcp_event": true});
        assert_has(end, both.clone());
        assert_has(start, both);
        assert_has(start, json!({"message": "request started", "level": "debug"}));
        for same in ["tool", "operation", "request_id", "requested"] {
            assert_eq!(start[same], end[same], "{same}");
        }
        assert!(end["duration_seconds"].as_f64().unwrap() > 0.0);
        assert!(start.get("session_id").is_none(), "a pipe has no sessions: {start}");
        assert!(start["timestamp"].as_str() <= end["timestamp"].as_str());
    }
    // What was timed is what the histogram has.
    let timed: f64 = ends(&vitals)
        .iter()
        .filter(|end| end["tool"] == "add")
        .map(|end| end["duration_seconds"].as_f64().unwrap())
        .sum();
    let text = vitals.export_prometheus();
    let sum = text.lines().find_map(|line| {
        let rest = line.strip_prefix("mcp_request_duration_seconds_sum{")?;
        rest.contains("tool=\"add\"").then(|| rest.rsplit_once(' ')?.1.parse::<f64>().ok())?
    });
    assert!((sum.unwrap() - timed).abs() <= 1e-9, "{sum:?} {timed}");
}

#[tokio::test]
async fn at_info_there_is_a_line_for_each_request_and_at_off_none() {
    let vitals = logging(Level::Info);
    let client = connect(Fixture::default().instrumented(&vitals)).await;
    let sum = || call("add", json!({"a": 1, "b": 1}));
    client.call_tool(sum()).await.unwrap();
    assert_eq!(lines(&vitals).len(), 2, "initialize and add");
    vitals.set_log_filter("info,mcp=warn".parse::<LogFilter>().unwrap());
    client.call_tool(sum()).await.unwrap();
    client.call_tool(call("fail", json!({}))).await.unwrap();
    assert_eq!(lines(&vitals).len(), 3, "fail");
    vitals.set_log_filter(LogFilter::off());
    client.call_tool(call("broken", json!({}))).await.unwrap_err();
    assert_eq!(lines(&vitals).len(), 3);
    vitals.set_log_filter(Level::Error);
    client.call_tool(call("broken", json!({}))).await.unwrap_err();
    assert_eq!(lines(&vitals).len(), 4);
}

#[tokio::test]
async fn a_withdrawn_request_and_a_panic_have_their_lines() {
    let vitals = logging(Level::Info);
    let server = Fixture::default();
    let permits = server.permits.clone();
    let client = connect(server.instrumented(&vitals)).await;
    let park = ClientRequest::CallToolRequest(Request::new(call("park", json!({}))));
    let options = PeerRequestOptions::no_options();
    let pending = client.send_cancellable_request(park, options).await.unwrap();
    until("the tool runs", || in_flight(&vitals, "park") == 1.0).await;
    pending.cancel(None).await.unwrap();
    client.list_all_tools().await.unwrap();
    permits.add_permits(1);
    until("the handler ended", || in_flight(&vitals, "park") == 0.0).await;
    let cancelled = json!({"level": "warn", "status": "cancelled", "outcome": "cancelled",
        "error_type": null});
    until("logged", || ends(&vitals).iter().any(|end| end["tool"] == "park")).await;
    assert_has(&the_end(&vitals, "park", "execute"), cancelled);

    let boom = ClientRequest::CallToolRequest(Request::new(call("boom", json!({}))));
    let options = PeerRequestOptions::no_options();
    let _never = client.send_cancellable_request(boom, options).await.unwrap();
    until("logged", || ends(&vitals).iter().any(|end| end["tool"] == "boom")).await;
    let end = the_end(&vitals, "boom", "execute");
    let panic = json!({"level": "error", "status": "error", "outcome": "panic",
        "error_type": "panic"});
    assert_has(&end, panic);
    assert!(end["request_id"].is_string());
    // What a panic says may hold anything.
    assert!(vitals.captured_logs().iter().all(|line| !line.contains("expected by the test")));
}

#[tokio::test]
async fn a_panic_that_is_answered_is_logged_as_what_it_is() {
    let vitals = logging(Level::Info);
    let client = connect(Fixture::default().instrumented(&vitals).answer_panics(true)).await;
    client.call_tool(call("boom", json!({}))).await.unwrap_err();
    let panic = json!({"level": "error", "outcome": "panic", "error_type": "panic", "code": null});
    assert_has(&the_end(&vitals, "boom", "execute"), panic);
}

#[test]
fn what_the_runtimes_shutdown_drops_is_logged() {
    let vitals = logging(Level::Info);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = connect(Fixture::default().instrumented(&vitals)).await;
        let options = PeerRequestOptions::no_options();
        let park = ClientRequest::CallToolRequest(Request::new(call("park", json!({}))));
        let _pending = client.send_cancellable_request(park, options).await.unwrap();
        until("the tool runs", || in_flight(&vitals, "park") == 1.0).await;
        std::mem::forget(client);
    });
    drop(runtime);
    let end = the_end(&vitals, "park", "execute");
    assert_has(&end, json!({"level": "warn", "status": "cancelled", "outcome": "dropped"}));
    assert!(end["request_id"].is_string());
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Note {
    text: String,
}

/// Logs from its tools, before and after they waited.
#[derive(Clone)]
struct Chatty {
    logger: Logger,
}

#[tool_router]
impl Chatty {
    #[tool(description = "Logs three lines")]
    async fn chat(&self, Parameters(Note { text }): Parameters<Note>) -> String {
        for step in 0..3 {
            info!(self.logger, "step", step, length = text.len());
            tokio::task::yield_now().await;
        }
        text
    }

    #[tool(description = "Fails and says so")]
    fn wrong(
        &self,
        Parameters(Note { text }): Parameters<Note>,
    ) -> Result<CallToolResult, ErrorData> {
        let wrong = "x".parse::<u8>().unwrap_err();
        info!(self.logger, "wrong", exception = exception(&wrong));
        Err(ErrorData::internal_error(text, None))
    }
}

#[tool_handler]
impl ServerHandler for Chatty {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn on_custom_notification(
        &self,
        _notification: CustomNotification,
        _context: rmcp::service::NotificationContext<RoleServer>,
    ) {
        info!(self.logger, "notified");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_in_parallel_keep_their_ids() {
    let vitals = logging(Level::Info);
    let server = Chatty { logger: vitals.logger("chat") };
    let service = {
        let vitals = vitals.clone();
        StreamableHttpService::new(
            move || Ok(server.clone().instrumented(&vitals)),
            Arc::new(LocalSessionManager::default()),
            Default::default(),
        )
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = axum::Router::new().nest_service("/mcp", service);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let client = |length: usize, url: String| async move {
        let client = ().serve(StreamableHttpClientTransport::from_uri(url)).await.unwrap();
        for _ in 0..20 {
            let text = "y".repeat(length);
            client.call_tool(call("chat", json!({"text": text}))).await.unwrap();
        }
        let custom = CustomNotification::new("acme/told", None);
        client.send_notification(ClientNotification::CustomNotification(custom)).await.unwrap();
        client.list_all_tools().await.unwrap();
        client
    };
    // The length of its text says whose a line is.
    let (one, two) =
        tokio::join!(tokio::spawn(client(11, url.clone())), tokio::spawn(client(22, url.clone())));
    let _clients = (one.unwrap(), two.unwrap());
    let notified = |line: &Value| line["message"] == "notified";
    until("notified", || lines(&vitals).iter().filter(|line| notified(line)).count() == 2).await;

    let lines = lines(&vitals);
    let session = |length: u64| {
        let of_it = lines.iter().filter(|line| line["length"] == length);
        let ids: BTreeSet<_> =
            of_it.map(|line| line["session_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        ids.into_iter().next().unwrap()
    };
    let (one, two) = (session(11), session(22));
    assert_ne!(one, two);
    for session in [&one, &two] {
        let own: Vec<_> = lines.iter().filter(|line| line["session_id"] == **session).collect();
        let ends: Vec<_> = own.iter().filter(|line| line["tool"] == "chat").collect();
        assert_eq!(ends.len(), 20);
        for end in ends {
            let id = &end["request_id"];
            let steps = own.iter().filter(|line| &line["request_id"] == id);
            let steps: Vec<_> = steps.filter_map(|line| line["step"].as_u64()).collect();
            assert_eq!(steps, [0, 1, 2], "of {id}");
        }
        assert_eq!(own.iter().filter(|line| notified(line)).count(), 1);
    }
}

#[tokio::test]
async fn arguments_and_answers_are_in_no_line() {
    const SECRET: &str = "hunter2-0451";
    let vitals = logging(Level::Trace);
    let server = Chatty { logger: vitals.logger("chat") };
    let mut raw = Raw::connect(server.instrumented(&vitals));
    raw.initialize().await;
    for (id, tool) in [(1, "chat"), (2, "wrong"), (3, "nosuch")] {
        let arguments = json!({"text": SECRET, "more": {"deep": [SECRET]}});
        let answer = raw.ask(id, "tools/call", json!({"name": tool, "arguments": arguments})).await;
        assert_eq!(answer.contains(SECRET), tool != "nosuch", "{answer}");
    }
    raw.ask(4, "acme/thing", json!({"text": SECRET})).await;
    raw.ask(5, "prompts/get", json!({"name": SECRET, "arguments": {"x": SECRET}})).await;
    raw.ask(6, "resources/read", json!({"uri": SECRET})).await;
    raw.ask(
        7,
        "completion/complete",
        json!({
            "ref": {"type": "ref/prompt", "name": SECRET},
            "argument": {"name": SECRET, "value": SECRET},
        }),
    )
    .await;
    let lines = vitals.captured_logs();
    assert!(lines.len() >= 2 * 8 + 4, "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains(SECRET)), "{lines:#?}");
}

#[tokio::test]
async fn what_a_client_chose_is_cut() {
    let vitals = logging(Level::Debug);
    let mut raw = Raw::connect(Fixture::default().instrumented(&vitals));
    raw.initialize().await;
    let long = "é".repeat(10_000);
    for (method, params) in [("tools/call", json!({"name": long})), (&*long, json!({}))] {
        let id = format!("id{long}");
        raw.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        raw.receive().await;
    }
    let ends: Vec<_> = ends(&vitals).into_iter().skip(1).collect();
    assert_eq!(ends.len(), 2);
    for end in ends {
        let id = end["request_id"].as_str().unwrap();
        assert!(id.starts_with("idé") && id.len() <= 255, "{id}");
        let requested = end["requested"].as_str().unwrap();
        assert!(requested.starts_with(&"é".repeat(32)) && requested.len() < 100, "{requested}");
        assert!(!requested.starts_with(&"é".repeat(33)));
    }
    assert!(vitals.captured_logs().iter().all(|line| line.len() < 1_500));
}

#[tokio::test]
async fn the_service_wrapper_logs_alike() {
    let vitals = logging(Level::Info);
    let mut raw = Raw::connect(Fixture::default().instrumented_service(&vitals));
    raw.initialize().await;
    raw.ask(1, "tools/list", json!({})).await;
    raw.ask(2, "tools/call", json!({"name": "add", "arguments": {"a": 2, "b": 2}})).await;
    raw.ask(3, "tools/call", json!({"name": "nosuch"})).await;
    raw.ask(4, "tasks/get", json!({"taskId": "1"})).await;
    raw.ask(5, "acme/thing", json!({})).await;
    let add = the_end(&vitals, "add", "execute");
    assert_has(&add, json!({"level": "info", "request_id": "2", "outcome": "ok"}));
    let unknown = the_end(&vitals, "_other", "execute");
    assert_has(&unknown, json!({"level": "warn", "request_id": "3", "requested": "nosuch"}));
    let refused = the_end(&vitals, "tasks", "get");
    assert_has(&refused, json!({"level": "warn", "request_id": "4", "code": -32601}));
    let custom = the_end(&vitals, "_other", "_other");
    assert_has(&custom, json!({"level": "warn", "requested": "acme/thing"}));
}

#[test]
fn a_request_without_an_sdk_has_the_context_that_it_is_given() {
    use mcp_vitals::logs::Context;
    let vitals = logging(Level::Debug);
    vitals.mcp().learn_tools(["x"]);
    let context = Context::new().request_id("r-1").user_id("ann").field("tenant", "blue");
    vitals.request("tools/call").tool("x").context(context).start().finish(Outcome::Task);
    {
        let _scope = Context::new().request_id("r-2").enter();
        vitals.request("tools/call").tool("y").start().finish(Outcome::ToolError);
    }
    drop(vitals.request("of/the/client").start());
    let expected = json!([
        {"message": "request started", "request_id": "r-1", "user_id": "ann", "tenant": "blue"},
        {"message": "request ended", "request_id": "r-1", "tenant": "blue", "tool": "x",
         "outcome": "task", "level": "info"},
        {"message": "request started", "request_id": "r-2", "requested": "y"},
        {"message": "request ended", "request_id": "r-2", "requested": "y", "tool": "_other",
         "level": "warn"},
        {"message": "request started", "request_id": null, "requested": "of/the/client"},
        {"message": "request ended", "outcome": "dropped", "requested": "of/the/client"},
    ]);
    let lines = lines(&vitals);
    assert_eq!(lines.len(), 6);
    for (line, expected) in lines.iter().zip(expected.as_array().unwrap()) {
        assert_has(line, expected.clone());
    }
}
