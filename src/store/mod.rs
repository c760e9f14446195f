//! Traces in memory: those that wait to be decided on, and those that can be looked up.

pub(crate) mod account;
pub(crate) mod table;
