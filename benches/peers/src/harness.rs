//! The clockwork: sides take turns, a burst each, over many rounds in one process, so that a slow
//! minute of the machine falls on all of them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::sides::{Run, Scraped, Subject};

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Rounds in which every side gets one burst.
    pub rounds: usize,
    /// About how long a burst lasts.
    pub burst: Duration,
    /// Roughly: a tenth of what takes long has to do.
    pub quick: bool,
}

impl Settings {
    /// So much of what takes long.
    pub fn share(&self, much: usize) -> usize {
        if self.quick { much / 10 } else { much }
    }
}

/// Nanoseconds a call, over all rounds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The least: what the code costs where nothing disturbs it.
    pub min: f64,
    /// The middle one.
    pub median: f64,
    /// How many rounds were kept.
    pub rounds: usize,
}

impl Spread {
    /// Of the figures of all rounds.
    pub fn of(mut rounds: Vec<f64>) -> Spread {
        rounds.sort_by(f64::total_cmp);
        let median = rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN);
        Spread { min: rounds.first().copied().unwrap_or(f64::NAN), median, rounds: rounds.len() }
    }
}

/// Bursts on the calling thread, of the first run of each subject.
pub fn alone(subjects: &mut [Subject], settings: Settings) -> Vec<Spread> {
    let calls: Vec<u64> = subjects
        .iter_mut()
        .map(|subject| {
            let calls = enough(settings.burst, |calls| {
                let took = burst(&mut subject.runs[0], calls);
                (subject.upkeep)();
                took
            });
            calls.max(subject.round)
        })
        .collect();
    take_turns(subjects.len(), settings.rounds, |round, turn| {
        let subject = &mut subjects[turn];
        let run = &mut subject.runs[0];
        let took = at_depth(round % DEPTHS, &mut || {
            // Brings code, handle and cells back into the caches after the other sides' bursts.
            burst(run, (calls[turn] / 16 + 1).max(subject.round));
            burst(run, calls[turn])
        });
        (subject.upkeep)();
        Some(took.as_nanos() as f64 / calls[turn] as f64)
    })
}

fn burst(run: &mut Run, calls: u64) -> Duration {
    let start = Instant::now();
    run(calls);
    start.elapsed()
}

/// Different places on the stack that bursts are run at.
const DEPTHS: usize = 8;

/// Runs `work` a few frames further down the stack. A loop keeps its handle's address there, and
/// where that lies at the same place in its page as a cell does in another, the processor takes the
/// one for the other and a plain record costs twice as much. Deeper in every round, so that no side
/// has this accident of layout in all of them.
#[inline(never)]
fn at_depth<T>(depth: usize, work: &mut dyn FnMut() -> T) -> T {
    let frame = std::hint::black_box([0u8; 320]);
    let done = if depth == 0 { work() } else { at_depth(depth - 1, work) };
    std::hint::black_box(&frame);
    done
}

/// Scrapes on the calling thread, in nanoseconds a scrape. Each finds other values than the last in
/// every `every`th series.
pub fn scrapes(sides: &mut [Box<dyn Scraped>], every: usize, settings: Settings) -> Vec<Spread> {
    let mut round = 0;
    let mut burst = |side: &mut Box<dyn Scraped>, scrapes: u64| {
        let mut took = Duration::ZERO;
        for _ in 0..scrapes {
            round += 1;
            side.touch(round, every);
            let start = Instant::now();
            std::hint::black_box(side.hand_out());
            took += start.elapsed();
        }
        took
    };
    let scrapes: Vec<u64> =
        sides.iter_mut().map(|side| enough(settings.burst, |n| burst(side, n))).collect();
    take_turns(sides.len(), settings.rounds, |_, turn| {
        sides[turn].hand_out();
        let took = burst(&mut sides[turn], scrapes[turn]);
        Some(took.as_nanos() as f64 / scrapes[turn] as f64)
    })
}

/// How many calls a burst of this length takes.
fn enough(burst: Duration, mut time: impl FnMut(u64) -> Duration) -> u64 {
    let mut calls = 1;
    loop {
        let took = time(calls);
        if took >= burst / 4 {
            let scale = burst.as_secs_f64() / took.as_secs_f64();
            return ((calls as f64 * scale) as u64).max(1);
        }
        calls *= 2;
    }
}

/// Gives each of `sides` a burst a round, another one first each time. A burst that says `None` is
/// not kept.
pub(crate) fn take_turns(
    sides: usize,
    rounds: usize,
    mut burst: impl FnMut(usize, usize) -> Option<f64>,
) -> Vec<Spread> {
    let mut kept: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); sides];
    for round in 0..rounds {
        for side in 0..sides {
            let turn = (round + side) % sides;
            kept[turn].extend(burst(round, turn));
        }
    }
    kept.into_iter().map(Spread::of).collect()
}

/// Two threads, started once, that run bursts side by side.
pub struct Pair {
    workers: [Worker; 2],
}

struct Worker {
    jobs: Sender<Job>,
    done: Receiver<Done>,
}

struct Done {
    run: Run,
    took: Duration,
    undisturbed: bool,
}

struct Job {
    run: Run,
    calls: u64,
    /// Calls to go on with, so many at a time, until the other thread is through as well. Were one
    /// of them to stop, the rest of the other's burst would be of one thread, not of two; and behind
    /// a lock that isn't fair, that is most of it.
    company: Option<u64>,
    /// Where on the stack.
    depth: usize,
}

/// How often a burst is tried again that the scheduler broke into: while one thread is off its core,
/// the other one has the series for itself.
pub const TRIES: usize = 50;

/// How many calls two threads make between looks at each other: whole rounds of the values.
const CHUNK: u64 = crate::work::VALUES as u64;

impl Pair {
    /// Starts the threads; they end with this.
    pub fn start() -> Pair {
        let [ready, through] = std::array::from_fn(|_| Arc::new(AtomicU64::new(0)));
        let worker = |_| Worker::start(Arc::clone(&ready), Arc::clone(&through));
        Pair { workers: std::array::from_fn(worker) }
    }

    /// Has both of a subject's runs make exactly so many calls side by side.
    pub fn exactly(&mut self, subject: &mut Subject, calls: u64) {
        self.burst(subject, calls, None, 0);
    }

    /// Nanoseconds a call of each thread, the mean of the two, by each one's own clock; and whether
    /// both ran all the time.
    fn time(&mut self, subject: &mut Subject, chunks: u64, depth: usize) -> (f64, bool) {
        let (took, undisturbed) = self.burst(subject, chunks * CHUNK, Some(CHUNK), depth);
        (subject.upkeep)();
        (took.as_secs_f64() * 0.5e9 / (chunks * CHUNK) as f64, undisturbed)
    }

    /// How long both took together, and whether both ran all the time.
    fn burst(
        &mut self,
        subject: &mut Subject,
        calls: u64,
        company: Option<u64>,
        depth: usize,
    ) -> (Duration, bool) {
        for (worker, run) in self.workers.iter().zip(subject.runs.drain(..)) {
            worker
                .jobs
                .send(Job { run, calls, company, depth })
                .expect("the worker waits for jobs");
        }
        let (mut both, mut neither_disturbed) = (Duration::ZERO, true);
        for worker in &self.workers {
            let Done { run, took, undisturbed } =
                worker.done.recv().expect("the worker ends its job");
            subject.runs.push(run);
            both += took;
            neither_disturbed &= undisturbed;
        }
        (both, neither_disturbed)
    }

    /// [`alone`], with two threads.
    pub fn together(&mut self, subjects: &mut [Subject], settings: Settings) -> Vec<Spread> {
        let chunks: Vec<u64> = subjects
            .iter_mut()
            .map(|subject| {
                // Shorter than alone: the less there is to be broken into.
                enough(settings.burst / 4, |chunks| {
                    let (nanos, _) = self.time(subject, chunks, 0);
                    Duration::from_nanos((nanos * (chunks * CHUNK) as f64) as u64)
                })
            })
            .collect();
        take_turns(subjects.len(), settings.rounds, |round, turn| {
            (0..TRIES).find_map(|attempt| {
                let depth = (round + attempt) % DEPTHS;
                let (nanos, undisturbed) = self.time(&mut subjects[turn], chunks[turn], depth);
                undisturbed.then_some(nanos)
            })
        })
    }
}

impl Worker {
    fn start(ready: Arc<AtomicU64>, through: Arc<AtomicU64>) -> Worker {
        let (jobs, todo) = channel::<Job>();
        let (finished, done) = channel();
        thread::spawn(move || {
            for Job { mut run, calls, company, depth } in todo {
                let before = preempted();
                // Spinning, because whoever is woken second would find the first one halfway
                // through.
                let both = arrive(&ready);
                while ready.load(Ordering::Acquire) < both {
                    std::hint::spin_loop();
                }
                let mut took = Duration::ZERO;
                match company {
                    None => run(calls),
                    Some(chunk) => {
                        let chunks = calls.div_ceil(chunk);
                        took = at_depth(depth, &mut || {
                            let start = Instant::now();
                            (0..chunks).for_each(|_| run(chunk));
                            start.elapsed()
                        });
                        let both = arrive(&through);
                        while through.load(Ordering::Acquire) < both {
                            run(chunk);
                        }
                    }
                }
                let undisturbed = preempted() == before;
                if finished.send(Done { run, took, undisturbed }).is_err() {
                    return;
                }
            }
        });
        Worker { jobs, done }
    }
}

/// How often the scheduler has taken this thread off its core against its will; waiting for a lock
/// doesn't count. Where the system doesn't tell, always the same.
pub fn preempted() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let count = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// Counts this thread in, and gives the number that is reached once the other one is as well.
fn arrive(count: &AtomicU64) -> u64 {
    (count.fetch_add(1, Ordering::AcqRel) + 1).next_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_least_and_its_middle() {
        let spread = Spread::of(vec![3.0, 1.0, 9.0, 2.0, 4.0]);
        assert_eq!((spread.min, spread.median, spread.rounds), (1.0, 3.0, 5));
    }

    #[test]
    fn everyone_gets_every_turn_and_nobody_is_always_first() {
        let mut order = Vec::new();
        let spreads = take_turns(3, 4, |_, turn| {
            order.push(turn);
            (turn != 1).then_some(turn as f64)
        });
        assert_eq!(order, [0, 1, 2, 1, 2, 0, 2, 0, 1, 0, 1, 2]);
        assert_eq!(spreads.iter().map(|spread| spread.rounds).collect::<Vec<_>>(), [4, 0, 4]);
    }
}
