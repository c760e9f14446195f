//! Whether what arrives is what was made.

use std::sync::atomic::{AtomicU64, Ordering};

use super::work::{EVENT, NAME, OPERATION, REQUEST, SYSTEM};

static ARRIVED: AtomicU64 = AtomicU64::new(0);
static REQUESTS: AtomicU64 = AtomicU64::new(0);
static WRONG: AtomicU64 = AtomicU64::new(0);

/// A span, as an exporter got it.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Whether its ids and its parent's are there.
    pub has_ids: bool,
    /// Whether it ended no earlier than it began.
    pub has_times: bool,
    /// What its attributes say, in their order.
    pub attributes: [&'a [u8]; 2],
    /// Of its one event.
    pub event: &'a [u8],
}

/// What arrived together, counted once.
#[derive(Default)]
pub struct Batch {
    arrived: u64,
    requests: u64,
    wrong: u64,
}

impl Batch {
    /// One more.
    pub fn add(&mut self, span: Arrived<'_>) {
        if span.name == REQUEST.as_bytes() {
            self.requests += 1;
            return;
        }
        let right = span.name == NAME.as_bytes()
            && span.has_ids
            && span.has_times
            && span.attributes == [SYSTEM.as_bytes(), OPERATION.as_bytes()]
            && span.event == EVENT.as_bytes();
        self.arrived += 1;
        self.wrong += u64::from(!right);
    }

    /// So many of which nobody looks into the bytes; requests among them.
    pub fn encoded(spans: usize, requests: usize) {
        let arrived = (spans - requests) as u64;
        Batch { arrived, requests: requests as u64, wrong: 0 }.end();
    }

    /// That was all.
    pub fn end(self) {
        WRONG.fetch_add(self.wrong, Ordering::Relaxed);
        REQUESTS.fetch_add(self.requests, Ordering::Relaxed);
        ARRIVED.fetch_add(self.arrived, Ordering::Release);
    }
}

/// Spans that arrived so far, but for those around the others.
pub fn arrived() -> u64 {
    ARRIVED.load(Ordering::Acquire)
}

/// The same, where all were right.
///
/// # Errors
///
/// Some were not.
pub fn right() -> Result<u64, String> {
    match WRONG.load(Ordering::Relaxed) {
        0 => Ok(arrived()),
        wrong => Err(format!("{wrong} of {} spans are wrong", arrived())),
    }
}

/// Requests' own spans that arrived.
pub fn requests() -> u64 {
    REQUESTS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_wrong_is_noticed() {
        let right = Arrived {
            name: NAME.as_bytes(),
            has_ids: true,
            has_times: true,
            attributes: [SYSTEM.as_bytes(), OPERATION.as_bytes()],
            event: EVENT.as_bytes(),
        };
        let wrong = [
            Arrived { name: b"x", ..right },
            Arrived { has_ids: false, ..right },
            Arrived { has_times: false, ..right },
            Arrived { attributes: [right.attributes[1], right.attributes[0]], ..right },
            Arrived { event: b"", ..right },
        ];
        let mut batch = Batch::default();
        batch.add(right);
        wrong.into_iter().for_each(|wrong| batch.add(wrong));
        batch.add(Arrived { name: REQUEST.as_bytes(), has_ids: false, ..right });
        assert_eq!((batch.arrived, batch.wrong, batch.requests), (6, 5, 1));
    }
}
