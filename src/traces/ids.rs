//! Ids of traces and spans, and where new ones come from.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::Once;

use crate::ring::forked;
use crate::sync::{AtomicU64, Ordering};

macro_rules! id {
    ($name:ident, $bytes:literal, $whole:ty, $what:literal) => {
        #[doc = concat!("The id of a ", $what, ": ", $bytes, " bytes, not all zero, in hexadecimal as W3C Trace Context writes it.")]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The least there is.
            pub(crate) const LEAST: $name = {
                let mut bytes = [0; $bytes];
                bytes[$bytes - 1] = 1;
                $name(bytes)
            };

            /// Of these bytes; nothing where all are zero.
            #[inline]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Option<$name> {
                if <$whole>::from_ne_bytes(bytes) == 0 { None } else { Some($name(bytes)) }
            }

            /// The bytes, as they are sent.
            pub const fn to_bytes(self) -> [u8; $bytes] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = UnknownId;

            /// From lower or upper case hexadecimal digits, all of them.
            fn from_str(text: &str) -> Result<$name, UnknownId> {
                let mut bytes = [0; $bytes];
                if text.len() != 2 * $bytes {
                    return Err(UnknownId);
                }
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or(UnknownId);
                    *byte = (digit(0)? * 16 + digit(1)?) as u8;
                }
                $name::from_bytes(bytes).ok_or(UnknownId)
            }
        }
    };
}

id!(TraceId, 16, u128, "trace");
id!(SpanId, 8, u64, "span");

/// A text that is no id: of another length, with something else than hexadecimal digits, or all
/// zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownId;

impl fmt::Display for UnknownId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no id: 32 hexadecimal digits for a trace, 16 for a span, not all 0")
    }
}

impl std::error::Error for UnknownId {}

/// Numbers the threads that make ids.
static SEEDS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    // Const and without a destructor; 0 is a thread's before its first id.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// What a forked child has of its parent's numbers it does not go on with: the parent does.
extern "C" fn forget() {
    STATE.set(0);
}

#[cold]
fn seed() -> u64 {
    static IN_CHILDREN: Once = Once::new();
    IN_CHILDREN.call_once(|| forked::in_each_child(forget));
    // Seeded from the system's randomness; a thread's number keeps two of them apart, the process's
    // and the time a forked child and its parent.
    let number = SEEDS.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    RandomState::new().hash_one((number, std::process::id(), now.unwrap_or_default())) | 1
}

/// The next random numbers of the calling thread, never 0: wyrand's step and mix (Wang Yi, public
/// domain). Good enough for ids, and no secret. The order of their bytes is all one.
#[inline(always)]
fn random<const N: usize>() -> [u64; N] {
    let mut state = match STATE.get() {
        0 => seed(),
        state => state,
    };
    let numbers = std::array::from_fn(|_| {
        state = state.wrapping_add(0xa076_1d64_78bd_642f);
        let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
        // One of 2^64 numbers twice as often as the others, instead of a branch.
        ((product >> 64) as u64 ^ product as u64).max(1)
    });
    STATE.set(state);
    numbers
}

/// The ids of a new trace and of its first span.
#[inline(always)]
pub(crate) fn trace_and_span() -> ([u8; 16], [u8; 8]) {
    let [high, low, span] = random();
    ((u128::from(high) << 64 | u128::from(low)).to_be_bytes(), span.to_ne_bytes())
}

/// A new span id, as a word of its bytes.
#[inline(always)]
pub(crate) fn span_id() -> u64 {
    let [number] = random();
    number
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_written_and_read_as_w3c_has_them() {
        let text = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(text.parse::<TraceId>().unwrap().to_string(), text);
        assert_eq!("B7AD6B7169203331".parse::<SpanId>().unwrap().to_string(), "b7ad6b7169203331");
        for wrong in ["", "0", "+7ad6b7169203331", "b7ad6b716920333", "b7ad6b71692033310"] {
            assert_eq!(wrong.parse::<SpanId>(), Err(UnknownId), "{wrong}");
        }
        assert_eq!("0".repeat(32).parse::<TraceId>(), Err(UnknownId));
    }

    #[test]
    fn threads_make_ids_that_differ() {
        let threads: Vec<_> = (0..8)
            .map(|_| std::thread::spawn(|| (0..1_000).map(|_| span_id()).collect::<Vec<_>>()))
            .collect();
        let ids: HashSet<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(ids.len(), 8_000);
    }

    /// Whichever way they are made, on one thread.
    #[test]
    fn no_id_comes_twice() {
        let both = |_| [u64::from_ne_bytes(trace_and_span().1), span_id()];
        let ids: HashSet<_> = (0..1_000).flat_map(both).collect();
        assert_eq!(ids.len(), 2_000);
    }
}
