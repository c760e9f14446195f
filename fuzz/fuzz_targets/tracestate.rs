//! Whatever a client sends as `tracestate`: it does no harm, and what is kept of it goes on.
#![no_main]

// The same check replays the seeds among the plain tests: see `tests/propagation.rs`.
#[path = "../../tests/headers/mod.rs"]
mod headers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| headers::tracestate(bytes));
