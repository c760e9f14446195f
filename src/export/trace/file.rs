//! Spans in a file: OTLP in JSON, a line for each batch, in a file that is rolled as a log is.

use std::io;
use std::time::Duration;

use crate::batch::Known;
use crate::encode::otlp::{Form, Request};
use crate::error::Error;
use crate::export::sink::file::FileSink;
use crate::export::sink::settings::LogFile;
use crate::export::sink::{Chunk, Gather, Sink};
use crate::ring::thread::set_ours;
use crate::traces::SpanBatch;
use crate::traces::config::{Origin, Way};

/// Spans and bytes of a line. Readers have a limit of their own: the Collector's is 1 MiB unless told
/// otherwise.
const MOST_SPANS: usize = 512;
const MOST_BYTES: usize = 512 << 10;

/// How long a span waits for others of its line.
const LINGER: Duration = Duration::from_millis(100);

/// A file for spans.
pub(crate) struct TraceFile(pub(crate) LogFile);

impl Way for TraceFile {
    fn name(&self) -> &'static str {
        "file"
    }

    fn open(&self, origin: Origin<'_>) -> Result<Box<dyn Sink>, Error> {
        Ok(Box::new(SpanFile {
            file: self.0.open(origin.service, origin.events, None)?,
            request: Request::new(Form::Json, origin.resource),
            known: Known::default(),
            engine: origin.engine,
            lines: None,
            spare: Vec::new(),
        }))
    }
}

struct SpanFile {
    file: FileSink,
    request: Request,
    known: Known,
    /// The number of the engine's rings.
    engine: u64,
    /// The chunk under way, as it goes to the file: the same bytes each time it comes.
    lines: Option<Chunk>,
    spare: Vec<u8>,
}

impl SpanFile {
    fn lines(&mut self, chunk: &Chunk) -> Chunk {
        self.known.learn_all(&chunk.bytes);
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        let batch = SpanBatch::new(&chunk.bytes, &self.known);
        let mut spans = batch.spans();
        while self.request.fill(&mut spans, MOST_SPANS, MOST_BYTES) > 0 {
            bytes.extend_from_slice(self.request.bytes());
            bytes.push(b'\n');
        }
        Chunk { bytes, lines: chunk.lines, ticket: 0 }
    }
}

impl Sink for SpanFile {
    fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        set_ours(self.engine);
        let lines = match self.lines.take() {
            Some(lines) => lines,
            None => self.lines(chunk),
        };
        let written = self.file.write(&lines);
        match written {
            Ok(()) => self.spare = lines.bytes,
            Err(_) => self.lines = Some(lines),
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn tick(&mut self) {
        self.file.tick();
    }

    fn abandon(&mut self) {
        self.lines = None;
        self.file.abandon();
    }

    fn gather(&self) -> Option<Gather> {
        Some(Gather { linger: LINGER, lines: MOST_SPANS as u32, bytes: MOST_BYTES })
    }
}
