//! The sides that make spans, each in its own fast way. The exporter of each gets its spans whole, as
//! the side hands them over, and reads every part of them; or makes the bytes of an OTLP request.
//!
//! A side is one file, and one row of [`SIDES`].

mod fastrace;
mod otel;
mod otlp;
mod ours;
mod rustracing;
mod tracing;

use crate::traces::work::Work;

/// One side.
pub struct Side {
    /// Its name, as the table shows it.
    pub name: &'static str,
    /// Bytes of one of our spans under way to the exporter, as this side keeps it; so all have queues
    /// of as many bytes.
    pub bytes: u64,
    /// Whether there is a way from its spans to OTLP.
    pub has_otlp: bool,
    /// Sets it up for the rest of the process, with queues for so many spans.
    pub open: fn(Work, u64) -> Opened,
}

/// A side that is set up, or why it can't be.
pub type Opened = Result<Box<dyn Traces>, String>;

/// A side that is set up.
pub trait Traces {
    /// Begins a request's span, makes it current, and hands `each` what makes so many spans below it in
    /// a loop of its own. Where traces are not sampled, that one isn't; a work that gives
    /// [`UnsampledRoot`](crate::traces::work::Gives::UnsampledRoot) has none around the others.
    fn request(&self, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut()));

    /// Returns once all spans are in the exporter's hands.
    fn close(self: Box<Self>);
}

/// All of them; ours first.
pub const SIDES: &[Side] =
    &[ours::SIDE, tracing::SIDE, otel::SIDE, fastrace::SIDE, rustracing::SIDE];
