//! A server's own code with everything on it: attribute macros, a request's context, nested spans, an
//! operation that is logged by hand, and an error's way through all of them.
//!
//! `cargo run --example integration --features macros` logs to stderr; stdout is the protocol's.

use std::time::{Duration, Instant};

use mcp_vitals::logs::{Context, InContext, LogConfig, exception};
use mcp_vitals::traces::TraceConfig;
use mcp_vitals::{
    Error, Logger, Outcome, Status, Vitals, error, info, log_operation, trace_mcp_tool, traced,
    track_request_metrics,
};

/// Starts a swarm: counted, timed, traced and logged, whatever becomes of it. The attribute on top is
/// the innermost: its lines are within the span of the last.
#[log_operation(tool = "swarm", operation = "init", logger = "swarm")]
#[track_request_metrics(tool = "swarm.init", operation = "execute")]
#[trace_mcp_tool(tool = "swarm", operation = "init")]
pub async fn init(topology: &str, agents: u32) -> Result<u32, NoSwarm> {
    if topology.is_empty() {
        return Err(NoSwarm { agents });
    }
    let stored = store(topology, agents);
    for agent in 0..agents {
        spawn(agent).await;
    }
    Ok(stored)
}

/// A span below the one of `init`, because it is called there.
#[traced(name = "database_query", kind = "client", fields(db.system.name = "sqlite", agents))]
fn store(topology: &str, agents: u32) -> u32 {
    topology.len() as u32 + agents
}

#[traced(fields(agent))]
async fn spawn(agent: u32) {
    std::future::ready(agent).await;
}

#[derive(Debug)]
/// Why a swarm could not be started.
pub struct NoSwarm {
    agents: u32,
}

impl std::fmt::Display for NoSwarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no topology for {} agents", self.agents)
    }
}

impl std::error::Error for NoSwarm {}

/// What a server does with one request, where no wrapper does it.
async fn handle(vitals: &Vitals, logger: &Logger, id: &str, topology: &str) {
    let context = Context::new().request_id(id).session_id("s-1").field("region", "eu-1");
    let request = vitals.request("tools/call").tool("swarm_init").context(context.clone());
    let mut request = request.start();
    let answer = request.scope(init(topology, 2).in_context(context)).await;
    request.finish(match answer {
        Ok(agents) => {
            info!(logger, "answered", agents);
            Outcome::Ok
        }
        Err(wrong) => {
            error!(logger, "refused", exception = exception(&wrong));
            Outcome::ToolError
        }
    });
}

/// All of it.
pub async fn run(vitals: &Vitals) {
    let logger = vitals.logger("server");
    vitals.mcp().learn_tools(["swarm_init"]);
    handle(vitals, &logger, "r-1", "mesh").await;
    handle(vitals, &logger, "r-2", "").await;

    // The same function outside of any request counts as itself.
    let _ = init("ring", 1).await;

    // Spans and operations without a macro.
    let tracer = vitals.tracer("server");
    let mut span = tracer.span("cleanup");
    span.set_attribute("swarms", 2);
    let started = Instant::now();
    {
        let _current = span.enter();
        drop(tracer.span("remove"));
        logger.log_mcp_operation("cleanup", "swarm", Status::Success, started.elapsed());
    }
}

#[allow(dead_code)] // the tests bring their own
fn main() -> Result<(), Error> {
    let vitals = Vitals::builder()
        .service("integration", "1.0.0")
        .logs(LogConfig::to_stderr())
        .traces(TraceConfig::to_memory())
        .build()?;
    vitals.install()?;
    let mut run = std::pin::pin!(run(&vitals));
    // No runtime: nothing here ever waits.
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    while run.as_mut().poll(&mut cx).is_pending() {}
    vitals.shutdown(Duration::from_secs(2));
    Ok(())
}
