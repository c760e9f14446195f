//! Helpers that keep related metrics in step: a gauge that goes up where a guard is made goes down
//! where it is dropped, on every path.

use std::hash::BuildHasher;
use std::time::Duration;

use super::{Mcp, UserId};
use crate::catalog::Status;
use crate::clock::{Clock, Stopwatch};
use crate::{Counter, Family, Histogram, UpDown};

impl Mcp {
    /// Counts an agent that starts, and holds it in `mcp_agents_active{status="active"}` until the
    /// guard is finished, failed or dropped.
    #[must_use = "the agent counts as active for as long as the guard lives"]
    pub fn agent_spawned(&self, kind: &str) -> Agent {
        self.agents_spawned.with([kind]).inc();
        let active = self.agents_active.with([kind, "active"]);
        active.inc();
        Agent {
            kind: kind.into(),
            active,
            by_status: self.agents_active.clone(),
            failed: self.agents_failed.clone(),
            open: true,
        }
    }

    /// Counts an agent that could not even be started. One that was started fails by
    /// [`Agent::fail`].
    pub fn agent_failed(&self, kind: &str, reason: &str) {
        self.agents_failed.with([kind, reason]).inc();
    }

    /// Holds a task in `mcp_tasks_pending` until it is started or given up.
    #[must_use = "the task counts as pending for as long as the guard lives"]
    pub fn task_queued(&self, priority: &str) -> QueuedTask {
        let pending = self.tasks_pending.with([priority]);
        pending.inc();
        QueuedTask {
            pending,
            running: self.tasks_running.clone(),
            durations: self.task_duration.clone(),
        }
    }

    /// Starts a task that never waited: see [`QueuedTask::start`].
    #[must_use = "the task counts as running for as long as the guard lives"]
    pub fn task_started(&self, task_type: &str) -> RunningTask {
        RunningTask::start(&self.tasks_running, &self.task_duration, task_type)
    }

    /// Records the end of a task that was timed elsewhere; touches no gauge.
    pub fn task_finished(&self, task_type: &str, status: Status, duration: Duration) {
        self.task_duration.with([task_type, status.as_str()]).record(duration);
    }

    /// Counts one operation (`store`, `retrieve`, `search`, …) on the server's memory store.
    pub fn memory_operation(&self, operation: &str, status: Status) {
        if status != Status::Error {
            // There from the first success on: a counter born at 1 is invisible to `rate`.
            self.memory_operations.with([operation, Status::Error.as_str()]);
        }
        self.memory_operations.with([operation, status.as_str()]).inc();
    }

    /// Sets `mcp_memory_usage_bytes` for one kind of memory. `rss` and `total` are set by the
    /// system readings where these are on.
    pub fn memory_used(&self, kind: &str, bytes: u64) {
        self.memory_usage.with([kind]).set(bytes as f64);
    }

    /// Records one answer of a model: its duration, and the tokens that it read and wrote.
    pub fn inference(
        &self,
        model: &str,
        operation: &str,
        duration: Duration,
        input_tokens: u64,
        output_tokens: u64,
    ) {
        self.inference_duration.with([model, operation]).record(duration);
        self.tokens.with([model, "input"]).add(input_tokens);
        self.tokens.with([model, "output"]).add(output_tokens);
    }

    /// Counts one attempt to authenticate by `method` (`token`, `password`, …).
    pub fn auth_attempt(&self, method: &str, ok: bool) {
        // Both series exist from a method's first attempt on, so that the first failures show.
        let success = self.auth_attempts.with([method, "success"]);
        let failed = self.auth_attempts.with([method, "failed"]);
        if ok { success.inc() } else { failed.inc() }
    }

    /// Counts one request refused because `user_id` went over a rate limit. What stands in the label
    /// is the builder's choice: see [`UserId`].
    pub fn rate_limited(&self, user_id: &str) {
        match self.user_id {
            UserId::Plain => self.rate_limit_exceeded.with([user_id]).inc(),
            UserId::Off => self.rate_limit_exceeded.with(["_all"]).inc(),
            UserId::Hashed => {
                let hash = hex(self.user_key.hash_one(user_id));
                let label = std::str::from_utf8(&hash).unwrap_or("_all");
                self.rate_limit_exceeded.with([label]).inc();
            }
        }
    }
}

/// 16 hexadecimal digits, on the stack.
fn hex(hash: u64) -> [u8; 16] {
    std::array::from_fn(|digit| b"0123456789abcdef"[(hash >> (60 - 4 * digit)) as usize & 15])
}

/// An agent that is alive, from [`Mcp::agent_spawned`].
///
/// Dropped without a word it counts as finished, or as failed with the reason `panic` where the
/// drop is part of a panic.
pub struct Agent {
    kind: Box<str>,
    active: UpDown,
    by_status: Family<UpDown, 2>,
    failed: Family<Counter, 2>,
    open: bool,
}

impl Agent {
    /// Moves the agent to another `status` (`idle`, `busy`, …) of `mcp_agents_active`.
    pub fn set_status(&mut self, status: &str) {
        // Up before down: a scrape between the two sees one agent too many for an instant, never a
        // fleet that is missing one.
        let next = self.by_status.with([&*self.kind, status]);
        next.inc();
        std::mem::replace(&mut self.active, next).dec();
    }

    /// The agent ended well. The same as dropping it.
    pub fn finish(self) {}

    /// The agent failed, for a `reason` out of a small set of the server's own.
    pub fn fail(mut self, reason: &str) {
        self.close(Some(reason));
    }

    fn close(&mut self, failure: Option<&str>) {
        if std::mem::take(&mut self.open) {
            self.active.dec();
            if let Some(reason) = failure {
                self.failed.with([&*self.kind, reason]).inc();
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.close(std::thread::panicking().then_some("panic"));
    }
}

/// A task that waits, from [`Mcp::task_queued`]. Dropped unstarted it is no longer pending, and that
/// is all.
pub struct QueuedTask {
    pending: UpDown,
    running: UpDown,
    durations: Family<Histogram, 2>,
}

impl QueuedTask {
    /// The task starts: it is pending no more, it runs, and its clock starts.
    #[must_use = "the task counts as running for as long as the guard lives"]
    pub fn start(self, task_type: &str) -> RunningTask {
        RunningTask::start(&self.running, &self.durations, task_type)
    }
}

impl Drop for QueuedTask {
    fn drop(&mut self) {
        self.pending.dec();
    }
}

/// A task that runs, from [`QueuedTask::start`] or [`Mcp::task_started`].
///
/// Dropped without [`finish`](Self::finish) it counts as `cancelled`, or as `error` where the drop
/// is part of a panic.
pub struct RunningTask {
    running: UpDown,
    durations: Family<Histogram, 2>,
    task_type: Box<str>,
    started: Stopwatch,
    open: bool,
}

impl RunningTask {
    fn start(running: &UpDown, durations: &Family<Histogram, 2>, task_type: &str) -> RunningTask {
        running.inc();
        RunningTask {
            running: running.clone(),
            durations: durations.clone(),
            task_type: task_type.into(),
            started: Clock::get().start(),
            open: true,
        }
    }

    /// The task ended: its duration is recorded under `status`.
    pub fn finish(mut self, status: Status) {
        self.close(status);
    }

    fn close(&mut self, status: Status) {
        if std::mem::take(&mut self.open) {
            self.running.dec();
            let series = self.durations.with([&*self.task_type, status.as_str()]);
            series.record_nanos(self.started.elapsed_nanos());
        }
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        self.close(if panicking { Status::Error } else { Status::Cancelled });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vitals;

    fn vitals() -> Vitals {
        Vitals::builder().build().unwrap()
    }

    fn value(vitals: &Vitals, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        vitals.snapshot().value(name, labels)
    }

    #[test]
    fn an_agent_is_active_from_its_start_to_its_end_on_every_path() {
        let vitals = vitals();
        let active =
            |status| value(&vitals, "mcp_agents_active", &[("type", "coder"), ("status", status)]);
        let mut first = vitals.mcp().agent_spawned("coder");
        let second = vitals.mcp().agent_spawned("coder");
        assert_eq!(active("active"), Some(2.0));
        first.set_status("idle");
        assert_eq!((active("active"), active("idle")), (Some(1.0), Some(1.0)));
        first.finish();
        second.fail("timeout");
        let third = vitals.mcp().agent_spawned("coder");
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _agent = third;
            panic!("expected");
        }));
        assert!(caught.is_err());
        vitals.mcp().agent_failed("coder", "no_slot");
        assert_eq!((active("active"), active("idle")), (Some(0.0), Some(0.0)));
        assert_eq!(value(&vitals, "mcp_agents_spawned_total", &[("type", "coder")]), Some(3.0));
        for reason in ["timeout", "panic", "no_slot"] {
            let labels = [("type", "coder"), ("reason", reason)];
            assert_eq!(value(&vitals, "mcp_agents_failed_total", &labels), Some(1.0), "{reason}");
        }
    }

    #[test]
    fn a_task_is_pending_then_running_then_recorded_once() {
        let vitals = vitals();
        let pending = || value(&vitals, "mcp_tasks_pending", &[("priority", "high")]);
        let running = || value(&vitals, "mcp_tasks_running", &[]);
        let count = |status| {
            let labels = [("task_type", "index"), ("status", status)];
            value(&vitals, "mcp_task_duration_seconds", &labels)
        };
        let queued = vitals.mcp().task_queued("high");
        assert_eq!((pending(), running()), (Some(1.0), Some(0.0)));
        let task = queued.start("index");
        assert_eq!((pending(), running()), (Some(0.0), Some(1.0)));
        task.finish(Status::Success);
        drop(vitals.mcp().task_queued("high"));
        drop(vitals.mcp().task_started("index"));
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _task = vitals.mcp().task_queued("high").start("index");
            panic!("expected");
        }));
        assert!(caught.is_err());
        vitals.mcp().task_finished("index", Status::Success, Duration::from_secs(2));
        assert_eq!((pending(), running()), (Some(0.0), Some(0.0)));
        assert_eq!(count("success"), Some(2.0));
        assert_eq!(count("cancelled"), Some(1.0));
        assert_eq!(count("error"), Some(1.0));
    }

    #[test]
    fn inference_counts_tokens_by_direction() {
        let vitals = vitals();
        vitals.mcp().inference("m", "predict", Duration::from_millis(5), 30, 4);
        vitals.mcp().inference("m", "predict", Duration::from_millis(5), 3, 0);
        let tokens = |direction| {
            let labels = [("model", "m"), ("direction", direction)];
            value(&vitals, "mcp_neural_tokens_processed_total", &labels)
        };
        assert_eq!((tokens("input"), tokens("output")), (Some(33.0), Some(4.0)));
    }

    #[test]
    fn the_first_success_shows_the_failures_at_0() {
        let vitals = vitals();
        vitals.mcp().auth_attempt("token", true);
        vitals.mcp().memory_operation("store", Status::Success);
        let failed = [("method", "token"), ("status", "failed")];
        assert_eq!(value(&vitals, "mcp_auth_attempts_total", &failed), Some(0.0));
        let error = [("operation", "store"), ("status", "error")];
        assert_eq!(value(&vitals, "mcp_memory_operations_total", &error), Some(0.0));
    }

    #[test]
    fn a_user_id_is_hashed_unless_the_builder_says_otherwise() {
        let vitals = vitals();
        for _ in 0..3 {
            vitals.mcp().rate_limited("ann@example.org");
        }
        let text = vitals.export_prometheus();
        assert!(!text.contains("ann@"), "{text}");
        let series: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("mcp_auth_rate_limit_exceeded_total{"))
            .collect();
        assert_eq!(series.len(), 1, "{series:?}");
        assert!(series[0].ends_with("} 3"), "{series:?}");
    }

    #[test]
    fn hex_is_what_the_formatter_says() {
        for hash in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(std::str::from_utf8(&hex(hash)), Ok(format!("{hash:016x}").as_str()));
        }
    }
}
