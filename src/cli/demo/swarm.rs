//! What the demo's tools work on: agents, workers, a store, log-ins. Every collection is bounded,
//! since a client of the user's own may ask for anything.
//!
//! All metrics below come from the helpers of `vitals.mcp()`, and the lines of the log from those of
//! `Logger`, called where the thing happens; spans say what a request waited for. What a client stores
//! or searches for is in none of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use mcp_vitals::traces::{InSpan, SpanStatus};
use mcp_vitals::{Agent, Logger, RunningTask, Status, Tracer, Vitals, debug, warn};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Agents that may be alive at a time.
const MOST_AGENTS: usize = 512;
/// Tasks that run at a time; more wait.
const WORKERS: usize = 12;
/// Tasks that may wait.
const MOST_WAITING: usize = 200;
/// Keys of the store, the oldest goes first.
const MOST_KEYS: usize = 256;
/// Notes that are in the store from the start.
pub(super) const NOTES: u64 = 12;
/// Failed log-ins within [`WINDOW`] after which a user is refused.
const MOST_FAILURES: usize = 3;
const WINDOW: Duration = Duration::from_secs(10);
/// Users whose failures are remembered.
const MOST_USERS: usize = 64;

/// The state behind all sessions.
pub(super) struct Swarm {
    pub(super) vitals: Vitals,
    pub(super) logger: Logger,
    pub(super) tracer: Tracer,
    chance: Mutex<fastrand::Rng>,
    agents: Mutex<Agents>,
    workers: Semaphore,
    waiting: Semaphore,
    store: Mutex<VecDeque<(String, String)>>,
    failures: Mutex<VecDeque<(String, Vec<Instant>)>>,
}

#[derive(Default)]
struct Agents {
    last: u64,
    last_task: u64,
    alive: BTreeMap<u64, Member>,
}

struct Member {
    agent: Agent,
    kind: String,
    busy: bool,
}

/// A worker's place, and the agent that works there if one was idle.
pub(super) struct Worker<'a> {
    swarm: &'a Swarm,
    agent: Option<u64>,
    task: Option<RunningTask>,
    number: String,
    task_type: String,
    started: Instant,
    _place: SemaphorePermit<'a>,
}

impl Swarm {
    pub(super) fn new(vitals: &Vitals, seed: u64) -> Swarm {
        Swarm {
            vitals: vitals.clone(),
            logger: vitals.logger("swarm"),
            tracer: vitals.tracer("swarm"),
            chance: Mutex::new(fastrand::Rng::with_seed(seed)),
            agents: Mutex::default(),
            workers: Semaphore::new(WORKERS),
            waiting: Semaphore::new(MOST_WAITING),
            store: Mutex::new((0..NOTES).map(|n| (note(n), "to be done".to_owned())).collect()),
            failures: Mutex::default(),
        }
    }

    /// Whether something that happens `percent` times in a hundred happens now.
    pub(super) fn happens(&self, percent: f64) -> bool {
        lock(&self.chance).f64() * 100.0 < percent
    }

    pub(super) fn number(&self, range: std::ops::Range<u64>) -> u64 {
        lock(&self.chance).u64(range)
    }

    /// Does `what`, which takes a while: see [`pause`](Self::pause).
    pub(super) async fn work(&self, what: &str, shortest: u64, longest: u64) {
        self.pause(shortest, longest).in_span(self.tracer.span(what)).await;
    }

    /// Takes a while, in milliseconds: mostly near the shorter time, now and then far from it.
    pub(super) async fn pause(&self, shortest: u64, longest: u64) {
        let luck = lock(&self.chance).f64();
        let milliseconds = shortest as f64 + (longest - shortest) as f64 * luck.powi(3);
        tokio::time::sleep(Duration::from_secs_f64(milliseconds / 1000.0)).await;
    }

    /// Starts an agent; its number.
    pub(super) fn spawn(&self, kind: &str) -> Result<u64, String> {
        let mut agents = lock(&self.agents);
        if agents.alive.len() >= MOST_AGENTS {
            self.vitals.mcp().agent_failed(kind, "no_slot");
            warn!(self.logger, "no agent started", agent_type = kind, reason = "no_slot");
            return Err(format!("all {MOST_AGENTS} agents are taken; finish one"));
        }
        let mut agent = self.vitals.mcp().agent_spawned(kind);
        if self.happens(4.0) {
            agent.fail("start_timeout");
            warn!(self.logger, "no agent started", agent_type = kind, reason = "start_timeout");
            return Err(format!("the {kind} did not start in time"));
        }
        agent.set_status("idle");
        agents.last += 1;
        let number = agents.last;
        agents.alive.insert(number, Member { agent, kind: kind.to_owned(), busy: false });
        self.logger.log_agent_event(&number.to_string(), kind, "spawned");
        Ok(number)
    }

    /// Ends an agent, well or not.
    pub(super) fn finish(&self, number: u64) -> String {
        let Some(Member { agent, kind, .. }) = lock(&self.agents).alive.remove(&number) else {
            return format!("agent {number} had ended before");
        };
        let say = |event| self.logger.log_agent_event(&number.to_string(), &kind, event);
        if self.happens(6.0) {
            let reason = if self.happens(50.0) { "timeout" } else { "out_of_memory" };
            agent.fail(reason);
            say("failed");
            return format!("agent {number} failed: {reason}");
        }
        agent.finish();
        say("finished");
        format!("agent {number} finished")
    }

    /// Waits for a worker and starts a task there. `queued` is called once the task waits.
    pub(super) async fn start(
        &self,
        task_type: &str,
        priority: &str,
        queued: impl Future<Output = ()>,
    ) -> Result<Worker<'_>, String> {
        let Ok(_line) = self.waiting.try_acquire() else {
            return Err(format!("{MOST_WAITING} tasks wait already"));
        };
        let task = self.vitals.mcp().task_queued(priority);
        queued.await;
        let waiting = self.workers.acquire().in_span(self.tracer.span("wait_for_worker"));
        let place = waiting.await.map_err(|_| "the swarm is closed")?;
        let task = task.start(task_type);
        let mut agents = lock(&self.agents);
        let idle = agents.alive.iter_mut().find(|(_, member)| !member.busy);
        let agent = idle.map(|(number, member)| {
            member.busy = true;
            member.agent.set_status("busy");
            *number
        });
        agents.last_task += 1;
        let number = agents.last_task.to_string();
        self.logger.log_task_event(&number, task_type, "started", None);
        Ok(Worker {
            swarm: self,
            agent,
            task: Some(task),
            number,
            task_type: task_type.to_owned(),
            started: Instant::now(),
            _place: place,
        })
    }

    /// Keeps a value; the oldest goes where there is no room.
    pub(super) fn store(&self, key: String, value: String) -> String {
        let mut store = lock(&self.store);
        store.retain(|(stored, _)| *stored != key);
        if store.len() >= MOST_KEYS {
            store.pop_front();
        }
        let said = format!("stored {key}, {} bytes", value.len());
        debug!(self.logger, "stored", bytes = value.len(), entries = store.len() + 1);
        store.push_back((key, value));
        self.vitals.mcp().memory_operation("store", Status::Success);
        said
    }

    pub(super) fn retrieve(&self, key: &str) -> Result<String, String> {
        let mut span = self.tracer.span("look_up");
        let store = lock(&self.store);
        span.set_attribute("entries", store.len());
        let found = store.iter().find(|(stored, _)| stored == key);
        if found.is_none() {
            span.add_event("miss");
        }
        self.counted("retrieve", found.map(|(_, value)| value.clone()).ok_or_else(|| missing(key)))
    }

    pub(super) fn delete(&self, key: &str) -> Result<String, String> {
        let mut store = lock(&self.store);
        let at = store.iter().position(|(stored, _)| stored == key);
        let gone = at.and_then(|at| store.remove(at));
        self.counted("delete", gone.map(|_| format!("deleted {key}")).ok_or_else(|| missing(key)))
    }

    pub(super) fn search(&self, text: &str) -> String {
        let mut span = self.tracer.span("scan");
        let store = lock(&self.store);
        let hits = store.iter().filter(|(key, value)| key.contains(text) || value.contains(text));
        let hits = hits.count();
        span.set_attribute("entries", store.len());
        span.set_attribute("hits", hits);
        let said = format!("{hits} of {} entries", store.len());
        self.vitals.mcp().memory_operation("search", Status::Success);
        said
    }

    fn counted(&self, operation: &str, result: Result<String, String>) -> Result<String, String> {
        let status = if result.is_ok() { Status::Success } else { Status::Error };
        self.vitals.mcp().memory_operation(operation, status);
        result
    }

    /// One attempt to log in. A wrong secret is an answer; too many of them are a refusal.
    pub(super) fn login(&self, user: String, method: &str, right: bool) -> Result<String, String> {
        let mut span = self.tracer.span("check_secret");
        span.set_attribute("method", method);
        let now = Instant::now();
        let mut failures = lock(&self.failures);
        for (_, times) in failures.iter_mut() {
            times.retain(|time| now.duration_since(*time) < WINDOW);
        }
        failures.retain(|(_, times)| !times.is_empty());
        let known = failures.iter().position(|(failed, _)| *failed == user);
        if known.is_some_and(|at| failures[at].1.len() >= MOST_FAILURES) {
            self.vitals.mcp().rate_limited(&user);
            span.set_status(SpanStatus::Error, "rate_limit");
            warn!(self.logger, "log-in refused", user, method, reason = "rate_limit");
            return Err("too many attempts; try again later".to_owned());
        }
        self.vitals.mcp().auth_attempt(method, right);
        self.logger.log_auth_event(&user, method, right);
        span.set_attribute("right", right);
        if right {
            return Ok("welcome".to_owned());
        }
        match known {
            Some(at) => failures[at].1.push(now),
            None => {
                if failures.len() >= MOST_USERS {
                    failures.pop_front();
                }
                failures.push_back((user, vec![now]));
            }
        }
        Ok("denied: user and secret do not match".to_owned())
    }
}

impl Worker<'_> {
    /// The task ended. Dropped instead, it counts as withdrawn.
    pub(super) fn finish(mut self, status: Status) {
        self.close(status);
        if let Some(task) = self.task.take() {
            task.finish(status);
        }
    }

    fn close(&self, status: Status) {
        let took = Some(self.started.elapsed());
        self.swarm.logger.log_task_event(&self.number, &self.task_type, status, took);
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if self.task.is_some() {
            self.close(Status::Cancelled);
        }
        let Some(number) = self.agent else { return };
        // It may have been finished meanwhile.
        if let Some(member) = lock(&self.swarm.agents).alive.get_mut(&number) {
            member.busy = false;
            member.agent.set_status("idle");
        }
    }
}

/// The key of a note.
pub(super) fn note(number: u64) -> String {
    format!("note {number}")
}

fn missing(key: &str) -> String {
    format!("nothing is stored as {key}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
