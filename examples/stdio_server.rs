//! A small MCP server on stdio, measured: `plain_stdio_server.rs` and the five lines of
//! `docs/INTEGRATE.md`. Its metrics are in `mcp.prom`, in the folder that it was started in.

use std::time::Duration;

use mcp_vitals::{InstrumentExt, Vitals};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::transport::stdio;
use rmcp::{ServiceExt, tool, tool_router};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Clone)]
struct Demo;

#[tool_router(server_handler)]
impl Demo {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Add { a, b }): Parameters<Add>) -> String {
        (a + b).to_string()
    }

    #[tool(description = "Takes a moment")]
    async fn rest(&self) -> String {
        tokio::time::sleep(Duration::from_millis(20)).await;
        "rested".to_owned()
    }

    #[tool(description = "Fails whenever it is called")]
    fn fail(&self) -> Result<String, String> {
        Err("as it was asked to".to_owned())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let vitals = Vitals::builder().textfile("mcp.prom", Duration::from_secs(9)).build_or_disabled();
    Demo.instrumented(&vitals).serve(stdio()).await?.waiting().await?;
    vitals.shutdown(Duration::from_secs(2));
    Ok(())
}
