//! Every way in which a request can end, over an in-memory pipe, counted as what it was.
#![cfg(feature = "rmcp")]

mod mcp_fixture;

use mcp_fixture::*;
use mcp_vitals::{InstrumentExt, InstrumentServiceExt, Vitals};
use rmcp::ServiceError;
use rmcp::model::*;
use rmcp::service::PeerRequestOptions;
use serde_json::json;

fn park_request() -> ClientRequest {
    ClientRequest::CallToolRequest(Request::new(call("park", json!({}))))
}

fn error_code<T: std::fmt::Debug>(answer: Result<T, ServiceError>) -> i32 {
    match answer {
        Err(ServiceError::McpError(error)) => error.code.0,
        other => panic!("not a JSON-RPC error: {other:?}"),
    }
}

#[tokio::test]
async fn answers_are_counted_as_what_they_are() {
    let vitals = vitals();
    let client = connect(Fixture::default().instrumented(&vitals)).await;
    for n in 0..7 {
        client.call_tool(call("add", json!({"a": n, "b": 1}))).await.unwrap();
    }
    for _ in 0..3 {
        let failed = client.call_tool(call("fail", json!({}))).await.unwrap();
        assert_eq!(failed.is_error, Some(true));
    }
    assert_eq!(error_code(client.call_tool(call("broken", json!({}))).await), -32603);
    assert_eq!(error_code(client.call_tool(call("nosuch", json!({}))).await), -32602);
    let bad = client.call_tool(call("add", json!({"a": "one"}))).await;
    // Which of the two it is has changed between releases of the SDK.
    let bad_is_tool_error = bad.as_ref().is_ok_and(|result| result.is_error == Some(true));
    if !bad_is_tool_error {
        assert_eq!(error_code(bad), -32602);
    }
    client.get_prompt(GetPromptRequestParams::new("greet")).await.unwrap();
    assert_eq!(error_code(client.get_prompt(GetPromptRequestParams::new("nosuch")).await), -32601);
    let missing = ReadResourceRequestParams::new("file:///nosuch");
    assert_eq!(error_code(client.read_resource(missing).await), -32002);
    let custom = ClientRequest::CustomRequest(CustomRequest::new("acme/thing", None));
    assert_eq!(error_code(client.send_request(custom).await), -32601);
    client.list_all_tools().await.unwrap();

    assert_eq!(total(&vitals, "add", "execute", "success"), 7.0);
    assert_eq!(total(&vitals, "add", "execute", "error"), 1.0);
    let bad_type = if bad_is_tool_error { "tool_error" } else { "client_invalid_params" };
    assert_eq!(errors(&vitals, "add", "execute", bad_type), 1.0);
    assert_eq!(total(&vitals, "fail", "execute", "error"), 3.0);
    assert_eq!(errors(&vitals, "fail", "execute", "tool_error"), 3.0);
    assert_eq!(errors(&vitals, "broken", "execute", "internal"), 1.0);
    assert_eq!(total(&vitals, "_other", "execute", "error"), 1.0);
    assert_eq!(errors(&vitals, "_other", "execute", "client_invalid_params"), 1.0);
    assert_eq!(total(&vitals, "prompts", "get", "success"), 1.0);
    assert_eq!(errors(&vitals, "prompts", "get", "client_method_not_found"), 1.0);
    assert_eq!(errors(&vitals, "resources", "read", "client_resource_not_found"), 1.0);
    assert_eq!(errors(&vitals, "_other", "_other", "client_method_not_found"), 1.0);
    assert_eq!(total(&vitals, "tools", "list", "success"), 1.0);
    assert_eq!(total(&vitals, "server", "initialize", "success"), 1.0);
    for (tool, operation, requests) in [
        ("add", "execute", 8.0),
        ("fail", "execute", 3.0),
        ("broken", "execute", 1.0),
        ("_other", "execute", 1.0),
        ("prompts", "get", 2.0),
        ("tools", "list", 1.0),
    ] {
        assert_eq!(timed(&vitals, tool, operation), requests, "{tool} {operation}");
        assert_eq!(in_flight(&vitals, tool), 0.0, "{tool}");
    }
}

#[tokio::test]
async fn a_listing_shows_every_tool_at_0() {
    let vitals = vitals();
    let client = connect(Fixture::default().instrumented(&vitals)).await;
    client.list_all_tools().await.unwrap();
    for tool in ["add", "fail", "broken", "boom", "park"] {
        for status in ["success", "error", "cancelled"] {
            assert_eq!(total(&vitals, tool, "execute", status), 0.0, "{tool} {status}");
        }
        assert_eq!(value(&vitals, "mcp_panics_total", &[("tool", tool)]), 0.0);
        assert_eq!(value(&vitals, "mcp_cancellations_total", &[("tool", tool)]), 0.0);
    }
}

#[tokio::test]
async fn a_request_that_the_client_withdrew_is_cancelled_when_its_handler_ends() {
    let vitals = vitals();
    let server = Fixture::default();
    let permits = server.permits.clone();
    let client = connect(server.instrumented(&vitals)).await;
    let options = PeerRequestOptions::no_options();
    let pending = client.send_cancellable_request(park_request(), options).await.unwrap();
    until("the tool runs", || in_flight(&vitals, "park") == 1.0).await;
    pending.cancel(Some("changed my mind".to_owned())).await.unwrap();
    // The SDK lets a handler run to its end. A request after the cancellation shows that this was
    // read: one connection's messages are handled in their order.
    client.list_all_tools().await.unwrap();
    assert_eq!(in_flight(&vitals, "park"), 1.0);
    permits.add_permits(1);
    until("the handler ended", || in_flight(&vitals, "park") == 0.0).await;
    assert_eq!(total(&vitals, "park", "execute", "cancelled"), 1.0);
    assert_eq!(total(&vitals, "park", "execute", "success"), 0.0);
    assert_eq!(value(&vitals, "mcp_cancellations_total", &[("tool", "park")]), 1.0);
    assert_eq!(timed(&vitals, "park", "execute"), 1.0);
}

#[tokio::test]
async fn a_clients_time_out_is_a_cancellation() {
    let vitals = vitals();
    let server = Fixture::default();
    let permits = server.permits.clone();
    let client = connect(server.instrumented(&vitals)).await;
    let options = PeerRequestOptions::with_timeout(std::time::Duration::from_millis(1));
    let pending = client.send_cancellable_request(park_request(), options).await.unwrap();
    assert!(matches!(pending.await_response().await, Err(ServiceError::Timeout { .. })));
    client.list_all_tools().await.unwrap();
    permits.add_permits(1);
    until("recorded", || total(&vitals, "park", "execute", "cancelled") == 1.0).await;
    assert_eq!(total(&vitals, "park", "execute", "success"), 0.0);
}

#[tokio::test]
async fn a_panic_is_counted_though_nobody_is_answered() {
    let vitals = vitals();
    let client = connect(Fixture::default().instrumented(&vitals)).await;
    let boom = ClientRequest::CallToolRequest(Request::new(call("boom", json!({}))));
    let options = PeerRequestOptions::no_options();
    let mut never = client.send_cancellable_request(boom, options).await.unwrap();
    until("counted", || value(&vitals, "mcp_panics_total", &[("tool", "boom")]) == 1.0).await;
    assert_eq!(total(&vitals, "boom", "execute", "error"), 1.0);
    assert_eq!(errors(&vitals, "boom", "execute", "panic"), 1.0);
    assert_eq!(in_flight(&vitals, "boom"), 0.0);
    // The server lives on, and still owes the first answer: as it does without the wrapper.
    for _ in 0..10 {
        client.call_tool(call("add", json!({"a": 1, "b": 1}))).await.unwrap();
    }
    assert!(never.rx.try_recv().is_err());
}

#[tokio::test]
async fn a_panic_is_answered_where_that_was_asked_for() {
    let vitals = vitals();
    let client = connect(Fixture::default().instrumented(&vitals).answer_panics(true)).await;
    let answer = client.call_tool(call("boom", json!({}))).await;
    match answer {
        Err(ServiceError::McpError(error)) => {
            assert_eq!(error.code, ErrorCode::INTERNAL_ERROR);
            assert!(!error.message.contains("expected by the test"), "{}", error.message);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(value(&vitals, "mcp_panics_total", &[("tool", "boom")]), 1.0);
    assert_eq!(errors(&vitals, "boom", "execute", "panic"), 1.0);
    assert_eq!(errors(&vitals, "boom", "execute", "internal"), 0.0);
    assert_eq!(in_flight(&vitals, "boom"), 0.0);
    client.call_tool(call("add", json!({"a": 1, "b": 1}))).await.unwrap();
}

#[test]
fn what_the_runtimes_shutdown_drops_is_cancelled() {
    let vitals = vitals();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = connect(Fixture::default().instrumented(&vitals)).await;
        let options = PeerRequestOptions::no_options();
        let _pending = client.send_cancellable_request(park_request(), options).await.unwrap();
        until("the tool runs", || in_flight(&vitals, "park") == 1.0).await;
        std::mem::forget(client); // else its drop would close the connection in good order
    });
    drop(runtime);
    assert_eq!(in_flight(&vitals, "park"), 0.0);
    assert_eq!(total(&vitals, "park", "execute", "cancelled"), 1.0);
    assert_eq!(value(&vitals, "mcp_sessions_active", &[]), 0.0);
}

#[tokio::test]
async fn the_protocol_without_initialize_is_counted_too() {
    let vitals = vitals();
    let mut raw = Raw::connect(Fixture::default().instrumented(&vitals));
    let discovered = raw.ask(1, "server/discover", json!({"_meta": meta()})).await;
    assert!(discovered.contains("\"result\""), "{discovered}");
    let sum = json!({"name": "add", "arguments": {"a": 2, "b": 2}, "_meta": meta()});
    assert!(raw.ask(2, "tools/call", sum).await.contains("\"4\""));
    let none = json!({"uri": "file:///nosuch", "_meta": meta()});
    assert!(raw.ask(3, "resources/read", none).await.contains("-32602"));
    assert_eq!(total(&vitals, "server", "discover", "success"), 1.0);
    assert_eq!(total(&vitals, "add", "execute", "success"), 1.0);
    // What the handler said, before the SDK rewrote the code for this version.
    assert_eq!(errors(&vitals, "resources", "read", "client_resource_not_found"), 1.0);
    assert_eq!(value(&vitals, "mcp_sessions_total", &[]), 0.0);
}

#[tokio::test]
async fn a_session_is_open_from_initialize_to_the_end_of_its_connection() {
    let vitals = vitals();
    let active = || value(&vitals, "mcp_sessions_active", &[]);
    let first = connect(Fixture::default().instrumented(&vitals)).await;
    let second = connect(Fixture::default().instrumented(&vitals)).await;
    assert_eq!((active(), value(&vitals, "mcp_sessions_total", &[])), (2.0, 2.0));
    first.cancel().await.unwrap();
    until("the first is closed", || active() == 1.0).await;
    second.cancel().await.unwrap();
    until("both are closed", || active() == 0.0).await;
    drop(Fixture::default().instrumented(&vitals));
    assert_eq!((active(), value(&vitals, "mcp_sessions_total", &[])), (0.0, 2.0));
}

#[tokio::test]
async fn the_service_wrapper_counts_alike_and_sees_what_the_dispatcher_refuses() {
    let vitals = vitals();
    let mut raw = Raw::connect(Fixture::default().instrumented_service(&vitals));
    raw.initialize().await;
    raw.ask(1, "tools/list", json!({})).await;
    raw.ask(2, "tools/call", json!({"name": "add", "arguments": {"a": 2, "b": 2}})).await;
    raw.ask(3, "tools/call", json!({"name": "fail"})).await;
    raw.ask(4, "tools/call", json!({"name": "nosuch"})).await;
    // Refused by the dispatcher before a handler is asked.
    let refused = raw.ask(5, "tasks/get", json!({"taskId": "1"})).await;
    assert!(refused.contains("-32601"), "{refused}");
    assert_eq!(total(&vitals, "add", "execute", "success"), 1.0);
    assert_eq!(errors(&vitals, "fail", "execute", "tool_error"), 1.0);
    assert_eq!(errors(&vitals, "_other", "execute", "client_invalid_params"), 1.0);
    assert_eq!(errors(&vitals, "tasks", "get", "client_method_not_found"), 1.0);
    assert_eq!(value(&vitals, "mcp_sessions_active", &[]), 1.0);
    drop(raw);
    until("closed", || value(&vitals, "mcp_sessions_active", &[]) == 0.0).await;
}

#[tokio::test]
async fn a_disabled_engine_serves_and_counts_nothing() {
    let vitals = Vitals::disabled();
    let client = connect(Fixture::default().instrumented(&vitals)).await;
    client.list_all_tools().await.unwrap();
    client.call_tool(call("add", json!({"a": 1, "b": 1}))).await.unwrap();
    assert_eq!(error_code(client.call_tool(call("broken", json!({}))).await), -32603);
    assert_eq!(vitals.snapshot().value("mcp_sessions_total", &[]).unwrap_or(0.0), 0.0);
}
