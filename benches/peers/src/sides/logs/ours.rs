//! mcp-vitals: rings of 256 KiB, JSON into a file, the context entered for each request.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use mcp_vitals::logs::{LogConfig, LogFile, Overflow, set_request_context};
use mcp_vitals::{Logger, Vitals, debug, info};

use super::{Logs, Opened, Side};
use crate::logs::work::{Full, OPERATION, Request, TOOL};
use crate::sides::ours::NAME;

/// This side.
pub const SIDE: Side = Side { name: NAME, open };

struct Ours {
    vitals: Vitals,
    logger: Logger,
}

/// As long as a slow disk may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn open(path: &Path, full: Full) -> Opened {
    let overflow = match full {
        Full::Wait => Overflow::Block(PATIENCE),
        Full::Drop => Overflow::DropNewest,
    };
    let logs = LogConfig::new()
        .file(LogFile::new(path).rotate_bytes(1 << 40))
        .without_source()
        .overflow(overflow);
    let vitals = Vitals::builder().system_metrics(false).logs(logs).build();
    let vitals = vitals.map_err(|error| error.to_string())?;
    let logger = vitals.logger("bench");
    Ok(Box::new(Ours { vitals, logger }))
}

impl Logs for Ours {
    fn request(&self, request: &Request, calls: u64, each: &mut dyn FnMut(&mut dyn FnMut())) {
        let ids = [&request.id, &request.user, &request.session].map(|id| Some(id.as_ref()));
        let _context = set_request_context(ids[0], ids[1], ids[2]);
        each(&mut || {
            for n in request.lines(calls) {
                let (logger, n) = (black_box(&self.logger), black_box(n));
                info!(logger, "request handled", tool = TOOL, operation = OPERATION, n = n);
            }
        });
    }

    fn disabled(&self, _: &Request, calls: u64) {
        for n in 0..calls {
            let (logger, n) = (black_box(&self.logger), black_box(n));
            debug!(logger, "request handled", tool = TOOL, operation = OPERATION, n = n);
        }
    }

    fn close(self: Box<Self>) {
        self.vitals.shutdown(PATIENCE);
    }
}
