//! An MCP server whose requests are traced, and which calls another service: one trace goes through
//! all three. Its spans are in a file that `mcp-vitals analyze` reads.
//!
//! `traced_server TRACE_FILE [ADDRESS]`; over streamable HTTP at ADDRESS, else on stdio.

use std::sync::Arc;
use std::time::Duration;

use mcp_vitals::logs::LogFile;
use mcp_vitals::traces::{InSpan, Parent, SpanKind, TraceConfig};
use mcp_vitals::{InstrumentExt, Tracer, Vitals};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServiceExt, tool, tool_router};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Fetch {
    url: String,
}

#[derive(Clone)]
struct Demo {
    tracer: Tracer,
    client: reqwest::Client,
}

#[tool_router(server_handler)]
impl Demo {
    #[tool(description = "Fetches a document over plain HTTP")]
    async fn fetch(&self, Parameters(Fetch { url }): Parameters<Fetch>) -> Result<String, String> {
        // Below the request's span, which is current here.
        let mut span = self.tracer.span("fetch_document");
        if let Some(tenant) =
            Parent::current().and_then(|it| it.baggage().get("tenant").map(String::from))
        {
            span.set_attribute("tenant", tenant);
        }
        async { self.get(&url).await.map_err(|error| error.to_string()) }.in_span(span).await
    }
}

impl Demo {
    async fn get(&self, url: &str) -> Result<String, reqwest::Error> {
        let mut span = self.tracer.span("GET");
        span.set_kind(SpanKind::Client);
        span.set_attribute("url.full", url);
        let mut request = self.client.get(url).build()?;
        span.inject(request.headers_mut());
        let answer =
            self.client.execute(request).await.inspect_err(|error| span.record_error(error))?;
        span.set_attribute("http.response.status_code", answer.status().as_u16());
        answer.text().await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).unwrap_or("traces.jsonl".to_owned());
    let traces = TraceConfig::to_memory().file(LogFile::new(file));
    let vitals =
        Vitals::builder().service("traced-server", "1.0.0").traces(traces).build_or_disabled();
    let demo = Demo { tracer: vitals.tracer("demo"), client: reqwest::Client::new() };
    let Some(address) = std::env::args().nth(2) else {
        demo.instrumented(&vitals).serve(rmcp::transport::stdio()).await?.waiting().await?;
        vitals.shutdown(Duration::from_secs(2));
        return Ok(());
    };
    let measured = vitals.clone();
    let service = StreamableHttpService::new(
        move || Ok(demo.clone().instrumented(&measured)),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let listener = tokio::net::TcpListener::bind(address).await?;
    eprintln!("mcp: http://{}/mcp", listener.local_addr()?);
    let router = axum::Router::new().nest_service("/mcp", service);
    tokio::select! {
        served = axum::serve(listener, router) => served?,
        _ = tokio::signal::ctrl_c() => {}
    }
    vitals.shutdown(Duration::from_secs(2));
    Ok(())
}
