//! What is said on stderr: lines, and on a terminal one line that is drawn again in place.
//!
//! Colours reach a terminal only, and `NO_COLOR` is honoured. A stderr that nobody reads any more
//! is no reason to end, so that failures to write are passed over.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::sync::Mutex;

use anstream::AutoStream;

pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const DIM: &str = "\x1b[2m";
pub(crate) const RED: &str = "\x1b[31m";
pub(crate) const GREEN: &str = "\x1b[32m";
pub(crate) const CYAN: &str = "\x1b[36m";
pub(crate) const PLAIN: &str = "\x1b[0m";

/// stderr.
pub(crate) struct Terminal {
    interactive: bool,
    /// Whether the last line is one that is drawn in place.
    drawn: Mutex<bool>,
}

impl Terminal {
    pub(crate) fn stderr() -> Terminal {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Terminal { interactive: stderr().is_terminal() && !dumb, drawn: Mutex::new(false) }
    }

    /// stderr, on which nothing is drawn in place.
    pub(crate) fn line_by_line() -> Terminal {
        Terminal { interactive: false, ..Terminal::stderr() }
    }

    /// Whether a line can be drawn again in place.
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Says one line or several, for good.
    pub(crate) fn say(&self, text: impl Display) {
        self.write(&format!("{text}\n"), false);
    }

    /// Says one line that the next one replaces. Without a terminal it stays.
    pub(crate) fn progress(&self, line: impl Display) {
        if self.interactive {
            self.write(&line.to_string(), true);
        } else {
            self.say(line);
        }
    }

    /// Says why the command could not do what it was asked to.
    pub(crate) fn failure(&self, why: &dyn Display) {
        self.say(format_args!("{RED}mcp-vitals:{PLAIN} {why}"));
    }

    fn write(&self, text: &str, draw: bool) {
        let mut drawn = self.drawn.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let was_drawn = std::mem::replace(&mut *drawn, draw);
        let mut raw = stderr().lock();
        if was_drawn {
            // Not through the stream below, which takes it away where colours are not wanted.
            let _ = raw.write_all(b"\r\x1b[K");
        }
        if draw {
            // A terminal that is too narrow cuts it off: a second line could not be drawn over.
            let _ = raw.write_all(b"\x1b[?7l");
        }
        let mut out = AutoStream::auto(raw);
        let _ = out.write_all(text.as_bytes());
        if draw {
            let _ = out.into_inner().write_all(b"\x1b[?7h");
        }
    }
}
