//! The calling thread.

use crate::Error;

/// No threads but the caller's.
pub(crate) struct Pool;

impl Pool {
    pub(crate) fn new(_threads: u32) -> Result<Pool, Error> {
        Ok(Pool)
    }

    pub(crate) fn is_many(&self) -> bool {
        false
    }

    /// Does `work` on each of `ours` with the one of `theirs` beside it.
    pub(crate) fn each<A, B>(
        &self,
        ours: &mut [A],
        theirs: &mut [B],
        work: impl Fn(&mut A, &mut B),
    ) {
        ours.iter_mut().zip(theirs).for_each(|(one, other)| work(one, other));
    }
}
