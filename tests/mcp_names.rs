//! A client may invent as many tool names as it likes, over the wire: what becomes a label stays
//! bounded, and what the server has is known.
#![cfg(feature = "rmcp")]

mod mcp_fixture;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mcp_fixture::*;
use mcp_vitals::InstrumentExt;
use rmcp::model::*;
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler};
use serde_json::json;

/// A server whose tools change, and that counts how often it is asked about one.
#[derive(Clone, Default)]
struct Changing {
    asked: Arc<AtomicU32>,
    has_late: Arc<AtomicU32>,
}

impl ServerHandler for Changing {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let late = name == "late" && self.has_late.load(Ordering::Relaxed) > 0;
        let known = name == "early" || late;
        known.then(|| Tool::new(name.to_owned(), "a tool", Arc::new(JsonObject::new())))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match request.name.as_ref() {
            "panics_when_asked" => panic!("expected by the test"),
            _ => Ok(CallToolResult::success(vec![]).into()),
        }
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let names = ["early", "late"];
        let tools = names.map(|name| Tool::new(name, "a tool", Arc::new(JsonObject::new())));
        Ok(ListToolsResult::with_all_items(tools.to_vec()))
    }
}

fn tool_labels(vitals: &mcp_vitals::Vitals) -> Vec<String> {
    let text = vitals.export_prometheus();
    let mut labels: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("mcp_requests_in_flight{tool=\""))
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    labels.sort_unstable();
    labels
}

#[tokio::test]
async fn a_flood_over_the_wire_hides_no_known_tool_and_makes_no_label() {
    let vitals = vitals();
    let server = Changing::default();
    let asked = server.asked.clone();
    let client = connect(server.instrumented(&vitals)).await;
    client.call_tool(call("early", json!({}))).await.unwrap();
    let before = tool_labels(&vitals);
    assert!(before.contains(&"early".to_owned()), "{before:?}");
    for n in 0..2_000 {
        client.call_tool(call(&format!("invented_{n}"), json!({}))).await.unwrap();
    }
    client.call_tool(call("early", json!({}))).await.unwrap();
    assert_eq!(tool_labels(&vitals), before);
    assert_eq!(total(&vitals, "early", "execute", "success"), 2.0);
    assert_eq!(total(&vitals, "_other", "execute", "success"), 2_000.0);
    assert!(asked.load(Ordering::Relaxed) < 1_000, "{asked:?}");
}

#[tokio::test]
async fn a_tool_that_is_added_is_known_once_it_is_listed_or_announced() {
    let vitals = vitals();
    let server = Changing::default();
    let has_late = server.has_late.clone();
    let client = connect(server.clone().instrumented(&vitals)).await;
    client.call_tool(call("late", json!({}))).await.unwrap();
    assert_eq!(total(&vitals, "_other", "execute", "success"), 1.0);
    has_late.store(1, Ordering::Relaxed);
    vitals.mcp().tools_changed();
    client.call_tool(call("late", json!({}))).await.unwrap();
    assert_eq!(total(&vitals, "late", "execute", "success"), 1.0);

    let other = mcp_fixture::vitals();
    has_late.store(0, Ordering::Relaxed);
    let client = connect(server.instrumented(&other)).await;
    client.call_tool(call("late", json!({}))).await.unwrap();
    client.list_all_tools().await.unwrap();
    client.call_tool(call("late", json!({}))).await.unwrap();
    assert_eq!(total(&other, "late", "execute", "success"), 1.0);
    assert_eq!(total(&other, "_other", "execute", "success"), 1.0);
}

#[tokio::test]
async fn names_outlive_the_wrapper_that_learned_them() {
    let vitals = vitals();
    let server = Changing::default();
    let asked = server.asked.clone();
    for _ in 0..20 {
        let client = connect(server.clone().instrumented(&vitals)).await;
        client.call_tool(call("early", json!({}))).await.unwrap();
        client.cancel().await.unwrap();
    }
    assert_eq!(total(&vitals, "early", "execute", "success"), 20.0);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
