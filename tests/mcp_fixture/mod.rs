//! A small MCP server with a tool for every outcome, and ways to talk to it.

#![allow(dead_code)] // each test file uses its own part

use std::sync::Arc;
use std::time::{Duration, Instant};

use mcp_vitals::Vitals;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::*;
use rmcp::service::{RequestContext, RoleClient, RoleServer, RunningService};
use rmcp::{ErrorData, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::Semaphore;

/// The arguments of `add`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
pub struct Add {
    a: i64,
    b: i64,
}

/// The server. `park` waits until the test adds a permit.
#[derive(Clone)]
pub struct Fixture {
    pub permits: Arc<Semaphore>,
}

impl Default for Fixture {
    fn default() -> Self {
        Fixture { permits: Arc::new(Semaphore::new(0)) }
    }
}

#[tool_router]
impl Fixture {
    #[tool(description = "Adds")]
    fn add(&self, Parameters(Add { a, b }): Parameters<Add>) -> String {
        (a + b).to_string()
    }

    #[tool(description = "Answers isError")]
    fn fail(&self) -> Result<CallToolResult, ErrorData> {
        Ok(CallToolResult::error(vec![ContentBlock::text("no")]))
    }

    #[tool(description = "Answers -32603")]
    fn broken(&self) -> Result<CallToolResult, ErrorData> {
        Err(ErrorData::internal_error("broken", None))
    }

    #[tool(description = "Panics")]
    fn boom(&self) -> String {
        panic!("expected by the test");
    }

    #[tool(description = "Waits for a permit")]
    async fn park(&self) -> String {
        self.permits.acquire().await.expect("never closed").forget();
        "done".to_owned()
    }

    #[tool(description = "Waits until the client withdraws the request")]
    async fn withdrawn(&self, context: RequestContext<RoleServer>) -> String {
        context.ct.cancelled().await;
        "nobody reads this".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources();
        ServerConfig::new(capabilities.build())
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name == "greet" {
            return Ok(GetPromptResult::new(vec![]).into());
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "no such prompt", None))
    }

    async fn read_resource(
        &self,
        _request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Err(ErrorData::resource_not_found("no such resource", None))
    }
}

/// An engine that listens nowhere and reads no system.
pub fn vitals() -> Vitals {
    Vitals::builder().build().expect("the default settings are right")
}

/// A client of `server` over an in-memory pipe.
pub async fn connect<S: rmcp::Service<RoleServer>>(server: S) -> RunningService<RoleClient, ()> {
    let (here, there) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        if let Ok(running) = server.serve(there).await {
            let _ = running.waiting().await;
        }
    });
    ().serve(here).await.expect("initialize")
}

/// A tool call's parameters.
pub fn call(tool: &str, arguments: Value) -> CallToolRequestParams {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments)
}

/// Waits until `condition` holds, a minute at most.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The value of a series; not a number where there is none.
pub fn value(vitals: &Vitals, name: &str, labels: &[(&str, &str)]) -> f64 {
    vitals.snapshot().value(name, labels).unwrap_or(f64::NAN)
}

/// `mcp_requests_total` of one series.
pub fn total(vitals: &Vitals, tool: &str, operation: &str, status: &str) -> f64 {
    let labels = [("tool", tool), ("operation", operation), ("status", status)];
    value(vitals, "mcp_requests_total", &labels)
}

/// `mcp_request_errors_total` of one series.
pub fn errors(vitals: &Vitals, tool: &str, operation: &str, error_type: &str) -> f64 {
    let labels = [("tool", tool), ("operation", operation), ("error_type", error_type)];
    value(vitals, "mcp_request_errors_total", &labels)
}

/// How many durations the histogram holds for one series.
pub fn timed(vitals: &Vitals, tool: &str, operation: &str) -> f64 {
    let labels = [("tool", tool), ("operation", operation)];
    value(vitals, "mcp_request_duration_seconds", &labels)
}

/// `mcp_requests_in_flight` of one tool.
pub fn in_flight(vitals: &Vitals, tool: &str) -> f64 {
    value(vitals, "mcp_requests_in_flight", &[("tool", tool)])
}

/// A client that sends and reads raw lines, so that a test sees exactly what goes over the wire.
pub struct Raw {
    reader: BufReader<tokio::io::ReadHalf<DuplexStream>>,
    writer: tokio::io::WriteHalf<DuplexStream>,
}

impl Raw {
    /// A raw connection to `server`, nothing sent yet.
    pub fn connect<S: rmcp::Service<RoleServer>>(server: S) -> Raw {
        let (here, there) = tokio::io::duplex(1 << 20);
        tokio::spawn(async move {
            if let Ok(running) = server.serve(there).await {
                let _ = running.waiting().await;
            }
        });
        let (reader, writer) = tokio::io::split(here);
        Raw { reader: BufReader::new(reader), writer }
    }

    /// Sends one message.
    pub async fn send(&mut self, message: &Value) {
        let mut line = message.to_string();
        line.push('\n');
        self.writer.write_all(line.as_bytes()).await.expect("the server reads");
    }

    /// Reads one message, as the line that it is.
    pub async fn receive(&mut self) -> String {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line);
        let bytes = tokio::time::timeout(Duration::from_secs(60), read).await;
        assert!(bytes.expect("an answer in time").expect("a line") > 0, "the server hung up");
        line
    }

    /// Sends a request and reads what comes back.
    pub async fn ask(&mut self, id: u64, method: &str, params: Value) -> String {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        self.receive().await
    }

    /// The handshake of the protocol versions that have one.
    pub async fn initialize(&mut self) -> String {
        let answer = self.initialize_only().await;
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        answer
    }

    /// The first half of the handshake.
    pub async fn initialize_only(&mut self) -> String {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "raw", "version": "1"},
        });
        self.ask(0, "initialize", params).await
    }
}

/// The `_meta` that every request of protocol version 2026-07-28 carries.
pub fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}
