//! What a warm scrape costs, by how much changed since the last one.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mcp_vitals::traces::{Parent, SpanId, TraceId};
use mcp_vitals::{Counter, Desc, Format, Histogram, SpanContext, Vitals};

fn engine() -> Vitals {
    let builder = Vitals::builder().system_metrics(false);
    let builder = builder.series_limit(1_000_000).memory_limit(4 << 30);
    builder.build().expect("the limits are within their ranges")
}

fn counters(c: &mut Criterion) {
    let mut group = c.benchmark_group("counters");
    for series in [1_000, 10_000, 100_000] {
        let vitals = engine();
        let desc = Desc::counter("bench_total", "Bench.").labels(["tool", "operation", "status"]);
        let family = vitals.register(desc).expect("a free name");
        let handles: Vec<Counter> = (0..series)
            .map(|tool| family.with([&format!("tool_{tool}"), "execute", "success"]))
            .collect();
        handles.iter().for_each(|handle| handle.add(1_234));
        group.throughput(Throughput::Elements(series));
        // One in so many series is recorded into before each scrape, outside the clock.
        for (name, one_in) in [("unchanged", usize::MAX), ("one_percent", 100), ("all", 1)] {
            let mut out = Vec::new();
            group.bench_function(BenchmarkId::new(name, series), |b| {
                b.iter_batched_ref(
                    || handles.iter().step_by(one_in).for_each(Counter::inc),
                    |()| {
                        out.clear();
                        vitals.scrape_into(&mut out);
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

/// So many histograms of 300 observations over three decades each.
fn latencies(vitals: &Vitals, series: u64) {
    let desc = Desc::histogram("bench_seconds", "Bench.").labels(["tool", "operation"]);
    let family = vitals.register(desc).expect("a free name");
    for tool in 0..series {
        let histogram: Histogram = family.with([&format!("tool_{tool}"), "execute"]);
        (0..300u64).for_each(|n| histogram.record_nanos(200_000 + n * n * 2_000));
    }
}

fn histograms(c: &mut Criterion) {
    let mut group = c.benchmark_group("histograms");
    for series in [1_000, 10_000] {
        let vitals = engine();
        latencies(&vitals, series);
        let mut out = Vec::new();
        group.throughput(Throughput::Elements(series));
        group.bench_function(BenchmarkId::new("text", series), |b| {
            b.iter(|| {
                out.clear();
                vitals.scrape_into(&mut out);
            });
        });
    }
    group.finish();
}

/// In protobuf, of which nothing is kept: each label is written again, each cell looked at.
fn protobuf(c: &mut Criterion) {
    let mut group = c.benchmark_group("protobuf");
    group.throughput(Throughput::Elements(1_000));
    let mut scrape = |name: &str, vitals: &Vitals| {
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::new(name, 1_000), |b| {
            b.iter(|| {
                out.clear();
                vitals.scrape_as(Format::Protobuf, &mut out);
            });
        });
    };
    let vitals = engine();
    let desc = Desc::counter("bench_total", "Bench.").labels(["tool", "operation", "status"]);
    let family = vitals.register(desc).expect("a free name");
    for tool in 0..1_000 {
        family.with([&format!("tool_{tool}"), "execute", "success"]).add(1_234);
    }
    scrape("counters", &vitals);
    let vitals = engine();
    latencies(&vitals, 1_000);
    scrape("histograms", &vitals);
    group.finish();
}

/// The same as OpenMetrics, which has other heads; and with an exemplar in each bucket that has any.
fn openmetrics(c: &mut Criterion) {
    let mut group = c.benchmark_group("openmetrics");
    for (name, exemplars) in [("histograms", false), ("exemplars", true)] {
        let builder = Vitals::builder().system_metrics(false).exemplars(exemplars);
        let vitals = builder.build().expect("the limits are within their ranges");
        let ids = (TraceId::from_bytes([7; 16]), SpanId::from_bytes([7; 8]));
        let (Some(trace), Some(span)) = ids else { return };
        let _current = Parent::from(SpanContext::new(trace, span, true)).enter();
        latencies(&vitals, 1_000);
        let mut out = Vec::new();
        group.throughput(Throughput::Elements(1_000));
        group.bench_function(BenchmarkId::new(name, 1_000), |b| {
            b.iter(|| {
                out.clear();
                vitals.scrape_as(Format::OpenMetrics, &mut out);
            });
        });
    }
    let vitals = engine();
    let desc = Desc::counter("bench_total", "Bench.").labels(["tool", "operation", "status"]);
    let family = vitals.register(desc).expect("a free name");
    let handles: Vec<Counter> = (0..10_000)
        .map(|tool| family.with([&format!("tool_{tool}"), "execute", "success"]))
        .collect();
    let mut out = Vec::new();
    group.throughput(Throughput::Elements(10_000));
    group.bench_function(BenchmarkId::new("counters_all", 10_000), |b| {
        b.iter_batched_ref(
            || handles.iter().for_each(Counter::inc),
            |()| {
                out.clear();
                vitals.scrape_as(Format::OpenMetrics, &mut out);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// What asking adds to a scrape: nobody, callbacks of a nanosecond each, one wide collector.
fn asked(c: &mut Criterion) {
    let mut group = c.benchmark_group("asked");
    let mut scrape = |name: &str, asked: u64, vitals: &Vitals| {
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::new(name, asked), |b| {
            b.iter(|| {
                out.clear();
                vitals.scrape_into(&mut out);
            });
        });
    };
    for callbacks in [0, 1, 10, 100, 1_000] {
        let vitals = engine();
        for n in 0..callbacks {
            let desc = Desc::gauge("bench_depth", "Bench.").labels(["queue"]);
            let registered = vitals.callback_gauge(desc, [&format!("queue_{n}")], move || n as f64);
            registered.expect("a free name");
        }
        scrape("callbacks", callbacks, &vitals);
    }
    for samples in [1, 1_000] {
        let vitals = engine();
        let queues: Vec<String> = (0..samples).map(|n| format!("queue_{n}")).collect();
        let desc = Desc::gauge("bench_depth", "Bench.").labels(["queue"]);
        let registered = vitals.collector("bench", desc, move |out, depth| {
            queues.iter().for_each(|queue| out.set(depth, [queue], 1.0));
        });
        registered.expect("a free name");
        scrape("samples", samples, &vitals);
    }
    group.finish();
}

criterion_group!(benches, counters, histograms, protobuf, openmetrics, asked);
criterion_main!(benches);
