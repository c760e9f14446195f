//! Where an engine's rings get their memory from.

use std::sync::Arc;

use super::Place;
use super::cursor::Cursor;
#[cfg(target_os = "linux")]
use super::durable::RingFile;
use super::memory::Memory;

/// The heap, or a file that outlives the process.
#[derive(Clone, Default)]
pub(crate) enum Store {
    #[default]
    Heap,
    #[cfg(target_os = "linux")]
    File(Arc<RingFile>),
}

impl Store {
    /// What it takes at once, whether its rings are used or not; nothing where each takes its own.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self {
            Store::Heap => None,
            #[cfg(target_os = "linux")]
            Store::File(file) => Some(file.bytes()),
        }
    }

    /// The ring of this number, counted from 0; nothing past the last, or where the sizes differ.
    /// Each number is asked for once.
    pub(crate) fn ring(&self, number: usize, bytes: u64) -> Option<(Memory, Place<Cursor>)> {
        match self {
            Store::Heap => Some((Memory::heap(bytes as usize), Place::heap(Cursor::new()))),
            #[cfg(target_os = "linux")]
            Store::File(file) => file.ring(number, bytes),
        }
    }

    /// The ring for everyone else. Asked for once.
    pub(crate) fn shared(&self, bytes: u64) -> Option<(Memory, Place<Cursor>)> {
        match self {
            Store::Heap => self.ring(0, bytes),
            #[cfg(target_os = "linux")]
            Store::File(file) => file.ring(file.rings(), bytes),
        }
    }
}
