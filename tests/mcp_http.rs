//! Streamable HTTP: with sessions, without them, and without a handshake. What the client sent is
//! what the counters hold, though the SDK makes a server for each session or request.
#![cfg(feature = "rmcp")]

mod mcp_fixture;

use std::sync::Arc;

use mcp_fixture::*;
use mcp_vitals::{InstrumentExt, Vitals};
use rmcp::model::{ProtocolVersion, ReadResourceRequestParams};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ClientLifecycleMode, ClientServiceExt, ServiceExt};
use serde_json::json;

/// Serves the fixture on a free port; its URL.
async fn serve(vitals: &Vitals, with: StreamableHttpServerConfig) -> String {
    let vitals = vitals.clone();
    let service = StreamableHttpService::new(
        move || Ok(Fixture::default().instrumented(&vitals)),
        Arc::new(LocalSessionManager::default()),
        with,
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().nest_service("/mcp", service);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/mcp")
}

async fn drive(client: &RunningService<RoleClient, ()>) {
    for n in 0..25 {
        let sum = client.call_tool(call("add", json!({"a": n, "b": n}))).await.unwrap();
        assert_eq!(sum.content[0].as_text().unwrap().text, (2 * n).to_string());
    }
    for _ in 0..5 {
        client.call_tool(call("fail", json!({}))).await.unwrap();
        client.call_tool(call("broken", json!({}))).await.unwrap_err();
        client.call_tool(call("nosuch", json!({}))).await.unwrap_err();
        client.read_resource(ReadResourceRequestParams::new("file:///x")).await.unwrap_err();
    }
    client.list_all_tools().await.unwrap();
}

fn check(vitals: &Vitals, clients: f64) {
    assert_eq!(total(vitals, "add", "execute", "success"), 25.0 * clients);
    assert_eq!(errors(vitals, "fail", "execute", "tool_error"), 5.0 * clients);
    assert_eq!(errors(vitals, "broken", "execute", "internal"), 5.0 * clients);
    assert_eq!(total(vitals, "_other", "execute", "error"), 5.0 * clients);
    assert_eq!(errors(vitals, "resources", "read", "client_resource_not_found"), 5.0 * clients);
    assert_eq!(total(vitals, "tools", "list", "success"), clients);
    assert_eq!(timed(vitals, "add", "execute"), 25.0 * clients);
    for tool in ["add", "fail", "broken", "_other", "resources", "tools"] {
        assert_eq!(in_flight(vitals, tool), 0.0, "{tool}");
    }
}

#[tokio::test]
async fn with_sessions() {
    let vitals = vitals();
    let url = serve(&vitals, Default::default()).await;
    let active = || value(&vitals, "mcp_sessions_active", &[]);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let transport = StreamableHttpClientTransport::from_uri(url.as_str());
        let client = ().serve(transport).await.unwrap();
        drive(&client).await;
        clients.push(client);
    }
    check(&vitals, 3.0);
    assert_eq!(total(&vitals, "server", "initialize", "success"), 3.0);
    assert_eq!((active(), value(&vitals, "mcp_sessions_total", &[])), (3.0, 3.0));
    for client in clients {
        client.cancel().await.unwrap();
    }
    until("the sessions are closed", || active() == 0.0).await;
}

#[tokio::test]
async fn without_sessions() {
    for json_response in [false, true] {
        let vitals = vitals();
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(json_response);
        let url = serve(&vitals, config).await;
        let transport = StreamableHttpClientTransport::from_uri(url.as_str());
        let client = ().serve(transport).await.unwrap();
        drive(&client).await;
        check(&vitals, 1.0);
        until("nothing is open", || value(&vitals, "mcp_sessions_active", &[]) == 0.0).await;
    }
}

#[tokio::test]
async fn without_a_handshake() {
    let vitals = vitals();
    let url = serve(&vitals, Default::default()).await;
    let transport = StreamableHttpClientTransport::from_uri(url.as_str());
    let mode =
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    let client = ().serve_with_lifecycle(transport, mode).await.unwrap();
    drive(&client).await;
    check(&vitals, 1.0);
    assert_eq!(total(&vitals, "server", "discover", "success"), 1.0);
    assert_eq!(value(&vitals, "mcp_sessions_total", &[]), 0.0);
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_its_request() {
    let vitals = vitals();
    let config = StreamableHttpServerConfig::default().with_legacy_session_mode(false);
    let url = serve(&vitals, config).await;
    let transport = StreamableHttpClientTransport::from_uri(url.as_str());
    let mode =
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    let client = ().serve_with_lifecycle(transport, mode).await.unwrap();
    let peer = client.peer().clone();
    let call = tokio::spawn(async move { peer.call_tool(call("withdrawn", json!({}))).await });
    until("the tool runs", || in_flight(&vitals, "withdrawn") == 1.0).await;
    call.abort();
    client.cancel().await.unwrap();
    until("the handler ended", || in_flight(&vitals, "withdrawn") == 0.0).await;
    assert_eq!(total(&vitals, "withdrawn", "execute", "cancelled"), 1.0);
}
