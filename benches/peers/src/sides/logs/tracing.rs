//! `tracing-subscriber`'s JSON through `tracing-appender`'s `NonBlocking`, as the global subscriber.
//! The context is a span, whose fields are formatted once, when it is made; events are flat, and the
//! list of spans is off. The appender's worker flushes the buffer whenever its queue is empty.

use std::hint::black_box;
use std::path::Path;

use tracing::subscriber::set_global_default;
use tracing::{Level, debug, info, info_span};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use super::{Logs, Opened, Side, writer};
use crate::logs::work::{Full, OPERATION, Request, TOOL};

pub const SIDE: Side = Side { name: "tracing", open };

struct Tracing {
    _guard: WorkerGuard,
}

fn open(path: &Path, full: Full) -> Opened {
    let queue = NonBlockingBuilder::default().lossy(full == Full::Drop);
    let (writer, guard) = queue.finish(writer(path)?);
    let format = tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false);
    let subscriber = format.with_writer(writer).with_max_level(Level::INFO).finish();
    set_global_default(subscriber).map_err(|error| error.to_string())?;
    Ok(Box::new(Tracing { _guard: guard }))
}

impl Logs for Tracing {
    fn request(&self, request: &Request, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut())) {
        let (request_id, user_id, session_id) = (&*request.id, &*request.user, &*request.session);
        let _span = info_span!("request", request_id, user_id, session_id).entered();
        each(&mut || {
            for n in request.lines(calls) {
                let n = black_box(n);
                info!(tool = TOOL, operation = OPERATION, n, "request handled");
            }
        });
    }

    fn disabled(&self, request: &Request, calls: u64) {
        for n in 0..calls {
            let (_, n) = (black_box(request), black_box(n));
            debug!(tool = TOOL, operation = OPERATION, n, "request handled");
        }
    }

    fn close(self: Box<Self>) {}
}
