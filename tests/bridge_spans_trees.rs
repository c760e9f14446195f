//! Spans of `tracing` that are made, entered, left and dropped at random, on several threads: their
//! parents are those of a dull list, and those that `tracing-opentelemetry` finds.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use mcp_vitals::Vitals;
use mcp_vitals::logs::LogConfig;
use mcp_vitals::traces::TraceConfig;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use proptest::prelude::*;
use tracing::span::EnteredSpan;
use tracing::{Dispatch, Span, info, info_span};
use tracing_subscriber::layer::SubscriberExt;

const THREADS: usize = 3;

/// One step on one of the threads. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    /// Below what is current.
    New,
    Root,
    Below(usize),
    /// By a clone of its handle, perhaps of a span that is entered already, here or elsewhere.
    Enter(usize),
    /// Whichever guard.
    Leave(usize),
    Drop(usize),
    /// A line of the engine's own logger.
    Line,
    /// A span of the engine's own.
    Own,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let number = any::<prop::sample::Index>().prop_map(|index| index.index(1 << 16));
    let step = (0u8..12, number).prop_map(|(what, n)| match what {
        0..=2 => Step::New,
        3 => Step::Root,
        4 => Step::Below(n),
        5..=6 => Step::Enter(n),
        7..=8 => Step::Leave(n),
        9 => Step::Drop(n),
        10 => Step::Line,
        _ => Step::Own,
    });
    prop::collection::vec((0..THREADS, step), 1..80)
}

/// What a thread is to do with the spans that it has entered.
type Deed = Box<dyn FnOnce(&mut Vec<EnteredSpan>) + Send>;

/// A thread that does what it is told, a step after the other.
struct Worker {
    tell: Sender<Deed>,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn new(dispatch: Dispatch) -> Worker {
        let (tell, told) = channel::<Box<dyn FnOnce(&mut Vec<EnteredSpan>) + Send>>();
        let (say, done) = channel();
        let thread = std::thread::spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || {
                let mut guards = Vec::new();
                for work in told {
                    work(&mut guards);
                    say.send(()).unwrap();
                }
            });
        });
        Worker { tell, done, thread }
    }

    fn run(&self, work: impl FnOnce(&mut Vec<EnteredSpan>) + Send + 'static) {
        self.tell.send(Box::new(work)).unwrap();
        self.done.recv().unwrap();
    }
}

#[derive(Clone, Debug, Default)]
struct Collected(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Collected {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// Each span's parent, by name.
type Tree = BTreeMap<String, Option<String>>;

fn tree<I: Ord + Copy>(spans: impl Iterator<Item = (String, I, Option<I>)>) -> Tree {
    let spans: Vec<_> = spans.collect();
    let names: BTreeMap<I, String> =
        spans.iter().map(|(name, id, _)| (*id, name.clone())).collect();
    let of = |parent: Option<I>| parent.map(|id| names[&id].clone());
    spans.iter().map(|(name, _, parent)| (name.clone(), of(*parent))).collect()
}

fn run(steps: &[(usize, Step)]) {
    let builder = Vitals::builder().system_metrics(false).logs(LogConfig::to_memory());
    let vitals = builder.traces(TraceConfig::to_memory()).build().unwrap();
    let collected = Collected::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(collected.clone()).build();
    let peer = tracing_opentelemetry::layer().with_tracer(provider.tracer("peer"));
    let subscriber = tracing_subscriber::registry().with(vitals.tracing_layer()).with(peer);
    let dispatch = Dispatch::new(subscriber);
    let workers: [Worker; THREADS] = std::array::from_fn(|_| Worker::new(dispatch.clone()));

    // The oracle: what each thread has entered, in order, and whose child each span is.
    let mut entered: [Vec<usize>; THREADS] = Default::default();
    let (mut expected, mut own, mut lines) = (Tree::new(), Tree::new(), Vec::new());
    let mut handles: Vec<Option<Span>> = Vec::new();
    // What each guard is of: a guard leaves the last of its span's entries.
    let mut guards: [Vec<usize>; THREADS] = Default::default();
    let name = |n: usize| format!("s{n}");
    for (count, (thread, step)) in steps.iter().enumerate() {
        let (thread, worker) = (*thread, &workers[*thread]);
        let alive: Vec<usize> = (0..handles.len()).filter(|n| handles[*n].is_some()).collect();
        let among = |n: usize| (!alive.is_empty()).then(|| alive[n % alive.len()]);
        let current = entered[thread].last().map(|n| name(*n));
        let number = handles.len();
        let parents: Vec<Option<Span>> = handles.clone();
        let mut make = |parent: Option<String>, make: Box<dyn FnOnce() -> Span + Send>| {
            let (send, made) = channel();
            worker.run(move |_| send.send(make()).unwrap());
            expected.insert(name(number), parent);
            handles.push(Some(made.recv().unwrap()));
        };
        match *step {
            Step::New => make(current, Box::new(move || info_span!("s", otel.name = name(number)))),
            Step::Root => make(
                None,
                Box::new(move || info_span!(parent: None, "s", otel.name = name(number))),
            ),
            Step::Below(n) => {
                let Some(n) = among(n) else { continue };
                let parent = parents[n].clone().unwrap();
                let span = move || info_span!(parent: &parent, "s", otel.name = name(number));
                make(Some(name(n)), Box::new(span));
            }
            Step::Enter(n) => {
                let Some(n) = among(n) else { continue };
                let span = handles[n].clone().unwrap();
                worker.run(move |guards| guards.push(span.entered()));
                guards[thread].push(n);
                entered[thread].push(n);
            }
            Step::Leave(n) => {
                if guards[thread].is_empty() {
                    continue;
                }
                let at = n % guards[thread].len();
                worker.run(move |guards| drop(guards.remove(at)));
                let of = guards[thread].remove(at);
                let last = entered[thread].iter().rposition(|other| *other == of).unwrap();
                entered[thread].remove(last);
            }
            Step::Drop(n) => {
                if let Some(n) = among(n) {
                    let span = handles[n].take();
                    worker.run(move |_| drop(span));
                }
            }
            Step::Line => {
                let logger = vitals.logger("own");
                worker.run(move |_| {
                    mcp_vitals::info!(logger, "own", count);
                    info!(count, "event");
                });
                lines.push((count, current));
            }
            Step::Own => {
                let tracer = vitals.tracer("own");
                worker.run(move |_| drop(tracer.span(&format!("own{count}"))));
                own.insert(format!("own{count}"), current);
            }
        }
    }
    // What is still entered is left by the threads as they end, in any order.
    for worker in workers {
        drop(worker.tell);
        worker.thread.join().unwrap();
    }
    drop(handles);
    drop(dispatch);
    provider.force_flush().unwrap();

    let mut peers = collected.0.lock().unwrap().clone();
    let peers = peers.drain(..).map(|span| {
        let parent = span.parent_span_id.to_bytes();
        let id = span.span_context.span_id().to_bytes();
        (span.name.into_owned(), id, (parent != [0; 8]).then_some(parent))
    });
    assert_eq!(tree(peers), expected, "tracing-opentelemetry's");
    let mut ids = BTreeMap::new();
    vitals.with_captured_spans(|spans| {
        for span in spans {
            ids.insert(span.span_id().unwrap().to_string(), span.name.to_str().into_owned());
        }
        let ours = spans.iter().map(|span| {
            (span.name.to_str().into_owned(), span.span_id().unwrap(), span.parent_span_id)
        });
        expected.extend(own);
        assert_eq!(tree(ours), expected, "ours");
    });
    let mut found = Vec::new();
    for line in vitals.captured_logs() {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let span = line["span_id"].as_str().map(|id| ids[id].clone());
        found.push((line["count"].as_u64().unwrap() as usize, span));
    }
    found.sort();
    // One of the logger, one of `tracing`.
    let twice: Vec<_> = lines.iter().flat_map(|line| [line.clone(), line.clone()]).collect();
    assert_eq!(found, twice);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn parents_are_those_of_a_list_and_of_another_layer(steps in steps()) {
        run(&steps);
    }
}

#[test]
fn guards_that_are_left_in_the_wrong_order_leave_nothing_behind() {
    use Step::{Enter, Leave, Line, New, Own};
    let on_one = [
        New,
        New,
        New,
        Enter(0),
        Enter(1),
        Line,
        Enter(2),
        Leave(0),
        New,
        Leave(0),
        Line,
        Own,
        Enter(0),
        Leave(0),
        New,
        Leave(0),
        Line,
        New,
    ];
    run(&on_one.map(|step| (0, step)));
}
