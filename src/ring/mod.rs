//! Where lines are held between the thread that writes one and the flusher: frames in rings.

#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod context;
pub(crate) mod cursor;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod draft;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod drain;
#[cfg(all(not(vitals_loom), target_os = "linux"))]
#[allow(unsafe_code)]
pub(crate) mod durable;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod forked;
pub(crate) mod frame;
#[cfg(not(vitals_loom))]
mod here;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod memory;
#[cfg(all(test, vitals_loom))]
#[allow(unsafe_code)]
mod model;
#[cfg(not(vitals_loom))]
pub(crate) mod names;
pub(crate) mod overwrite;
pub(crate) mod parting;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod place;
#[cfg(not(vitals_loom))]
pub(crate) mod run;
#[cfg(not(vitals_loom))]
pub(crate) mod scratch;
#[cfg(not(vitals_loom))]
pub(crate) mod set;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod shared;
#[cfg(not(vitals_loom))]
pub(crate) mod span;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod spsc;
#[cfg(not(vitals_loom))]
pub(crate) mod store;
#[cfg(not(vitals_loom))]
#[allow(unsafe_code)]
pub(crate) mod thread;
#[allow(unsafe_code)]
pub(crate) mod writer;

#[cfg(not(vitals_loom))]
pub(crate) use place::Place;

/// What a line that found no room ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The flusher has not freed enough.
    Full,
    /// No ring would take it, however empty.
    TooLong,
}

/// Bytes that one frame may have in a ring of `capacity`: an eighth, at most 64 KiB.
#[inline(always)]
pub(crate) fn most_frame(capacity: u64) -> u64 {
    (capacity / 8).min(64 << 10)
}
