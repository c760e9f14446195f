//! What a line takes from the calling thread, in one place: where that stands is found out once a line.

use std::cell::Cell;

use super::context::{Active, Bytes, NOBODY};
use super::thread::{Local, NOWHERE};

pub(super) struct Here {
    /// What the thread writes in place: a lease of this thread keeps it, or it is [`NOWHERE`].
    pub(super) local: Cell<*const Local>,
    /// The context: made by `Arc::into_raw`, or [`NOBODY`]. A guard that is leaked leaks its context.
    pub(super) context: Cell<*const Bytes>,
    /// The current span.
    pub(super) active: Cell<Active>,
}

thread_local! {
    // Const and without a destructor: there while other thread-locals are destroyed.
    pub(super) static HERE: Here = const {
        Here {
            local: Cell::new(NOWHERE.local()),
            context: Cell::new(&raw const NOBODY),
            active: Cell::new(Active::NONE),
        }
    };
}
