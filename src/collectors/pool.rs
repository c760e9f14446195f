//! Runs collectors on threads of our own, so that a scrape waits for them up to its deadline only.
//!
//! One thread asks them in turn, those that were quick last time first, so a scrape costs two
//! thread switches however many there are. While the scrape waits it looks whether they move on: if
//! one holds up the others, a second thread goes on with these. One that has not come back by the
//! deadline is left out of that scrape and not asked again while it runs; what it gives in the end
//! is for a scrape that is over, and dropped. When it comes back, the surplus thread ends.
//!
//! The alternative is a thread for each: nothing to hand over, but as many wake-ups a scrape and as
//! many stacks as collectors. Here they share thread-locals, and run one after the other as long
//! as they are quick.
//!
//! No lock is held while a host's code runs, and a scrape holds none of the engine's while it waits.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{About, Answer, Item};
use crate::Error;
use crate::background::Joined;
use crate::sync::{AtomicUsize, Ordering, contained, lock};

/// Most threads: one that runs collectors, and one for each that hangs.
const MOST_RUNNERS: usize = 64;
/// How often a waiting scrape looks whether a collector holds up the others.
const LOOK: Duration = Duration::from_millis(25);
/// Said of one that never came back in time.
const NEVER: Duration = Duration::MAX;

thread_local! {
    static IS_RUNNER: Cell<bool> = const { Cell::new(false) };
}

/// Whether a collector is what runs on this thread: a scrape by it must not wait for collectors.
fn is_runner() -> bool {
    IS_RUNNER.try_with(Cell::get).unwrap_or(false)
}

/// What collectors gave for one scrape, or for several that came together.
#[derive(Default)]
pub(crate) struct Round {
    answers: Vec<(Arc<About>, Answer)>,
}

impl Round {
    /// Those whose collectors are still registered.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&About, &Answer)> {
        let answers = self.answers.iter().map(|(about, answer)| (&**about, answer));
        answers.filter(|(about, _)| !about.is_removed())
    }

    /// How many samples there are.
    pub(crate) fn samples(&self) -> usize {
        self.answers.iter().map(|(_, answer)| answer.samples()).sum()
    }
}

/// The collectors of an engine, and the threads that ask them. Held by the engine and the threads;
/// it holds no engine.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    /// Collectors that are registered, to be read without the lock.
    registered: AtomicUsize,
    /// Where runners wait for work.
    work: Condvar,
    /// Where the scrape that began a round waits for it.
    answered: Condvar,
    /// Where other scrapes wait for the end of the round under way.
    over: Condvar,
}

#[derive(Default)]
struct State {
    /// In the order of their ids.
    entries: Vec<Entry>,
    /// What is to be asked, the next one last.
    queue: Vec<(Duration, u64)>,
    /// The last round that began, and whether it is under way.
    round: u64,
    open: bool,
    /// Of the round under way: still to answer; being asked; asked so far.
    unanswered: usize,
    asking: usize,
    asked: u64,
    /// The last round that ended, kept while somebody waits for it.
    latest: Option<Arc<Round>>,
    waiting: usize,
    /// Threads; those that wait; those that a collector runs on.
    runners: usize,
    idle: usize,
    busy: usize,
    threads: Vec<Joined>,
    stopped: bool,
}

struct Entry {
    id: u64,
    item: Arc<Item>,
    /// Belongs to the round under way.
    in_round: bool,
    /// Runs, perhaps for a round that is over.
    running: bool,
    /// How long it took last time.
    took: Duration,
    answer: Option<Answer>,
}

struct Task {
    id: u64,
    round: u64,
    item: Arc<Item>,
}

impl Pool {
    /// Adds a collector, and starts the first thread where there is none.
    pub(super) fn add(self: &Arc<Self>, id: u64, item: Item) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if state.stopped {
            let rule = "the engine has been shut down";
            return Err(Error::Collector { name: item.about.name.to_string(), rule });
        }
        if state.runners == 0 {
            self.spawn(&mut state).map_err(Error::Spawn)?;
        }
        let (item, took) = (Arc::new(item), NEVER);
        state.entries.push(Entry { id, item, in_round: false, running: false, took, answer: None });
        // Relaxed: the thread that registers sees its own store; whoever hears of it from there
        // sees it too.
        self.registered.store(state.entries.len(), Ordering::Relaxed);
        Ok(())
    }

    /// Takes a collector out. It may still be running.
    pub(super) fn remove(&self, id: u64) -> Option<Arc<Item>> {
        let mut state = lock(&self.state);
        let at = state.find(id)?;
        let entry = state.entries.remove(at);
        self.registered.store(state.entries.len(), Ordering::Relaxed);
        Some(entry.item)
    }

    /// Asks all collectors, and gives what those answered that did within `deadline`. Nothing
    /// where there are none, or on a thread that a collector runs on.
    ///
    /// Scrapes that come while others are waiting share the round that begins after they came, as
    /// a value that was set before a scrape is seen by it.
    pub(super) fn collect(self: &Arc<Self>, deadline: Duration) -> Option<Arc<Round>> {
        if self.registered.load(Ordering::Relaxed) == 0 || is_runner() {
            return None;
        }
        let came = Instant::now();
        let mut state = lock(&self.state);
        let wanted = state.round + 1;
        while state.open {
            // The round under way and the next: neither takes longer than its deadline.
            let patience = (2 * deadline).saturating_sub(came.elapsed());
            state.waiting += 1;
            state = wait(&self.over, state, patience);
            state.waiting -= 1;
            let ended = state.round - u64::from(state.open);
            let shared = state.latest.clone().filter(|_| ended >= wanted);
            if state.waiting == 0 {
                state.latest = None;
            }
            if shared.is_some() || patience.is_zero() {
                return shared;
            }
        }
        if state.stopped {
            return None;
        }
        Some(self.round(state, deadline))
    }

    /// Has all collectors asked, and waits for them.
    fn round(self: &Arc<Self>, mut state: MutexGuard<'_, State>, deadline: Duration) -> Arc<Round> {
        state.begin();
        let began = Instant::now();
        let look = (deadline / 20).clamp(Duration::from_millis(1), LOOK);
        let mut moves = false;
        while state.unanswered > 0 && !state.stopped {
            let left = deadline.saturating_sub(began.elapsed());
            if left.is_zero() || !self.staff(&mut state, moves) {
                break;
            }
            let asked = state.asked;
            state = wait(&self.answered, state, left.min(look));
            moves = state.asked > asked;
        }
        let round = Arc::new(state.end());
        state.latest = (state.waiting > 0).then(|| round.clone());
        drop(state);
        self.over.notify_all();
        round
    }

    /// Sees to it that somebody is at the queue; false when nobody can be. Where those who are
    /// `move` on, one more would only get in their way.
    fn staff(self: &Arc<Self>, state: &mut State, moves: bool) -> bool {
        let needed = !state.queue.is_empty() && (state.asking == 0 || !moves);
        if needed && state.idle > 0 {
            self.work.notify_one();
        } else if needed
            && state.runners == state.busy
            && state.runners < MOST_RUNNERS
            && state.may_take()
        {
            // Refused by the system: whoever is at it goes on alone.
            let _ = self.spawn(state);
        }
        state.asking > 0 || state.runners > state.busy
    }

    fn spawn(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        state.threads.retain(|thread| !thread.has_ended());
        let pool = self.clone();
        state.threads.push(Joined::spawn("mcp-vitals-coll", move || pool.run())?);
        state.runners += 1;
        Ok(())
    }

    /// What a thread of ours does.
    fn run(&self) {
        IS_RUNNER.set(true);
        let mut state = lock(&self.state);
        let mut asked: Option<Arc<Item>> = None;
        while !state.stopped {
            if let Some(task) = state.take() {
                state.busy += 1;
                drop(state);
                release(asked.take());
                let started = Instant::now();
                let answer = task.item.ask();
                let took = started.elapsed();
                state = lock(&self.state);
                state.busy -= 1;
                state.answered(&task, answer, took);
                asked = Some(task.item);
            } else if asked.is_some() {
                let all = state.is_answered();
                state.busy += 1;
                drop(state);
                if all {
                    // Without the lock, which the scrape wants at once.
                    self.answered.notify_one();
                }
                // It may have been removed meanwhile, and this be what held it last.
                release(asked.take());
                state = lock(&self.state);
                state.busy -= 1;
            } else {
                if state.is_answered() {
                    // By what this thread asked, or because the rest has been removed.
                    self.answered.notify_one();
                }
                if state.idle > 0 {
                    // One that waits is enough.
                    break;
                }
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
        state.runners -= 1;
        drop(state);
        release(asked);
    }

    /// Ends the threads within `deadline` and lets go of the collectors; one that hangs is left
    /// behind with its thread. Scrapes that wait for them come back at once.
    pub(super) fn stop(&self, deadline: Duration) {
        let started = Instant::now();
        let (threads, entries) = {
            let mut state = lock(&self.state);
            state.stopped = true;
            state.queue.clear();
            self.registered.store(0, Ordering::Relaxed);
            (std::mem::take(&mut state.threads), std::mem::take(&mut state.entries))
        };
        self.work.notify_all();
        self.answered.notify_all();
        for mut thread in threads {
            thread.join(deadline.saturating_sub(started.elapsed()));
        }
        entries.into_iter().for_each(|entry| release(Some(entry.item)));
    }
}

impl State {
    /// Whether the round under way has nothing left to wait for.
    fn is_answered(&self) -> bool {
        self.open && self.unanswered == 0
    }

    fn find(&self, id: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id).ok()
    }

    fn begin(&mut self) {
        self.round += 1;
        self.open = true;
        (self.asking, self.asked) = (0, 0);
        let State { entries, queue, .. } = self;
        queue.clear();
        for entry in entries {
            entry.in_round = true;
            if !entry.running {
                queue.push((entry.took, entry.id));
            }
        }
        // Taken from the end: the quickest first, those that never came back last.
        queue.sort_unstable_by(|a, b| b.cmp(a));
        self.unanswered = self.queue.len();
    }

    /// Whether the next in the queue may be asked. The last thread is for those that came back:
    /// were it to hang too, nobody would be asked any more.
    fn may_take(&self) -> bool {
        let next = self.queue.last();
        next.is_some_and(|(took, _)| *took != NEVER || self.busy < MOST_RUNNERS - 1)
    }

    fn take(&mut self) -> Option<Task> {
        while self.may_take() {
            let (_, id) = self.queue.pop()?;
            let Some(at) = self.find(id) else {
                // Removed since the round began.
                self.unanswered -= 1;
                continue;
            };
            self.asking += 1;
            self.asked += 1;
            let entry = &mut self.entries[at];
            entry.running = true;
            return Some(Task { id, round: self.round, item: entry.item.clone() });
        }
        None
    }

    fn answered(&mut self, task: &Task, answer: Answer, took: Duration) {
        // Of a round that is over nobody asks any more: the answer is as old as that.
        let current = self.open && task.round == self.round;
        if current {
            self.asking -= 1;
            self.unanswered -= 1;
        }
        if let Some(at) = self.find(task.id) {
            let entry = &mut self.entries[at];
            entry.running = false;
            entry.took = took;
            entry.answer = current.then_some(answer);
        }
    }

    /// Closes the round: what came is in it, what did not is counted.
    fn end(&mut self) -> Round {
        self.open = false;
        self.unanswered = 0;
        self.queue.clear();
        let mut answers = Vec::with_capacity(self.entries.len());
        for entry in &mut self.entries {
            if !std::mem::take(&mut entry.in_round) {
                continue;
            }
            let about = &entry.item.about;
            match entry.answer.take() {
                Some(answer) => answers.push((about.clone(), answer)),
                None => {
                    // One that nobody came to ask is as quick as it was.
                    if entry.running {
                        entry.took = NEVER;
                    }
                    about.failures.deadline.inc();
                }
            }
        }
        Round { answers }
    }
}

fn wait<'a>(
    condvar: &Condvar,
    state: MutexGuard<'a, State>,
    most: Duration,
) -> MutexGuard<'a, State> {
    condvar.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
}

/// Lets go of a collector. With the last hold its closure is dropped: a host's code, which may
/// panic, and may drop the last handle of the engine. Not to be called under a lock.
pub(super) fn release(item: Option<Arc<Item>>) {
    if let Some(item) = item {
        contained(|| drop(item));
    }
}

#[cfg(test)]
mod tests;
