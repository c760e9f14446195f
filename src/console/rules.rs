//! The state of the eight key rules.

use serde::Serialize;

/// One rule as the page is told.
#[derive(Serialize)]
pub(super) struct Told {
    name: &'static str,
}
