//! The server on stdin and stdout, as a host starts it.

use mcp_vitals::{InstrumentExt, Vitals};
use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use rmcp::transport::stdio;

use super::server::Demo;

/// Serves until stdin closes.
pub(super) async fn serve(demo: Demo, vitals: &Vitals) -> Result<(), String> {
    let server = demo.instrumented(vitals).answer_panics(true);
    let running = match server.serve(stdio()).await {
        Ok(running) => running,
        // The host had nothing to say.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(format!("stdin: {error}")),
    };
    running.waiting().await.map(drop).map_err(|error| format!("stdin: {error}"))
}
