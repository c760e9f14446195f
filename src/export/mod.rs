//! Ways out: what reads an engine from outside of the recording threads.
//!
//! Every way out reads through [`Source`] and reports what happened to it through [`Event`], so
//! that none of them keeps the engine alive or knows how it is built.

pub(crate) mod sink;
pub(crate) mod slot;
pub(crate) mod textfile;
pub(crate) mod trace;

use crate::Format;

/// What a way out reads from: an engine that may be gone by now.
pub(crate) trait Source: Send + Sync + 'static {
    /// Appends the metrics; false, and nothing appended, when the engine is gone.
    fn scrape_into(&self, format: Format, out: &mut Vec<u8>) -> bool;

    /// The same of the families of these names alone.
    #[cfg(any(feature = "http", feature = "tower"))]
    fn scrape_only(&self, format: Format, names: &[&str], out: &mut Vec<u8>) -> bool;

    /// The formats that whoever scrapes may choose from.
    #[cfg(any(feature = "http", feature = "tower"))]
    fn formats(&self) -> &'static [Format] {
        Format::TEXTS
    }

    /// Whether the engine still exists.
    #[cfg(feature = "http")]
    fn alive(&self) -> bool;

    /// Which lines are logged, as a filter's text; nothing where there are no logs, or no engine.
    #[cfg(feature = "http")]
    fn log_filter(&self) -> Option<String> {
        None
    }

    /// Changes which lines are logged; the reason where `text` is no filter.
    #[cfg(feature = "http")]
    fn set_log_filter(&self, _text: &str) -> Result<(), String> {
        Ok(())
    }

    /// Counts one event.
    fn count(&self, event: Event);
}

/// Declares the events with the two labels that each is counted under.
macro_rules! events {
    ($($(#[$doc:meta])* $event:ident = $way:literal, $name:literal;)*) => {
        /// Something that happened on a way out, counted by the engine.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Event {
            $($(#[$doc])* $event,)*
        }

        impl Event {
            /// Every event, in the order of their numbers: the series to declare at 0.
            pub(crate) const ALL: &'static [Event] = &[$(Event::$event,)*];

            /// The values of the labels `way` and `event`.
            pub(crate) fn labels(self) -> [&'static str; 2] {
                match self {
                    $(Event::$event => [$way, $name],)*
                }
            }
        }
    };
}

events! {
    /// A scrape was answered with metrics.
    HttpScrape = "http", "scrape";
    /// Of those, one that shared the text rendered for another.
    HttpShared = "http", "shared";
    /// `/healthz` was answered.
    HttpHealth = "http", "health";
    /// The filter of the logs was read or changed.
    HttpLogLevel = "http", "log_level";
    /// Somebody who may not was to read or change it.
    HttpForbidden = "http", "forbidden";
    /// A request without the token that it needs.
    HttpUnauthorized = "http", "unauthorized";
    /// A page, a file or data of the console was answered.
    HttpConsole = "http", "console";
    /// A viewer of the console began to follow it.
    HttpViewer = "http", "console_viewer";
    /// One more than may follow it was turned away.
    HttpViewersFull = "http", "console_full";
    /// A request for another path, by another method or by names past a limit, or one that was not HTTP.
    HttpBadRequest = "http", "bad_request";
    /// A connection beyond the limit was turned away, or a scrape by names beside too many others.
    HttpRefused = "http", "refused";
    /// An idle connection was closed to make room for a new one.
    HttpMadeRoom = "http", "made_room";
    /// A client did not send its whole request head in time.
    HttpHeadTimeout = "http", "head_timeout";
    /// A client did not take its whole answer in time.
    HttpSlowReader = "http", "slow_reader";
    /// A client that read slowly lost its answer because too many bytes were held for such.
    HttpEvicted = "http", "evicted";
    /// A client went away in the middle of a request or of its answer.
    HttpHungUp = "http", "hung_up";
    /// The operating system refused a new connection (no file descriptors, say).
    HttpAcceptFailed = "http", "accept_failed";
    /// A scrape through the tower service was answered with metrics.
    TowerScrape = "tower", "scrape";
    /// Of those, one that shared the text rendered for another.
    TowerShared = "tower", "shared";
    /// A request to the tower service by a method that is neither GET nor HEAD, or by names past a limit.
    TowerBadRequest = "tower", "bad_request";
    /// A scrape by names through the tower service that came beside too many others.
    TowerRefused = "tower", "refused";
    /// The textfile was written.
    TextfileWritten = "textfile", "written";
    /// The textfile could not be written; the one before it still stands.
    TextfileFailed = "textfile", "failed";
    /// The file of a copy that has ended was removed.
    TextfileSwept = "textfile", "swept";
}

#[cfg(test)]
pub(crate) mod stub {
    //! A source for tests: a text that tests set, and events that they read.

    use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use super::{Event, Format, Source};

    #[derive(Default)]
    pub(crate) struct Stub {
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Default)]
    struct State {
        text: Vec<u8>,
        gone: bool,
        scrapes: u64,
        events: Vec<Event>,
        #[cfg(feature = "http")]
        filter: Option<String>,
    }

    impl Stub {
        pub(crate) fn new(text: impl Into<Vec<u8>>) -> Stub {
            let state = State { text: text.into(), ..State::default() };
            Stub { state: Mutex::new(state), changed: Condvar::new() }
        }

        fn state(&self) -> MutexGuard<'_, State> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn set_text(&self, text: impl Into<Vec<u8>>) {
            self.state().text = text.into();
        }

        pub(crate) fn end(&self) {
            self.state().gone = true;
        }

        #[cfg(feature = "http")]
        pub(crate) fn set_filter(&self, filter: &str) {
            self.state().filter = Some(filter.to_owned());
        }

        #[cfg(any(feature = "http", feature = "tower"))]
        pub(crate) fn scrapes(&self) -> u64 {
            self.state().scrapes
        }

        pub(crate) fn seen(&self, event: Event) -> usize {
            self.state().events.iter().filter(|&&seen| seen == event).count()
        }

        /// Waits, with a generous bound, until `event` was counted `times` times.
        pub(crate) fn wait_for(&self, event: Event, times: usize) {
            let seen = |state: &mut State| {
                state.events.iter().filter(|&&seen| seen == event).count() < times
            };
            let bound = Duration::from_secs(60);
            let (state, out) = self.changed.wait_timeout_while(self.state(), bound, seen).unwrap();
            assert!(!out.timed_out(), "waited for {event:?}, saw {:?}", state.events);
        }
    }

    impl Source for Stub {
        fn scrape_into(&self, format: Format, out: &mut Vec<u8>) -> bool {
            let mut state = self.state();
            state.scrapes += 1;
            if !state.gone {
                out.extend_from_slice(&state.text);
                if format == Format::OpenMetrics {
                    out.extend_from_slice(b"# EOF\n");
                }
            }
            !state.gone
        }

        /// The lines that begin with one of the names.
        #[cfg(any(feature = "http", feature = "tower"))]
        fn scrape_only(&self, format: Format, names: &[&str], out: &mut Vec<u8>) -> bool {
            let mut all = Vec::new();
            let there = self.scrape_into(format, &mut all);
            let begins = |line: &&[u8]| {
                let named = |name: &&str| line.starts_with(name.as_bytes());
                names.iter().any(named) || line == b"# EOF\n"
            };
            let lines = all.split_inclusive(|byte| *byte == b'\n').filter(begins);
            lines.for_each(|line| out.extend_from_slice(line));
            there
        }

        #[cfg(feature = "http")]
        fn alive(&self) -> bool {
            !self.state().gone
        }

        #[cfg(feature = "http")]
        fn log_filter(&self) -> Option<String> {
            self.state().filter.clone()
        }

        /// Takes what has no `!`.
        #[cfg(feature = "http")]
        fn set_log_filter(&self, text: &str) -> Result<(), String> {
            if text.contains('!') {
                return Err(format!("{text:?} is no filter"));
            }
            self.state().filter = Some(text.to_owned());
            Ok(())
        }

        fn count(&self, event: Event) {
            self.state().events.push(event);
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Event;

    #[test]
    fn no_two_events_share_a_series() {
        let mut labels: Vec<_> = Event::ALL.iter().map(|event| event.labels()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Event::ALL.len());
    }
}
