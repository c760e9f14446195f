//! The server on stdin and stdout, as a host starts it.

use mcp_vitals::{InstrumentExt, Vitals};
use rmcp::ServiceExt;
use rmcp::transport::stdio;

use super::server::Demo;

/// Serves until stdin closes.
pub(super) async fn serve(demo: Demo, vitals: &Vitals) -> Result<(), String> {
    let server = demo.instrumented(vitals).answer_panics(true);
    let running = server.serve(stdio()).await.map_err(|error| format!("stdin: {error}"))?;
    running.waiting().await.map(drop).map_err(|error| format!("stdin: {error}"))
}
