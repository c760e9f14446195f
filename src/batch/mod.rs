//! Plain data between the rings and the sinks.

mod record;

#[allow(unused_imports)]
pub(crate) use crate::ring::names::SiteText;
#[allow(unused_imports)]
pub(crate) use record::Names;
pub use record::Record;
