//! `spdlog-rs` with its JSON formatter behind its asynchronous sink. It has no context, so the ids are
//! three more values of every call. Its thread reads the time in milliseconds.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use spdlog::formatter::JsonFormatter;
use spdlog::sink::{AsyncPoolSink, FileSink, OverflowPolicy};
use spdlog::{Logger, ThreadPool, debug, info};

use super::{BUFFER, Logs, Opened, QUEUE, Side};
use crate::logs::work::{Full, OPERATION, Request, TOOL};

pub const SIDE: Side = Side { name: "spdlog", open };

struct Spdlog {
    logger: Logger,
    pool: Arc<ThreadPool>,
}

fn open(path: &Path, full: Full) -> Opened {
    let file = FileSink::builder().path(path).truncate(true).capacity(BUFFER);
    let file = file.formatter(JsonFormatter::new()).build_arc();
    let queue = NonZeroUsize::new(QUEUE).ok_or("an empty queue")?;
    let pool = ThreadPool::builder().capacity(queue).build_arc();
    let (file, pool) = file.and_then(|file| Ok((file, pool?))).map_err(|e| e.to_string())?;
    let sink = AsyncPoolSink::builder().sink(file).thread_pool(Arc::clone(&pool));
    let overflow = match full {
        Full::Wait => OverflowPolicy::Block,
        Full::Drop => OverflowPolicy::DropIncoming,
    };
    let sink = sink.overflow_policy(overflow).build_arc();
    let sink = sink.map_err(|error| error.to_string())?;
    let logger = Logger::builder().name("bench").sink(sink).build();
    let logger = logger.map_err(|error| error.to_string())?;
    if full == Full::Drop {
        // Or each line that is dropped would be an error on stderr.
        logger.set_error_handler(|_| {});
    }
    Ok(Box::new(Spdlog { logger, pool }))
}

impl Logs for Spdlog {
    fn request(&self, request: &Request, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut())) {
        let (request_id, user_id, session_id) = (&*request.id, &*request.user, &*request.session);
        let logger = &self.logger;
        each(&mut || {
            for n in request.lines(calls) {
                let n = black_box(n);
                info!(logger: logger, "request handled", kv: {
                    tool = TOOL, operation = OPERATION, n, request_id, user_id, session_id
                });
            }
        });
    }

    fn disabled(&self, request: &Request, calls: u64) {
        let (request_id, user_id, session_id) = (&*request.id, &*request.user, &*request.session);
        for n in 0..calls {
            let (logger, n) = (black_box(&self.logger), black_box(n));
            debug!(logger: logger, "request handled", kv: {
                tool = TOOL, operation = OPERATION, n, request_id, user_id, session_id
            });
        }
    }

    fn close(self: Box<Self>) {
        let Spdlog { logger, pool } = *self;
        // Its sink holds the pool; the last to hold it waits for the thread, which drops the file.
        drop(logger);
        drop(pool);
    }
}
