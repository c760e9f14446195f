//! Where a line is logged, and what is the same at each call.

use super::logger::Core;
use crate::ring::names::{self, SiteText};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// A call site, as the macros make one. Told to the process at its first line.
pub struct Site {
    text: StaticText,
    /// 0 until the first line.
    number: AtomicU32,
    /// The levels that the logger of this stamp takes here: the stamp, and the number of the most
    /// verbose one in the lowest byte.
    allowed: AtomicU64,
}

/// What the macros know of a call site.
pub struct StaticText {
    /// `module_path!()`.
    pub module: &'static str,
    /// `file!()`.
    pub file: &'static str,
    /// `line!()`.
    pub line: u32,
    /// The path of the function.
    pub function: fn() -> &'static str,
    /// The message, where nothing is put into it.
    pub message: Option<&'static str>,
    /// The names of the fields.
    pub keys: &'static [&'static str],
}

impl Site {
    /// For a static. Does not compile where there are more fields than a frame counts.
    pub const fn new(text: StaticText) -> Site {
        assert!(text.keys.len() <= 255, "a line has at most 255 fields");
        Site { text, number: AtomicU32::new(0), allowed: AtomicU64::new(0) }
    }

    /// The site's number in a frame.
    #[inline(always)]
    pub(crate) fn number(&self) -> u32 {
        // Acquire: whoever reads a frame with this number finds it in the table of names.
        match self.number.load(Ordering::Acquire) {
            0 => self.define(),
            number => number,
        }
    }

    #[cold]
    fn define(&self) -> u32 {
        let text = &self.text;
        let number = names::define_site(SiteText {
            logger: None,
            module: text.module.into(),
            file: text.file.into(),
            line: text.line,
            function: (text.function)().into(),
            message: text.message.map(Into::into),
            keys: text.keys.iter().map(|key| (*key).into()).collect(),
        });
        // Release: with the Acquire above. Of two threads that are first, both numbers are good.
        self.number.store(number, Ordering::Release);
        number
    }

    /// Whether `core` takes lines of this level from here, where that depends on the module.
    pub(crate) fn allows(&self, core: &Core, stamp: u32, level: u8) -> bool {
        // Relaxed: a cached answer, whole in one word.
        let allowed = self.allowed.load(Ordering::Relaxed);
        let most = if (allowed >> 8) as u32 == stamp {
            allowed as u8
        } else {
            let most = core.most_verbose(self.text.module);
            self.allowed.store(u64::from(stamp) << 8 | u64::from(most), Ordering::Relaxed);
            most
        };
        level <= most
    }
}

/// Whether a message is the same at each call: nothing is put into it.
pub const fn is_plain(message: &str) -> bool {
    let bytes = message.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'{' || bytes[at] == b'}' {
            return false;
        }
        at += 1;
    }
    true
}

/// The path of the function that `here`, a function within it, stands in.
pub fn function_name<F: Fn()>(_here: F) -> &'static str {
    let mut path = std::any::type_name::<F>();
    path = path.strip_suffix("::here").unwrap_or(path);
    while let Some(outer) = path.strip_suffix("::{{closure}}") {
        path = outer;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn site(keys: &'static [&'static str]) -> Site {
        let function = || "";
        Site::new(StaticText { module: "", file: "", line: 0, function, message: None, keys })
    }

    #[test]
    #[should_panic(expected = "at most 255 fields")]
    fn more_fields_than_a_frame_counts_are_refused() {
        site(&["k"; 255]);
        site(&["k"; 256]);
    }
}
