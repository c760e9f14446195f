//! Recording numbers: the handles that a host holds.

mod by_name;
mod counter;
mod desc;
mod family;
mod gauge;
mod histogram;
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
