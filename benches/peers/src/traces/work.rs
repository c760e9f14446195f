//! What spans are made, and how many of them.

/// The span around the others of a request.
pub const REQUEST: &str = "tools/call swarm_init";
/// The name of every other span.
pub const NAME: &str = "database_query";
/// The first attribute, `db.system.name`; a literal at the call, as are the names.
pub const SYSTEM: &str = "sqlite";
/// The second one, `db.operation.name`. Both are texts: one peer has no other values, and would have
/// to format a number.
pub const OPERATION: &str = "select";
/// The event of every span.
pub const EVENT: &str = "cache miss";

/// Bytes of spans that may be under way between those who make them and the exporter.
pub const QUEUE_BYTES: u64 = 4 << 20;

/// What one turn of a side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Its name on the command line of a child.
    pub name: &'static str,
    /// What a turn gives.
    pub gives: Gives,
    /// Requests a turn, each of which is a trace.
    pub requests: u64,
    /// Spans in a request, beside its own, which is not timed.
    pub calls: u64,
    /// Microseconds after a request in which the background may get done; not timed.
    pub pause: u64,
    /// Whether whoever makes spans waits while a queue's worth of them is under way.
    pub waits: bool,
}

/// What a turn gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// Nanoseconds a span: of each request, the median over the turn's requests.
    Span,
    /// Nanoseconds a span below one of a trace that is not sampled.
    Unsampled,
    /// Nanoseconds a span that begins a trace that is not sampled.
    UnsampledRoot,
    /// Nanoseconds of all other threads a span, up to the bytes of an OTLP request.
    Cpu,
    /// Nanoseconds a span from the first call until all are in the exporter's hands.
    Sustained,
    /// Allocations of the calling thread a span.
    Allocations,
}

impl Gives {
    /// Whether spans are to arrive.
    pub fn records(self) -> bool {
        !matches!(self, Gives::Unsampled | Gives::UnsampledRoot)
    }
}

/// Bursts of 20 spans, one thread.
pub const BURSTS: Work =
    Work { name: "spans", gives: Gives::Span, requests: 32, calls: 20, pause: 500, waits: false };
/// Spans of a trace that is not sampled.
pub const UNSAMPLED: Work = Work {
    name: "spans-unsampled",
    gives: Gives::Unsampled,
    requests: 1,
    calls: 200_000,
    ..BURSTS
};
/// Traces that are not sampled.
pub const UNSAMPLED_ROOT: Work =
    Work { name: "spans-unsampled-root", gives: Gives::UnsampledRoot, ..UNSAMPLED };
/// A thousand spans, each time followed by a pause: so many fit into everyone's queue.
pub const CPU: Work = Work {
    name: "spans-cpu",
    gives: Gives::Cpu,
    requests: 5,
    calls: 1_000,
    pause: 30_000,
    ..BURSTS
};
/// As many as go in.
pub const SUSTAINED: Work = Work {
    name: "spans-sustained",
    gives: Gives::Sustained,
    requests: 5_000,
    calls: 100,
    pause: 0,
    waits: true,
};
/// The same by whoever doesn't wait; what arrived of it is what counts.
pub const DROPPING: Work = Work { name: "spans-dropping", waits: false, ..SUSTAINED };
/// Warm spans whose allocations are counted.
pub const ALLOCATIONS: Work = Work {
    name: "spans-allocations",
    gives: Gives::Allocations,
    requests: 4,
    calls: 1_000,
    pause: 30_000,
    ..BURSTS
};

const ALL: [Work; 7] = [BURSTS, UNSAMPLED, UNSAMPLED_ROOT, CPU, SUSTAINED, DROPPING, ALLOCATIONS];

impl Work {
    /// The one of this name.
    pub fn find(name: &str) -> Option<Work> {
        ALL.into_iter().find(|work| work.name == name)
    }

    /// A tenth of the requests, where there are enough of them.
    pub fn quick(self) -> Work {
        Work { requests: self.requests.div_ceil(10), ..self }
    }
}
