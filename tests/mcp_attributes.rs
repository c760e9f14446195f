//! The attribute macros on the tools of an instrumented `rmcp` server: its requests have the names
//! that the macros give, and are counted once.
#![cfg(all(feature = "rmcp", feature = "macros"))]

mod mcp_fixture;

use mcp_fixture::{call, connect, errors, in_flight, timed, total, until, value, vitals};
use mcp_vitals::{InstrumentExt, InstrumentServiceExt, Vitals, track_request_metrics};
use rmcp::model::*;
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Semaphore;

#[derive(Clone)]
struct Server {
    permits: Arc<Semaphore>,
}

#[tool_router]
impl Server {
    #[tool(description = "Above: the macro sees what `#[tool]` made of it")]
    #[track_request_metrics(tool = "swarm.init", operation = "execute")]
    async fn swarm_init(&self) -> String {
        self.permits.acquire().await.expect("never closed").forget();
        self.step().await;
        "done".into()
    }

    #[track_request_metrics(tool = "swarm.status", operation = "read")]
    #[tool(description = "Below: the macro sees the `async fn`")]
    async fn swarm_status(&self) -> Result<String, ErrorData> {
        tokio::task::yield_now().await;
        Err(ErrorData::internal_error("broken", None))
    }

    #[tool(description = "Not async")]
    #[track_request_metrics(tool = "swarm.boom", operation = "execute")]
    fn swarm_boom(&self) -> Result<CallToolResult, ErrorData> {
        panic!("expected by the test");
    }

    #[track_request_metrics(tool = "inner", operation = "step")]
    async fn step(&self) {}
}

#[tool_handler]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    #[track_request_metrics(tool = "catalogue", operation = "list")]
    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: rmcp::service::RequestContext<rmcp::service::RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::default())
    }
}

fn all(vitals: &Vitals) -> f64 {
    vitals.snapshot().sum("mcp_requests_total", &[])
}

/// One engine for all: it is the process's own, and the runtime's threads are several.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn requests_have_the_names_that_the_macros_give() {
    let vitals = vitals();
    vitals.install().unwrap();
    assert!(matches!(vitals.install(), Err(mcp_vitals::Error::Installed)));
    assert!(!mcp_vitals::global().is_disabled());
    let server = Server { permits: Arc::new(Semaphore::new(0)) };

    for by_service in [false, true] {
        let instrumented = server.clone().instrumented(&vitals).answer_panics(true);
        let client = match by_service {
            false => connect(instrumented).await,
            true => {
                let service = server.clone().instrumented_service(&vitals);
                connect(service.answer_panics(true)).await
            }
        };
        // So that a service knows its tools.
        client.list_tools(None).await.unwrap();
        let before = all(&vitals);
        let count = |tool, operation| total(&vitals, tool, operation, "success");
        let executed = count("swarm.init", "execute");
        let executed = if executed.is_nan() { 0.0 } else { executed };

        let mut waiting = Vec::new();
        for _ in 0..8 {
            let client = client.peer().clone();
            waiting.push(tokio::spawn(async move {
                client.call_tool(call("swarm_init", json!({}))).await.unwrap()
            }));
        }
        until("all are renamed", || in_flight(&vitals, "swarm.init") == 8.0).await;
        assert_eq!(in_flight(&vitals, "swarm_init"), 0.0);
        server.permits.add_permits(8);
        for call in waiting {
            call.await.unwrap();
        }
        // The answer is sent before the record ends.
        until("all have ended", || in_flight(&vitals, "swarm.init") == 0.0).await;
        assert_eq!(count("swarm.init", "execute"), executed + 8.0);
        assert_eq!(count("swarm_init", "execute"), 0.0);
        assert_eq!(timed(&vitals, "swarm.init", "execute"), executed + 8.0);
        assert_eq!(all(&vitals), before + 8.0);

        let round = f64::from(by_service) + 1.0;
        client.call_tool(call("swarm_status", json!({}))).await.unwrap_err();
        until("an error", || errors(&vitals, "swarm.status", "read", "internal") == round).await;
        client.call_tool(call("swarm_boom", json!({}))).await.unwrap_err();
        until("a panic", || errors(&vitals, "swarm.boom", "execute", "panic") == round).await;
        assert_eq!(value(&vitals, "mcp_panics_total", &[("tool", "swarm.boom")]), round);
        client.list_prompts(None).await.unwrap();
        until("a list", || count("catalogue", "list") == round).await;
        assert_eq!(all(&vitals), before + 11.0);

        // A name that no tool has is the client's, and stays `_other`.
        client.call_tool(call("swarm.init", json!({}))).await.unwrap_err();
        until("an unknown tool", || all(&vitals) == before + 12.0).await;
        assert_eq!(count("swarm.init", "execute"), executed + 8.0);
    }

    // Outside of a request it is counted as itself.
    server.step().await;
    assert_eq!(total(&vitals, "inner", "step", "success"), 1.0);
}
