//! Records of the `log` crate as lines.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{LevelFilter, Log, Metadata, Record};

use super::few::Few;
use super::sites;
use crate::logs::Line;
use crate::logs::inlet::{Fields, Inlet, Message, Source, UNKNOWN, contained, room};
use crate::logs::private::{Rendered, display};
use crate::logs::{Exception, Level, Loggable, exception};
use crate::{Error, Vitals};

/// How long `log::logger().flush()` waits at most.
const FLUSH: Duration = Duration::from_secs(1);

/// Key-values of a record that stand on the stack.
const FEW: usize = 8;

/// Fields of a line at most, as many as a frame counts.
const MOST_FIELDS: usize = 250;

/// Records of the `log` crate as lines of an engine; from [`Vitals::log_bridge`].
///
/// The record's target is the line's logger; its key-values are fields, errors among them
/// exceptions. Lines carry the calling thread's [`Context`](crate::logs::Context). The engine's
/// [`LogFilter`](crate::logs::LogFilter) decides by target and module, before anything is rendered.
///
/// A record costs no lock and no heap once its call site is known. The 4,096 call sites seen first
/// are; records of others say in fields where they come from.
#[derive(Clone)]
pub struct LogBridge {
    inlet: Option<Inlet>,
    flush: Arc<dyn Fn(Duration) -> bool + Send + Sync>,
}

impl fmt::Debug for LogBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogBridge").field("max_level", &self.max_level()).finish()
    }
}

impl Vitals {
    /// A logger for the `log` crate: to [`install`](LogBridge::install), or to call from one's own.
    ///
    /// It does not keep the engine alive. Where the builder was given no
    /// [`logs`](crate::VitalsBuilder::logs) it takes no records.
    ///
    /// ```
    /// use mcp_vitals::{Vitals, logs::LogConfig};
    ///
    /// let vitals = Vitals::builder().logs(LogConfig::to_memory()).build()?;
    /// vitals.log_bridge().install()?;
    /// log::info!(documents = 12; "indexed");
    /// assert!(vitals.captured_logs()[0].contains("\"documents\":12"));
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn log_bridge(&self) -> LogBridge {
        LogBridge { inlet: self.inlet(), flush: Arc::new(self.weak_flush()) }
    }
}

impl LogBridge {
    /// Makes it the process's logger, and keeps `log::max_level` at what the engine's filter takes,
    /// also when that changes.
    ///
    /// # Errors
    /// [`Error::Logs`] where the process has a logger already.
    pub fn install(self) -> Result<(), Error> {
        let inlet = self.inlet.clone();
        let rule = "the process has a logger of the `log` crate already";
        log::set_boxed_logger(Box::new(self)).map_err(|_| Error::Logs { rule })?;
        match inlet {
            Some(inlet) => {
                inlet.on_change(Arc::new(|most| {
                    log::set_max_level(level_filter(most));
                    true
                }));
                inlet.tell();
            }
            None => log::set_max_level(LevelFilter::Off),
        }
        Ok(())
    }

    /// What the engine's filter takes now at most: for a logger of one's own, which says so to
    /// `log::set_max_level`.
    pub fn max_level(&self) -> LevelFilter {
        level_filter(self.inlet.as_ref().map_or(0, Inlet::most))
    }
}

fn level_filter(most: u8) -> LevelFilter {
    match Level::of(most) {
        None => LevelFilter::Off,
        Some(Level::Error) => LevelFilter::Error,
        Some(Level::Warn) => LevelFilter::Warn,
        Some(Level::Info) => LevelFilter::Info,
        Some(Level::Debug) => LevelFilter::Debug,
        Some(Level::Trace) => LevelFilter::Trace,
    }
}

fn level(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

impl Log for LogBridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let of = |inlet: &Inlet| inlet.most_verbose("", metadata.target());
        level(metadata.level()) as u8 <= self.inlet.as_ref().map_or(0, of)
    }

    fn log(&self, record: &Record<'_>) {
        let (Some(inlet), level) = (&self.inlet, level(record.level())) else { return };
        let module = record.module_path().unwrap_or_default();
        if level as u8 > inlet.most_verbose(module, record.target()) {
            return;
        }
        let mut pairs = Pairs { list: Few::new(), left: MOST_FIELDS };
        // A source of the host's own may panic: then its pairs so far are the line's.
        contained(|| record.key_values().visit(&mut pairs).is_ok());
        let rendered;
        let message = match record.args().as_str() {
            Some(text) => Message::Plain(text),
            None => {
                rendered = display(record.args());
                Message::Rendered(&rendered)
            }
        };
        let source = Source {
            target: record.target(),
            module,
            file: record.file().unwrap_or_default(),
            line: record.line().unwrap_or(0),
        };
        let known = sites::by_text(&source);
        let origin = known.unwrap_or_else(sites::unknown);
        let unknown = if known.is_none() { Some(&source) } else { None };
        inlet.write(level, origin, None, message, &Of { pairs: &pairs, unknown });
    }

    fn flush(&self) {
        (self.flush)(FLUSH);
    }
}

/// The key-values of a record, rendered where they need it.
struct Pairs<'k> {
    list: Few<(Key<'k>, Kept<'k>), FEW>,
    left: usize,
}

/// The fields of a line.
struct Of<'a, 'k> {
    pairs: &'a Pairs<'k>,
    /// Where the line says so itself.
    unknown: Option<&'a Source<'a>>,
}

impl Fields for Of<'_, '_> {
    fn room(&self) -> usize {
        let pairs = self.pairs.list.iter().map(|(key, value)| value.room(key.as_str()));
        pairs.sum::<usize>() + self.unknown.map_or(0, |_| UNKNOWN)
    }

    #[inline]
    fn put<const C: bool>(&self, line: &mut Line<'_, '_, C>) {
        self.pairs.list.iter().for_each(|(key, value)| value.put(key.as_str(), line));
        if let Some(source) = self.unknown {
            super::put_source(source, line);
        }
    }
}

enum Kept<'k> {
    Null,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Str(&'k str),
    Words(Rendered),
    Error(Exception),
}

impl Kept<'_> {
    fn room(&self, key: &str) -> usize {
        match self {
            Kept::Str(value) => room(key, value),
            Kept::Words(value) => room(key, value),
            Kept::Error(value) => room(key, value),
            _ => room(key, &0),
        }
    }

    #[inline]
    fn put<const C: bool>(&self, key: &str, line: &mut Line<'_, '_, C>) {
        let key = Some(key);
        match self {
            Kept::Null => None::<bool>.put(key, line),
            Kept::Bool(value) => value.put(key, line),
            Kept::I64(value) => value.put(key, line),
            Kept::U64(value) => value.put(key, line),
            Kept::F64(value) => value.put(key, line),
            Kept::Str(value) => value.put(key, line),
            Kept::Words(value) => value.put(key, line),
            Kept::Error(value) => value.put(key, line),
        }
    }
}

impl<'k> VisitSource<'k> for Pairs<'k> {
    fn visit_pair(&mut self, key: Key<'k>, value: Value<'k>) -> Result<(), kv::Error> {
        if self.left == 0 {
            return Err(kv::Error::msg("too many"));
        }
        self.left -= 1;
        let mut visited = Visited(None);
        value.visit(&mut visited)?;
        if let Some(value) = visited.0 {
            self.list.push((key, value));
        }
        Ok(())
    }
}

struct Visited<'k>(Option<Kept<'k>>);

impl<'k> Visited<'k> {
    fn is(&mut self, value: Kept<'k>) -> Result<(), kv::Error> {
        self.0 = Some(value);
        Ok(())
    }
}

impl<'k> VisitValue<'k> for &mut Visited<'k> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.is(Kept::Words(display(&value)))
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.is(Kept::Null)
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.is(Kept::Bool(value))
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.is(Kept::I64(value))
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.is(Kept::U64(value))
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.is(Kept::Words(display(&value))),
        }
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => self.is(Kept::Words(display(&value))),
        }
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.is(Kept::F64(value))
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.is(Kept::Words(display(&value)))
    }

    fn visit_borrowed_str(&mut self, value: &'k str) -> Result<(), kv::Error> {
        self.is(Kept::Str(value))
    }

    fn visit_error(&mut self, error: &(dyn std::error::Error + 'static)) -> Result<(), kv::Error> {
        self.is(Kept::Error(exception(error)))
    }

    fn visit_borrowed_error(
        &mut self,
        error: &'k (dyn std::error::Error + 'static),
    ) -> Result<(), kv::Error> {
        self.visit_error(error)
    }
}
