//! Log lines: the peers that write them to a file from a thread of their own, each in a process of its
//! own, because a process has one global logger.
//!
//! `peers` starts itself again for every side and figure. The [child](child) sets its side up, makes
//! the calls of one turn when it is told to by a line on stdin and answers with a line on stdout; so
//! sides take turns here as they do elsewhere. Idle children wait for stdin, their sides for lines.
//! At the end it shuts its side down, reads the file and says what it [found](check) there.

pub mod check;
pub mod child;
mod parent;
pub mod work;

pub use parent::row;
