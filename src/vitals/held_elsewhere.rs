//! Where there is no Linux lines are held in the heap alone.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::export::sink::file::Journal as SinkJournal;
use crate::flusher::Outlet;
use crate::flusher::durable::Durable;
use crate::logs::{LogConfig, Redactions};
use crate::ring::set::{Rings, Settings};
use crate::ring::store::Store;

/// The heap.
pub(crate) struct Held;

/// There are none.
pub(crate) type Notes = Infallible;

impl Held {
    pub(crate) fn new(_: &LogConfig, _: Settings, _: &str, _: &Redactions) -> Result<Held, Error> {
        Ok(Held)
    }

    pub(crate) fn store(&self) -> Store {
        Store::Heap
    }

    pub(crate) fn journal(&self, _: &Arc<Rings>) -> Option<Notes> {
        None
    }

    pub(crate) fn notes(&self, _: &Notes) -> Option<Box<dyn SinkJournal>> {
        None
    }

    pub(crate) fn set_log(&self, _: &Path) {}

    pub(crate) fn flusher(&self, _: Option<Notes>) -> Option<Durable> {
        None
    }

    pub(crate) fn adopt(&self, _: &str, _: &[Outlet], _: Redactions) {}

    pub(crate) fn unnamed(&self) -> u64 {
        0
    }

    pub(crate) fn finish(&self) {}
}
