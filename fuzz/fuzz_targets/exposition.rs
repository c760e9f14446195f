//! Label values, help and numbers through the encoder into a parser that is not ours.
#![no_main]

// The same check replays the seeds among the plain tests: see `tests/exposition.rs`.
#[path = "../../tests/round_trip/mod.rs"]
mod round_trip;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| round_trip::bytes_come_back(bytes));
