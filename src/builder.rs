//! Settings of an engine.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::export::textfile;
use crate::logs::LogConfig;
use crate::mcp::{CatalogOptions, UserId};
use crate::metrics::sample::RATES;
use crate::registry::check_labels;
use crate::traces::{FlightRecorder, TraceConfig};
use crate::vitals::{SERIES_LIMIT, Vitals, check, check_free, check_idle};
use crate::{Error, shard};

/// Settings of an engine, all with defaults; [`build`](Self::build) checks and starts it.
///
/// ```
/// let vitals = mcp_vitals::Vitals::builder()
///     .service("search-server", "1.4.0")
///     .const_label("region", "eu-1")
///     .memory_limit(32 << 20)
///     .build()?;
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing starts before `build`"]
pub struct VitalsBuilder {
    pub(crate) service: (String, String),
    pub(crate) const_labels: Vec<(String, String)>,
    pub(crate) memory_limit: u64,
    pub(crate) max_shards: Option<u32>,
    pub(crate) series_limit: Option<u32>,
    pub(crate) label_values_limit: Option<u32>,
    pub(crate) value_length_limit: u32,
    pub(crate) system_metrics: bool,
    pub(crate) collect_deadline: Duration,
    /// 1 where the caller's is to do all.
    pub(crate) scrape_threads: u32,
    pub(crate) textfile: Option<(PathBuf, Duration)>,
    #[cfg(feature = "http")]
    pub(crate) listen: Option<crate::ListenAddr>,
    #[cfg(feature = "http")]
    pub(crate) on_port_taken: crate::OnPortTaken,
    #[cfg(feature = "http")]
    pub(crate) metrics_token: Option<crate::logs::Secret<String>>,
    #[cfg(feature = "http")]
    pub(crate) log_level_endpoint: bool,
    #[cfg(feature = "console")]
    pub(crate) console: crate::ConsoleConfig,
    pub(crate) catalog: CatalogOptions,
    /// By metric, one in how many observations is kept.
    pub(crate) sampling: HashMap<String, u32>,
    /// By metric, how long a series may be idle.
    pub(crate) idle: HashMap<String, Duration>,
    pub(crate) logs: Option<LogConfig>,
    pub(crate) traces: Option<TraceConfig>,
    /// Nothing: as `traces`.
    pub(crate) exemplars: Option<bool>,
    #[cfg(any(feature = "http", feature = "tower"))]
    pub(crate) native_histograms: bool,
    pub(crate) flight: Option<FlightRecorder>,
    #[cfg(all(feature = "signals", unix))]
    pub(crate) handle_signals: bool,
}

/// Series of a family unless somebody says otherwise.
const SERIES: u32 = 2_000;

impl Default for VitalsBuilder {
    fn default() -> Self {
        VitalsBuilder {
            service: (String::new(), String::new()),
            const_labels: Vec::new(),
            memory_limit: 64 << 20,
            max_shards: None,
            series_limit: None,
            label_values_limit: None,
            value_length_limit: 128,
            system_metrics: true,
            collect_deadline: Duration::from_millis(500),
            scrape_threads: 1,
            textfile: None,
            #[cfg(feature = "http")]
            listen: None,
            #[cfg(feature = "http")]
            on_port_taken: crate::OnPortTaken::default(),
            #[cfg(feature = "http")]
            metrics_token: None,
            #[cfg(feature = "http")]
            log_level_endpoint: false,
            #[cfg(feature = "console")]
            console: false.into(),
            catalog: CatalogOptions::default(),
            sampling: HashMap::new(),
            idle: HashMap::new(),
            logs: None,
            traces: None,
            exemplars: None,
            #[cfg(any(feature = "http", feature = "tower"))]
            native_histograms: false,
            flight: None,
            #[cfg(all(feature = "signals", unix))]
            handle_signals: false,
        }
    }
}

impl VitalsBuilder {
    /// Name and version of the service, shown in `target_info`, which is not there without a name.
    pub fn service(mut self, name: &str, version: &str) -> Self {
        self.service = (name.to_owned(), version.to_owned());
        self
    }

    /// A label that every series carries. A metric that has a label of this name is refused.
    pub fn const_label(mut self, name: &str, value: &str) -> Self {
        self.const_labels.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Bytes that the engine's cells, series and buffers may take together,
    /// `1 MiB ..= 1 TiB`; default 64 MiB. Past it a thread records into common cells, a new series
    /// becomes `_other`, and both are counted.
    ///
    /// Not among them, because they are the process's: what each thread keeps to look up labels
    /// faster, 34 KiB, and 1.1 MB instead for at most eight threads at a time that look up more than
    /// 255 label sets over and over.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Threads that may record into cells of their own at a time, `1..=4096`; default 256. More
    /// threads share common cells with a locked add. Shards belong to the **process**: the last
    /// engine that says a number sets it for all.
    pub fn max_shards(mut self, shards: u32) -> Self {
        self.max_shards = Some(shards);
        self
    }

    /// Most series one family may have unless it says otherwise, `1..=1_000_000`; further label
    /// sets share the series whose labels are all `_other`. Default 2,000.
    pub fn series_limit(mut self, series: u32) -> Self {
        self.series_limit = Some(series);
        self
    }

    /// Most distinct values that each label of a family with several may have unless the family says
    /// otherwise, `1..=1_000_000`. A further value becomes `_other`, and the other labels of its set
    /// stay as they are. Default 1,000, or no limit where a series limit was set.
    pub fn label_values_limit(mut self, values: u32) -> Self {
        self.label_values_limit = Some(values);
        self
    }

    /// Bytes of a label value that are kept, `16..=4096`; the rest is cut off at a character's
    /// edge, and that is counted. Default 128.
    pub fn value_length_limit(mut self, bytes: u32) -> Self {
        self.value_length_limit = bytes;
        self
    }

    /// Whether CPU, memory and `process_*` are read, every five seconds on a thread of their own;
    /// default yes. Linux only, but for the heap of a [`HeapAlloc`](crate::HeapAlloc).
    pub fn system_metrics(mut self, on: bool) -> Self {
        self.system_metrics = on;
        self
    }

    /// How long a scrape waits for callbacks and collectors, for all of them together, 1 ms to a
    /// minute; default 500 ms. What has not come back by then is left out of that scrape and counted.
    ///
    /// Less than the scraper's own time-out, which is ten seconds for Prometheus unless it says
    /// otherwise. See [`Vitals::collector`].
    pub fn collect_deadline(mut self, deadline: Duration) -> Self {
        self.collect_deadline = deadline;
        self
    }

    /// Threads of a pool of this engine's own that bring the text of large families up to date,
    /// `1..=64`; default 1, which is the thread that scrapes and no pool. A quarter of the machine's
    /// cores leaves the rest to the server.
    ///
    /// For families of counters and gauges from 65,536 series on: smaller ones are done before another
    /// thread has woken up. The text is the same. A scrape may then allocate a little, and keeps 2 MiB
    /// outside [`memory_limit`](Self::memory_limit). The threads sleep between scrapes and end with
    /// the engine.
    ///
    /// ```
    /// let vitals = mcp_vitals::Vitals::builder().scrape_threads(2).build()?;
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    #[cfg(feature = "rayon")]
    pub fn scrape_threads(mut self, threads: u32) -> Self {
        self.scrape_threads = threads;
        self
    }

    /// Writes all metrics to a file for the node exporter's textfile collector: now, every
    /// `interval` (100 ms to a day), and at [`Vitals::shutdown`] or when the engine ends.
    ///
    /// * `path`: best ends in `.prom`; the folder must exist. `{service}` stands for the service's
    ///   name and `{pid}`, in the file's name, for the process id.
    ///
    /// Copies of a server that run at once with one setting each write a file: `mcp.prom`,
    /// `mcp.1.prom`, … Every sample carries `vitals_copy`, so that their series do not collide. The
    /// last values of a copy that has ended stay for two minutes, then the next to look removes
    /// them. A file that is not ours is never touched.
    pub fn textfile(mut self, path: impl Into<PathBuf>, interval: Duration) -> Self {
        self.textfile = Some((path.into(), interval));
        self
    }

    /// Serves `/metrics` and `/healthz` on this address; a port alone is on the loopback
    /// interface, and nothing is opened unless this is called.
    ///
    /// 64 connections; a request's head within 5 s and 16 KiB, its answer taken within 30 s, 90 s
    /// between two requests. `/metrics?name[]=a&name[]=b` answers these families alone: see
    /// [`Vitals::scrape_only`]; at most 64 names of 256 bytes each.
    #[cfg(feature = "http")]
    pub fn listen(mut self, addr: impl Into<crate::ListenAddr>) -> Self {
        self.listen = Some(addr.into());
        self
    }

    /// What to do when the port is in use; default [`Fail`](crate::OnPortTaken::Fail).
    #[cfg(feature = "http")]
    pub fn on_port_taken(mut self, policy: crate::OnPortTaken) -> Self {
        self.on_port_taken = policy;
        self
    }

    /// Whoever asks [`listen`](Self::listen)'s port for `/metrics` or `/log-level` must bring this token, in
    /// the header `Authorization: Bearer TOKEN`; others get 401 and are counted. Default: nobody must.
    ///
    /// * `token`: 16 to 1,024 letters, digits or `-._~+/=`. Best random, and from a file or the
    ///   environment: `openssl rand -base64 24` makes one.
    ///
    /// `/healthz` needs none, so that whoever watches the process may ask, and the console has a rule of its
    /// own. There is no TLS: on a network that others read, put a proxy in front. Prometheus sends it by
    /// `authorization: {credentials_file: PATH}` in the job.
    ///
    /// ```
    /// # let token = "mZ0mcQ2y3nq5d6T8".to_owned();
    /// let vitals = mcp_vitals::Vitals::builder().listen("127.0.0.1:0").metrics_token(token).build()?;
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`build`](Self::build) gives [`Error::MetricsToken`] for a token that breaks the rule.
    #[cfg(feature = "http")]
    pub fn metrics_token(mut self, token: impl Into<String>) -> Self {
        self.metrics_token = Some(crate::logs::Secret::new(token.into()));
        self
    }

    /// Whether [`listen`](Self::listen)'s port has `/log-level`, too: `GET` tells the filter of the
    /// logs, `POST` with a filter (`info,my_server::search=debug`, at most 1 KiB) changes it. Default
    /// no.
    ///
    /// Token or not, it answers only who connects from this machine, by a name of this
    /// machine, and no web page. See [`Vitals::set_log_filter`].
    ///
    /// ```sh
    /// curl -d info,my_server::search=debug http://127.0.0.1:9464/log-level
    /// ```
    #[cfg(feature = "http")]
    pub fn log_level_endpoint(mut self, on: bool) -> Self {
        self.log_level_endpoint = on;
        self
    }

    /// A console on [`listen`](Self::listen)'s port, below `/console/`: a page of live charts of the
    /// catalog's metrics, with recent logs and traces, the state of eight key rules, and what the
    /// measuring itself costs. `true`, or a [`ConsoleConfig`](crate::ConsoleConfig). Default no.
    ///
    /// There is no password: it answers only who calls this machine by a name or an address of its own,
    /// and is refused on an address beyond the loopback interface unless its settings allow that.
    ///
    /// ```
    /// let vitals = mcp_vitals::Vitals::builder().listen(0).console(true).build()?;
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`build`](Self::build) gives [`Error::Console`] without an address to listen on, and with one
    /// beyond the loopback interface that the settings don't allow.
    #[cfg(feature = "console")]
    pub fn console(mut self, config: impl Into<crate::ConsoleConfig>) -> Self {
        self.console = config.into();
        self
    }

    /// What stands in the `user_id` label of `mcp_auth_rate_limit_exceeded_total`; default
    /// [`UserId::Hashed`].
    pub fn user_id(mut self, user_id: UserId) -> Self {
        self.catalog.user_id = user_id;
        self
    }

    /// Most tool names that become labels, `1..=10_000`; calls of further tools are counted under
    /// `_other`. Default 500.
    pub fn tool_limit(mut self, tools: u32) -> Self {
        self.catalog.tool_limit = tools;
        self
    }

    /// Of the histogram `metric` keeps one observation in `n`, `1..=65_536`, which then weighs `n`;
    /// 1 keeps all. For metrics of the [`catalog`](crate::catalog) and those that are registered
    /// later alike; goes before [`Desc::sample`](crate::Desc::sample), where it is explained.
    ///
    /// What is registered under that name and is no histogram is refused with
    /// [`Error::NotSampled`]. A name under which nothing is registered has no effect.
    pub fn sample(mut self, metric: &str, n: u32) -> Self {
        self.sampling.insert(metric.to_owned(), n);
        self
    }

    /// Removes a series of `metric` that nobody used for this long, 10 ms to 45 days: for metrics of
    /// the [`catalog`](crate::catalog) and those that are registered later alike; goes before
    /// [`Desc::idle_expiry`](crate::Desc::idle_expiry), where it is explained. A name under which
    /// nothing is registered, and one of a metric without labels, has no effect.
    ///
    /// For users who come and go. Without it the first 2,000 have a series each for as long as the
    /// engine lives, and all others are `_other`:
    ///
    /// ```
    /// # use std::time::Duration;
    /// let vitals = mcp_vitals::Vitals::builder()
    ///     .idle_expiry("mcp_auth_rate_limit_exceeded_total", Duration::from_secs(3_600))
    ///     .build()?;
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    pub fn idle_expiry(mut self, metric: &str, after: Duration) -> Self {
        self.idle.insert(metric.to_owned(), after);
        self
    }

    /// Structured logs: where lines go and which are taken; see [`LogConfig`]. Without it a
    /// [`Logger`](crate::Logger) takes none.
    pub fn logs(mut self, logs: LogConfig) -> Self {
        self.logs = Some(logs);
        self
    }

    /// Traces: which spans are recorded and where they go; see [`TraceConfig`]. Without it a
    /// [`Tracer`](crate::Tracer) makes spans of no trace.
    pub fn traces(mut self, traces: TraceConfig) -> Self {
        self.traces = Some(traces);
        self
    }

    /// Whether a histogram's observations within a sampled span are remembered with the span's ids, and
    /// shown as exemplars by a scrape in [`OpenMetrics`](crate::Format::OpenMetrics) or
    /// [`Protobuf`](crate::Format::Protobuf). Default: where the engine has [`traces`](Self::traces).
    ///
    /// An observation outside of a span costs one load and a branch for it, one within a span 10 ns, and
    /// a clock reading more where it is remembered. Each thread that makes one has a table of 128, 8 KiB of
    /// [`memory_limit`](Self::memory_limit). `docs/EXEMPLARS.md` has what is shown, and when nothing is.
    pub fn exemplars(mut self, exemplars: bool) -> Self {
        self.exemplars = Some(exemplars);
        self
    }

    /// Whether `/metrics` and `Vitals::metrics_service` offer [`Protobuf`](crate::Format::Protobuf), and
    /// so native histograms, to who asks for it; default no.
    ///
    /// Prometheus asks for it where native histograms are switched on, and then stops reading the classic
    /// buckets: what is asked of `…_bucket` finds nothing new. Recording costs the same.
    /// `docs/MONITORING.md` has how to go over.
    ///
    /// ```
    /// use mcp_vitals::{Format, Vitals};
    /// let vitals = Vitals::builder().listen("127.0.0.1:0").native_histograms(true).build()?;
    /// // What the endpoint answers to such a Prometheus, and a server of one's own may:
    /// let accept = "application/vnd.google.protobuf;encoding=delimited, text/plain;q=0.5";
    /// let format = Format::negotiate_among(Format::ALL, [accept]);
    /// assert_eq!(format, Format::Protobuf);
    /// let mut body = Vec::new();
    /// vitals.scrape_as(format, &mut body);
    /// # Ok::<(), mcp_vitals::Error>(())
    /// ```
    #[cfg(any(feature = "http", feature = "tower"))]
    pub fn native_histograms(mut self, native: bool) -> Self {
        self.native_histograms = native;
        self
    }

    /// Keeps the last lines and spans in memory, to be written out when something went wrong; see
    /// [`FlightRecorder`]. Needs logs or traces.
    pub fn flight_recorder(mut self, recorder: FlightRecorder) -> Self {
        self.flight = Some(recorder);
        self
    }

    /// Whether SIGTERM and SIGINT shut the engine down (the logs, the textfile, all that
    /// [`Vitals::shutdown`] does) and then end the process by the same signal, so that its exit
    /// status says so; default no: the signals are the host's. Unix only.
    ///
    /// All engines that ask are shut down, side by side, within 1.6 seconds in all, on threads of our
    /// own; further signals change nothing meanwhile. With no engine left the signal ends the process at
    /// once. The first process of a container, which signals don't end, exits with 128 and the
    /// signal's number. A signal that the process was started with ignored, as by `nohup`, stays so
    /// (Linux only).
    ///
    /// Not for a host that shuts down by itself: its own handlers run too, but the process ends
    /// whether or not they are done. A child made by `fork` that does not `exec` can be ended by
    /// SIGKILL alone.
    #[cfg(all(feature = "signals", unix))]
    pub fn handle_signals(mut self, on: bool) -> Self {
        self.handle_signals = on;
        self
    }

    /// Checks every setting, then starts the engine.
    ///
    /// With `MCP_VITALS_DISABLED` or `OTEL_SDK_DISABLED` set to `1` or `true` in the environment
    /// the handle is [`Vitals::disabled`]: an operator can switch telemetry off without a new build.
    /// Limits, intervals and the names of constant labels are checked all the same; whether a port
    /// is free and a file can be written is not tried.
    ///
    /// # Errors
    /// The first setting that is out of its range or breaks a rule; nothing is then half started.
    pub fn build(self) -> Result<Vitals, Error> {
        self.check()?;
        if is_disabled_by(|name| std::env::var(name).ok()) {
            return Ok(Vitals::disabled());
        }
        let max_shards = self.max_shards;
        let vitals = Vitals::start(self)?;
        // Only now: the shards are the process's, and a build that fails leaves it as it was.
        if let Some(shards) = max_shards {
            shard::pool().set_limit(shards as usize);
        }
        Ok(vitals)
    }

    /// Most series of a family.
    pub(crate) fn series(&self) -> u32 {
        self.series_limit.unwrap_or(SERIES)
    }

    /// Most distinct values of a label. By default half of the series, so that the sets in which one
    /// became `_other` find room; but who said how many series there may be did not mean fewer.
    pub(crate) fn label_values(&self) -> u32 {
        let unset = match self.series_limit {
            Some(_) => *SERIES_LIMIT.end() as u32,
            None => SERIES / 2,
        };
        self.label_values_limit.unwrap_or(unset)
    }

    /// How many of the last lines are kept for the console, where there is one.
    pub(crate) fn recent_lines(&self) -> Option<crate::store::lines::Bounds> {
        #[cfg(feature = "console")]
        return self.console.lines();
        #[cfg(not(feature = "console"))]
        None
    }

    /// What can be said of the settings without starting anything.
    fn check(&self) -> Result<(), Error> {
        check("", "memory_limit", self.memory_limit, 1 << 20..=1 << 40)?;
        check("", "series_limit", self.series().into(), SERIES_LIMIT)?;
        check("", "label_values_limit", self.label_values().into(), SERIES_LIMIT)?;
        check("", "value_length_limit", self.value_length_limit.into(), 16..=4096)?;
        check("", "tool_limit", self.catalog.tool_limit.into(), 1..=10_000)?;
        if let Some(shards) = self.max_shards {
            check("", "max_shards", shards.into(), 1..=shard::lease::MOST_SHARDS as u64)?;
        }
        for (metric, &n) in &self.sampling {
            check(metric, "sample", n.into(), RATES)?;
            check_free(metric)?;
        }
        for (metric, &after) in &self.idle {
            check_idle(metric, after)?;
            check_free(metric)?;
        }
        let millis = u64::try_from(self.collect_deadline.as_millis()).unwrap_or(u64::MAX);
        check("", "collect_deadline (milliseconds)", millis, 1..=60_000)?;
        if let Some(logs) = &self.logs {
            logs.check(self.recent_lines().is_some())?;
        }
        if let Some(flight) = &self.flight {
            flight.check()?;
        }
        if let Some(traces) = &self.traces {
            traces.check()?;
        }
        #[cfg(feature = "rayon")]
        check("", "scrape_threads", self.scrape_threads.into(), crate::pool::THREADS)?;
        #[cfg(feature = "http")]
        if let Some(token) = &self.metrics_token {
            crate::serve::check_token(token.expose())?;
        }
        #[cfg(feature = "console")]
        self.console.check(self.listen.is_some())?;
        if let Some((_, interval)) = &self.textfile {
            textfile::check_interval(*interval)?;
        }
        check_labels("", self.const_labels.iter().map(|(name, _)| name.as_str()), false)
    }

    /// [`build`](Self::build), or [`Vitals::disabled`] with one line on stderr: telemetry never
    /// stops a server.
    pub fn build_or_disabled(self) -> Vitals {
        self.build().unwrap_or_else(|error| {
            crate::error::say(format_args!("telemetry is off: {error}"));
            Vitals::disabled()
        })
    }
}

/// Whether a variable of the environment switches telemetry off: ours, or OpenTelemetry's.
fn is_disabled_by(variable: impl Fn(&str) -> Option<String>) -> bool {
    ["MCP_VITALS_DISABLED", "OTEL_SDK_DISABLED"]
        .into_iter()
        .filter_map(variable)
        .any(|value| value == "1" || value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_variable_switches_telemetry_off_and_nothing_else_does() {
        let with = |name: &'static str, value: &'static str| {
            is_disabled_by(move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert!(with("MCP_VITALS_DISABLED", "1") && with("MCP_VITALS_DISABLED", "true"));
        assert!(with("OTEL_SDK_DISABLED", "TRUE"));
        assert!(!with("OTEL_SDK_DISABLED", "false") && !with("MCP_VITALS_DISABLED", ""));
        assert!(!with("MCP_VITALS_DISABLED", "0") && !is_disabled_by(|_| None));
    }

    /// The real variable in a real process: this test runs itself again with it set.
    #[test]
    fn the_environment_of_the_process_is_read() {
        const CHILD: &str = "VITALS_TEST_CHILD";
        let disabled = || Vitals::builder().build().is_ok_and(|vitals| vitals.is_disabled());
        if std::env::var_os(CHILD).is_some() {
            std::process::exit(if disabled() { 7 } else { 8 });
        }
        assert!(!disabled());
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "builder::tests::the_environment_of_the_process_is_read"])
            .env(CHILD, "1")
            .env("MCP_VITALS_DISABLED", "1")
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(7));
    }
}
