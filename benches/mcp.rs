//! What an instrumented request costs beyond its handler: the core alone, and the `rmcp` wrapper
//! against the bare server. `cargo bench --features rmcp --bench mcp`.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mcp_vitals::traces::{Sampler, TraceConfig};
use mcp_vitals::{InstrumentExt, Outcome, Vitals};
use rmcp::model::*;
use rmcp::service::{Peer, RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler, ServiceExt};

/// A tool that does next to nothing: what is left is everybody's overhead.
#[derive(Clone)]
struct Bare;

impl ServerHandler for Bare {
    async fn call_tool(
        &self,
        _request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![]).into())
    }
}

/// A peer, which only a running server has.
fn peer(runtime: &tokio::runtime::Runtime) -> Peer<RoleServer> {
    runtime.block_on(async {
        let (here, there) = tokio::io::duplex(1 << 16);
        let server = tokio::spawn(async move { Bare.serve(there).await.expect("a server") });
        let client = ().serve(here).await.expect("a client");
        let server = server.await.expect("a server");
        let peer = server.peer().clone();
        // Both ends stay for as long as the bench runs.
        std::mem::forget((client, server));
        peer
    })
}

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the handlers here never wait"),
    }
}

/// Ways to trace. What is recorded goes nowhere, but for the flusher's own work.
fn ways() -> [(&'static str, TraceConfig); 3] {
    [
        ("traced", TraceConfig::to_memory()),
        ("not sampled", TraceConfig::to_memory().sampler(Sampler::Never)),
        ("passed on", TraceConfig::propagation_only()),
    ]
}

fn core(c: &mut Criterion) {
    let mut group = c.benchmark_group("core");
    let vitals = Vitals::builder().build().expect("the default settings are right");
    let names: Vec<String> = (0..50).map(|n| format!("tool_number_{n}")).collect();
    vitals.mcp().learn_tools(names.iter().map(String::as_str));
    let name = names[7].as_str();
    group.bench_function("two clock readings", |b| {
        let clock = quanta::Clock::new();
        b.iter(|| clock.delta_as_nanos(clock.raw(), black_box(clock.raw())));
    });
    group.bench_function("known tool", |b| {
        b.iter(|| vitals.request("tools/call").tool(black_box(name)).start().finish(Outcome::Ok));
    });
    group.bench_function("tool error", |b| {
        b.iter(|| {
            let request = vitals.request("tools/call").tool(black_box(name)).start();
            request.finish(Outcome::ToolError)
        });
    });
    group.bench_function("method", |b| {
        b.iter(|| vitals.request(black_box("resources/list")).start().finish(Outcome::Ok));
    });
    group.bench_function("unknown tool", |b| {
        let denied = |_: &str| false;
        b.iter(|| {
            let request = vitals.request("tools/call").tool(black_box("no_such_tool"));
            request.known_by(&denied).start().finish(Outcome::JsonRpc(-32602))
        });
    });
    for (what, config) in ways() {
        let vitals = Vitals::builder().traces(config).build().expect("the settings are right");
        vitals.mcp().learn_tools([name]);
        // What came decides.
        let flags = if what == "not sampled" { "00" } else { "01" };
        let came = format!("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-{flags}");
        let headers = [("traceparent", came)];
        group.bench_function(format!("known tool, {what}"), |b| {
            b.iter(|| {
                let parent = vitals.extract(black_box(&headers));
                let request = vitals.request("tools/call").tool(black_box(name)).parent(parent);
                request.start().finish(Outcome::Ok)
            });
        });
    }
    let off = Vitals::disabled();
    group.bench_function("disabled", |b| {
        b.iter(|| off.request("tools/call").tool(black_box(name)).start().finish(Outcome::Ok));
    });
    group.finish();
}

fn wrapper(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let peer = peer(&runtime);
    let vitals = Vitals::builder().build().expect("the default settings are right");
    vitals.mcp().learn_tools(["tool"]);
    let mut group = c.benchmark_group("call_tool");
    let make = || {
        let context = RequestContext::new(RequestId::Number(1), peer.clone());
        (CallToolRequestParams::new("tool"), context)
    };
    group.bench_function("bare", |b| {
        let server = Bare;
        b.iter_batched(
            make,
            |(request, context)| ready(server.call_tool(request, context)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("instrumented", |b| {
        let server = Bare.instrumented(&vitals);
        b.iter_batched(
            make,
            |(request, context)| ready(server.call_tool(request, context)),
            BatchSize::SmallInput,
        );
    });
    for (what, config) in ways() {
        let vitals = Vitals::builder().traces(config).build().expect("the settings are right");
        vitals.mcp().learn_tools(["tool"]);
        group.bench_function(format!("instrumented, {what}"), |b| {
            let server = Bare.instrumented(&vitals);
            b.iter_batched(
                make,
                |(request, context)| ready(server.call_tool(request, context)),
                BatchSize::SmallInput,
            );
        });
    }
    group.bench_function("instrumented, panics answered", |b| {
        let server = Bare.instrumented(&vitals).answer_panics(true);
        b.iter_batched(
            make,
            |(request, context)| ready(server.call_tool(request, context)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("disabled", |b| {
        let server = Bare.instrumented(&Vitals::disabled());
        b.iter_batched(
            make,
            |(request, context)| ready(server.call_tool(request, context)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
    runtime.shutdown_background();
}

criterion_group!(benches, core, wrapper);
criterion_main!(benches);
