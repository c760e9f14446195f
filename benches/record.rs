//! What a record costs its caller: by handle, by label, by name, on one thread and on two.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use mcp_vitals::traces::{Parent, SpanId, TraceId};
use mcp_vitals::{Desc, SpanContext, Vitals};

fn engine() -> Vitals {
    Vitals::builder().system_metrics(false).build().expect("the defaults are within their ranges")
}

fn by_handle(c: &mut Criterion) {
    let vitals = engine();
    let counter = vitals.counter("bench_total", "Bench.").expect("a free name");
    let gauge = vitals.gauge("bench_reading", "Bench.").expect("a free name");
    let updown = vitals.updown("bench_level", "Bench.").expect("a free name");
    let histogram = vitals.histogram("bench_seconds", "Bench.").expect("a free name");
    let mut group = c.benchmark_group("by_handle");
    group.bench_function("counter", |b| b.iter(|| black_box(&counter).inc()));
    group.bench_function("gauge_set", |b| b.iter(|| black_box(&gauge).set(black_box(1.5))));
    group.bench_function("updown_inc_dec", |b| {
        b.iter(|| {
            black_box(&updown).inc();
            black_box(&updown).dec();
        });
    });
    let mut nanos = 0u64;
    group.bench_function("histogram", |b| {
        b.iter(|| {
            // Three decades, so that no octave is always the next.
            nanos = nanos.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            black_box(&histogram).record_nanos(200_000 << (nanos >> 60 & 7));
        });
    });
    group.bench_function("histogram_in_a_span", |b| {
        let vitals = Vitals::builder().system_metrics(false).exemplars(true).build();
        let vitals = vitals.expect("the defaults are within their ranges");
        let histogram = vitals.histogram("bench_seconds", "Bench.").expect("a free name");
        let ids = (TraceId::from_bytes([7; 16]), SpanId::from_bytes([7; 8]));
        let (Some(trace), Some(span)) = ids else { return };
        let _current = Parent::from(SpanContext::new(trace, span, true)).enter();
        let mut nanos = 0u64;
        b.iter(|| {
            nanos = nanos.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            black_box(&histogram).record_nanos(200_000 << (nanos >> 60 & 7));
        });
    });
    group.bench_function("timer", |b| b.iter(|| black_box(&histogram).start_timer().stop()));
    group.bench_function("two_instants", |b| b.iter(|| black_box(Instant::now()).elapsed()));
    group.bench_function("one_instant", |b| b.iter(Instant::now));
    // At the highest n nearly all are passed over.
    for n in [64, 65_536] {
        vitals.set_sampling("bench_seconds", n).expect("a histogram, and n in its range");
        group.bench_function(format!("histogram_1_in_{n}"), |b| {
            b.iter(|| black_box(&histogram).record_nanos(black_box(1_000_000)));
        });
        group.bench_function(format!("timer_1_in_{n}"), |b| {
            b.iter(|| black_box(&histogram).start_timer().stop());
        });
    }
    group.finish();
}

fn by_label(c: &mut Criterion) {
    let vitals = engine();
    let desc = Desc::counter("bench_total", "Bench.").labels(["tool", "operation", "status"]);
    let family = vitals.register(desc).expect("a free name");
    let tools: Vec<String> = (0..64).map(|tool| format!("tool_{tool}")).collect();
    let metric = vitals.metric("bench_total").expect("it was just registered");
    let mut turn = 0;
    let mut next = || {
        turn = (turn + 1) % tools.len();
        tools[turn].as_str()
    };
    let mut group = c.benchmark_group("by_label_64_sets");
    group.bench_function("with", |b| {
        b.iter(|| family.with([next(), "execute", "success"]).inc());
    });
    group.bench_function("by_name", |b| {
        b.iter(|| {
            metric.inc(&[("tool", next()), ("operation", "execute"), ("status", "success")]);
        });
    });
    group.finish();
}

/// Enums as labels, beside the handle that they come to: said in the code, and known when it runs.
#[cfg(feature = "macros")]
fn by_type(c: &mut Criterion) {
    use mcp_vitals::{Counter, Labels, Typed};

    #[derive(Clone, Copy, Labels)]
    enum Operation {
        Read,
        Write,
        List,
    }
    #[derive(Clone, Copy, Labels)]
    enum Status {
        Success,
        Error,
        Cancelled,
    }
    #[derive(Clone, Copy, Labels)]
    struct Call {
        operation: Operation,
        status: Status,
    }
    let vitals = engine();
    let calls: Typed<Counter, Call> =
        vitals.register_typed(Desc::counter("bench_total", "Bench.")).expect("a free name");
    let call = |operation, status| Call { operation, status };
    let sets = [
        call(Operation::List, Status::Success),
        call(Operation::Read, Status::Error),
        call(Operation::Write, Status::Cancelled),
        call(Operation::Read, Status::Success),
    ];
    let handles = sets.map(|set| calls.with(set).clone());
    let mut group = c.benchmark_group("by_type");
    group.bench_function("handle", |b| b.iter(|| black_box(&handles[0]).inc()));
    group.bench_function("said_in_the_code", |b| {
        b.iter(|| black_box(&calls).with(call(Operation::List, Status::Success)).inc());
    });
    let mut turn = 0;
    group.bench_function("handle_of_four", |b| {
        b.iter(|| {
            turn = (turn + 1) % 4;
            black_box(&handles)[turn].inc();
        });
    });
    group.bench_function("one_of_four", |b| {
        b.iter(|| {
            turn = (turn + 1) % 4;
            black_box(&calls).with(black_box(&sets)[turn]).inc();
        });
    });
    group.finish();
}

fn two_threads(c: &mut Criterion) {
    let vitals = engine();
    let counter = vitals.counter("bench_total", "Bench.").expect("a free name");
    let histogram = vitals.histogram("bench_seconds", "Bench.").expect("a free name");
    let mut group = c.benchmark_group("two_threads_one_series");
    group.bench_function("counter", |b| b.iter_custom(|n| both(n, || black_box(&counter).inc())));
    group.bench_function("histogram", |b| {
        b.iter_custom(|n| both(n, || black_box(&histogram).record_nanos(black_box(1_000_000))));
    });
    group.finish();
}

/// What `calls` take on each of two threads that begin together; the slower one's time.
fn both(calls: u64, call: impl Fn() + Sync) -> Duration {
    let start = Barrier::new(2);
    let run = || {
        start.wait();
        let started = Instant::now();
        (0..calls).for_each(|_| call());
        started.elapsed()
    };
    thread::scope(|scope| {
        let other = scope.spawn(run);
        let mine = run();
        mine.max(other.join().unwrap_or_default())
    })
}

#[cfg(not(feature = "macros"))]
fn by_type(_: &mut Criterion) {}

criterion_group!(benches, by_handle, by_label, by_type, two_threads);
criterion_main!(benches);
