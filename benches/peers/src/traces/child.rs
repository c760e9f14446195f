//! A child: one side, one kind of work, told by its parent when to do it.

use std::thread;
use std::time::{Duration, Instant};

use super::check;
use super::work::{Gives, QUEUE_BYTES, Work};
use crate::alloc::tally_here;
use crate::children::{Kept, answer, spent, spent_here, take_orders};
use crate::sides::traces::{Side, Traces};

/// Makes turns until stdin ends or says something else, then says what has arrived.
///
/// # Errors
///
/// The side can't be set up, a span is wrong, or the parent is gone.
pub fn serve(side: &Side, work: Work) -> Result<(), String> {
    let queue = QUEUE_BYTES / side.bytes;
    let mut child =
        Child { traces: Some((side.open)(work, queue)?), work, queue, made: 0, begun: 0 };
    take_orders(|| child.turn())?;
    child.close();
    let calls = if work.gives.records() { child.made } else { 0 };
    answer(&Kept { calls, lines: check::right()? })
}

struct Child {
    /// Until it is closed.
    traces: Option<Box<dyn Traces>>,
    work: Work,
    /// Spans that may be under way.
    queue: u64,
    /// Spans that were made.
    made: u64,
    /// Spans that were made or are about to be, with the requests' own, by who waits.
    begun: u64,
}

impl Child {
    fn turn(&mut self) -> f64 {
        match self.work.gives {
            Gives::Span => self.bursts(),
            Gives::Unsampled | Gives::UnsampledRoot => self.unsampled(),
            Gives::Cpu => self.cpu(),
            Gives::Sustained => self.sustained(),
            Gives::Allocations => self.allocations(),
        }
    }

    fn close(&mut self) {
        if let Some(traces) = self.traces.take() {
            traces.close();
        }
    }

    /// All requests of a turn, one after another; `each` has what makes the spans.
    fn requests(&mut self, mut each: impl FnMut(&mut dyn FnMut())) {
        let traces = self.traces.as_deref().expect("turns are made before it is closed");
        for _ in 0..self.work.requests {
            if self.work.waits {
                // With the requests' own.
                self.begun += self.work.calls + 1;
                while self.begun > check::arrived() + check::requests() + self.queue {
                    thread::yield_now();
                }
            }
            traces.request(self.work.calls, &mut each);
            self.made += self.work.calls;
            if self.work.pause > 0 {
                thread::sleep(Duration::from_micros(self.work.pause));
            }
        }
    }

    fn bursts(&mut self) -> f64 {
        let calls = self.work.calls as f64;
        let mut bursts = Vec::new();
        self.requests(|spans| {
            let start = Instant::now();
            spans();
            bursts.push(start.elapsed().as_nanos() as f64 / calls);
        });
        bursts.sort_by(f64::total_cmp);
        bursts[bursts.len() / 2]
    }

    fn unsampled(&mut self) -> f64 {
        let calls = self.work.calls as f64;
        let mut took = f64::NAN;
        self.requests(|spans| {
            // Once to warm up.
            spans();
            let start = Instant::now();
            spans();
            took = start.elapsed().as_nanos() as f64 / calls;
        });
        took
    }

    fn cpu(&mut self) -> f64 {
        let (before, here) = (spent(), spent_here());
        self.requests(|spans| spans());
        let others = (spent() - before).saturating_sub(spent_here() - here);
        others.as_nanos() as f64 / (self.work.requests * self.work.calls) as f64
    }

    /// The only turn of its child.
    fn sustained(&mut self) -> f64 {
        let start = Instant::now();
        self.requests(|spans| spans());
        self.close();
        start.elapsed().as_nanos() as f64 / (self.work.requests * self.work.calls) as f64
    }

    fn allocations(&mut self) -> f64 {
        let mut least = u64::MAX;
        self.requests(|spans| least = least.min(tally_here(spans).1));
        least as f64 / self.work.calls as f64
    }
}
