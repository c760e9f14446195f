//! An ordinary span allocates nothing once its threads are warm, wherever it ends.

mod heap;

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use mcp_vitals::traces::{Sampler, TraceConfig};
use mcp_vitals::{Span, Tracer, Vitals};

const SPANS: usize = 500;

fn vitals(sampler: Sampler) -> Vitals {
    let traces = TraceConfig::to_memory().sampler(sampler);
    Vitals::builder().system_metrics(false).traces(traces).build().unwrap()
}

/// A span below the current one, with what an ordinary one has.
fn span(tracer: &Tracer) -> Span {
    let mut span = tracer.span("database_query");
    span.set_attribute("db.system.name", "sqlite");
    span.set_attribute("db.response.returned_rows", 3);
    span.add_event("cache miss").attribute("key", "k");
    span
}

fn request(tracer: &Tracer) {
    let request = tracer.span("tools/call swarm_init");
    let _current = request.enter();
    (0..SPANS).for_each(|_| drop(span(tracer)));
    // As deep as calls go.
    let outer = span(tracer);
    let _outer = outer.enter();
    let inner = span(tracer);
    let _inner = inner.enter();
    drop(span(tracer));
}

#[test]
fn spans_allocate_nothing() {
    let vitals = vitals(Sampler::Always);
    let tracer = vitals.tracer("t");
    request(&tracer);
    assert_eq!(heap::asked_by(|| (0..10).for_each(|_| request(&tracer))), 0);
    drop(vitals);
}

#[test]
fn spans_that_nobody_records_allocate_nothing_at_all() {
    let vitals = vitals(Sampler::Never);
    let tracer = vitals.tracer("t");
    assert_eq!(heap::asked_by(|| request(&tracer)), 0);
    vitals.set_sampler(Sampler::PerSecond(0));
    // The first look at the rules is a thread's.
    request(&tracer);
    assert_eq!(heap::asked_by(|| request(&tracer)), 0);
}

/// Begins here, ends there: a bounded channel between them, which allocates nothing either.
#[test]
fn spans_that_end_on_another_thread_allocate_nothing() {
    let vitals = vitals(Sampler::Always);
    let tracer = vitals.tracer("t");
    let (send, spans) = sync_channel(16);
    let (answer, done) = sync_channel(16);
    let ender = thread::spawn(move || end_all(&spans, &answer));
    let hand_over = |many: usize| {
        for _ in 0..many {
            send.send(Some(span(&tracer))).unwrap();
            done.recv_timeout(Duration::from_secs(30)).unwrap();
        }
    };
    // Until that thread has all the spares that it keeps.
    hand_over(SPANS);
    send.send(None).unwrap();
    assert_eq!(heap::asked_by(|| hand_over(SPANS)), 0);
    drop(send);
    assert_eq!(ender.join().unwrap(), 0);
}

/// Ends spans; how much it asked of the heap after it was told to look.
fn end_all(spans: &Receiver<Option<Span>>, done: &std::sync::mpsc::SyncSender<()>) -> u64 {
    let mut before = 0;
    for span in spans {
        match span {
            Some(span) => {
                drop(span);
                done.send(()).unwrap();
            }
            None => before = heap::asked(),
        }
    }
    heap::asked() - before
}
