//! Lines kept in memory, for tests: the newest, up to a bound.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use super::{Chunk, Sink};
use crate::sync::lock;

/// Lines in memory; a clone is another handle of the same.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    kept: Arc<Mutex<Kept>>,
    most_lines: usize,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    bytes: usize,
    dropped: u64,
}

impl Memory {
    /// Keeps at most so many lines and, together, so many bytes of them.
    pub(crate) fn new(most_lines: usize, most_bytes: usize) -> Memory {
        Memory { kept: Arc::default(), most_lines, most_bytes }
    }

    /// The lines, the oldest first, without their newlines.
    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.kept).lines.iter().cloned().collect()
    }

    /// How many had to make room for newer ones.
    #[cfg(test)]
    pub(crate) fn dropped(&self) -> u64 {
        lock(&self.kept).dropped
    }
}

impl Sink for Memory {
    fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        let mut kept = lock(&self.kept);
        for line in chunk.bytes.split_inclusive(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = String::from_utf8_lossy(line).into_owned();
            kept.bytes += line.len();
            kept.lines.push_back(line);
            while kept.lines.len() > self.most_lines || kept.bytes > self.most_bytes {
                let Some(oldest) = kept.lines.pop_front() else { break };
                kept.bytes -= oldest.len();
                kept.dropped += 1;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_within_both_bounds() {
        let mut memory = Memory::new(3, 12);
        let seen = memory.clone();
        let write = |memory: &mut Memory, text: &str| {
            memory.write(&Chunk { bytes: text.into(), ..Chunk::default() }).unwrap();
        };
        write(&mut memory, "a\nb\nc\nd\n");
        assert_eq!((seen.lines(), seen.dropped()), (vec!["b".into(), "c".into(), "d".into()], 1));
        write(&mut memory, "0123456789\n");
        assert_eq!(seen.lines(), ["c", "d", "0123456789"]);
        write(&mut memory, "twelve bytes and more\n");
        assert_eq!((seen.lines(), seen.dropped()), (vec![], 6));
    }
}
