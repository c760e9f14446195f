//! Scrapes that come together are rendered once.
//!
//! A scrape shares the text whose rendering *begins* after the scrape came in, never the one under
//! way: whoever counts something and then scrapes finds it counted. So at most one rendering runs
//! and at most one more is due, however many clients ask. Nothing here belongs to a runtime: the
//! first future that is polled while nobody renders does it, on the thread that polls it.

mod filtered;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::Format;
use crate::export::Source;
use crate::sync::{AtomicU64, Ordering};

#[cfg(feature = "tower")]
pub(crate) use filtered::FilteredScrape;
pub(crate) use filtered::{Filtered, TOO_MANY};

/// Turns text into its compressed form; none when it is better sent as it is.
pub(crate) type Compress = fn(text: &[u8], spare: Vec<u8>) -> Option<Vec<u8>>;

/// The renderings of one engine, in each format.
pub(crate) struct Renderings {
    source: Arc<dyn Source>,
    text: Arc<Scrapes>,
    open: Arc<Scrapes>,
    protobuf: Arc<Scrapes>,
    filtered: Arc<Filtered>,
}

impl Renderings {
    pub(crate) fn new(source: Arc<dyn Source>, compress: Option<Compress>) -> Renderings {
        let of = |format| Scrapes::new(source.clone(), compress, format);
        let [text, open, protobuf] = [Format::Text, Format::OpenMetrics, Format::Protobuf].map(of);
        let filtered = Filtered::new(source.clone(), compress);
        Renderings { source, text, open, protobuf, filtered }
    }

    pub(crate) fn of(&self, format: Format) -> &Arc<Scrapes> {
        match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.open,
            Format::Protobuf => &self.protobuf,
        }
    }

    /// Those of some families alone.
    pub(crate) fn filtered(&self) -> &Arc<Filtered> {
        &self.filtered
    }

    pub(crate) fn source(&self) -> &dyn Source {
        self.source.as_ref()
    }
}

/// The renderings in one format.
pub(crate) struct Scrapes {
    format: Format,
    source: Arc<dyn Source>,
    compress: Option<Compress>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many renderings have begun and ended. They differ by one while one runs.
    begun: u64,
    ended: u64,
    /// Whether somebody who shares the next rendering wants it compressed.
    compress_next: bool,
    /// The newest one, kept for those that wait for it and then for its buffers.
    latest: Option<Rendered>,
    waiting: Vec<Waker>,
}

/// One rendering, shared by all that asked for it.
#[derive(Clone)]
pub(crate) struct Rendered {
    /// Its number, from 1.
    number: u64,
    /// Above that of any rendering that was begun before, of any format.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "read by the endpoint alone"))]
    pub(crate) id: u64,
    pub(crate) format: Format,
    pub(crate) text: Bytes,
    /// Only where somebody wanted it.
    pub(crate) compressed: Option<Bytes>,
    gone: bool,
}

/// The id of a new rendering, above that of any before.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: hands out numbers.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What a scrape came to.
pub(crate) struct Scraped {
    pub(crate) rendered: Rendered,
    /// It was rendered for another, too.
    pub(crate) shared: bool,
}

impl Scrapes {
    fn new(source: Arc<dyn Source>, compress: Option<Compress>, format: Format) -> Arc<Scrapes> {
        Arc::new(Scrapes { format, source, compress, state: Mutex::default() })
    }

    /// A future of the metrics as they are after this call; none when the engine is gone.
    pub(crate) fn scrape(self: &Arc<Self>, compressed: bool) -> Scrape {
        let mut state = self.state();
        state.compress_next |= compressed && self.compress.is_some();
        Scrape { ticket: state.begun + 1, yielded: false, scrapes: Arc::clone(self) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in it can be left half done: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renders number `number`, for which the caller has the turn.
    fn render(&self, number: u64, latest: Option<Rendered>, compress: bool) -> Rendered {
        let turn = Turn(self);
        let (spare, spare_compressed) = match latest {
            Some(latest) => (Some(latest.text), latest.compressed),
            None => (None, None),
        };
        let mut text = reuse(spare);
        let (id, format) = (next_id(), self.format);
        let gone = !self.source.scrape_into(format, &mut text);
        let compressed = match self.compress {
            Some(run) if compress && !gone => run(&text, reuse(spare_compressed)),
            _ => None,
        };
        let (text, compressed) = (Bytes::from(text), compressed.map(Bytes::from));
        let rendered = Rendered { number, id, format, text, compressed, gone };
        self.state().latest = Some(rendered.clone());
        drop(turn);
        rendered
    }
}

/// The turn to render. Given back when dropped, by a panic in the engine too: the next one tries.
struct Turn<'a>(&'a Scrapes);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state();
            state.ended = state.begun;
            std::mem::take(&mut state.waiting)
        };
        // All of them, outside of the lock: one may have been dropped since it was woken.
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// The buffer of a text that no client is reading any more, emptied; else a new one.
fn reuse(spare: Option<Bytes>) -> Vec<u8> {
    let Some(spare) = spare.filter(Bytes::is_unique) else { return Vec::new() };
    let mut buffer = Vec::from(spare);
    // A text that was once much longer does not hold its memory for ever.
    let used = buffer.len();
    buffer.clear();
    if buffer.capacity() / 4 > used {
        buffer.shrink_to(used);
    }
    buffer
}

/// See [`Scrapes::scrape`].
pub(crate) struct Scrape {
    scrapes: Arc<Scrapes>,
    /// The first rendering that is new enough.
    ticket: u64,
    yielded: bool,
}

impl Future for Scrape {
    type Output = Option<Scraped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.yielded {
            // Requests that have arrived already get their turn to ask, and share.
            self.yielded = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (number, latest, compress) = {
            let mut state = self.scrapes.state();
            let running = state.begun != state.ended;
            match &state.latest {
                Some(latest) if latest.number >= self.ticket => {
                    let rendered = latest.clone();
                    return Poll::Ready(done(rendered, true));
                }
                _ if running => {
                    if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                        state.waiting.push(context.waker().clone());
                    }
                    return Poll::Pending;
                }
                _ => {}
            }
            state.begun += 1;
            let compress = std::mem::take(&mut state.compress_next);
            (state.begun, state.latest.take(), compress)
        };
        let rendered = self.scrapes.render(number, latest, compress);
        Poll::Ready(done(rendered, false))
    }
}

fn done(rendered: Rendered, shared: bool) -> Option<Scraped> {
    (!rendered.gone).then_some(Scraped { rendered, shared })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::Wake;
    use std::thread;

    use super::*;
    use crate::export::Event;
    use crate::export::stub::Stub;

    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    pub(super) fn wait<T>(mut scrape: impl Future<Output = T> + Unpin) -> T {
        let waker = Arc::new(Unpark(thread::current())).into();
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut scrape).poll(&mut context) {
                Poll::Ready(scraped) => return scraped,
                Poll::Pending => thread::park(),
            }
        }
    }

    pub(super) fn poll<T>(scrape: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
        Pin::new(scrape).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn scrapes_that_ask_before_one_is_rendered_share_it() {
        let stub = Arc::new(Stub::new("a 1\n"));
        let scrapes = Scrapes::new(stub.clone(), None, Format::Text);
        let mut asked: Vec<_> = (0..100).map(|_| scrapes.scrape(false)).collect();
        for scrape in &mut asked {
            assert!(poll(scrape).is_pending(), "each lets the others ask first");
        }
        let answers: Vec<_> = asked.into_iter().map(|scrape| wait(scrape).unwrap()).collect();
        assert_eq!(stub.scrapes(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.shared).count(), 99);
        assert!(answers.iter().all(|answer| answer.rendered.text == "a 1\n"));
        assert_eq!(wait(scrapes.scrape(false)).unwrap().rendered.number, 2);
    }

    /// A source whose rendering waits until it is let go.
    struct Slow(Mutex<mpsc::Receiver<()>>, mpsc::Sender<()>, Arc<Stub>);

    impl Source for Slow {
        fn scrape_into(&self, format: Format, out: &mut Vec<u8>) -> bool {
            let read = self.2.scrape_into(format, out);
            self.1.send(()).unwrap();
            let _ = self.0.lock().unwrap().recv();
            read
        }
        fn scrape_only(&self, _: Format, _: &[&str], _: &mut Vec<u8>) -> bool {
            unreachable!("nothing is filtered here")
        }
        #[cfg(feature = "http")]
        fn alive(&self) -> bool {
            true
        }
        fn count(&self, _: Event) {}
    }

    #[test]
    fn a_scrape_never_shares_what_was_read_before_it_came() {
        let stub = Arc::new(Stub::new("a 1\n"));
        let (go, held) = mpsc::channel();
        let (begun, running) = mpsc::channel();
        let scrapes =
            Scrapes::new(Arc::new(Slow(Mutex::new(held), begun, stub.clone())), None, Format::Text);
        let first = scrapes.scrape(false);
        let leader = thread::spawn(move || wait(first).unwrap());
        running.recv().unwrap();
        // The first one has read 1 and is still being rendered.
        stub.set_text("a 2\n");
        let late: Vec<_> = (0..8)
            .map(|_| scrapes.scrape(false))
            .map(|scrape| thread::spawn(move || wait(scrape).unwrap()))
            .collect();
        drop(go);
        assert_eq!(leader.join().unwrap().rendered.text, "a 1\n");
        for late in late {
            assert_eq!(late.join().unwrap().rendered.text, "a 2\n");
        }
        assert_eq!(stub.scrapes(), 2);
    }

    #[test]
    fn a_waiting_scrape_that_is_dropped_holds_up_nobody() {
        let stub = Arc::new(Stub::new("a 1\n"));
        let scrapes = Scrapes::new(stub.clone(), None, Format::Text);
        let mut left = scrapes.scrape(false);
        assert!(poll(&mut left).is_pending());
        let stays = scrapes.scrape(false);
        drop(left);
        assert!(wait(stays).is_some());
    }

    #[test]
    fn a_panic_in_the_engine_gives_the_turn_back() {
        struct Bad(Mutex<bool>);
        impl Source for Bad {
            fn scrape_into(&self, _: Format, _: &mut Vec<u8>) -> bool {
                let first = !std::mem::replace(&mut *self.0.lock().unwrap(), true);
                assert!(!first, "the first scrape panics");
                true
            }
            fn scrape_only(&self, _: Format, _: &[&str], _: &mut Vec<u8>) -> bool {
                unreachable!("nothing is filtered here")
            }
            #[cfg(feature = "http")]
            fn alive(&self) -> bool {
                true
            }
            fn count(&self, _: Event) {}
        }
        let scrapes = Scrapes::new(Arc::new(Bad(Mutex::new(false))), None, Format::Text);
        let first = scrapes.scrape(false);
        let waits = scrapes.scrape(false);
        assert!(thread::spawn(move || wait(first).is_some()).join().is_err());
        assert!(wait(waits).is_some());
    }

    #[test]
    fn formats_are_rendered_apart_and_numbered_together() {
        let stub = Arc::new(Stub::new("a 1\n"));
        let renderings = Renderings::new(stub.clone(), None);
        let mut last = 0;
        for (format, text) in [
            (Format::Text, "a 1\n"),
            (Format::OpenMetrics, "a 1\n# EOF\n"),
            (Format::Text, "a 1\n"),
        ] {
            let rendered = wait(renderings.of(format).scrape(false)).unwrap().rendered;
            assert_eq!((rendered.format, &*rendered.text), (format, text.as_bytes()));
            assert!(rendered.id > last);
            last = rendered.id;
        }
        assert_eq!(stub.scrapes(), 3);
    }

    #[test]
    fn an_engine_that_is_gone_is_none() {
        let stub = Arc::new(Stub::new("a 1\n"));
        let scrapes = Scrapes::new(stub.clone(), None, Format::Text);
        stub.end();
        assert!(wait(scrapes.scrape(false)).is_none());
    }

    #[test]
    fn buffers_are_used_again_once_no_reader_holds_them() {
        let stub = Arc::new(Stub::new("a 1\n".repeat(1000)));
        let scrapes = Scrapes::new(stub, None, Format::Text);
        let place = |scraped: &Scraped| scraped.rendered.text.as_ptr() as usize;
        let first = wait(scrapes.scrape(false)).unwrap();
        let (place_of_first, held) = (place(&first), wait(scrapes.scrape(false)).unwrap());
        assert_ne!(place(&held), place_of_first, "the first one is still being read");
        let place_of_second = place(&held);
        drop((first, held));
        let third = wait(scrapes.scrape(false)).unwrap();
        assert_eq!(place(&third), place_of_second);
    }

    #[test]
    fn compressed_only_when_somebody_asks() {
        let stub = Arc::new(Stub::new("a 1\n"));
        let scrapes = Scrapes::new(stub, Some(|_, _| Some(b"small".to_vec())), Format::Text);
        let plain = wait(scrapes.scrape(false)).unwrap();
        assert!(plain.rendered.compressed.is_none());
        let (one, other) = (scrapes.scrape(true), scrapes.scrape(false));
        assert!(wait(other).unwrap().rendered.compressed.is_some(), "one rendering for both");
        assert_eq!(wait(one).unwrap().rendered.compressed.unwrap(), "small");
        assert!(wait(scrapes.scrape(false)).unwrap().rendered.compressed.is_none());
    }
}
