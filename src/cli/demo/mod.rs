//! `mcp-vitals demo`: a real MCP server, measured, and real MCP clients that keep it busy.

mod bug;
mod client;
mod deck;
mod http;
mod load;
mod progress;
mod report;
mod server;
mod stdio;
mod swarm;
mod tally;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcp_vitals::logs::{LogConfig, LogFile, LogFilter, LogFormat};
use mcp_vitals::traces::{Otlp, Sampler, TraceConfig, Zipkin};
use mcp_vitals::{OnPortTaken, Vitals};

use self::http::Http;
use self::load::Load;
use self::report::{Report, Verdict};
use self::server::Demo;
use self::tally::Tally;
use super::stop::Stop;
use super::terminal::{BOLD, DIM, PLAIN, Terminal};

/// What the server calls itself.
const SERVICE: &str = "mcp-vitals-demo";
/// Where `/metrics` is served unless the user says otherwise, or the port is taken.
const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const TEXTFILE_EVERY: Duration = Duration::from_secs(5);
/// How long the report waits for lines of the log that are on their way.
const FLUSH: Duration = Duration::from_secs(1);
/// How long the server may take to come to rest after the load.
const REST: Duration = Duration::from_secs(10);

/// What the arguments ask for.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) mcp: Option<SocketAddr>,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) native_histograms: bool,
    pub(super) console: bool,
    pub(super) textfile: Option<PathBuf>,
    pub(super) stdio: bool,
    /// Requests a second, over all clients.
    pub(super) rate: f64,
    pub(super) clients: u16,
    pub(super) duration: Option<Duration>,
    pub(super) load: bool,
    pub(super) seed: u64,
    pub(super) log_file: Option<PathBuf>,
    pub(super) durable: Option<PathBuf>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) log_level: Option<LogFilter>,
    pub(super) trace_file: Option<PathBuf>,
    pub(super) otlp: Option<String>,
    pub(super) zipkin: Option<String>,
    pub(super) sample: Option<f64>,
    pub(super) tally: Option<PathBuf>,
    pub(super) linger: Duration,
}

/// Runs the demo; the exit code says whether the metrics held what the clients sent.
pub(super) fn run(options: &Options) -> Result<ExitCode, String> {
    bug::keep_quiet();
    let logs_to_stderr = options.log_file.is_none() && options.log_level.is_some();
    // What is drawn in place and what is logged would stand in each other's way.
    let terminal = if logs_to_stderr { Terminal::line_by_line() } else { Terminal::stderr() };
    let vitals = start_vitals(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the runtime: {error}"))?;
    let verdict = runtime.block_on(async {
        let stop = Stop::listen();
        let demo = Demo::new(&vitals, options.seed);
        if options.stdio {
            on_stdio(options, &vitals, demo, stop, &terminal).await
        } else {
            over_http(options, &vitals, demo, stop, &terminal).await
        }
    });
    // A thread may be reading stdin, and can't be told to stop.
    runtime.shutdown_background();
    vitals.shutdown(Duration::from_secs(2));
    Ok(match verdict? {
        Some(Verdict::Different) => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

fn start_vitals(options: &Options) -> Result<Vitals, String> {
    let mut builder = Vitals::builder()
        .service(SERVICE, env!("CARGO_PKG_VERSION"))
        .native_histograms(options.native_histograms);
    if let Some(path) = &options.textfile {
        builder = builder.textfile(path, TEXTFILE_EVERY);
    }
    if let Some(logs) = logs(options) {
        builder = builder.logs(logs).log_level_endpoint(true);
    }
    if let Some(traces) = traces(options) {
        builder = builder.traces(traces);
    }
    builder = match options.metrics {
        Some(addr) => builder.listen(addr),
        None if has_port(options) => builder.listen(METRICS).on_port_taken(OnPortTaken::Ephemeral),
        None => builder,
    };
    builder.console(has_console(options)).build().map_err(|error| match error {
        mcp_vitals::Error::Listen { .. } => {
            format!("{error}; --metrics says where else, 0 for any free port")
        }
        error => error.to_string(),
    })
}

fn has_port(options: &Options) -> bool {
    options.metrics.is_some() || !(options.stdio && options.textfile.is_some())
}

/// Only where nobody else can reach it: there is no password.
fn has_console(options: &Options) -> bool {
    let own = options.metrics.is_none_or(|addr| addr.ip().to_canonical().is_loopback());
    options.console && has_port(options) && own
}

/// Where lines go: into the file, or to stderr where only a level was asked for; and the last of them
/// to the console.
fn logs(options: &Options) -> Option<LogConfig> {
    let logs = match (&options.log_file, &options.log_level) {
        (Some(path), _) => LogConfig::to_file(path),
        (None, Some(_)) => LogConfig::to_stderr(),
        (None, None) if has_console(options) => LogConfig::new(),
        (None, None) => return None,
    };
    let logs = match options.log_format {
        Some(format) => logs.format(format),
        None => logs,
    };
    let logs = match &options.durable {
        Some(folder) => logs.durable_in(folder),
        None => logs,
    };
    Some(logs.level(options.log_level.clone().unwrap_or_default()))
}

/// Where spans go: into memory for the console, and elsewhere where they are asked for.
fn traces(options: &Options) -> Option<TraceConfig> {
    let Options { trace_file, otlp, zipkin, sample, .. } = options;
    if trace_file.is_none() && otlp.is_none() && zipkin.is_none() && !has_console(options) {
        return None;
    }
    // The console's charts reach back five minutes, by slow points whose traces are to be there:
    // those of five minutes at fifty requests a second, of about a kilobyte each.
    let mut traces = TraceConfig::to_memory()
        .store(16 << 20, Duration::from_secs(3600), 16_000)
        .slow_traces(Duration::from_millis(250));
    if let Some(share) = *sample {
        traces = traces.sampler(Sampler::Ratio(share));
    }
    if let Some(path) = trace_file {
        traces = traces.file(LogFile::new(path));
    }
    if let Some(url) = otlp {
        traces = traces.otlp(Otlp::http(url));
    }
    if let Some(url) = zipkin {
        traces = traces.zipkin(Zipkin::to(url));
    }
    Some(traces)
}

/// Says where everything is, in lines that scripts read.
fn introduce(options: &Options, vitals: &Vitals, mcp: &str, terminal: &Terminal) {
    terminal.say(format_args!("mcp: {BOLD}{mcp}{PLAIN}"));
    if let Some(addr) = vitals.metrics_addr() {
        terminal.say(format_args!("metrics: {BOLD}http://{addr}/metrics{PLAIN}"));
        if options.metrics.is_none() && addr != METRICS {
            note(terminal, &format!("port {} is taken: /metrics is on another", METRICS.port()));
        }
        if has_console(options) {
            terminal.say(format_args!("console: {BOLD}http://{addr}/console/{PLAIN}"));
        } else if options.console {
            note(terminal, "no console: others can reach that address, and it has no password");
        }
    }
    if let Some(path) = vitals.textfile_path() {
        terminal.say(format_args!("textfile: {BOLD}{}{PLAIN}", path.display()));
    }
    if let Some(path) = &options.log_file {
        terminal.say(format_args!("log: {BOLD}{}{PLAIN}", path.display()));
    }
    if let Some(path) = &options.trace_file {
        terminal.say(format_args!("traces: {BOLD}{}{PLAIN}", path.display()));
    }
    for url in options.otlp.iter().chain(&options.zipkin) {
        terminal.say(format_args!("traces: {BOLD}{url}{PLAIN}"));
    }
    let logs_elsewhere = options.log_file.is_some() || options.log_level.is_some();
    if let Some(addr) = vitals.metrics_addr().filter(|_| logs_elsewhere) {
        note(terminal, &format!("more or less of it: curl -d debug http://{addr}/log-level"));
    }
}

fn note(terminal: &Terminal, text: &str) {
    terminal.say(format_args!("{DIM}{text}{PLAIN}"));
}

async fn on_stdio(
    options: &Options,
    vitals: &Vitals,
    demo: Demo,
    mut stop: Stop,
    terminal: &Terminal,
) -> Result<Option<Verdict>, String> {
    introduce(options, vitals, "on stdin and stdout", terminal);
    tokio::select! {
        ended = stdio::serve(demo, vitals) => ended?,
        () = wait(options.duration) => {}
        () = stop.wanted() => {}
    }
    vitals.flush(FLUSH);
    terminal.say(format_args!("\n{}", Report::new(None, &vitals.snapshot())));
    Ok(None)
}

async fn over_http(
    options: &Options,
    vitals: &Vitals,
    demo: Demo,
    mut stop: Stop,
    terminal: &Terminal,
) -> Result<Option<Verdict>, String> {
    let http = Http::start(options.mcp, demo, vitals).await?;
    let url = http.url();
    introduce(options, vitals, &url, terminal);
    if http.is_elsewhere(options.mcp) {
        note(terminal, "port 8000 is taken: MCP is on another");
    }
    let sent = if options.load {
        let tally = Arc::new(Tally::default());
        put_under_load(options, vitals, &url, &tally, &stop, terminal).await?;
        come_to_rest(vitals).await;
        Some(tally.sent())
    } else {
        note(terminal, "waiting for clients of your own; Ctrl-C ends it");
        tokio::select! {
            () = wait(options.duration) => {}
            () = stop.wanted() => {}
        }
        None
    };
    if let (Some(path), Some(sent)) = (&options.tally, &sent) {
        let wrong = |error| format!("cannot write the tally {}: {error}", path.display());
        sent.write(path).map_err(wrong)?;
    }
    vitals.flush(FLUSH);
    let report = Report::new(sent, &vitals.snapshot());
    terminal.say(format_args!("\n{report}"));
    if !options.linger.is_zero() && !stop.is_wanted() {
        let seconds = options.linger.as_secs_f64();
        note(terminal, &format!("still serving for {seconds} s; Ctrl-C ends it"));
        tokio::select! {
            () = wait(Some(options.linger)) => {}
            () = stop.wanted() => {}
        }
    }
    Ok(report.verdict())
}

/// Returns when the load is over and every client has left.
async fn put_under_load(
    options: &Options,
    vitals: &Vitals,
    url: &str,
    tally: &Arc<Tally>,
    stop: &Stop,
    terminal: &Terminal,
) -> Result<(), String> {
    let Options { clients, rate, seed, .. } = options;
    let until = match options.duration {
        Some(duration) => format!("for {} s; Ctrl-C ends it sooner", duration.as_secs_f64()),
        None => "until Ctrl-C".to_owned(),
    };
    note(terminal, &format!("{clients} clients, {rate} requests a second, seed {seed}, {until}"));
    let load = Load::connect(url, options, tally).await?;
    tokio::select! {
        () = load.run(options, stop) => {}
        () = progress::show(terminal, tally, vitals) => {}
    }
    Ok(())
}

/// Waits until no request is in flight: a handler whose request was withdrawn may go on for a while
/// after its client has left. What does not come to rest is found by the comparison.
async fn come_to_rest(vitals: &Vitals) {
    let deadline = Instant::now() + REST;
    while progress::in_flight(vitals) > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
