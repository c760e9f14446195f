//! A client may invent as many tool names as it likes: what becomes a label stays bounded.
#![cfg(feature = "rmcp")]

mod mcp_fixture;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mcp_fixture::*;
use mcp_vitals::{InstrumentExt, Outcome};
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

#[test]
fn a_hundred_thousand_invented_names_are_one_label() {
    let vitals = vitals();
    vitals.mcp().learn_tools(["add"]);
    let before = tool_labels(&vitals);
    let asked = AtomicU32::new(0);
    let has = |name: &str| {
        asked.fetch_add(1, Ordering::Relaxed);
        name == "add"
    };
    for n in 0..100_000 {
        let name = format!("invented_{n}\"\n\\");
        let request = vitals.request("tools/call").tool(&name).known_by(&has).start();
        request.finish(Outcome::JsonRpc(-32602));
        if n % 1_000 == 0 {
            vitals.request("tools/call").tool("add").known_by(&has).start().finish(Outcome::Ok);
        }
    }
    assert_eq!(tool_labels(&vitals), before);
    assert_eq!(total(&vitals, "_other", "execute", "error"), 100_000.0);
    assert_eq!(total(&vitals, "add", "execute", "success"), 100.0);
    let reasons = ["unknown", "unchecked", "limit"]
        .map(|reason| value(&vitals, "mcp_vitals_unknown_tool_calls_total", &[("reason", reason)]));
    assert_eq!(reasons.iter().sum::<f64>(), 100_000.0, "{reasons:?}");
    // 64 at once, and four for each second that this took: not one for each name.
    assert!(asked.load(Ordering::Relaxed) < 10_000, "{asked:?}");
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
