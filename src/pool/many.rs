//! A pool by `rayon`, never its global one: that is the host's.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::Error;

/// Threads that wait for large scrapes, and end with the engine; none where the caller's suffices.
pub(crate) struct Pool(Option<ThreadPool>);

impl Pool {
    pub(crate) fn new(threads: u32) -> Result<Pool, Error> {
        if threads < 2 {
            return Ok(Pool(None));
        }
        let name = |number| format!("mcp-vitals-scr{number}");
        let builder = ThreadPoolBuilder::new().num_threads(threads as usize).thread_name(name);
        let refused = |error| Error::Spawn(std::io::Error::other(error));
        Ok(Pool(Some(builder.build().map_err(refused)?)))
    }

    pub(crate) fn is_many(&self) -> bool {
        self.0.is_some()
    }

    /// Does `work` on each of `ours` with the one of `theirs` beside it, and returns when all is done.
    pub(crate) fn each<A: Send, B: Send>(
        &self,
        ours: &mut [A],
        theirs: &mut [B],
        work: impl Fn(&mut A, &mut B) + Sync,
    ) {
        match &self.0 {
            Some(pool) if ours.len() > 1 => pool.install(|| {
                let pairs = ours.par_iter_mut().zip(theirs);
                pairs.for_each(|(one, other)| work(one, other));
            }),
            _ => ours.iter_mut().zip(theirs).for_each(|(one, other)| work(one, other)),
        }
    }
}
