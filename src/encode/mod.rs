//! Data to bytes.

mod digits;
pub(crate) mod format;
mod histogram;
pub(crate) mod line;
pub(crate) mod number;
mod open;
mod page;
pub(crate) mod pages;
mod sheet;
pub(crate) mod text;
