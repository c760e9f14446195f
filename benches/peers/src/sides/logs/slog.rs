//! `slog-json` behind `slog-async`. The context is a logger with the request's values, made once a
//! request. `slog-json` reads the clock when it writes a line, not when it is logged, which spares the
//! caller that.

use std::fs::File;
use std::hint::black_box;
use std::io::BufWriter;
use std::path::Path;

use slog::{Drain, Logger, debug, info, o};
use slog_async::{Async, AsyncGuard, OverflowStrategy};
use slog_json::Json;

use super::{Logs, Opened, QUEUE, Side, writer};
use crate::logs::work::{Full, OPERATION, Request, TOOL};

pub const SIDE: Side = Side { name: "slog", open };

struct Slog {
    logger: Logger,
    /// Waits for the thread, which drops the drain with its buffer.
    _guard: AsyncGuard,
}

fn open(path: &Path, full: Full) -> Opened {
    let json: Json<BufWriter<File>> = Json::default(writer(path)?);
    let queue = Async::new(json.fuse()).chan_size(QUEUE);
    let overflow = match full {
        Full::Wait => OverflowStrategy::Block,
        Full::Drop => OverflowStrategy::Drop,
    };
    let (queue, guard) = queue.overflow_strategy(overflow).build_with_guard();
    let drain = queue.filter_level(slog::Level::Info).fuse();
    Ok(Box::new(Slog { logger: Logger::root(drain, o!()), _guard: guard }))
}

impl Logs for Slog {
    fn request(&self, request: &Request, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut())) {
        let ids = (request.id.clone(), request.user.clone(), request.session.clone());
        let ids = o!("request_id" => ids.0, "user_id" => ids.1, "session_id" => ids.2);
        let logger = self.logger.new(ids);
        each(&mut || {
            for n in request.lines(calls) {
                let n = black_box(n);
                info!(logger, "request handled"; "tool" => TOOL, "operation" => OPERATION, "n" => n);
            }
        });
    }

    fn disabled(&self, _: &Request, calls: u64) {
        for n in 0..calls {
            let (logger, n) = (black_box(&self.logger), black_box(n));
            debug!(logger, "request handled"; "tool" => TOOL, "operation" => OPERATION, "n" => n);
        }
    }

    fn close(self: Box<Self>) {}
}
