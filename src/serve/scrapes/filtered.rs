//! Scrapes of some families alone.
//!
//! What one of them asks for is seldom what another does, so that they are not shared: else a client
//! that asks for something else each time would have as many renderings kept and under way as it
//! likes. One at most is under way, a bounded number waits with nothing but its names, and a text is
//! held by whoever reads it and nobody else. Each lets the thread's other tasks have a turn for each of
//! its kind that came before it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{Compress, Rendered, Scraped, next_id};
use crate::Format;
use crate::export::Source;
use crate::serve::names::Names;

/// Scrapes that may be there at once, under way or waiting: three quarters of the connections that
/// the endpoint has, so that whoever wants something else finds a place.
const MOST: usize = 48;

/// What another one is told.
pub(crate) const TOO_MANY: &str = "too many scrapes by name[] at once\n";

/// The filtered scrapes of one engine, in all formats.
pub(crate) struct Filtered {
    source: Arc<dyn Source>,
    compress: Option<Compress>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Scrapes that are there.
    there: usize,
    /// Whether one of them is being rendered.
    busy: bool,
    waiting: Vec<Waker>,
}

impl Filtered {
    pub(super) fn new(source: Arc<dyn Source>, compress: Option<Compress>) -> Arc<Filtered> {
        Arc::new(Filtered { source, compress, state: Mutex::default() })
    }

    /// A future of these metrics as they are after this call; nothing where there are too many such.
    pub(crate) fn scrape(
        self: &Arc<Self>,
        format: Format,
        names: Names,
        compressed: bool,
    ) -> Option<FilteredScrape> {
        let mut state = self.state();
        if state.there >= MOST {
            return None;
        }
        state.there += 1;
        let yields = state.there;
        let place = Some(Place(Arc::clone(self)));
        Some(FilteredScrape { place, format, names, compressed, yields })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in it can be left half done: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn render(&self, format: Format, names: &Names, compressed: bool) -> Rendered {
        let mut text = Vec::new();
        let gone = !self.source.scrape_only(format, &names.as_strs(), &mut text);
        let mut compressed = match self.compress {
            Some(run) if compressed && !gone => run(&text, Vec::new()),
            _ => None,
        };
        // What is sent may be held for long, and counts as many bytes as it takes; nothing else stays.
        match &mut compressed {
            Some(small) => {
                small.shrink_to_fit();
                text = Vec::new();
            }
            None => text.shrink_to_fit(),
        }
        let (text, compressed) = (Bytes::from(text), compressed.map(Bytes::from));
        Rendered { number: 0, id: next_id(), format, text, compressed, gone }
    }
}

/// See [`Filtered::scrape`].
pub(crate) struct FilteredScrape {
    /// Until it is answered.
    place: Option<Place>,
    format: Format,
    names: Names,
    compressed: bool,
    /// How often others have their turn first.
    yields: usize,
}

impl Future for FilteredScrape {
    type Output = Option<Scraped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.yields > 0 {
            self.yields -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(Place(filtered)) = &self.place else { return Poll::Ready(None) };
        let turn = {
            let mut state = filtered.state();
            if state.busy {
                if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.waiting.push(context.waker().clone());
                }
                return Poll::Pending;
            }
            state.busy = true;
            Turn(filtered)
        };
        let rendered = filtered.render(self.format, &self.names, self.compressed);
        drop(turn);
        self.place = None;
        Poll::Ready((!rendered.gone).then_some(Scraped { rendered, shared: false }))
    }
}

/// A place among those that are there.
struct Place(Arc<Filtered>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state().there -= 1;
    }
}

/// The turn to render. Given back when dropped, by a panic in the engine too.
struct Turn<'a>(&'a Filtered);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state();
            state.busy = false;
            std::mem::take(&mut state.waiting)
        };
        // All of them, outside of the lock: one that is never polled again holds up nobody.
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};
    use std::thread;
    use std::time::Duration;

    use super::super::Renderings;
    use super::super::tests::{poll, wait};
    use super::*;
    use crate::export::Event;
    use crate::export::stub::Stub;

    fn names(name: &str) -> Names {
        Names::read(Some(&format!("name[]={name}"))).unwrap().unwrap()
    }

    fn filtered(source: Arc<dyn Source>) -> Arc<Filtered> {
        Filtered::new(source, None)
    }

    fn scrape(filtered: &Arc<Filtered>, name: &str) -> FilteredScrape {
        filtered.scrape(Format::Text, names(name), false).unwrap()
    }

    #[test]
    fn each_has_its_own_text_and_the_others_theirs() {
        let stub = Arc::new(Stub::new("a 1\nb 2\n"));
        let small: Compress = |text, _| Some(format!("{} bytes", text.len()).into_bytes());
        let renderings = Renderings::new(stub.clone(), Some(small));
        let whole = |format| wait(renderings.of(format).scrape(false)).unwrap().rendered;
        let some = |format, name: &str, compressed| {
            let scrape = renderings.filtered().scrape(format, names(name), compressed).unwrap();
            let Scraped { rendered, shared } = wait(scrape).unwrap();
            assert!(!shared && rendered.format == format);
            rendered
        };
        let first = whole(Format::Text);
        assert_eq!(some(Format::Text, "a", false).text, "a 1\n");
        stub.set_text("a 3\nb 4\n");
        let b = some(Format::OpenMetrics, "b", true);
        // Of both only what is sent.
        assert_eq!((&*b.text, &*b.compressed.unwrap()), (&b""[..], &b"10 bytes"[..]));
        let nothing = some(Format::Text, "c", false);
        assert_eq!((&*nothing.text, nothing.compressed), (&b""[..], None));
        let second = whole(Format::Text);
        assert_eq!((&*first.text, &*second.text), (&b"a 1\nb 2\n"[..], &b"a 3\nb 4\n"[..]));
        assert!(first.id < b.id && b.id < nothing.id && nothing.id < second.id);
        stub.end();
        assert!(wait(scrape(renderings.filtered(), "a")).is_none());
    }

    /// On one thread that does what is due in turns: a scrape of all that comes last is not the last.
    #[test]
    fn between_two_of_them_everyone_else_has_a_turn() {
        let stub = Arc::new(Stub::new("a 1\n"));
        let renderings = Renderings::new(stub.clone(), None);
        let mut some: Vec<_> =
            (0..MOST).map(|_| Some(scrape(renderings.filtered(), "a"))).collect();
        let mut whole = renderings.of(Format::Text).scrape(false);
        let mut rounds = 0;
        while some.iter().any(Option::is_some) {
            let before = stub.scrapes();
            for place in &mut some {
                if place.as_mut().is_some_and(|scrape| poll(scrape).is_ready()) {
                    *place = None;
                }
            }
            assert!(stub.scrapes() - before <= 1);
            if rounds < 2 {
                assert_eq!(poll(&mut whole).is_ready(), rounds == 1);
            }
            rounds += 1;
        }
        assert_eq!((rounds, stub.scrapes()), (MOST + 1, MOST as u64 + 1));
    }

    #[test]
    fn past_the_limit_none_is_taken_until_one_is_over() {
        let stub = Arc::new(Stub::new("a 1\n"));
        let filtered = filtered(stub.clone());
        let mut all: Vec<_> = (0..MOST).map(|_| scrape(&filtered, "a")).collect();
        let more = || filtered.scrape(Format::OpenMetrics, names("b"), true);
        assert!(more().is_none());
        // One that was never polled, and one that was.
        drop(all.pop());
        let one = more().unwrap();
        assert!(more().is_none());
        assert!(wait(one).is_some());
        assert!(poll(&mut all[0]).is_pending());
        all.clear();
        assert_eq!(filtered.state().there, 0);
        assert_eq!(stub.scrapes(), 1);
    }

    /// Waits in each rendering, or panics when nobody lets it go.
    struct Slow(Mutex<mpsc::Receiver<()>>, mpsc::Sender<()>);

    impl Source for Slow {
        fn scrape_into(&self, _: Format, _: &mut Vec<u8>) -> bool {
            unreachable!("nobody asks for all")
        }
        fn scrape_only(&self, _: Format, _: &[&str], _: &mut Vec<u8>) -> bool {
            let turn = self.0.try_lock().unwrap();
            self.1.send(()).unwrap();
            let told = turn.recv();
            drop(turn);
            told.unwrap();
            true
        }
        #[cfg(feature = "http")]
        fn alive(&self) -> bool {
            true
        }
        fn count(&self, _: Event) {}
    }

    #[test]
    fn one_at_a_time_whatever_becomes_of_it() {
        let (go, held) = mpsc::channel();
        let (begun, running) = mpsc::channel();
        let filtered = filtered(Arc::new(Slow(Mutex::new(held), begun)));
        let ready = Barrier::new(4);
        thread::scope(|scope| {
            let waits: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let scrape = scrape(&filtered, "a");
                        ready.wait();
                        wait(scrape)
                    })
                })
                .collect();
            ready.wait();
            running.recv().unwrap();
            // One that waits, too, and is forgotten.
            let mut forgotten = scrape(&filtered, "b");
            (0..=MOST).for_each(|_| assert!(poll(&mut forgotten).is_pending()));
            assert!(running.recv_timeout(Duration::from_millis(20)).is_err());
            go.send(()).unwrap();
            running.recv().unwrap();
            go.send(()).unwrap();
            running.recv().unwrap();
            drop(go);
            // The last one panics, and gives the turn back.
            let ended = waits.into_iter().map(|thread| thread.join().is_ok());
            assert_eq!(ended.filter(|ended| *ended).count(), 2);
            drop(forgotten);
        });
        let state = filtered.state();
        assert_eq!((state.there, state.busy, state.waiting.len()), (0, false, 0));
    }
}
