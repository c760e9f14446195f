//! The sides that log, each in its own fast way: all write to one file from a thread of their own,
//! with queues that a thousand lines fit into. The level
//! is info, decided while running. The time and the level are in every line; file, line and thread
//! only where a side can't leave them out.
//!
//! A side is one file, and one row of [`SIDES`].

mod fast_log;
mod ftlog;
mod ours;
mod slog;
mod spdlog;
mod tracing;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use crate::logs::work::{Full, Request};

/// One side.
pub struct Side {
    /// Its name, as the table shows it.
    pub name: &'static str,
    /// Sets it up with this file, which isn't there yet, for the rest of the process.
    pub open: fn(&Path, Full) -> Opened,
}

/// A side that is set up, or why it can't be.
pub type Opened = Result<Box<dyn Logs>, String>;

/// A side that is set up.
pub trait Logs: Sync {
    /// Sets a request's context on this thread, outside the clock if the side has contexts, and hands
    /// `each` what makes so many calls of it in a loop of its own.
    fn request(&self, request: &Request, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut()));

    /// Makes so many calls of the same at debug, which is below the level. In each of them two values
    /// go through `black_box`: the number, and the logger, or the request where there is none.
    fn disabled(&self, request: &Request, calls: u64);

    /// Returns once all lines are in the file.
    fn close(self: Box<Self>);
}

/// All of them; ours first.
pub const SIDES: &[Side] =
    &[ours::SIDE, tracing::SIDE, slog::SIDE, spdlog::SIDE, fast_log::SIDE, ftlog::SIDE];

/// Lines of the queue of a side that has no better opinion.
const QUEUE: usize = 8_192;

/// Bytes gathered before they are written, by sides that leave this to their host.
const BUFFER: usize = 64 << 10;

fn writer(path: &Path) -> Result<BufWriter<File>, String> {
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(BufWriter::with_capacity(BUFFER, file))
}
