//! Bytes as a ring file that somebody left behind.
#![no_main]

// The same check replays the seeds among the plain tests: see `tests/ring_decode.rs`.
#[path = "../../tests/ring_bytes/mod.rs"]
mod ring_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ring_bytes::are_survived(bytes);
});
