//! The thread of one sink and the queue in front of it.
//!
//! The queue is a mutex between two threads, the flusher and the sink's, held for a push or a pop of
//! a few words; it carries chunks of many lines, so a lock-free one would buy nothing.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::voice::Voice;
use super::{Again, Chunk, Gather, Loss, Pace, Setback, Sink, SinkEvents, Tally};
use crate::background::{DROP_DEADLINE, Joined};
use crate::error::Error;
use crate::sync::{contained, lock};

/// How often [`Sink::tick`] is called.
const TICK: Duration = Duration::from_secs(1);

/// Buffers kept for reuse, and the largest that is worth keeping.
const SPARE_BUFFERS: usize = 8;
const SPARE_BYTES: usize = 1 << 20;

/// A sink, its thread and its queue; drained and stopped when dropped.
pub(crate) struct SinkThread {
    shared: Arc<Shared>,
    /// Behind a lock only because what tells its end can't be shared.
    thread: Mutex<Joined>,
}

struct Shared {
    state: Mutex<State>,
    /// Something for the sink's thread to do.
    work: Condvar,
    /// Room in the queue, a finished flush, or the end.
    done: Condvar,
    events: Arc<SinkEvents>,
    queue_bytes: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Chunk>,
    /// Of the chunks in the queue and the one under way.
    bytes: usize,
    /// The lines of the chunk under way, until somebody has counted them.
    busy: Option<[u32; 5]>,
    spare: Vec<Vec<u8>>,
    /// Chunks pushed, and how many of them are written and flushed, or given up.
    pushed: u64,
    settled: u64,
    /// How many of them somebody waits for.
    wanted: u64,
    /// The sink's thread waits for work and was not told of any: to tell is a call into the system, also
    /// where nobody listens.
    is_idle: bool,
    /// Threads that wait for room, a flush or the end.
    waiting: u32,
    /// The chunk under way was refused the last time.
    failing: bool,
    /// Since when the first chunk of the queue waits, where the sink gathers several.
    since: Option<Instant>,
    /// Set once, by the first stop: until when the rest may be drained.
    stop: Option<Instant>,
    /// The thread has ended.
    ended: bool,
}

impl SinkThread {
    /// Starts the thread of `sink`.
    ///
    /// * `name`: the thread's, 15 bytes at most.
    /// * `queue_bytes`: how much may wait. One chunk always fits, whatever its size.
    pub(crate) fn start(
        name: &'static str,
        sink: Box<dyn Sink>,
        queue_bytes: usize,
        events: Arc<SinkEvents>,
    ) -> Result<SinkThread, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            events,
            queue_bytes,
        });
        let (pace, gather) = (sink.pace(), sink.gather());
        let runner = Runner {
            name,
            sink,
            shared: shared.clone(),
            pace,
            gather,
            pause: pace.first,
            ticked: Instant::now(),
            outage: None,
            voice: Voice::default(),
        };
        let thread = Joined::spawn(name, move || runner.run()).map_err(Error::Spawn)?;
        Ok(SinkThread { shared, thread: Mutex::new(thread) })
    }

    /// How many bytes may wait.
    pub(crate) fn queue_bytes(&self) -> usize {
        self.shared.queue_bytes
    }

    /// An empty buffer, one that was used before if there is any.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        lock(&self.shared.state).spare.pop().unwrap_or_default()
    }

    /// Puts `chunk` into the queue; gives it back when the queue is full or the thread has ended.
    /// Whoever drops it then says so by [`lose`](Self::lose).
    pub(crate) fn push(&self, chunk: Chunk) -> Result<(), Chunk> {
        let mut state = lock(&self.shared.state);
        let pushed = self.shared.push(&mut state, chunk);
        self.shared.tell_of_work(state);
        pushed
    }

    /// As [`push`](Self::push), waiting for room up to `deadline`.
    pub(crate) fn push_until(&self, chunk: Chunk, deadline: Instant) -> Result<(), Chunk> {
        self.push_while(chunk, deadline, |_| true)
    }

    /// The same, as long as the sink does not fail: for one that goes to another machine, which may be
    /// away for long.
    pub(crate) fn push_while_well(&self, chunk: Chunk, deadline: Instant) -> Result<(), Chunk> {
        self.push_while(chunk, deadline, |state| !state.failing)
    }

    fn push_while(
        &self,
        chunk: Chunk,
        deadline: Instant,
        waits: impl Fn(&State) -> bool,
    ) -> Result<(), Chunk> {
        let mut state = lock(&self.shared.state);
        let mut refused = chunk;
        loop {
            refused = match self.shared.push(&mut state, refused) {
                Err(chunk)
                    if state.stop.is_none() && waits(&state) && Instant::now() < deadline =>
                {
                    chunk
                }
                answer => {
                    self.shared.tell_of_work(state);
                    return answer;
                }
            };
            state = self.shared.wait_done(state, deadline);
        }
    }

    /// Counts the lines of a chunk that had no room, and keeps its buffer.
    pub(crate) fn lose(&self, chunk: Chunk) {
        let mut state = lock(&self.shared.state);
        let why = match (state.stop, state.failing) {
            (Some(_), _) => Loss::Stopped,
            (None, true) => Loss::Failed,
            (None, false) => Loss::Full,
        };
        self.shared.events.add_lost(&chunk.lines, why);
        state.keep(chunk.bytes);
    }

    /// Waits until all that was pushed so far is written and flushed, or lost and counted; false
    /// when `deadline` came first.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        let mut state = lock(&self.shared.state);
        let target = state.pushed;
        state.wanted = target;
        // One that waits for more need not.
        self.shared.work.notify_one();
        while state.settled < target && !state.ended {
            if Instant::now() >= deadline {
                return false;
            }
            state = self.shared.wait_done(state, deadline);
        }
        state.settled >= target
    }

    /// Drains, flushes and ends the thread. What is not written by `deadline` is counted as lost,
    /// also a chunk that a blocked sink holds and may yet write; then it is false. Further calls do
    /// nothing, and answer whether the thread has ended.
    pub(crate) fn stop(&self, deadline: Instant) -> bool {
        let lost_before = self.ask_to_stop(deadline);
        self.await_end(deadline, lost_before)
    }

    /// [`stop`](Self::stop) for several that have the same time: all are told before one is waited
    /// for.
    pub(crate) fn stop_all(sinks: &[impl Deref<Target = SinkThread>], deadline: Instant) -> bool {
        let lost: Vec<u64> = sinks.iter().map(|sink| sink.ask_to_stop(deadline)).collect();
        let ends = sinks.iter().zip(lost).map(|(sink, lost)| sink.await_end(deadline, lost));
        // All of them, also behind one that is late.
        let late = ends.filter(|ended| !ended).count();
        late == 0
    }

    /// The number of lines that were lost so far.
    fn ask_to_stop(&self, deadline: Instant) -> u64 {
        let mut state = lock(&self.shared.state);
        state.stop.get_or_insert(deadline);
        let lost = self.shared.events.lost_lines();
        drop(state);
        self.shared.work.notify_all();
        self.shared.done.notify_all();
        lost
    }

    fn await_end(&self, deadline: Instant, lost_before: u64) -> bool {
        let mut state = lock(&self.shared.state);
        while !state.ended && Instant::now() < deadline {
            state = self.shared.wait_done(state, deadline);
        }
        let ended = state.ended;
        self.shared.give_up(&mut state);
        drop(state);
        // A thread that has said that it ended does so at once; another is left behind.
        let joined = ended && lock(&self.thread).join(DROP_DEADLINE);
        joined && self.shared.events.lost_lines() == lost_before
    }
}

impl Drop for SinkThread {
    fn drop(&mut self) {
        let state = lock(&self.shared.state);
        // Who was told to stop has had its time.
        let is_running = !state.ended && state.stop.is_none();
        drop(state);
        if is_running {
            self.stop(Instant::now() + DROP_DEADLINE);
        }
    }
}

impl Shared {
    fn push(&self, state: &mut State, chunk: Chunk) -> Result<(), Chunk> {
        if chunk.bytes.is_empty() {
            // It would fit into any queue, again and again.
            state.keep(chunk.bytes);
            return Ok(());
        }
        let fits = state.bytes == 0 || state.bytes + chunk.bytes.len() <= self.queue_bytes;
        if !fits || state.stop.is_some() || state.ended {
            return Err(chunk);
        }
        state.bytes += chunk.bytes.len();
        self.events.set_queued(state.bytes);
        if state.queue.is_empty() {
            state.since = Some(Instant::now());
        }
        state.queue.push_back(chunk);
        state.pushed += 1;
        Ok(())
    }

    /// Wakes the sink's thread where it sleeps. Without the lock, which it would wake up to wait for.
    fn tell_of_work(&self, mut state: MutexGuard<'_, State>) {
        let is_idle = std::mem::take(&mut state.is_idle);
        drop(state);
        if is_idle {
            self.work.notify_one();
        }
    }

    /// The sink's thread waits for work.
    fn wait_for_work(&self, mut state: MutexGuard<'_, State>, until: Instant) {
        state.is_idle = true;
        wait(&self.work, state, until).is_idle = false;
    }

    /// Somebody else waits for what the sink's thread does.
    fn wait_done<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        until: Instant,
    ) -> MutexGuard<'a, State> {
        state.waiting += 1;
        let mut state = wait(&self.done, state, until);
        state.waiting -= 1;
        state
    }

    /// Counts all that has not arrived as lost: the deadline has passed.
    fn give_up(&self, state: &mut State) {
        if let Some(lines) = state.busy.take() {
            self.events.add_lost(&lines, Loss::Stopped);
        }
        for chunk in state.queue.drain(..) {
            self.events.add_lost(&chunk.lines, Loss::Stopped);
        }
        state.bytes = 0;
        self.events.set_queued(0);
    }
}

impl State {
    fn keep(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS && (1..=SPARE_BYTES).contains(&buffer.capacity()) {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    fn is_over(&self) -> bool {
        self.stop.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

fn wait<'a>(on: &Condvar, state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
    let timeout = until.saturating_duration_since(Instant::now());
    on.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
}

/// What the thread owns.
struct Runner {
    name: &'static str,
    sink: Box<dyn Sink>,
    shared: Arc<Shared>,
    pace: Pace,
    gather: Option<Gather>,
    /// The pause after the next failure.
    pause: Duration,
    ticked: Instant,
    /// While the sink fails: the lines that were lost before it began to.
    outage: Option<u64>,
    voice: Voice,
}

/// Takes `most` of `lines`, those of the highest level first.
fn part(lines: &mut [u32; 5], mut most: u32) -> [u32; 5] {
    std::array::from_fn(|level| {
        let taken = lines[level].min(most);
        lines[level] -= taken;
        most -= taken;
        taken
    })
}

/// How the sink took something.
enum Taken {
    Whole,
    Refused(io::Error),
    Panicked,
}

impl Runner {
    fn run(mut self) {
        // Said whatever happens below, so that nobody waits for a thread that is gone.
        let _ended = Ended(self.shared.clone());
        let mut unflushed = 0_u64;
        loop {
            self.tick();
            let mut state = lock(&self.shared.state);
            if state.is_over() {
                break;
            }
            // When there is nothing else to do, and for whoever waits also while more comes.
            let flush = state.queue.is_empty()
                || (state.settled + 1..=state.settled + unflushed).contains(&state.wanted);
            if unflushed > 0 && flush {
                drop(state);
                if !self.flush() {
                    break;
                }
                let mut state = lock(&self.shared.state);
                state.settled += unflushed;
                unflushed = 0;
                self.shared.done.notify_all();
            } else if let Some(until) = self.waits(&state) {
                self.shared.wait_for_work(state, until.min(self.ticked + TICK));
            } else if let Some((chunk, chunks)) = self.next(&mut state) {
                state.busy = Some(chunk.lines);
                drop(state);
                if !self.deliver(chunk) {
                    break;
                }
                unflushed += chunks;
            } else if state.stop.is_some() {
                break;
            } else {
                self.shared.wait_for_work(state, self.ticked + TICK);
            }
        }
        self.shared.give_up(&mut lock(&self.shared.state));
    }

    /// Lets the sink do what it does from time to time.
    fn tick(&mut self) {
        if self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            self.call(|sink| {
                sink.tick();
                Ok(())
            });
        }
    }

    /// Until when what is in the queue waits for more.
    fn waits(&self, state: &State) -> Option<Instant> {
        let gather = self.gather.as_ref()?;
        let until = state.since.filter(|_| !state.queue.is_empty())? + gather.linger;
        let lines: u32 = state.queue.iter().flat_map(|chunk| chunk.lines).sum();
        let is_wanted = state.wanted > state.settled || state.stop.is_some();
        let is_full = lines >= gather.lines || state.bytes >= gather.bytes;
        // What is more than half of what may wait does not.
        let is_tight = state.bytes > self.shared.queue_bytes / 2;
        (!is_wanted && !is_full && !is_tight && Instant::now() < until).then_some(until)
    }

    /// The next chunk, and of how many it was made.
    fn next(&self, state: &mut State) -> Option<(Chunk, u64)> {
        let mut chunk = state.queue.pop_front()?;
        let mut chunks = 1;
        let sum = |lines: &[u32; 5]| lines.iter().sum::<u32>();
        while let (Some(gather), Some(next)) = (&self.gather, state.queue.front()) {
            if sum(&chunk.lines) + sum(&next.lines) > gather.lines
                || chunk.bytes.len() + next.bytes.len() > gather.bytes
            {
                break;
            }
            let Some(next) = state.queue.pop_front() else { break };
            chunk.bytes.extend_from_slice(&next.bytes);
            chunk.lines.iter_mut().zip(next.lines).for_each(|(lines, more)| *lines += more);
            state.keep(next.bytes);
            chunks += 1;
        }
        state.since = (!state.queue.is_empty()).then(Instant::now);
        Some((chunk, chunks))
    }

    /// Writes one chunk, as often as it takes; false when the deadline of a stop has passed.
    fn deliver(&mut self, chunk: Chunk) -> bool {
        let began = Instant::now();
        loop {
            let lost = match self.call(|sink| sink.write(&chunk)) {
                Taken::Whole => None,
                // Nobody will ever read there: to try again gains nothing.
                Taken::Refused(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    Some(Loss::Failed)
                }
                Taken::Refused(error) => {
                    let after = match Setback::of(&error).map(|setback| setback.again) {
                        Some(Again::Never | Again::Smaller) => None,
                        Some(Again::Later(after)) => Some(after.unwrap_or_default()),
                        None => Some(Duration::ZERO),
                    };
                    match after {
                        None => {
                            self.refused(&error.to_string());
                            Some(Loss::Refused)
                        }
                        Some(after) => {
                            self.failed(&error.to_string());
                            if !self.pause(after) {
                                self.over(&chunk, Some(Loss::Stopped));
                                return false;
                            }
                            if began.elapsed() < self.pace.patience {
                                continue;
                            }
                            Some(Loss::Failed)
                        }
                    }
                }
                Taken::Panicked => {
                    // One that panics over each chunk has its next turn a little later. A stop that
                    // is over is seen by the caller.
                    self.pause(Duration::ZERO);
                    Some(Loss::Failed)
                }
            };
            // Whoever refuses is there.
            if matches!(lost, None | Some(Loss::Refused)) {
                self.recovered();
            }
            self.over(&chunk, lost);
            let mut state = lock(&self.shared.state);
            state.bytes = state.bytes.saturating_sub(chunk.bytes.len());
            self.shared.events.set_queued(state.bytes);
            state.keep(chunk.bytes);
            let is_awaited = state.waiting > 0;
            drop(state);
            if is_awaited {
                self.shared.done.notify_all();
            }
            return true;
        }
    }

    /// Counts the lines of a chunk that will not come again.
    fn over(&mut self, chunk: &Chunk, lost: Option<Loss>) {
        let mut tally = None;
        self.call(|sink| {
            tally = sink.tally();
            if lost.is_some() {
                sink.abandon();
            }
            Ok(())
        });
        let mut state = lock(&self.shared.state);
        // Whoever takes the lines counts them: a stop that did not wait has done so.
        // Under the lock until all is counted: a stop in between would find nothing left to wait for, nor these
        // lines among those that were written or lost.
        let Some(mut rest) = state.busy.take() else { return };
        let events = &self.shared.events;
        let Tally { taken, refused } = tally.unwrap_or_default();
        let refused = part(&mut rest, refused);
        let taken = part(&mut rest, taken);
        let all: u32 = chunk.lines.iter().sum();
        match lost {
            None => {
                let written = std::array::from_fn(|level| rest[level] + taken[level]);
                events.add_written(&written, chunk.bytes.len());
            }
            Some(why) => {
                let part = u64::from(taken.iter().sum::<u32>()) * chunk.bytes.len() as u64;
                events.add_written(&taken, (part / u64::from(all.max(1))) as usize);
                events.add_lost(&rest, why);
            }
        }
        events.add_lost(&refused, Loss::Refused);
        drop(state);
    }

    /// Flushes, as often as it takes; false when the deadline of a stop has passed.
    fn flush(&mut self) -> bool {
        loop {
            match self.call(|sink| sink.flush()) {
                Taken::Refused(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    self.failed(&error.to_string());
                    if !self.pause(Duration::ZERO) {
                        return false;
                    }
                }
                Taken::Whole => {
                    self.recovered();
                    return true;
                }
                _ => return true,
            }
        }
    }

    /// Calls the sink; a panic there is counted and goes no further.
    fn call(&mut self, what: impl FnOnce(&mut dyn Sink) -> io::Result<()>) -> Taken {
        let sink = &mut *self.sink;
        match contained(|| what(sink)) {
            Some(Ok(())) => Taken::Whole,
            Some(Err(error)) => {
                self.shared.events.add_error();
                Taken::Refused(error)
            }
            None => {
                self.shared.events.add_restarted();
                self.failed("it has panicked");
                Taken::Panicked
            }
        }
    }

    /// Waits before the next attempt, no less than `least`; false when the deadline of a stop has
    /// passed.
    fn pause(&mut self, least: Duration) -> bool {
        let goes_on = self.sleep(least);
        if goes_on {
            // Also while it fails: what is done then may be what ends it, old files that go from a full disk.
            self.tick();
        }
        goes_on
    }

    fn sleep(&mut self, least: Duration) -> bool {
        // A part of the pause, so that servers that met one full disk do not return as one.
        let random = std::hash::RandomState::new().build_hasher().finish();
        let from = f64::from(self.pace.least) / 100.0;
        let share = from + (1.0 - from) * (random % 1024) as f64 / 1024.0;
        let jittered = least + self.pause.mul_f64(share);
        self.pause = (self.pause * 2).min(self.pace.longest);
        let mut state = lock(&self.shared.state);
        let stopping = state.stop;
        let until = Instant::now() + jittered;
        loop {
            if state.is_over() {
                return false;
            }
            // A stop that comes meanwhile is a reason to try at once.
            let until = state.stop.map_or(until, |deadline| until.min(deadline));
            if Instant::now() >= until && !state.is_over() || state.stop != stopping {
                return true;
            }
            state = wait(&self.shared.work, state, until);
        }
    }

    fn failed(&mut self, why: &str) {
        if self.outage.is_none() {
            self.outage = Some(self.shared.events.lost_lines());
            lock(&self.shared.state).failing = true;
            // Who waits for room may not want to any more.
            self.shared.done.notify_all();
            self.voice.say(format!("sink {}: {why}; trying on", self.name));
        }
    }

    /// The other side is there and will not have it.
    fn refused(&mut self, why: &str) {
        self.voice.say(format!("sink {}: {why}; not tried again", self.name));
    }

    fn recovered(&mut self) {
        self.pause = self.pace.first;
        if let Some(before) = self.outage.take() {
            lock(&self.shared.state).failing = false;
            let lost = self.shared.events.lost_lines() - before;
            self.voice.say(format!("sink {}: works again, lost meanwhile: {lost}", self.name));
        }
    }
}

/// Says that the thread has ended when it is dropped, by a panic too.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.ended = true;
        self.0.give_up(&mut state);
        drop(state);
        self.0.done.notify_all();
    }
}

#[cfg(test)]
mod tests;
