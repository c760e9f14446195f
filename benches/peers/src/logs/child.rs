//! A child: one side, one kind of work, told by its parent when to do it.

use std::hint::{black_box, spin_loop};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::check;
use super::work::{Gives, Request, Work};
use crate::alloc::tally_here;
use crate::children::{Kept, answer, spent, take_orders};
use crate::sides::logs::{Logs, Side};

/// How long the background of any side may take to get done with a turn.
const SETTLE: Duration = Duration::from_millis(30);

/// Makes turns until stdin ends or says something else, then says what is in the file.
///
/// # Errors
///
/// The side can't be set up, a line of its file is wrong, or the parent is gone.
pub fn serve(side: &Side, work: Work, path: &Path) -> Result<(), String> {
    let mut child = Child { logs: Some((side.open)(path, work.full)?), work, next: 0 };
    take_orders(|| child.turn())?;
    child.close();
    let calls = if work.gives == Gives::Disabled { 0 } else { child.next * work.calls };
    let lines = check::lines(path, work.calls)?;
    answer(&Kept { calls, lines })
}

struct Child {
    /// Until it is closed.
    logs: Option<Box<dyn Logs>>,
    work: Work,
    /// The number of the next request.
    next: u64,
}

impl Child {
    fn turn(&mut self) -> f64 {
        match self.work.gives {
            Gives::Call => self.bursts(),
            Gives::Disabled => self.disabled(),
            Gives::Cpu => self.cpu(),
            Gives::Sustained => self.sustained(),
            Gives::Allocations => self.allocations(),
        }
    }

    fn logs(&self) -> &dyn Logs {
        self.logs.as_deref().expect("turns are made before it is closed")
    }

    fn close(&mut self) {
        if let Some(logs) = self.logs.take() {
            logs.close();
        }
    }

    /// All requests of a turn, one after another; `each` has what makes the calls.
    fn requests(&mut self, mut each: impl FnMut(&mut dyn FnMut())) {
        for _ in 0..self.work.requests {
            let request = Request::new(self.next);
            self.next += 1;
            self.logs().request(&request, self.work.calls, &mut each);
            self.pause();
        }
    }

    fn pause(&self) {
        if self.work.pause > 0 {
            thread::sleep(Duration::from_micros(self.work.pause));
        }
    }

    fn bursts(&mut self) -> f64 {
        let (work, first) = (self.work, self.next);
        let arrived = AtomicU64::new(0);
        let this = &*self;
        let thread = |which: u64| {
            let mut bursts = Vec::new();
            for burst in 0..work.requests {
                let request = Request::new(first + burst * work.threads as u64 + which);
                this.logs().request(&request, work.calls, &mut |calls| {
                    together(&arrived, work.threads);
                    let start = Instant::now();
                    calls();
                    bursts.push(start.elapsed().as_nanos() as f64 / work.calls as f64);
                });
                this.pause();
            }
            bursts
        };
        // Of two threads a burst takes what it takes them in the mean.
        let all: Vec<_> = thread::scope(|scope| {
            let others: Vec<_> =
                (1..work.threads as u64).map(|which| scope.spawn(move || thread(which))).collect();
            let others =
                others.into_iter().map(|other| other.join().expect("a side doesn't panic"));
            std::iter::once(thread(0)).chain(others.collect::<Vec<_>>()).collect()
        });
        self.next += work.requests * work.threads as u64;
        let bursts = 0..work.requests as usize;
        let mean = |i: usize| all.iter().map(|bursts| bursts[i]).sum::<f64>() / all.len() as f64;
        let mut means: Vec<f64> = bursts.map(mean).collect();
        means.sort_by(f64::total_cmp);
        means[means.len() / 2]
    }

    fn disabled(&mut self) -> f64 {
        let calls = self.work.calls;
        let request = black_box(Request::new(0));
        // Once to warm up.
        self.logs().disabled(&request, calls / 16);
        let start = Instant::now();
        self.logs().disabled(&request, calls);
        start.elapsed().as_nanos() as f64 / calls as f64
    }

    fn cpu(&mut self) -> f64 {
        let before = spent();
        self.requests(|calls| calls());
        thread::sleep(SETTLE);
        let lines = self.work.requests * self.work.calls;
        (spent() - before).as_nanos() as f64 / lines as f64
    }

    /// The only turn of its child.
    fn sustained(&mut self) -> f64 {
        let start = Instant::now();
        self.requests(|calls| calls());
        self.close();
        start.elapsed().as_nanos() as f64 / (self.work.requests * self.work.calls) as f64
    }

    fn allocations(&mut self) -> f64 {
        let mut least = u64::MAX;
        self.requests(|calls| least = least.min(tally_here(calls).1));
        least as f64 / self.work.calls as f64
    }
}

/// Waits until all threads are here.
fn together(arrived: &AtomicU64, threads: usize) {
    let threads = threads as u64;
    let all = (arrived.fetch_add(1, Ordering::AcqRel) + 1).next_multiple_of(threads);
    while arrived.load(Ordering::Acquire) < all {
        spin_loop();
    }
}
