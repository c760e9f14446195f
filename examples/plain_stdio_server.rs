//! A small MCP server on stdio, not measured. `stdio_server.rs` is the same server, measured:
//! `docs/INTEGRATE.md` shows the difference, and a test holds the three to each other.

use std::time::Duration;

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
    Demo.serve(stdio()).await?.waiting().await?;
    Ok(())
}
