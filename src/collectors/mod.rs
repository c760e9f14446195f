//! Numbers that are asked for at each scrape: callbacks and collectors, and what they may not do to
//! it. A panic in one is caught and counted, one that hangs costs a scrape its deadline once, and
//! what they give is bounded.

mod describe;
mod pool;
mod register;
mod samples;
mod show;

pub use describe::Describe;
pub(crate) use describe::{Wanted, WantedFamily};
pub(crate) use pool::Round;
pub(crate) use register::{Engine, Registered};
pub(crate) use samples::SampleLosses;
pub use samples::{Collected, Samples};
pub(crate) use show::show;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::metrics::Counter;
use crate::registry::MOST_LABELS;
use crate::shard::space::Space;
use crate::sync::{AtomicBool, Ordering, contained, lock};
use pool::Pool;
use samples::Described;

/// A callback: the value of one label set.
pub(crate) type Callback = Box<dyn FnMut() -> f64 + Send>;
/// A collector: any number of label sets.
pub(crate) type Collect = Box<dyn FnMut(&mut Samples) + Send>;

/// All that an engine is asked for at each scrape.
pub(crate) struct Collectors {
    pool: Arc<Pool>,
    /// Held while something is registered or removed.
    registered: Mutex<Registered>,
    deadline: Duration,
}

impl Collectors {
    pub(crate) fn new(deadline: Duration) -> Collectors {
        Collectors { pool: Arc::default(), registered: Mutex::default(), deadline }
    }

    /// Asks all of them for one scrape, which may lend them less than the engine's deadline.
    /// Nothing where there are none, or where one of them is what scrapes.
    pub(crate) fn collect(&self, most: Duration) -> Option<Arc<Round>> {
        self.pool.collect(self.deadline.min(most))
    }

    /// Ends their threads within `deadline` and lets go of them: nothing is asked any more.
    pub(crate) fn stop(&self, deadline: Duration) {
        self.pool.stop(deadline);
    }
}

/// Where it is counted that a collector gave nothing.
pub(crate) struct Failures {
    pub(crate) panic: Counter,
    pub(crate) deadline: Counter,
}

/// What is known of a callback or collector beside its closure, which may go before this does.
struct About {
    /// Of a callback its family's.
    name: Box<str>,
    families: Box<[Arc<Described>]>,
    /// Of a callback the values of its labels.
    values: Option<Box<[Box<str>]>>,
    failures: Failures,
    space: Arc<Space>,
    /// Bytes of the memory budget, given back at the end.
    charged: u64,
    removed: AtomicBool,
}

impl About {
    fn is_removed(&self) -> bool {
        // Relaxed: it is set before names are given back under the turn that scrapes take too.
        self.removed.load(Ordering::Relaxed)
    }
}

impl Drop for About {
    fn drop(&mut self) {
        self.space.refund(self.charged);
    }
}

/// A callback or collector that can be asked.
struct Item {
    about: Arc<About>,
    /// Locked by the one thread that runs it. Shared with whoever registers it until that is done:
    /// a closure must not be dropped under a lock of ours.
    work: Arc<Mutex<Work>>,
}

/// What is run.
pub(crate) enum Work {
    One(Callback),
    Many(Collect),
}

/// What came of asking.
enum Answer {
    One(f64),
    Many(Samples),
    /// A panic, or a value that is refused: counted where it happened.
    Nothing,
}

impl Item {
    /// Runs the host's code. What a collector gave before it panicked is left out too: half of a
    /// family is a wrong sum.
    fn ask(&self) -> Answer {
        let about = &self.about;
        let answer = contained(|| match &mut *lock(&self.work) {
            Work::One(read) => {
                let value = read();
                if about.families[0].takes(value) { Answer::One(value) } else { Answer::Nothing }
            }
            Work::Many(collect) => {
                let mut samples = Samples::new(about.clone());
                collect(&mut samples);
                Answer::Many(samples)
            }
        });
        answer.unwrap_or_else(|| {
            about.failures.panic.inc();
            Answer::Nothing
        })
    }
}

impl Answer {
    /// Visits the samples of the family at `place` of what `about` says.
    fn of(&self, about: &About, place: usize, mut visit: impl FnMut(&[&str], f64)) {
        match self {
            Answer::One(value) => {
                let mut values = [""; MOST_LABELS];
                let own = about.values.as_deref().unwrap_or_default();
                values.iter_mut().zip(own).for_each(|(place, value)| *place = value);
                visit(&values[..own.len()], *value);
            }
            Answer::Many(samples) => samples.of(place, visit),
            Answer::Nothing => {}
        }
    }

    fn samples(&self) -> usize {
        match self {
            Answer::One(_) => 1,
            Answer::Many(samples) => samples.len(),
            Answer::Nothing => 0,
        }
    }
}
