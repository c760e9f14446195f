//! Data to bytes.

pub(crate) mod number;
pub(crate) mod pages;
pub(crate) mod text;
