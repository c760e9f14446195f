//! A warm request allocates nothing, and the `rmcp` wrapper nothing beyond the server inside it.
#![cfg(feature = "rmcp")]

mod heap;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use mcp_vitals::logs::{LogConfig, LogFilter};
use mcp_vitals::traces::TraceConfig;
use mcp_vitals::{InstrumentExt, Level, Outcome, Vitals};
use rmcp::model::*;
use rmcp::service::{Peer, RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler, ServiceExt};

#[derive(Clone)]
struct Bare;

impl ServerHandler for Bare {
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match request.name.as_ref() {
            "broken" => Err(ErrorData::internal_error("broken", None)),
            _ => Ok(CallToolResult::success(vec![]).into()),
        }
    }
}

fn vitals() -> Vitals {
    let vitals = Vitals::builder().build().unwrap();
    vitals.mcp().learn_tools(["tool", "broken"]);
    vitals
}

#[test]
fn the_counter_counts() {
    let boxes = heap::taken_by(|| {
        for n in 0..3 {
            std::hint::black_box(Box::new(n));
        }
    });
    assert_eq!(boxes, 3);
}

#[test]
fn a_warm_request_allocates_nothing() {
    let vitals = vitals();
    let round = || {
        for outcome in
            [Outcome::Ok, Outcome::ToolError, Outcome::Cancelled, Outcome::JsonRpc(-32602)]
        {
            vitals.request("tools/call").tool("tool").start().finish(outcome);
            vitals.request("tools/call").tool("not_known").start().finish(outcome);
            vitals.request("resources/read").start().finish(outcome);
            vitals.request("of/the/clients/own").start().finish(outcome);
        }
        drop(vitals.request("tools/list").start());
    };
    // Durations fall into other octaves now and then, each of which is allocated at its first touch.
    let warm = (0..200).filter(|_| heap::taken_by(round) == 0).count();
    assert!(warm >= 150, "only {warm} of 200 rounds without an allocation");
    assert_eq!((0..1_000).map(|_| heap::taken_by(round)).min(), Some(0));
}

async fn peer() -> Peer<RoleServer> {
    let (here, there) = tokio::io::duplex(1 << 16);
    let server = tokio::spawn(async move { Bare.serve(there).await.unwrap() });
    let client = ().serve(here).await.unwrap();
    let server = server.await.unwrap();
    let peer = server.peer().clone();
    std::mem::forget((client, server));
    peer
}

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the handlers here never wait"),
    }
}

/// The fewest allocations of many calls.
fn fewest<H: ServerHandler>(server: &H, tool: &'static str, peer: &Peer<RoleServer>) -> u64 {
    let calls = (0..200).map(|_| {
        let context = RequestContext::new(RequestId::Number(1), peer.clone());
        let request = CallToolRequestParams::new(tool);
        heap::taken_by(|| drop(ready(server.call_tool(request, context))))
    });
    calls.min().unwrap()
}

#[tokio::test]
async fn the_wrapper_allocates_nothing_of_its_own() {
    let peer = peer().await;
    let vitals = vitals();
    for tool in ["tool", "broken"] {
        let bare = fewest(&Bare, tool, &peer);
        assert_eq!(fewest(&Bare.instrumented(&vitals), tool, &peer), bare, "{tool}");
        let answering = Bare.instrumented(&vitals).answer_panics(true);
        assert_eq!(fewest(&answering, tool, &peer), bare, "{tool}");
    }
}

fn logging(filter: impl Into<LogFilter>) -> Vitals {
    let logs = LogConfig::to_memory().level(filter);
    let vitals = Vitals::builder().logs(logs).build().unwrap();
    vitals.mcp().learn_tools(["tool"]);
    vitals
}

#[tokio::test]
async fn logs_that_are_off_allocate_nothing_and_those_that_are_on_a_context() {
    let peer = peer().await;
    let bare = fewest(&Bare, "tool", &peer);
    let off = logging(LogFilter::off());
    assert_eq!(fewest(&Bare.instrumented(&off), "tool", &peer), bare);
    // The context, which the handler's future and both lines share, in three pieces, and what holds
    // it.
    for level in [Level::Error, Level::Debug] {
        let on = logging(level);
        let logged = fewest(&Bare.instrumented(&on), "tool", &peer) - bare;
        assert!(logged <= 4, "{logged} at {level}");
    }
}

#[test]
fn a_request_that_is_logged_in_the_threads_context_allocates_nothing() {
    let vitals = logging(Level::Debug);
    let round = || {
        vitals.request("tools/call").tool("tool").start().finish(Outcome::Ok);
        vitals.request("resources/read").start().finish(Outcome::JsonRpc(-32603));
    };
    assert_eq!((0..1_000).map(|_| heap::taken_by(round)).min(), Some(0));
}

fn tracing(config: TraceConfig) -> Vitals {
    let vitals = Vitals::builder().traces(config).build().unwrap();
    vitals.mcp().learn_tools(["tool"]);
    vitals
}

#[tokio::test]
async fn a_traced_request_allocates_nothing_and_one_with_a_tracestate_what_it_carries() {
    let peer = peer().await;
    let bare = fewest(&Bare, "tool", &peer);
    for config in [TraceConfig::to_memory(), TraceConfig::propagation_only()] {
        let vitals = tracing(config);
        assert_eq!(fewest(&Bare.instrumented(&vitals), "tool", &peer), bare);
    }
    let vitals = tracing(TraceConfig::to_memory());
    let server = Bare.instrumented(&vitals);
    let with = |key: &str, value: &str| {
        let calls = (0..200).map(|_| {
            let mut context = RequestContext::new(RequestId::Number(1), peer.clone());
            let parent = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
            context.meta.set_traceparent(parent);
            context.meta.0.0.insert(key.into(), value.into());
            let request = CallToolRequestParams::new("tool");
            heap::taken_by(|| drop(ready(server.call_tool(request, context))))
        });
        calls.min().unwrap()
    };
    assert_eq!(with("other", "1"), bare);
    // The text as it grows and as it stays, and what spans share of it.
    let carried = with("tracestate", "a=1,b=2") - bare;
    assert!((1..=4).contains(&carried), "{carried}");
}

#[test]
fn a_traced_request_of_another_edge_allocates_nothing() {
    let vitals = tracing(TraceConfig::to_memory());
    let headers = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01")];
    let round = || {
        let parent = vitals.extract(&headers);
        let request = vitals.request("tools/call").tool("tool").parent(parent).start();
        drop(request.enter());
        request.finish(Outcome::Ok);
        vitals.request("prompts/get").prompt("p").start().finish(Outcome::JsonRpc(-32603));
    };
    assert_eq!((0..1_000).map(|_| heap::taken_by(round)).min(), Some(0));
}
