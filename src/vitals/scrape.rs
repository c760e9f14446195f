//! One scrape of an engine: by hand, or for a way out.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Core, Vitals};
use crate::clock::Clock;
use crate::collect::Scrape;
use crate::collectors::Round;
use crate::encode::format::Format;
use crate::encode::pages::Pages;
use crate::encode::protobuf::{self, Protobuf};
use crate::encode::text::{Sink, Slices, Text};
use crate::export::Source;
use crate::outlets::Counted;
use crate::registry::{Exemplars, Turn};
use crate::sync::lock;

/// What one scrape leaves to the next.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) scrape: Scrape,
    text: Pages,
    between: Vec<u8>,
    protobuf: protobuf::Room,
    /// Samples that came from collectors.
    pub(super) collected: usize,
}

/// See [`Vitals::source`].
pub(super) struct Reader {
    core: Weak<Core>,
    events: Counted,
}

impl Reader {
    pub(super) fn new(core: Weak<Core>, events: Counted) -> Reader {
        Reader { core, events }
    }
}

impl Source for Reader {
    fn scrape_into(&self, format: Format, out: &mut Vec<u8>) -> bool {
        let Some(core) = self.core.upgrade() else { return false };
        core.scrape_into(format, None, out, Duration::MAX);
        true
    }

    #[cfg(any(feature = "http", feature = "tower"))]
    fn scrape_only(&self, format: Format, names: &[&str], out: &mut Vec<u8>) -> bool {
        let Some(core) = self.core.upgrade() else { return false };
        core.scrape_into(format, Some(names), out, Duration::MAX);
        true
    }

    #[cfg(any(feature = "http", feature = "tower"))]
    fn formats(&self) -> &'static [Format] {
        self.core.upgrade().map_or(Format::TEXTS, |core| core.formats)
    }

    #[cfg(feature = "http")]
    fn alive(&self) -> bool {
        self.core.strong_count() > 0
    }

    #[cfg(feature = "http")]
    fn log_filter(&self) -> Option<String> {
        Some(self.core.upgrade()?.logs.get()?.filter().to_string())
    }

    #[cfg(feature = "http")]
    fn set_log_filter(&self, text: &str) -> Result<(), String> {
        let filter = text.parse::<crate::logs::LogFilter>().map_err(|error| error.to_string())?;
        if let Some(logs) = self.core.upgrade().as_ref().and_then(|core| core.logs.get()) {
            logs.set_filter(filter);
        }
        Ok(())
    }

    fn count(&self, event: crate::export::Event) {
        self.events.count(event);
    }
}

/// What a scrape is to say.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    format: Format,
    /// The names that are asked for, where not all are.
    only: Option<&'a [&'a str]>,
}

impl Core {
    /// Appends all metrics, or those of these names `only`; waits for collectors up to `most`, or the
    /// engine's deadline if that is less.
    pub(super) fn scrape_into(
        &self,
        format: Format,
        only: Option<&[&str]>,
        out: &mut Vec<u8>,
        most: Duration,
    ) {
        let wanted = Wanted { format, only };
        // Before the turn: what they run may scrape this engine, or remove a collector.
        let collected = self.collectors.collect(most);
        let mut turn = self.table.turn();
        let Kept { scrape, text, protobuf, collected: count, .. } = &mut *lock(&self.kept);
        let collected = collected.as_deref();
        *count = collected.map_or(0, Round::samples);
        if wanted.format == Format::Protobuf {
            self.timed(wanted, scrape, |scrape| {
                let mut visit = Protobuf::new(wanted.only, out, protobuf);
                self.walk(&mut turn, scrape, collected, &mut visit);
                visit.finish();
            });
        } else {
            self.text(wanted, &mut turn, scrape, text, collected, out);
        }
    }

    pub(super) fn scrape_with(&self, to: impl FnMut(&[u8])) {
        let collected = self.collectors.collect(Duration::MAX);
        let mut turn = self.table.turn();
        let Kept { scrape, text, between, collected: count, .. } = &mut *lock(&self.kept);
        *count = collected.as_deref().map_or(0, Round::samples);
        let mut slices = Slices::new(between, to);
        let all = Wanted { format: Format::Text, only: None };
        self.text(all, &mut turn, scrape, text, collected.as_deref(), &mut slices);
        slices.flush();
    }

    fn text(
        &self,
        wanted: Wanted<'_>,
        turn: &mut Turn<'_>,
        scrape: &mut Scrape,
        text: &mut Pages,
        collected: Option<&Round>,
        out: &mut impl Sink,
    ) {
        self.timed(wanted, scrape, |scrape| {
            let charge = |bytes| self.table.space().charge(bytes);
            let Wanted { format, only } = wanted;
            let mut text = Text::new(format, only, out, text, &charge, &self.pool);
            self.walk(turn, scrape, collected, &mut text);
            text.finish();
        });
    }

    /// Has the exemplars ready where the format has them, and says how long the scrape took.
    fn timed(&self, wanted: Wanted<'_>, scrape: &mut Scrape, walk: impl FnOnce(&mut Scrape)) {
        // In our turn: waiting for another scrape is not what a scrape costs.
        let started = Clock::get().start();
        // Only for who asked for them: text 0.0.4 has none.
        if wanted.format != Format::Text
            && let Some(exemplars) = self.table.exemplars()
        {
            exemplars.turn();
            scrape.candidates.gather(exemplars, |trace| self.is_kept(trace));
        }
        walk(scrape);
        scrape.candidates.clear();
        // It is what all series take: a few would hide in it how long that is.
        if wanted.only.is_none() {
            self.own.scrape_duration.record_nanos(started.elapsed_nanos());
        }
    }

    /// Whether whoever follows an exemplar finds its trace.
    pub(super) fn is_kept(&self, trace: &[u8; 16]) -> bool {
        let traces = self.logs.get().and_then(|logs| logs.traces());
        traces.is_none_or(|traces| traces.is_kept(trace))
    }
}

impl Vitals {
    /// Where the engine has exemplars.
    pub(super) fn exemplars(&self) -> Option<Arc<Exemplars>> {
        self.core.as_ref()?.table.exemplars().cloned()
    }
}
