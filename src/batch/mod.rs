//! Plain data between the rings and the sinks.

mod record;

pub use record::Record;
#[allow(unused_imports)]
pub(crate) use record::{Names, SiteText};
