//! The one thread that takes lines out of an engine's rings and gives them to the sinks.
//!
//! It polls: a caller that woke it would pay for two hundred lines. The fuller it finds the rings, the
//! sooner it looks again; where nothing comes, less and less often, up to [`IDLE`]. What a ring can
//! hold meanwhile is what a thread may log in one burst.

pub(crate) mod anchors;
#[cfg(target_os = "linux")]
pub(crate) mod durable;
#[cfg(not(target_os = "linux"))]
#[path = "durable_elsewhere.rs"]
pub(crate) mod durable;
pub(crate) mod flight;
#[cfg(target_os = "linux")]
pub(crate) mod found;
mod limit;
mod report;
mod route;
pub(crate) mod spans;

use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::background::Joined;
use crate::clock::Clock;
use crate::error::Error;
use crate::export::sink::SinkThread;
use crate::ring::drain::Drain;
use crate::ring::frame::kind;
use crate::ring::set::{ByLevel, LEVELS, Rings};
use crate::ring::thread::set_ours;
use crate::sync::{AtomicU64, Ordering, contained, lock};
use anchors::Anchors;
use durable::Durable;
use flight::Flight;
pub(crate) use report::Report;
pub(crate) use route::{Form, Manner, Outlet};
use route::{KeptOut, Router};
use spans::Spans;

/// How long it sleeps: by how full it found the fullest ring, in eighths, so that one that goes on
/// filling so is not full before the next look; and at most.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(4),
    Duration::from_millis(2),
    Duration::from_millis(1),
    Duration::from_micros(500),
];
const IDLE: Duration = Duration::from_millis(16);
/// Lines in one look after which it looks again at once.
const MANY: usize = 256;
/// What is younger waits for what may still come from another thread.
const HOLD_BACK_NANOS: u64 = 1_000_000;
/// How often it looks at the wall clock, and reports losses.
const CHORES: Duration = Duration::from_secs(1);

/// The flusher of an engine, and its sinks.
pub(crate) struct Flusher {
    shared: Arc<Shared>,
    thread: Mutex<Joined>,
}

struct Shared {
    rings: Arc<Rings>,
    /// Until they are stopped.
    sinks: Mutex<Vec<Arc<SinkThread>>>,
    asked: Mutex<Asked>,
    answered: Condvar,
    counts: Counts,
    beside: Mutex<Option<Chore>>,
}

/// What the flusher does each second for others.
type Chore = Box<dyn FnMut() + Send>;

#[derive(Default)]
struct Asked {
    /// Flushes that were asked for, and those that have been done.
    flushes: u64,
    done: u64,
    stop: bool,
    ended: bool,
    /// What [`Flusher::stop`] answered first.
    stopped: Option<bool>,
}

/// What the flusher counts, for whoever scrapes.
#[derive(Default)]
pub(crate) struct Counts {
    lost: [AtomicU64; LEVELS],
    poison: AtomicU64,
    redacted: AtomicU64,
    limited: AtomicU64,
    repeated: AtomicU64,
    restarted: AtomicU64,
}

impl Counts {
    /// Lines lost in front of the rings because these were full, by level.
    pub(crate) fn lost(&self) -> ByLevel {
        std::array::from_fn(|at| self.lost[at].load(Ordering::Relaxed))
    }

    /// What was kept out of the sinks.
    pub(crate) fn kept_out(&self) -> KeptOut {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        KeptOut {
            poison: read(&self.poison),
            redacted: read(&self.redacted),
            limited: read(&self.limited),
            repeated: read(&self.repeated),
        }
    }

    /// How often the flusher panicked and went on.
    pub(crate) fn restarted(&self) -> u64 {
        self.restarted.load(Ordering::Relaxed)
    }
}

impl Flusher {
    /// Starts to drain `rings`, whose one flusher this is, into `outlets`.
    ///
    /// * `spans`: where spans go; nothing where none are recorded.
    /// * `durable`: of rings that lie in a file.
    pub(crate) fn start(
        rings: Arc<Rings>,
        outlets: Vec<Outlet>,
        spans: Option<Spans>,
        durable: Option<Durable>,
        manner: Manner,
    ) -> Result<Flusher, Error> {
        let of_spans = spans.iter().flat_map(Spans::sinks).cloned();
        let sinks = outlets.iter().map(|outlet| outlet.sink.clone()).chain(of_spans).collect();
        let shared = Arc::new(Shared {
            rings: rings.clone(),
            sinks: Mutex::new(sinks),
            asked: Mutex::default(),
            answered: Condvar::new(),
            counts: Counts::default(),
            beside: Mutex::default(),
        });
        let mut drain =
            Drain::only(rings).ok_or(Error::Spawn(std::io::ErrorKind::AlreadyExists.into()))?;
        if durable.is_some() {
            drain.leave_freeing();
        }
        let recorder = manner.recorder.clone();
        let mut spans = spans;
        if let Some(spans) = &mut spans {
            spans.record_into(recorder.clone());
        }
        let worker = Worker {
            flight: recorder.map(Flight::new),
            drain,
            durable,
            router: Router::new(outlets, manner),
            spans,
            anchors: Anchors::new(Clock::get()),
            clock: Clock::get(),
            shared: shared.clone(),
            report: Report::default(),
        };
        let thread =
            Joined::spawn("mcp-vitals-logs", move || worker.run()).map_err(Error::Spawn)?;
        Ok(Flusher { shared, thread: Mutex::new(thread) })
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Has the flusher do this each second, too. It takes little time, and keeps no engine alive.
    pub(crate) fn also(&self, chore: impl FnMut() + Send + 'static) {
        *lock(&self.shared.beside) = Some(Box::new(chore));
    }

    /// Lines that threads of this engine's own wanted to log, by level.
    pub(crate) fn own(&self) -> ByLevel {
        self.shared.rings.own()
    }

    /// Waits until what was logged before is in its sinks' hands, and these have written it; false
    /// when that took longer than `deadline`, and at once on a thread that works for this engine.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        self.shared.flush(deadline)
    }

    /// For who must not keep the engine alive.
    pub(crate) fn nudge(&self) -> Nudge {
        Nudge(Arc::downgrade(&self.shared))
    }

    /// Drains and flushes everything and ends, up to `deadline`; false when something was left. The
    /// second call does nothing.
    pub(crate) fn stop(&self, deadline: Instant) -> bool {
        if self.shared.rings.is_inherited() {
            // The threads are the parent's, and so is what they hold.
            return false;
        }
        lock(&self.shared.asked).stop = true;
        self.shared.rings.wake_flusher();
        let left = || deadline.saturating_duration_since(Instant::now());
        let mut thread = lock(&self.thread);
        // Where callers wait for room it may wait for a sink that hangs, until that is stopped; the
        // others have a quarter of the time for what it gives them.
        thread.wait(left() / 4 * 3);
        let sinks = std::mem::take(&mut *lock(&self.shared.sinks));
        let all = SinkThread::stop_all(&sinks, deadline);
        let all = thread.join(left()) && all;
        lock(&self.shared.asked).stopped.get_or_insert(all);
        self.shared.answered.notify_all();
        all
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.stop(Instant::now() + crate::background::DROP_DEADLINE);
        if self.shared.rings.is_inherited() {
            // To drop a sink is to wait for its thread.
            lock(&self.shared.sinks).drain(..).for_each(std::mem::forget);
        }
    }
}

impl Shared {
    /// Has the flusher drain all at once; gives the number of the request.
    fn ask(&self) -> u64 {
        let mut asked = lock(&self.asked);
        asked.flushes += 1;
        let target = asked.flushes;
        drop(asked);
        self.rings.wake_flusher();
        target
    }

    fn flush(&self, deadline: Instant) -> bool {
        // A sink that waits for itself waits in vain.
        if self.rings.is_inherited() || self.rings.is_for_this_thread() {
            return false;
        }
        let target = self.ask();
        let mut asked = lock(&self.asked);
        // Who has been told to stop answers for the sinks as well, which are no longer there to be asked.
        while if asked.stop { asked.stopped.is_none() } else { asked.done < target && !asked.ended }
        {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.answered.wait_timeout(asked, left);
            asked = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        if let Some(all) = asked.stopped {
            return all;
        }
        drop(asked);
        let sinks = lock(&self.sinks).clone();
        // All of them, also behind one that is late.
        let late = sinks.iter().filter(|sink| !sink.flush(deadline)).count();
        late == 0
    }
}

/// A flusher that may have ended.
#[derive(Clone)]
pub(crate) struct Nudge(Weak<Shared>);

impl Nudge {
    pub(crate) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// Has it look at once. Takes no lock.
    pub(crate) fn wake(&self) {
        if let Some(shared) = self.there() {
            shared.rings.wake_flusher();
        }
    }

    /// Has it drain everything, and doesn't wait for that.
    pub(crate) fn ask(&self) {
        if let Some(shared) = self.there() {
            shared.ask();
        }
    }

    fn there(&self) -> Option<Arc<Shared>> {
        self.0.upgrade().filter(|shared| !shared.rings.is_inherited())
    }

    /// As [`Flusher::flush`]; true where it has ended.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        self.0.upgrade().is_none_or(|shared| shared.flush(deadline))
    }
}

/// What runs on the flusher's thread.
struct Worker {
    drain: Drain,
    durable: Option<Durable>,
    router: Router,
    spans: Option<Spans>,
    anchors: Anchors,
    clock: Clock,
    shared: Arc<Shared>,
    report: Report,
    flight: Option<Flight>,
}

impl Worker {
    fn run(mut self) {
        set_ours(self.shared.rings.id());
        self.shared.rings.set_flusher(thread::current());
        let _ended = Ended(self.shared.clone());
        while contained(|| self.work()).is_none() {
            // What panicked was not a frame: those are looked at one by one. On with the next.
            self.shared.counts.restarted.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn work(&mut self) {
        let mut pause = PAUSES[0];
        let mut chores = Instant::now();
        loop {
            let (flushes, stop) = {
                let asked = lock(&self.shared.asked);
                (asked.flushes, asked.stop)
            };
            let must = stop || flushes > lock(&self.shared.asked).done;
            let seen = if must { self.drain_all() } else { self.drain_held_back() };
            self.send();
            if chores.elapsed() >= CHORES || must {
                chores = Instant::now();
                self.chores();
            }
            if must {
                lock(&self.shared.asked).done = flushes;
                self.shared.answered.notify_all();
            }
            if stop {
                // Callers that were on their way when the loggers were closed. Up to now, and no further:
                // a thread that makes spans of a trace that is open would have no end.
                self.drain_all();
                self.send();
                if let Some(spans) = &mut self.spans {
                    spans.finish();
                }
                if let Some(flight) = &mut self.flight {
                    flight.finish(self.anchors.unix_nanos(self.clock.ticks()));
                }
                return;
            }
            if seen > MANY {
                // They come faster than rings can wait.
                continue;
            }
            pause = match seen {
                0 => (pause * 2).min(IDLE),
                _ => PAUSES[self.drain.fullest_eighths().min(PAUSES.len() - 1)],
            };
            thread::park_timeout(pause);
        }
    }

    /// What stood in the rings when it began, whatever its age.
    fn drain_all(&mut self) -> usize {
        let now = self.clock.ticks();
        self.rounds(now)
    }

    fn drain_held_back(&mut self) -> usize {
        let now = self.clock.ticks();
        // A ring that fills up can't wait.
        let pressed = self.drain.is_pressed() || self.shared.rings.is_waited_for();
        let back = if pressed { 0 } else { self.clock.ticks_of(HOLD_BACK_NANOS) };
        self.rounds(now.saturating_sub(back))
    }

    fn rounds(&mut self, horizon: u64) -> usize {
        let mut seen = 0;
        loop {
            let Worker { drain, router, spans, anchors, durable, .. } = self;
            let round = drain.round(horizon, |run| {
                loop {
                    if !router.route(run, anchors) {
                        return false;
                    }
                    let before = run.left();
                    match spans {
                        Some(spans) => spans.take(run, anchors),
                        None => while run.next_if(|of| of != kind::LINE).is_some() {},
                    }
                    if run.left() == before {
                        return true;
                    }
                }
            });
            seen += round;
            if let Some(durable) = durable
                && round > 0
            {
                durable.send(drain, router);
            }
            if round == 0 {
                return seen;
            }
        }
    }

    fn send(&mut self) {
        self.router.send();
        if let Some(spans) = &mut self.spans {
            spans.send();
        }
        if let Some(flight) = &mut self.flight {
            flight.tick(self.anchors.unix_nanos(self.clock.ticks()));
        }
        if let Some(durable) = &mut self.durable {
            durable.send(&mut self.drain, &mut self.router);
        }
    }

    fn chores(&mut self) {
        let anchor = self.anchors.renew();
        if let Some(durable) = &self.durable {
            durable.anchor(anchor);
        }
        let lost = self.shared.rings.lost(self.drain.known());
        let counts = &self.shared.counts;
        for (count, lost) in counts.lost.iter().zip(lost) {
            count.store(lost, Ordering::Relaxed);
        }
        let now = self.clock.ticks();
        if let Some(frame) = self.report.lost(lost, now) {
            self.router.route_one(frame, &self.anchors);
        }
        self.router.report_held(&mut self.report, now, &self.anchors);
        self.send();
        let KeptOut { poison, redacted, limited, repeated } = self.router.kept_out();
        let counts = &self.shared.counts;
        counts.poison.store(poison + self.drain.torn(), Ordering::Relaxed);
        counts.redacted.store(redacted, Ordering::Relaxed);
        counts.limited.store(limited, Ordering::Relaxed);
        counts.repeated.store(repeated, Ordering::Relaxed);
        if let Some(spans) = &mut self.spans {
            spans.chores(anchor.unix_nanos);
        }
        if let Some(chore) = &mut *lock(&self.shared.beside) {
            chore();
        }
    }
}

/// Says that the flusher has ended, whatever ended it.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        lock(&self.0.asked).ended = true;
        self.0.answered.notify_all();
    }
}
