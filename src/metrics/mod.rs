//! Recording numbers: the handles that a host holds.

mod by_name;
mod counter;
mod desc;
mod family;
mod gauge;
mod histogram;
pub(crate) mod sample;
mod timer;
mod updown;

pub use by_name::Metric;
pub use counter::Counter;
pub use desc::{Desc, Unit};
pub use family::{Family, Kind};
pub use gauge::Gauge;
pub use histogram::Histogram;
pub use timer::Timer;
pub use updown::UpDown;

/// The page's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../docs/SAMPLING.md")]
mod sampling {}
