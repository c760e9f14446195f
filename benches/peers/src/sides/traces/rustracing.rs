//! `rustracing`: spans go into a channel with a bound, behind which it has nothing; a thread here takes
//! them out. Its ids are its host's, so they are numbers in a row. There is no OTLP for it.

use std::hint::black_box;
use std::thread::{self, JoinHandle};

use crossbeam_channel::Receiver;
use rustracing::Tracer;
use rustracing::sampler::{AllSampler, BoxSampler, NullSampler, Sampler};
use rustracing::span::FinishedSpan;
use rustracing::tag::{Tag, TagValue};

use super::{Opened, Side, Traces};
use crate::traces::check::{Arrived, Batch};
use crate::traces::work::{EVENT, Gives, NAME, OPERATION, REQUEST, SYSTEM, Work};

/// Tags, logs and references are a `Vec` each, a log's field is one more.
pub const SIDE: Side = Side { name: "rustracing", bytes: 1_024, has_otlp: false, open };

/// A trace's id and a span's.
type Ids = (u128, u64);

struct Rustracing {
    tracer: Tracer<BoxSampler<Ids>, Ids>,
    taker: JoinHandle<()>,
    roots: bool,
}

fn open(work: Work, queue: u64) -> Opened {
    let sampler = if work.gives.records() { AllSampler.boxed() } else { NullSampler.boxed() };
    let (sender, receiver) = crossbeam_channel::bounded(queue as usize);
    let tracer = Tracer::with_sender(sampler, sender);
    let taker = thread::spawn(move || take(&receiver));
    Ok(Box::new(Rustracing { tracer, taker, roots: work.gives == Gives::UnsampledRoot }))
}

impl Traces for Rustracing {
    fn request(&self, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut())) {
        let request = (!self.roots).then(|| self.tracer.span(REQUEST).start_with_state((7, 1)));
        each(&mut || {
            for n in 0..calls {
                let mut options = black_box(&self.tracer).span(NAME);
                if let Some(request) = &request {
                    options = options.child_of(request);
                }
                let options = options
                    .tag(Tag::new("db.system.name", SYSTEM))
                    .tag(Tag::new("db.operation.name", OPERATION));
                let mut span = options.start_with_state((7, n + 2));
                span.log(|log| _ = log.std().event(EVENT));
            }
        });
    }

    fn close(self: Box<Self>) {
        let Rustracing { tracer, taker, .. } = *self;
        drop(tracer);
        let _ = taker.join();
    }
}

fn take(receiver: &Receiver<FinishedSpan<Ids>>) {
    while let Ok(first) = receiver.recv() {
        let mut arrived = Batch::default();
        arrived.add(read(&first));
        // What is there besides, counted at once.
        receiver.try_iter().take(1_000).for_each(|span| arrived.add(read(&span)));
        arrived.end();
    }
}

fn read(span: &FinishedSpan<Ids>) -> Arrived<'_> {
    let mut attributes = [&[][..]; 2];
    for tag in span.tags() {
        // It sorts them.
        let at = usize::from(tag.name() == "db.operation.name");
        if let TagValue::String(text) = tag.value() {
            attributes[at] = text.as_bytes();
        }
    }
    let parent = span.references().first().is_some_and(|parent| parent.span().0 != 0);
    let event = span.logs().first().and_then(|log| log.fields().first());
    Arrived {
        name: span.operation_name().as_bytes(),
        has_ids: span.context().state().1 != 0 && parent,
        has_times: span.finish_time() >= span.start_time(),
        attributes,
        event: event.map_or(&[], |field| field.value().as_bytes()),
    }
}
