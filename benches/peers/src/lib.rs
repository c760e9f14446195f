//! mcp-vitals and its peers on the same work, in one run.
//!
//! A *side* is one library: ours or a peer's. Each side sets up the same series in the way its own
//! documentation recommends for speed, the totals of all are compared, and only then the clock
//! starts. See `docs/BENCHMARKS.md` for the method, and for the rows that we lose.

pub mod alloc;
pub mod budget;
pub mod children;
pub mod cli;
pub mod company;
pub mod counted;
pub mod expected;
pub mod figures;
pub mod flood;
pub mod floors;
pub mod harness;
pub mod hotpaths;
pub mod latency;
pub mod logs;
pub mod machine;
pub mod report;
pub mod sides;
pub mod text;
pub mod totals;
pub mod traces;
pub mod work;
