//! A carrier that is told what the other side says, behind its sink's thread, with spans of an engine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::*;
use crate::export::sink::{Loss, SinkEvents};
use crate::traces::TraceConfig;
use crate::traces::config::{Origin, Way};
use crate::{Error, Vitals};

#[derive(Clone, Default)]
struct Rig {
    /// What the other side says to each request; after that it takes all.
    answers: Arc<Mutex<VecDeque<Result<u32, Again>>>>,
    /// The names in each request.
    sent: Arc<Mutex<Vec<Vec<String>>>>,
    events: Arc<Mutex<Arc<SinkEvents>>>,
}

struct Told {
    rig: Rig,
    packed: Vec<String>,
}

impl Carrier for Told {
    fn pack(&mut self, spans: &mut dyn Iterator<Item = SpanRecord<'_>>, most: usize) -> usize {
        self.packed = spans.take(most).map(|span| span.name.to_string()).collect();
        self.packed.len()
    }

    fn send(&mut self) -> Result<u32, Setback> {
        self.rig.sent.lock().unwrap().push(self.packed.clone());
        let answer = self.rig.answers.lock().unwrap().pop_front();
        answer.unwrap_or(Ok(0)).map_err(|again| Setback { again, why: "told to".into() })
    }
}

impl Way for Rig {
    fn name(&self) -> &'static str {
        "told"
    }

    fn open(&self, origin: Origin<'_>) -> Result<Box<dyn Sink>, Error> {
        *self.events.lock().unwrap() = origin.events;
        let told = Told { rig: self.clone(), packed: Vec::new() };
        Ok(Box::new(Parcels::new(told, origin.engine)))
    }
}

/// Sends `spans` spans, which meet these answers: the sizes of the requests, how many spans arrived,
/// and how many were refused.
fn send(spans: usize, answers: &[Result<u32, Again>]) -> (Vec<usize>, u64, u64) {
    let rig = Rig::default();
    *rig.answers.lock().unwrap() = answers.iter().copied().collect();
    let traces = TraceConfig::to_memory().way(rig.clone());
    let vitals = Vitals::builder().traces(traces).build().unwrap();
    let tracer = vitals.tracer("test");
    for at in 0..spans {
        tracer.span(&at.to_string()).end();
    }
    assert!(vitals.flush(Duration::from_secs(60)));
    let events = rig.events.lock().unwrap().clone();
    let sum = |counts: [u64; 5]| counts.iter().sum();
    let sent = rig.sent.lock().unwrap().clone();
    let sizes = sent.iter().map(Vec::len).collect();
    assert_eq!(events.lost_lines(), sum(events.lost(Loss::Refused)));
    (sizes, sum(events.written()), sum(events.lost(Loss::Refused)))
}

const LATER: Result<u32, Again> = Err(Again::Later(None));

#[test]
fn spans_of_one_moment_are_one_request() {
    assert_eq!(send(100, &[]), (vec![100], 100, 0));
}

#[test]
fn what_was_not_taken_is_sent_again_as_it_was() {
    assert_eq!(send(3, &[LATER, LATER]), (vec![3, 3, 3], 3, 0));
}

#[test]
fn what_is_refused_is_counted_and_not_sent_again() {
    assert_eq!(send(3, &[Err(Again::Never)]), (vec![3], 0, 3));
    // The server took some of them.
    assert_eq!(send(3, &[Ok(2)]), (vec![3], 1, 2));
    // It can't reject more than there were.
    assert_eq!(send(3, &[Ok(9)]), (vec![3], 0, 3));
}

#[test]
fn what_is_too_large_is_halved_and_what_arrived_is_not_sent_again() {
    let large = Err(Again::Smaller);
    let (sizes, written, refused) = send(5, &[large, Ok(0), LATER, Ok(0)]);
    assert_eq!((sizes, written, refused), (vec![5, 3, 2, 2], 5, 0));
    // One span that no server takes.
    let answers = [large, large, large];
    let (sizes, written, refused) = send(4, &answers);
    assert_eq!((sizes.as_slice(), written, refused), (&[4, 2, 1, 1, 1, 1][..], 3, 1));
}
