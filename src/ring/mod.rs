//! Where lines are held between the thread that writes one and the flusher: frames in rings.

pub(crate) mod frame;
#[allow(unsafe_code)]
pub(crate) mod writer;
