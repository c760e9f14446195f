//! Plain data between the rings and the sinks.

mod record;
#[cfg(test)]
pub(crate) mod tests;

#[allow(unused_imports)]
pub(crate) use crate::ring::names::SiteText;
#[allow(unused_imports)]
pub(crate) use record::Names;
pub use record::Record;
