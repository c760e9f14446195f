//! `ftlog` as the global logger of the `log` crate, with its TSC clock, UTC, and without its random
//! drop. It has no JSON: a formatter of ours makes it, and before it stand the time and the delay that
//! `ftlog` always writes. The caller puts the values into one text, the thread that writes does the
//! rest, as its documentation recommends. It has no context, so the ids are three more values.

use std::fmt::{self, Display, Formatter, Write};
use std::hint::black_box;
use std::path::Path;

use ftlog::appender::FileAppender;
use ftlog::{FtLogFormat, LoggerGuard};
use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{Level, LevelFilter, Record, debug, info};

use super::{Logs, Opened, Side};
use crate::logs::work::{Full, OPERATION, Request, TOOL};

pub const SIDE: Side = Side { name: "ftlog", open };

/// Its default.
const QUEUE: usize = 100_000;

struct Ftlog {
    /// Waits for the file when it is dropped.
    _guard: LoggerGuard,
}

fn open(path: &Path, full: Full) -> Opened {
    let builder = ftlog::builder().format(Json).max_log_level(LevelFilter::Info).utc();
    let builder = builder.bounded(QUEUE, full == Full::Wait).root(FileAppender::new(path));
    let guard = builder.try_init().map_err(|error| error.to_string())?;
    Ok(Box::new(Ftlog { _guard: guard }))
}

struct Json;

/// A line that is put together by the thread that writes it.
struct Line {
    level: Level,
    module: &'static str,
    message: String,
    /// JSON of the values, each after a comma.
    values: String,
}

impl FtLogFormat for Json {
    fn msg(&self, record: &Record<'_>) -> Box<dyn Send + Sync + Display> {
        let mut values = Values(String::with_capacity(256));
        // Nothing here fails but a value that can't be shown.
        let _ = record.key_values().visit(&mut values);
        let message = record.args().as_str().map_or_else(|| record.args().to_string(), Into::into);
        let (level, module) = (record.level(), record.module_path_static().unwrap_or_default());
        Box::new(Line { level, module, message, values: values.0 })
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Line { level, module, message, values } = self;
        write!(f, r#"{{"level":"{level}","module":"{module}","message":"#)?;
        quoted(f, message)?;
        f.write_str(values)?;
        f.write_char('}')
    }
}

struct Values(String);

impl<'kvs> VisitSource<'kvs> for Values {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.push(',');
        quoted(&mut self.0, key.as_str())?;
        self.0.push(':');
        value.visit(&mut *self)
    }
}

impl VisitValue<'_> for &mut Values {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        Ok(quoted(&mut self.0, &value.to_string())?)
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        Ok(quoted(&mut self.0, value)?)
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        Ok(write!(self.0, "{value}")?)
    }
}

/// As cheap as it can be done without looking at more than each byte.
fn quoted(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let odd = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.bytes().any(odd) {
        for char in text.chars() {
            match char {
                '"' | '\\' => write!(out, "\\{char}")?,
                '\0'..' ' => write!(out, "\\u{:04x}", u32::from(char))?,
                _ => out.write_char(char)?,
            }
        }
    } else {
        out.write_str(text)?;
    }
    out.write_char('"')
}

impl Logs for Ftlog {
    fn request(&self, request: &Request, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut())) {
        let (request_id, user_id, session_id) = (&*request.id, &*request.user, &*request.session);
        each(&mut || {
            for n in request.lines(calls) {
                let n = black_box(n);
                info!(
                    tool = TOOL, operation = OPERATION, n, request_id, user_id, session_id;
                    "request handled"
                );
            }
        });
    }

    fn disabled(&self, request: &Request, calls: u64) {
        for n in 0..calls {
            let (Request { id, user, session, .. }, n) = (black_box(request), black_box(n));
            debug!(
                tool = TOOL, operation = OPERATION, n,
                request_id = &**id, user_id = &**user, session_id = &**session;
                "request handled"
            );
        }
    }

    fn close(self: Box<Self>) {}
}
