//! What a site looks up once and holds.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::Vitals;
use crate::vitals::installed::{self, Where};

/// What a site needs of an engine, looked up at its first call.
pub(super) struct Cached<T>(OnceLock<T>);

/// What was looked up: the site's, or one call's.
pub(super) enum Held<T: 'static> {
    Site(&'static T),
    Call(Arc<T>),
}

impl<T> Deref for Held<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        match self {
            Held::Site(held) => held,
            Held::Call(held) => held,
        }
    }
}

impl<T> Cached<T> {
    pub(super) const fn new() -> Cached<T> {
        Cached(OnceLock::new())
    }

    /// What `make` looked up in the process's engine, or makes of the thread's own; nothing where
    /// there is no engine.
    #[inline(always)]
    pub(super) fn get(&'static self, make: impl FnOnce(&Vitals) -> T) -> Option<Held<T>> {
        match installed::place() {
            Where::Nowhere => None,
            Where::Process => match self.0.get() {
                Some(held) => Some(Held::Site(held)),
                None => self.first(make),
            },
            Where::Threads => of_thread(make),
        }
    }

    #[cold]
    fn first(&'static self, make: impl FnOnce(&Vitals) -> T) -> Option<Held<T>> {
        let vitals = installed::of_process()?;
        Some(Held::Site(self.0.get_or_init(|| make(&vitals))))
    }
}

#[cold]
fn of_thread<T>(make: impl FnOnce(&Vitals) -> T) -> Option<Held<T>> {
    let vitals = installed::of_thread().filter(|vitals| !vitals.is_disabled())?;
    Some(Held::Call(Arc::new(make(&vitals))))
}
