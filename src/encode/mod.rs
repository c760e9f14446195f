//! Data to bytes.

mod digits;
mod histogram;
pub(crate) mod number;
mod page;
pub(crate) mod pages;
pub(crate) mod text;
