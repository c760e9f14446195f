//! The eight key alerts, as far as a process can tell by itself how they stand: the console does, and the
//! rules of these names are written with the same numbers.

/// How urgent an alert is; the label `severity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody is to be woken.
    Critical,
    /// Somebody is to look today.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// What an expression reads of a counter: so many seconds of it, in which at least so many events have to
/// have been, or it says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reads {
    /// Seconds.
    pub window: u32,
    /// Events.
    pub least: f64,
}

/// Requests, of which one failure of 20 is never more than 5 %.
pub const REQUESTS: Reads = Reads { window: 120, least: 20.0 };
/// Agents, spawned and failed.
pub const AGENTS: Reads = Reads { window: 300, least: 10.0 };
/// Failed authentications.
pub const FAILED_LOGINS: Reads = Reads { window: 60, least: 0.0 };

/// One of the eight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyAlert {
    /// Its name.
    pub name: &'static str,
    /// How urgent it is.
    pub severity: Severity,
    /// What it compares with, unless the settings of `mcp-vitals generate` say otherwise.
    pub threshold: f64,
    /// How long it holds before it fires, in seconds.
    pub wait: u32,
}

const fn warning(name: &'static str, threshold: f64, wait: u32) -> KeyAlert {
    KeyAlert { name, severity: Severity::Warning, threshold, wait }
}

const fn critical(name: &'static str, threshold: f64, wait: u32) -> KeyAlert {
    KeyAlert { name, severity: Severity::Critical, threshold, wait }
}

/// Share of the requests that the server failed.
pub const HIGH_ERROR_RATE: KeyAlert = warning("HighErrorRate", 0.05, 120);
/// The same.
pub const CRITICAL_ERROR_RATE: KeyAlert = critical("CriticalErrorRate", 0.15, 60);
/// The 95th percentile of request durations, in seconds.
pub const HIGH_REQUEST_LATENCY: KeyAlert = warning("HighRequestLatency", 5.0, 180);
/// Agents that failed, over those that were spawned.
pub const HIGH_AGENT_FAILURE_RATE: KeyAlert = warning("HighAgentFailureRate", 0.2, 120);
/// Tasks that wait.
pub const HIGH_TASK_QUEUE_DEPTH: KeyAlert = warning("HighTaskQueueDepth", 50.0, 300);
/// Share of the memory that there is.
pub const HIGH_MEMORY_USAGE: KeyAlert = warning("HighMemoryUsage", 0.85, 180);
/// Percent of the processors that the process may use.
pub const HIGH_CPU_USAGE: KeyAlert = warning("HighCPUUsage", 85.0, 300);
/// Failed authentications a second.
pub const POSSIBLE_BRUTE_FORCE_ATTACK: KeyAlert = critical("PossibleBruteForceAttack", 10.0, 60);
