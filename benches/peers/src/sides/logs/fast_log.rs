//! `fast_log` with its JSON format, as the global logger of the `log` crate. It keeps no key-value
//! pairs, so all six are in the message, and its JSON escapes nothing but quotes. It has no context. It
//! writes as many lines at once as it finds in the queue, by itself. A full
//! queue it waits for, always.

use std::hint::black_box;
use std::path::Path;

use fast_log::{Config, FastLogFormatJson};
use log::{LevelFilter, debug, info};

use super::{Logs, Opened, Side};
use crate::logs::work::{Full, OPERATION, Request, TOOL};

pub const SIDE: Side = Side { name: "fast_log", open };

/// As its documentation recommends.
const QUEUE: usize = 100_000;

struct FastLog;

fn open(path: &Path, _: Full) -> Opened {
    let path = path.to_str().ok_or("the file's name is no text")?;
    let format = FastLogFormatJson { time_type: fast_log::TimeType::Utc };
    let config = Config::new().format(format).level(LevelFilter::Info).chan_len(Some(QUEUE));
    fast_log::init(config.file(path)).map_err(|error| error.to_string())?;
    Ok(Box::new(FastLog))
}

impl Logs for FastLog {
    fn request(&self, request: &Request, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut())) {
        let Request { id, user, session, .. } = request;
        each(&mut || {
            for n in request.lines(calls) {
                let n = black_box(n);
                info!(
                    "request handled tool={TOOL} operation={OPERATION} n={n} request_id={id} \
                     user_id={user} session_id={session}"
                );
            }
        });
    }

    fn disabled(&self, request: &Request, calls: u64) {
        for n in 0..calls {
            let (Request { id, user, session, .. }, n) = (black_box(request), black_box(n));
            debug!(
                "request handled tool={TOOL} operation={OPERATION} n={n} request_id={id} \
                 user_id={user} session_id={session}"
            );
        }
    }

    fn close(self: Box<Self>) {
        log::logger().flush();
    }
}
