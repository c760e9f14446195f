//! The one table of the MCP metrics: names, types, labels, help, units, buckets, and the series that
//! exist at 0 from the start. Registration and `docs/METRICS.md` both come from it.

use crate::{Counter, Desc, Error, Family, Gauge, Histogram, Kind, UpDown, Vitals};

/// One metric of the catalog, as plain data.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The exposed name.
    pub name: &'static str,
    /// The exposed type: `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Label names, in the order in which `with([...])` takes their values.
    pub labels: &'static [&'static str],
    /// The unit of a value.
    pub unit: &'static str,
    /// The HELP line.
    pub help: &'static str,
    /// Upper bounds in the exposed unit; empty unless it is a histogram.
    pub buckets: &'static [f64],
    /// Label values whose series exist at 0 from the start.
    pub declared: &'static [&'static [&'static str]],
}

/// Bounds in seconds for requests: from an in-memory tool's 100 µs to a long call's minutes. 5 s is
/// where the latency alert looks.
const REQUEST_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];
/// Bounds in seconds for tasks: up to an hour.
const TASK_SECONDS: &[f64] = &[
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
    3600.0,
];
/// Bounds in seconds for inference: from a small local model to minutes.
const INFERENCE_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0,
];

/// Writes the table once as data ([`CATALOG`]) and once as typed families ([`Families`]).
macro_rules! catalog {
    (
        families { $(
            $(#[$doc:meta])*
            $field:ident: $kind:ident<$arity:literal> = $name:literal [$($label:literal),*]
            in $unit:literal, $help:literal
            $(, buckets $buckets:expr)? $(, declare [$([$($value:literal),*]),*])?;
        )* }
        singles { $(
            $(#[$single_doc:meta])*
            $single:ident: $single_kind:ident = $single_name:literal
            in $single_unit:literal, $single_help:literal;
        )* }
    ) => {
        /// Every metric of the catalog, in the order of `docs/METRICS.md`.
        pub static CATALOG: &[Entry] = &[
            $(Entry {
                name: $name,
                kind: exposed::$kind,
                labels: &[$($label),*],
                unit: $unit,
                help: $help,
                buckets: { let none: &[f64] = &[]; $(let none = { let _ = none; $buckets };)? none },
                declared: &[$($(&[$($value),*]),*)?],
            },)*
            $(Entry {
                name: $single_name,
                kind: exposed::$single_kind,
                labels: &[],
                unit: $single_unit,
                help: $single_help,
                buckets: &[],
                declared: &[],
            },)*
        ];

        /// The catalog's families, ready to record into.
        ///
        /// A family's handles come from `with([...])`, which takes the label values in the order
        /// given here, costs one cached look-up and never fails; a handle is held where it is used
        /// often. Metrics without labels are handles themselves. Durations are recorded with
        /// `record(Duration)` and exposed in seconds.
        #[derive(Clone)]
        #[non_exhaustive]
        pub struct Families {
            $($(#[$doc])* pub $field: Family<$kind, $arity>,)*
            $($(#[$single_doc])* pub $single: $single_kind,)*
        }

        impl Families {
            /// Registers every family of the table; the names' conflicts are the only errors.
            pub(crate) fn register(
                vitals: &Vitals,
                limits: impl Fn(&str) -> Option<u32>,
            ) -> Result<Families, Error> {
                Ok(Families {
                    $($field: register(
                        vitals,
                        shape::$kind($name, $help $(, $buckets)?).labels([$($label),*]),
                        limits($name),
                        &[$($([$($value),*]),*)?],
                    )?,)*
                    $($single: single::$single_kind(vitals, $single_name, $single_help)?,)*
                })
            }
        }
    };
}

catalog! {
    families {
        /// Labels `tool`, `operation`, `status`.
        requests: Counter<3> = "mcp_requests_total" ["tool", "operation", "status"]
            in "requests", "MCP requests that ended, by outcome.";
        /// Labels `tool`, `operation`.
        request_duration: Histogram<2> = "mcp_request_duration_seconds" ["tool", "operation"]
            in "seconds", "Time from a request's arrival at the handler to its end.",
            buckets REQUEST_SECONDS;
        /// Labels `tool`, `operation`, `error_type`.
        request_errors: Counter<3> = "mcp_request_errors_total" ["tool", "operation", "error_type"]
            in "errors", "MCP requests that ended in an error; client_* are the caller's own faults.";
        /// Labels `type`, `status`.
        agents_active: UpDown<2> = "mcp_agents_active" ["type", "status"]
            in "agents", "Agents that are alive now.";
        /// Labels `type`.
        agents_spawned: Counter<1> = "mcp_agents_spawned_total" ["type"]
            in "agents", "Agents that were started.";
        /// Labels `type`, `reason`.
        agents_failed: Counter<2> = "mcp_agents_failed_total" ["type", "reason"]
            in "agents", "Agents that failed, or could not be started.";
        /// Labels `priority`.
        tasks_pending: UpDown<1> = "mcp_tasks_pending" ["priority"]
            in "tasks", "Tasks that wait to be started.";
        /// Labels `task_type`, `status`.
        task_duration: Histogram<2> = "mcp_task_duration_seconds" ["task_type", "status"]
            in "seconds", "Time from a task's start to its end.",
            buckets TASK_SECONDS;
        /// Labels `type`: `rss`, `total`, and `heap` where an allocator reports it.
        memory_usage: Gauge<1> = "mcp_memory_usage_bytes" ["type"]
            in "bytes", "Memory by kind: rss of the process, total that it may use, heap if reported.";
        /// Labels `operation`, `status`.
        memory_operations: Counter<2> = "mcp_memory_operations_total" ["operation", "status"]
            in "operations", "Operations on the server's memory store.";
        /// Labels `model`, `operation`.
        inference_duration: Histogram<2> =
            "mcp_neural_inference_duration_seconds" ["model", "operation"]
            in "seconds", "Time that a model took to answer.",
            buckets INFERENCE_SECONDS;
        /// Labels `model`, `direction`: `input`, `output`.
        tokens: Counter<2> = "mcp_neural_tokens_processed_total" ["model", "direction"]
            in "tokens", "Tokens that models read and wrote.";
        /// Labels `method`, `status`: `success`, `failed`.
        auth_attempts: Counter<2> = "mcp_auth_attempts_total" ["method", "status"]
            in "attempts", "Attempts to authenticate.";
        /// Labels `user_id`: plain, hashed or left out, as the builder says.
        rate_limit_exceeded: Counter<1> = "mcp_auth_rate_limit_exceeded_total" ["user_id"]
            in "refusals", "Requests refused because a user went over a rate limit.";
        /// Labels `tool`.
        requests_in_flight: UpDown<1> = "mcp_requests_in_flight" ["tool"]
            in "requests", "MCP requests that are being handled now.";
        /// Labels `tool`.
        panics: Counter<1> = "mcp_panics_total" ["tool"]
            in "requests", "MCP requests whose handler panicked.";
        /// Labels `tool`.
        cancellations: Counter<1> = "mcp_cancellations_total" ["tool"]
            in "requests", "MCP requests that the client withdrew or that were dropped unfinished.";
        /// Labels `reason`: `unknown`, `unchecked`, `limit`.
        unknown_tools: Counter<1> = "mcp_vitals_unknown_tool_calls_total" ["reason"]
            in "requests",
            "Tool calls counted as _other: the server knows no such tool, was not asked, or has too many.",
            declare [["unknown"], ["unchecked"], ["limit"]];
    }
    singles {
        /// Tasks between start and end.
        tasks_running: UpDown = "mcp_tasks_running"
            in "tasks", "Tasks that run now.";
        /// Set by the system readings.
        cpu_usage: Gauge = "mcp_system_cpu_usage_percent"
            in "percent", "CPU in use, of what the cgroup allows or the machine has.";
        /// Set by the system readings.
        memory_percent: Gauge = "mcp_system_memory_usage_percent"
            in "percent", "Memory in use, of what the cgroup allows or the machine has.";
        /// Sessions between a successful `initialize` and the end of their connection.
        sessions_active: UpDown = "mcp_sessions_active"
            in "sessions", "MCP sessions that are open now.";
        /// Successful `initialize` handshakes.
        sessions: Counter = "mcp_sessions_total"
            in "sessions", "MCP sessions that were opened.";
    }
}

/// What a kind is called in the exposition.
#[allow(non_upper_case_globals)]
mod exposed {
    pub(super) const Counter: &str = "counter";
    pub(super) const Gauge: &str = "gauge";
    pub(super) const UpDown: &str = "gauge";
    pub(super) const Histogram: &str = "histogram";
}

/// A kind's description, by the kind's own name, for the macro.
#[allow(non_snake_case)]
mod shape {
    use super::*;

    pub(super) fn Counter(name: &'static str, help: &'static str) -> Desc<super::Counter, 0> {
        Desc::counter(name, help)
    }

    pub(super) fn Gauge(name: &'static str, help: &'static str) -> Desc<super::Gauge, 0> {
        Desc::gauge(name, help)
    }

    pub(super) fn UpDown(name: &'static str, help: &'static str) -> Desc<super::UpDown, 0> {
        Desc::updown(name, help)
    }

    pub(super) fn Histogram(
        name: &'static str,
        help: &'static str,
        bounds: &'static [f64],
    ) -> Desc<super::Histogram, 0> {
        Desc::histogram(name, help).buckets(bounds)
    }
}

/// The same for metrics without labels.
#[allow(non_snake_case)]
mod single {
    use super::*;

    pub(super) fn Counter(v: &Vitals, name: &str, help: &str) -> Result<super::Counter, Error> {
        v.counter(name, help)
    }

    pub(super) fn Gauge(v: &Vitals, name: &str, help: &str) -> Result<super::Gauge, Error> {
        v.gauge(name, help)
    }

    pub(super) fn UpDown(v: &Vitals, name: &str, help: &str) -> Result<super::UpDown, Error> {
        v.updown(name, help)
    }
}

fn register<K: Kind, const N: usize, const D: usize>(
    vitals: &Vitals,
    desc: Desc<K, N>,
    series_limit: Option<u32>,
    declared: &[[&str; N]; D],
) -> Result<Family<K, N>, Error> {
    let desc = match series_limit {
        Some(limit) => desc.series_limit(limit),
        None => desc,
    };
    vitals.register_own(desc.declare(*declared))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seventeen names, types and labels that dashboards elsewhere already use.
    #[test]
    fn the_seventeen_are_exact() {
        let expected = [
            ("mcp_requests_total", "counter", "tool,operation,status"),
            ("mcp_request_duration_seconds", "histogram", "tool,operation"),
            ("mcp_request_errors_total", "counter", "tool,operation,error_type"),
            ("mcp_agents_active", "gauge", "type,status"),
            ("mcp_agents_spawned_total", "counter", "type"),
            ("mcp_agents_failed_total", "counter", "type,reason"),
            ("mcp_tasks_pending", "gauge", "priority"),
            ("mcp_tasks_running", "gauge", ""),
            ("mcp_task_duration_seconds", "histogram", "task_type,status"),
            ("mcp_memory_usage_bytes", "gauge", "type"),
            ("mcp_memory_operations_total", "counter", "operation,status"),
            ("mcp_neural_inference_duration_seconds", "histogram", "model,operation"),
            ("mcp_neural_tokens_processed_total", "counter", "model,direction"),
            ("mcp_system_cpu_usage_percent", "gauge", ""),
            ("mcp_system_memory_usage_percent", "gauge", ""),
            ("mcp_auth_attempts_total", "counter", "method,status"),
            ("mcp_auth_rate_limit_exceeded_total", "counter", "user_id"),
        ];
        for (name, kind, labels) in expected {
            let entry = CATALOG.iter().find(|entry| entry.name == name).expect(name);
            assert_eq!((entry.kind, entry.labels.join(",").as_str()), (kind, labels), "{name}");
        }
    }

    #[test]
    fn bounds_rise_and_only_histograms_have_them() {
        for entry in CATALOG {
            assert_eq!(entry.kind == "histogram", !entry.buckets.is_empty(), "{}", entry.name);
            assert!(entry.buckets.windows(2).all(|pair| pair[0] < pair[1]), "{}", entry.name);
        }
    }

    #[test]
    fn requests_reach_from_100_us_past_a_minute_and_tasks_to_an_hour() {
        assert_eq!(REQUEST_SECONDS.first(), Some(&0.0001));
        assert!(REQUEST_SECONDS.contains(&60.0) && REQUEST_SECONDS.last() > Some(&60.0));
        assert_eq!(TASK_SECONDS.last(), Some(&3600.0));
        assert!(INFERENCE_SECONDS.last() >= Some(&120.0));
    }

    #[test]
    fn names_say_their_type_and_stand_once() {
        for (row, entry) in CATALOG.iter().enumerate() {
            assert_eq!(entry.kind == "counter", entry.name.ends_with("_total"), "{}", entry.name);
            assert!(!entry.help.is_empty() && !entry.help.contains('\n'));
            assert!(CATALOG[..row].iter().all(|other| other.name != entry.name));
        }
    }
}
