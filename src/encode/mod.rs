//! Data to bytes.

mod digits;
mod histogram;
pub(crate) mod line;
pub(crate) mod number;
mod page;
pub(crate) mod pages;
mod sheet;
pub(crate) mod text;
