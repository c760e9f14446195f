//! Lines: what a logger records, and what a sink is given to read.

mod level;

pub use crate::batch::Record;
pub use crate::ring::frame::{ContextView, Field, Fields, Text, Value};
pub use level::{Level, UnknownLevel};
