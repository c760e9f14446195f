//! What the attribute macros cost: nothing on the heap once warm, and nothing at all where there is
//! no engine. In a process of its own, whose engine is installed half-way.
#![cfg(feature = "macros")]

mod heap;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use mcp_vitals::logs::LogConfig;
use mcp_vitals::traces::TraceConfig;
use mcp_vitals::{
    Error, Level, Vitals, log_operation, trace_mcp_tool, traced, track_request_metrics,
};

#[track_request_metrics(tool = "t", operation = "o")]
#[trace_mcp_tool(tool = "t", operation = "o")]
#[log_operation(tool = "t", operation = "o")]
#[traced(fields(n, text = "some text", twice = %n))]
fn sync(n: u32) -> Result<u32, std::num::ParseIntError> {
    if n % 2 == 1 { "x".parse() } else { Ok(n) }
}

#[track_request_metrics(tool = "t", operation = "later")]
#[trace_mcp_tool(tool = "t", operation = "later")]
#[log_operation(tool = "t", operation = "later")]
#[traced(fields(n))]
async fn later(n: u32) -> Result<u32, std::num::ParseIntError> {
    let mut polled = false;
    std::future::poll_fn(|_| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
    sync(n)
}

/// What goes well, and what is dropped. (A span's event of an error may grow its buffer.)
fn round() {
    for n in [0, 2] {
        let _ = std::hint::black_box(sync(n));
        let mut future = pin!(later(n));
        let mut cx = Context::from_waker(Waker::noop());
        while future.as_mut().poll(&mut cx).is_pending() {}
        // One that is dropped half-way.
        assert!(pin!(later(n)).poll(&mut cx).is_pending());
    }
}

#[test]
fn nothing_is_allocated_without_an_engine_nor_with_a_warm_one() {
    assert_eq!(heap::taken_by(|| drop(Box::new(1))), 1);
    assert_eq!(heap::taken_by(round), 0);

    Vitals::disabled().install().unwrap();
    assert!(mcp_vitals::global().is_disabled());
    let vitals = Vitals::builder()
        .system_metrics(false)
        .logs(LogConfig::to_memory().level(Level::Trace))
        .traces(TraceConfig::to_memory())
        .build()
        .unwrap();
    vitals.install().unwrap();
    let other = Vitals::builder().system_metrics(false).build().unwrap();
    assert!(matches!(other.install(), Err(Error::Installed)));
    for again in [&other, &vitals, &other] {
        assert!(matches!(again.install(), Err(Error::Installed)));
    }

    // Durations fall into other octaves now and then, each of which is allocated at its first touch.
    (0..200).for_each(|_| round());
    let fewest = (0..200).map(|_| heap::taken_by(round)).min();
    assert_eq!(fewest, Some(0));
    let counted = vitals.snapshot().sum("mcp_requests_total", &[]);
    // Each round is two direct calls, two futures that call it, and two that are dropped.
    assert_eq!(counted, 400.0 * 8.0);

    // It ends with its handles, and the macros go on with nothing.
    drop(vitals);
    assert!(mcp_vitals::global().is_disabled());
    round();
    assert!(matches!(other.install(), Err(Error::Installed)));
}
