//! Writes a known number of log lines at a known rate into a file that is rolled, for whoever tails
//! it: `log_flood PATH LINES LINES_A_SECOND ROTATE_BYTES`. `tests/real/shippers.py` holds what
//! arrives to what this must have written.
//!
//! Line `n` belongs to request `n / 4`: its start, two lines of work, its end. One request in ten
//! ends in an error, and one in five in a warning. Messages have what tailing breaks at: quotes,
//! newlines, characters of several bytes.

use std::time::{Duration, Instant};

use mcp_vitals::logs::{LogConfig, LogFile, Overflow, set_request_context};
use mcp_vitals::{Level, Vitals, debug, error, info, warn};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, lines, rate, rotate_bytes] = &arguments[..] else {
        return Err("usage: log_flood PATH LINES LINES_A_SECOND ROTATE_BYTES".into());
    };
    let (lines, rate): (u64, f64) = (lines.parse()?, rate.parse()?);
    let file = LogFile::new(path).rotate_bytes(rotate_bytes.parse()?).keep_files(100);
    let logs = LogConfig::new()
        .level(Level::Debug)
        .overflow(Overflow::Block(Duration::from_secs(60)))
        .file(file);
    let vitals = Vitals::builder().service("flood", "1.0.0").logs(logs).build()?;
    let logger = vitals.logger("flood");

    let start = Instant::now();
    for n in 0..lines {
        let due = start + Duration::from_secs_f64(n as f64 / rate);
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        let request = n / 4;
        let (id, session) = (format!("req-{request}"), format!("session-{}", request % 7));
        let _context = set_request_context(Some(&id), Some("alice"), Some(&session));
        let tool = "search.query";
        match n % 4 {
            0 => debug!(logger, "request begins", n, tool, operation = "tools/call"),
            1 => info!(logger, "read \"index\"\nsecond line\tof the message", n, tool),
            2 => info!(logger, "größer als ein Byte: 検索 🔎 \\", n, tool, ratio = 0.25),
            _ if request.is_multiple_of(10) => {
                error!(logger, "request failed", n, tool, status = "error", seconds = 1.5)
            }
            _ if request.is_multiple_of(5) => {
                warn!(logger, "request was slow", n, tool, status = "ok", seconds = 9.75)
            }
            _ => info!(logger, "request ends", n, tool, status = "ok", seconds = 0.125),
        }
    }
    if !vitals.flush(Duration::from_secs(60)) {
        return Err("not all lines were written".into());
    }
    Ok(())
}
