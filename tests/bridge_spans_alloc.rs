//! What spans of `tracing` ask of the heap as the engine's: one box each, which the registry wants for
//! what a layer keeps with a span. Entering, leaving, recording and events ask for nothing.

mod heap;

use std::hint::black_box;

use mcp_vitals::traces::{Sampler, TraceConfig};
use mcp_vitals::{TracingOptions, Vitals};
use tracing::field::Empty;
use tracing_subscriber::layer::SubscriberExt;

/// Calls of the allocator in a thousand rounds of `work`, warm.
fn asked(work: impl Fn()) -> u64 {
    (0..100).for_each(|_| work());
    let before = heap::taken();
    (0..1_000).for_each(|_| work());
    heap::taken() - before
}

fn engine(sampler: Sampler) -> Vitals {
    let traces = TraceConfig::to_memory().sampler(sampler);
    Vitals::builder().system_metrics(false).traces(traces).build().unwrap()
}

/// Spans, one within the other, made and entered; and what is done within one.
fn measure(name: &str, vitals: Option<&Vitals>) -> [u64; 2] {
    let options = TracingOptions::new().lines(false).code_location(true);
    let layer = vitals.map(|vitals| vitals.tracing_layer_with(options));
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let owned = String::from("owned");
        let spans = asked(|| {
            let outer = tracing::info_span!("outer", n = 1, text = owned, late = Empty).entered();
            tracing::info_span!("inner", shown = %owned).in_scope(|| black_box(&outer));
        });
        let span = tracing::info_span!("span", late = Empty);
        let within = asked(|| {
            span.in_scope(|| ());
        });
        println!("{name}: {spans} for 2,000 spans, {within} within one");
        [spans, within]
    })
}

fn main() {
    assert_eq!(asked(|| drop(black_box(Box::new(1)))), 1_000, "a window that sees nothing");
    let [none, _] = measure("registry alone", None);
    let sampled = engine(Sampler::Always);
    assert_eq!(measure("sampled", Some(&sampled)), [none + 2_000, 0]);
    let not_sampled = engine(Sampler::Never);
    assert_eq!(measure("not sampled", Some(&not_sampled)), [none + 2_000, 0]);
    // What a span says later has room in it, as long as it is not too much.
    let layer = sampled.tracing_layer_with(TracingOptions::new().lines(false));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let say = || {
            let span = tracing::info_span!("span", late = Empty, otel.name = Empty);
            span.record("late", 7);
            span.record("otel.name", "renamed");
            let _span = span.entered();
            tracing::error!(error = %"no room", n = 3);
        };
        assert_eq!(asked(say), 1_000);
    });
    sampled.with_captured_spans(|spans| assert!(!spans.is_empty()));
}
