//! What becomes of spans that come out of the rings: cleaned, collected, handed to the exporters.

pub(crate) mod assembler;
pub(crate) mod control;
mod tally;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::anchors::Anchors;
use crate::clock::Clock;
use crate::export::sink::{Chunk, SinkThread};
use crate::logs::{RedactedSpan, Redactor};
use crate::ring::frame::{Frame, kind};
use crate::ring::run::Run;
use crate::ring::span::SpanFrame;
use crate::shard::space::Space;
use crate::store::flight::Recorder;
use crate::store::open::Open;
use crate::store::recent::Store;
use crate::store::table::Id;
use crate::sync::contained;
use crate::traces::SpanStatus;
use crate::traces::tail::Why;
use assembler::Assembler;
use control::Control;
pub(crate) use tally::{Tally, Told};

/// Bytes of spans from which on they go to the exporters within a round.
const CHUNK: usize = 64 << 10;
/// The flusher's side of an engine's spans.
pub(crate) struct Spans {
    redactor: Redactor,
    /// Where there are rules.
    assembler: Option<Assembler>,
    control: Arc<Control>,
    /// The last change of the rules that was seen.
    change: u64,
    forced: Vec<Id>,
    clock: Clock,
    space: Arc<Space>,
    recorder: Option<Arc<Recorder>>,
    open: Option<Arc<Open>>,
    out: Out,
    /// Bytes and spans on their way out as they were before the frame under way.
    mark: (usize, u32),
    tally: Tally,
    told: Told,
}

/// Spans on their way out.
struct Out {
    outlets: Vec<Arc<SinkThread>>,
    store: Option<Arc<Store>>,
    bytes: Vec<u8>,
    count: u32,
    /// How long an exporter that has no room is waited for, and whether one had none the last time.
    patience: Duration,
    stalled: bool,
}

impl Spans {
    pub(crate) fn new(
        outlets: Vec<Arc<SinkThread>>,
        store: Option<Arc<Store>>,
        redactor: Redactor,
        control: Arc<Control>,
        space: Arc<Space>,
        told: Told,
    ) -> Spans {
        let mut spans = Spans {
            redactor,
            assembler: None,
            control,
            change: 0,
            forced: Vec::new(),
            clock: Clock::get(),
            space,
            recorder: None,
            open: None,
            out: Out {
                outlets,
                store,
                bytes: Vec::new(),
                count: 0,
                patience: Duration::ZERO,
                stalled: false,
            },
            mark: (0, 0),
            tally: Tally::default(),
            told,
        };
        spans.listen();
        spans
    }

    /// Also keeps all spans there, whatever becomes of them.
    pub(super) fn record_into(&mut self, recorder: Option<Arc<Recorder>>) {
        self.recorder = recorder;
    }

    /// Where callers wait for room, the exporters' queues are waited for as well, but not one of an
    /// exporter that fails: lines and the other exporters would wait with it.
    pub(crate) fn wait_for_room(&mut self, patience: Duration) {
        // As long as no clock says that it is too long.
        self.out.patience = patience.min(Duration::from_secs(1 << 30));
    }

    /// Lists those that are open, too.
    pub(crate) fn list_open(&mut self, open: Arc<Open>) {
        self.open = Some(open);
    }

    /// Does what others have asked for.
    fn listen(&mut self) {
        let Spans { assembler, control, change, forced, out, tally, .. } = self;
        let mut pass = |end, frame: Frame<'_>| out.add(end, frame);
        if let Some(rules) = control.rules(change) {
            match (rules, &mut *assembler) {
                (Some(rules), Some(assembler)) => assembler.set_rules(rules, &mut pass),
                (Some(rules), None) => {
                    let space = self.space.clone();
                    let so_far = tally.decisions;
                    *assembler = Some(Assembler::new(rules, space, self.clock, so_far));
                }
                (None, Some(before)) => {
                    before.let_go(&mut pass);
                    tally.decisions = before.decisions();
                    *assembler = None;
                }
                (None, None) => {}
            }
        }
        control.forced(forced);
        for id in forced.drain(..) {
            if let Some(assembler) = assembler {
                assembler.keep(id, Why::Forced, &mut pass);
            }
        }
    }

    pub(crate) fn sinks(&self) -> &[Arc<SinkThread>] {
        &self.out.outlets
    }

    /// Takes the frames of spans that come next. What can't be read, or panics, is passed over and
    /// counted.
    pub(crate) fn take(&mut self, run: &mut Run<'_>, anchors: &Anchors) {
        // Once more for those behind one that panics.
        while contained(|| self.take_some(run, anchors)).is_none() {
            self.pass_over();
        }
    }

    fn take_some(&mut self, run: &mut Run<'_>, anchors: &Anchors) {
        while let Some(frame) = run.next_if(|of| of != kind::LINE) {
            self.mark = (self.out.bytes.len(), self.out.count);
            if self.look(frame, anchors).is_none() {
                self.pass_over();
            }
        }
    }

    #[cold]
    fn pass_over(&mut self) {
        self.tally.poison += 1;
        // No half of a span.
        self.out.bytes.truncate(self.mark.0);
        self.out.count = self.out.count.min(self.mark.1);
    }

    #[inline(always)]
    fn look(&mut self, frame: Frame<'_>, anchors: &Anchors) -> Option<()> {
        if frame.kind() != kind::SPAN {
            return self.begin(frame, anchors);
        }
        let Spans { redactor, assembler, recorder, open, out, tally, .. } = self;
        // Once more where somebody wants all of it: who has it in memory for each has that to pay for.
        let span = SpanFrame::read(frame)?;
        tally.spans += 1;
        if span.fixed.left_out != [0; 3] {
            tally.add_left_out(span.fixed.left_out);
        }
        if let Some(open) = open {
            open.end(&SpanFrame::read(frame)?.fixed);
        }
        let end = anchors.unix_nanos(frame.ticks());
        let frame = match redactor.span(frame, &span) {
            None => frame,
            Some(RedactedSpan { frame, count }) => {
                tally.redacted += u64::from(count);
                frame
            }
        };
        if let Some(recorder) = recorder {
            recorder.add(end, frame, span.fixed.status == SpanStatus::Error as u8);
        }
        match assembler {
            None => out.add(end, frame),
            Some(assembler) => {
                let span = SpanFrame::read(frame)?;
                assembler.take(end, frame, &span, &mut |end, frame: Frame<'_>| out.add(end, frame));
            }
        }
        Some(())
    }

    #[inline(never)]
    fn begin(&mut self, frame: Frame<'_>, anchors: &Anchors) -> Option<()> {
        let (kind::SPAN_START, Some(open)) = (frame.kind(), &self.open) else { return Some(()) };
        let span = SpanFrame::read(frame)?;
        let start = anchors.unix_nanos(frame.ticks());
        match self.redactor.span(frame, &span) {
            None => open.begin(start, frame, &span.fixed),
            Some(RedactedSpan { frame, .. }) => open.begin(start, frame, &span.fixed),
        }
        Some(())
    }

    /// Hands over what there is.
    pub(crate) fn send(&mut self) {
        self.listen();
        if let Some(assembler) = &mut self.assembler {
            assembler.tick(self.clock.ticks());
        }
        self.out.send();
    }

    /// The engine ends: nothing is waited for any more.
    pub(crate) fn finish(&mut self) {
        self.listen();
        if let Some(assembler) = &mut self.assembler {
            assembler.finish();
        }
        self.out.send();
        self.tell();
    }

    /// Brings what others see up to date.
    fn tell(&mut self) {
        if let Some(assembler) = &self.assembler {
            self.tally.decisions = assembler.decisions();
        }
        if let Some(store) = &self.out.store {
            self.tally.stored = store.stored();
        }
        self.told.tell(&self.tally);
    }

    /// What is due about once a second.
    pub(crate) fn chores(&mut self, unix_nanos: u64) {
        if let Some(store) = &self.out.store {
            store.tick(unix_nanos);
        }
        self.tell();
    }
}

impl Out {
    #[inline]
    fn add(&mut self, end: u64, frame: Frame<'_>) {
        self.bytes.extend_from_slice(&end.to_le_bytes());
        self.bytes.extend_from_slice(frame.bytes());
        self.count += 1;
        if self.bytes.len() >= CHUNK {
            self.send();
            // As much will come: at once, where a buffer that grows copies all it has time and again.
            self.bytes.reserve(CHUNK + CHUNK / 8);
        }
    }

    fn send(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        if let Some(store) = &self.store {
            store.add(&self.bytes);
        }
        let lines = [std::mem::take(&mut self.count), 0, 0, 0, 0];
        // Once, and then not again before it has room.
        let patience = if self.stalled { Duration::ZERO } else { self.patience };
        let mut stalled = false;
        let mut push = |sink: &SinkThread, bytes| {
            let chunk = Chunk { bytes, lines, ticket: 0 };
            if let Err(chunk) = sink.push_while_well(chunk, Instant::now() + patience) {
                stalled = true;
                sink.lose(chunk);
            }
        };
        let Some((last, others)) = self.outlets.split_last() else { return self.bytes.clear() };
        for sink in others {
            let mut bytes = sink.buffer();
            bytes.extend_from_slice(&self.bytes);
            push(sink, bytes);
        }
        // The last one has the bytes themselves.
        push(last, std::mem::replace(&mut self.bytes, last.buffer()));
        self.stalled = stalled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::timed;
    use crate::logs::Redaction;
    use crate::ring::frame::{HEADER, SPAN_LEVEL};
    use crate::ring::span::Fixed;
    use crate::ring::span::by_hand::{Items, Whole};
    use crate::ring::writer::{Fill, Head, Writer};

    fn frame(of: u8, name: Option<&str>) -> Vec<u8> {
        let mut room = [0; 256];
        let mut writer = Writer::over(&mut room, 256, &[]);
        if let Some(name) = name {
            let fixed = Fixed { left_out: [1, 0, 2], ..Fixed::default() };
            let items = Items::default();
            let name = name.as_bytes();
            Whole { fixed: &fixed, name, tracestate: b"", items: &items }.fill(&mut writer);
        }
        let length = writer.finish(Head { kind: of, level: SPAN_LEVEL, ..Head::default() });
        room[..length.unwrap()].to_vec()
    }

    #[test]
    fn what_can_not_be_read_is_counted_and_the_others_of_the_run_are_taken() {
        let torn = frame(kind::SPAN, None);
        assert_eq!(torn.len(), HEADER);
        let one = |name: &str| frame(kind::SPAN, Some(name));
        let line = frame(kind::LINE, None);
        let bytes = [one("a"), torn, one("b"), line.clone(), one("c")].concat();
        let redactor = Redactor::new(Redaction::new());
        let space = Arc::new(Space::new(1 << 20));
        let mut spans =
            Spans::new(Vec::new(), None, redactor, Control::new(None), space, Told::default());
        let mut read = 0;
        let mut run = Run::new(&bytes, &mut read, u64::MAX, 10);
        spans.take(&mut run, &Anchors::new(Clock::get()));
        assert_eq!(run.next_if(|_| true).map(|frame| frame.bytes()), Some(&line[..]));
        let Tally { spans: seen, poison, left_out, .. } = spans.tally;
        assert_eq!((seen, poison, left_out), (2, 1, [2, 0, 4]));
        let mut rest = &spans.out.bytes[..];
        let names: Vec<_> = std::iter::from_fn(|| timed(&mut rest))
            .map(|(_, frame)| SpanFrame::read(frame).unwrap().name.to_string())
            .collect();
        assert_eq!((names, spans.out.count), (vec!["a".to_owned(), "b".to_owned()], 2));
    }
}
