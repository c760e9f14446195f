//! The console: a page that shows an engine live, and what the page is told.
//!
//! ```text
//! one walk over what is shown ─► reading ─► interval (what came since) ─► state, history, rules ─► JSON ─► page
//! ```
//! One thread reads each second while somebody looks, and else each ten seconds for the history. A
//! state is rendered once, whoever follows it. Nothing here keeps the engine alive.

mod assets;
mod board;
mod cells;
mod config;
mod events;
mod guard;
mod history;
mod interval;
mod lines;
mod query;
mod reading;
mod routes;
mod rules;
mod sampler;
mod state;
mod traces;

pub use self::config::ConsoleConfig;
pub(crate) use self::events::Events;
pub(crate) use self::reading::Reading;
pub(crate) use self::routes::{Asked, Content, Reply, is_below};

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use self::board::Board;
use self::events::{Kind, Place};
use self::history::Wanted;
use self::sampler::Sampler;
use self::state::Cost;
use crate::Cardinality;
use crate::background::{DROP_DEADLINE, Joined};
use crate::error::Error;
use crate::store::lines::RecentLines;
use crate::sync::{contained, lock};
use crate::traces::RecentTraces;

/// Viewers that may follow the state at a time; as many may follow the lines.
const MOST_VIEWERS: usize = 8;

/// How often a state is made while somebody looks, and a sample of the history while nobody does.
const FINE: Duration = Duration::from_secs(1);
const COARSE: Duration = Duration::from_secs(10);

/// An engine that may be gone by now.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Reads the families that `reading` wants; false when the engine is gone.
    fn read(&self, reading: &mut Reading) -> bool;

    /// The series of all families.
    fn cardinality(&self) -> Cardinality;
}

/// For tests: an engine that has nothing.
#[cfg(test)]
pub(crate) struct Nothing;

#[cfg(test)]
impl Engine for Nothing {
    fn read(&self, _: &mut Reading) -> bool {
        true
    }

    fn cardinality(&self) -> Cardinality {
        Cardinality::default()
    }
}

/// What is shown of an engine beside its numbers. None of it keeps the engine alive.
#[derive(Default)]
pub(crate) struct Kept {
    /// Name and version.
    pub(crate) service: (String, String),
    /// Where something is logged.
    pub(crate) lines: Option<Arc<RecentLines>>,
    /// Where spans are recorded.
    pub(crate) traces: Option<RecentTraces>,
}

/// What the routes and the thread share.
pub(crate) struct Console {
    config: ConsoleConfig,
    kept: Kept,
    engine: Box<dyn Engine>,
    sampler: Mutex<Sampler>,
    board: Board,
    places: Mutex<Places>,
    /// Told when somebody comes, and when the thread is to end.
    changed: Condvar,
    ping_every: Duration,
}

#[derive(Default)]
struct Places {
    states: usize,
    lines: usize,
    stop: bool,
    /// When the engine was last read; with a history its birth is as good.
    ticked: Option<Instant>,
}

impl Places {
    fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::States => &mut self.states,
            Kind::Lines => &mut self.lines,
        }
    }
}

impl Console {
    /// Nothing runs before [`Running::start`].
    pub(crate) fn new(config: &ConsoleConfig, kept: Kept, engine: Box<dyn Engine>) -> Arc<Console> {
        let places = Places { ticked: config.history.then(Instant::now), ..Places::default() };
        Arc::new(Console {
            config: config.clone(),
            engine,
            sampler: Mutex::new(Sampler::new(kept.service.clone(), config.history)),
            kept,
            board: Board::default(),
            places: Mutex::new(places),
            changed: Condvar::new(),
            ping_every: events::PING_EVERY,
        })
    }

    /// For tests: it has no thread, and says what it is told to.
    #[cfg(test)]
    pub(crate) fn told(
        service: impl Into<String>,
        engine: Box<dyn Engine>,
        ping_every: Duration,
    ) -> Arc<Console> {
        let kept = Kept { service: (service.into(), String::new()), ..Kept::default() };
        let mut console = Console::new(&ConsoleConfig::new(), kept, engine);
        if let Some(console) = Arc::get_mut(&mut console) {
            console.ping_every = ping_every;
        }
        console
    }

    /// For tests: what all viewers are sent.
    #[cfg(test)]
    pub(crate) fn tell(&self, event: impl Into<bytes::Bytes>) {
        self.board.post(event.into());
    }

    /// For tests: who follows the state.
    #[cfg(test)]
    pub(crate) fn viewers(&self) -> usize {
        lock(&self.places).states
    }

    /// Whether it may be served on this address.
    pub(crate) fn check(&self, addr: SocketAddr) -> Result<(), Error> {
        self.config.check_addr(addr)
    }

    /// A place for one more viewer; none when all are taken, or at the end.
    fn place(self: &Arc<Self>, kind: Kind) -> Option<Place> {
        let mut places = lock(&self.places);
        if places.stop || *places.of(kind) >= MOST_VIEWERS {
            return None;
        }
        *places.of(kind) += 1;
        self.changed.notify_all();
        Some(Place { console: self.clone(), kind })
    }

    fn left(&self, kind: Kind) {
        let mut places = lock(&self.places);
        let taken = places.of(kind);
        *taken = taken.saturating_sub(1);
    }

    /// What is remembered of the last hour, as JSON.
    fn history(&self, wanted: Wanted) -> Vec<u8> {
        lock(&self.sampler).history(wanted)
    }

    fn cost(&self) -> Cost {
        let Places { states, lines, .. } = *lock(&self.places);
        Cost {
            viewers: states as u64,
            viewers_most: MOST_VIEWERS as u64,
            followers: lines as u64,
            lines_bytes: self.kept.lines.as_ref().map_or(0, |lines| lines.bytes()),
            ..Cost::default()
        }
    }

    /// A state of now, as JSON; nothing where the engine is gone.
    fn state(&self) -> Option<Vec<u8>> {
        let cost = self.cost();
        let mut out = Vec::new();
        let read = lock(&self.sampler).state(self.engine.as_ref(), cost, &mut out);
        read.then_some(out)
    }

    /// The thread.
    fn run(&self) {
        while let Some(looked_at) = self.wait() {
            let cost = self.cost();
            let mut out = Vec::new();
            let to = looked_at.then_some(&mut out);
            let tick = || lock(&self.sampler).tick(self.engine.as_ref(), cost, to);
            match contained(tick) {
                Some(true) if looked_at => self.board.post(events::event("state", None, &out)),
                Some(false) => break,
                _ => {}
            }
        }
        self.board.close();
    }

    /// Waits until the next read is due, and says whether somebody looks; nothing at the end.
    fn wait(&self) -> Option<bool> {
        let mut places = lock(&self.places);
        while !places.stop {
            let looked_at = places.states > 0;
            let every = match (looked_at, self.config.history) {
                (true, _) => FINE,
                (false, true) => COARSE,
                // Until somebody comes.
                (false, false) => Duration::from_secs(86_400),
            };
            let since = places.ticked.map(|ticked| ticked.elapsed());
            let due = match since {
                Some(since) => since >= every,
                None => looked_at,
            };
            if due {
                places.ticked = Some(Instant::now());
                return Some(looked_at);
            }
            let rest = every.saturating_sub(since.unwrap_or_default());
            let woken = self.changed.wait_timeout(places, rest);
            places = woken.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        None
    }

    fn stop(&self) {
        lock(&self.places).stop = true;
        self.changed.notify_all();
        self.board.close();
    }
}

/// The thread; stopped and joined when dropped.
pub(crate) struct Running {
    console: Arc<Console>,
    thread: Joined,
}

impl Running {
    pub(crate) fn start(console: Arc<Console>) -> Result<Running, Error> {
        let own = console.clone();
        let thread = Joined::spawn("mcp-vitals-console", move || own.run());
        Ok(Running { console, thread: thread.map_err(Error::Spawn)? })
    }

    /// Ends all streams and the thread, within `deadline`. Further calls do nothing.
    pub(crate) fn stop(&mut self, deadline: Duration) -> bool {
        self.console.stop();
        self.thread.join(deadline)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop(DROP_DEADLINE);
    }
}
