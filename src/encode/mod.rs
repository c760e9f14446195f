//! Data to bytes.

pub(crate) mod number;
pub(crate) mod text;
