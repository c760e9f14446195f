//! Plain data between the rings and the sinks.

mod known;
mod record;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use crate::ring::names::SiteText;
pub(crate) use known::Known;
#[cfg(target_os = "linux")]
pub(crate) use record::Names;
pub use record::Record;
