//! What is logged, and how much of it.

/// The message of every line.
pub const MESSAGE: &str = "request handled";
/// The first field, `tool`; a literal at the call, as are the names of the fields.
pub const TOOL: &str = "swarm.init";
/// The second field, `operation`. The third one, `n`, is a number that no other line has.
pub const OPERATION: &str = "execute";
/// The user of every request.
pub const USER: &str = "user-4711";
/// The session of every request.
pub const SESSION: &str = "3f2b8c1e-9d4a-4b6f-8a57-0c1d2e3f4a5b";

/// What one turn of a side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Its name on the command line of a child.
    pub name: &'static str,
    /// What a turn gives.
    pub gives: Gives,
    /// Threads that log at once.
    pub threads: usize,
    /// Requests a turn, each in a context of its own.
    pub requests: u64,
    /// Calls a request.
    pub calls: u64,
    /// Microseconds after a request in which the background may get done; not timed.
    pub pause: u64,
    /// What a side does when its queue is full.
    pub full: Full,
}

/// What a side does when its queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Waits, so that nothing is lost.
    Wait,
    /// Drops the line, if the side can do so.
    Drop,
}

/// What a turn gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// Nanoseconds a call: of each request, the median over the turn's requests.
    Call,
    /// Nanoseconds a call that is below the level.
    Disabled,
    /// Nanoseconds of the whole process a line.
    Cpu,
    /// Nanoseconds a line from the first call until all is in the file.
    Sustained,
    /// Allocations of the calling thread a call.
    Allocations,
}

/// Bursts of 20 calls, one thread.
pub const BURSTS: Work = Work {
    name: "bursts",
    gives: Gives::Call,
    threads: 1,
    requests: 32,
    calls: 20,
    pause: 500,
    full: Full::Wait,
};
/// The same by two threads, that begin each burst together.
pub const BURSTS_2T: Work = Work { name: "bursts-2t", threads: 2, ..BURSTS };
/// Debug calls, where info is the level.
pub const DISABLED: Work =
    Work { name: "disabled", gives: Gives::Disabled, requests: 1, calls: 200_000, ..BURSTS };
/// Thousands of lines, each followed by a pause: so many fit into everyone's queue.
pub const CPU: Work =
    Work { name: "cpu", gives: Gives::Cpu, requests: 5, calls: 1_000, pause: 20_000, ..BURSTS };
/// As many as go in.
pub const SUSTAINED: Work = Work {
    name: "sustained",
    gives: Gives::Sustained,
    requests: 300,
    calls: 1_000,
    pause: 0,
    ..BURSTS
};
/// The same by sides that drop what is too much; what arrived of it is what counts.
pub const DROPPING: Work = Work { name: "dropping", full: Full::Drop, ..SUSTAINED };
/// Warm calls whose allocations are counted.
pub const ALLOCATIONS: Work = Work {
    name: "allocations",
    gives: Gives::Allocations,
    requests: 2,
    calls: 1_000,
    pause: 20_000,
    ..BURSTS
};

const ALL: [Work; 7] = [BURSTS, BURSTS_2T, DISABLED, CPU, SUSTAINED, DROPPING, ALLOCATIONS];

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

/// A request, whose three ids every line of it has.
pub struct Request {
    /// The number that its id is made of.
    pub number: u64,
    /// `request_id`.
    pub id: String,
    /// `user_id`.
    pub user: String,
    /// `session_id`.
    pub session: String,
}

impl Request {
    /// The request of this number.
    pub fn new(number: u64) -> Request {
        Request { number, id: id(number), user: USER.into(), session: SESSION.into() }
    }

    /// The numbers of its lines, so many.
    pub fn lines(&self, calls: u64) -> std::ops::Range<u64> {
        self.number * calls..(self.number + 1) * calls
    }
}

/// The id of the request of this number.
pub fn id(number: u64) -> String {
    format!("req-{number:08}")
}
