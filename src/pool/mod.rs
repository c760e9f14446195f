//! Threads of an engine's own for large scrapes, where the host wants any.

#[cfg(not(feature = "rayon"))]
mod alone;
#[cfg(feature = "rayon")]
mod many;

#[cfg(not(feature = "rayon"))]
pub(crate) use alone::Pool;
#[cfg(feature = "rayon")]
pub(crate) use many::Pool;

/// What `scrape_threads` may be.
#[cfg(feature = "rayon")]
pub(crate) const THREADS: std::ops::RangeInclusive<u64> = 1..=64;
