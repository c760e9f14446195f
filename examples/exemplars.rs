//! From a bucket of a latency histogram to the trace of one of its observations.
//!
//!     cargo run --example exemplars --features http -- [ADDRESS]
//!
//! Serves `/metrics`, works in spans, and tells on stderr each one's trace and how long it took, until
//! its stdin ends. `curl -H 'Accept: application/openmetrics-text' ADDRESS/metrics` shows them; so does
//! a Prometheus with `--enable-feature=exemplar-storage`. One with native histograms switched on
//! reads the histogram in exponential buckets. Where the environment has a `METRICS_TOKEN` they must bring it.

use std::io::Read;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use mcp_vitals::traces::TraceConfig;
use mcp_vitals::{Desc, Vitals};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let mut builder = Vitals::builder()
        .service("exemplars", env!("CARGO_PKG_VERSION"))
        .listen(address.as_str())
        .traces(TraceConfig::to_memory())
        .native_histograms(true);
    if let Ok(token) = std::env::var("METRICS_TOKEN") {
        builder = builder.metrics_token(token);
    }
    let vitals = builder.build()?;
    if let Some(address) = vitals.metrics_addr() {
        eprintln!("metrics: http://{address}/metrics");
    }
    let tracer = vitals.tracer("exemplars");
    let latency = Desc::histogram("job_duration_seconds", "How long a job takes.").labels(["job"]);
    let latency = vitals.register(latency)?;

    let (stdin, ended) = channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(stdin);
    });
    for round in 0u64.. {
        let job = ["index", "embed"][round as usize % 2];
        let span = tracer.span(job);
        let trace = span.context().trace_id();
        let started = Instant::now();
        {
            let _current = span.enter();
            // The work: 1 to 40 ms.
            std::thread::sleep(Duration::from_millis(1 << (round % 7).min(5)));
            // Within the span: its ids go with the observation.
            latency.with([job]).record(started.elapsed());
        }
        if let Some(trace) = trace {
            eprintln!("{job} {trace} {}", started.elapsed().as_secs_f64());
        }
        if ended.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Disconnected) {
            break;
        }
    }
    vitals.shutdown(Duration::from_secs(2));
    Ok(())
}
