//! The arguments, as `--help` teaches them.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, builder::ValueParser, value_parser};
use mcp_vitals::logs::{LogFilter, LogFormat};

use super::analyze;
use super::demo::Options;
use super::{generate, recover};

/// What the process is to do.
pub(crate) enum Command {
    Analyze(analyze::Options),
    Demo(Box<Options>),
    Recover(recover::Options),
    Generate(generate::Options),
}

/// Reads the process's arguments. `--help`, and what is wrong, end the process here.
pub(crate) fn parse() -> Command {
    read(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

fn read(args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    match command().try_get_matches_from(args)?.subcommand() {
        Some(("analyze", analyze)) => Ok(Command::Analyze(analyze_options(analyze))),
        Some(("demo", demo)) => Ok(Command::Demo(Box::new(options(demo)))),
        Some(("recover", recover)) => Ok(Command::Recover(recover_options(recover))),
        Some(("generate", matches)) => Ok(Command::Generate(generate::options(matches))),
        _ => unreachable!("clap asks for a subcommand, and knows no other"),
    }
}

fn command() -> clap::Command {
    clap::Command::new("mcp-vitals")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Prometheus metrics, structured logs and traces for MCP servers.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(demo())
        .subcommand(analyze())
        .subcommand(recover())
        .subcommand(generate::command())
        .after_help("See what it measures:\n  mcp-vitals demo\n  mcp-vitals demo --help")
}

const DEMO: &str = "\
A real MCP server, measured, under a load of real MCP clients.

The server speaks streamable HTTP and has tools to start a swarm, spawn agents,
run tasks, remember, predict and log in; some are slow, some fail, one has a bug.
The clients call them, give up on some calls and get others wrong. /metrics holds
what the library recorded. At the end a table compares what the clients sent with
what the metrics hold; the exit code is 1 if they differ.";

/// The parts of a help text, with the command's own words at its head.
pub(super) const TEMPLATE: &str = "{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const EXAMPLES: &str = "\
Examples:
  mcp-vitals demo
      Until Ctrl-C; while it runs:  curl -s http://127.0.0.1:8080/metrics
  mcp-vitals demo --rate 500 --clients 16 --duration 1m
      More load, for a minute.
  mcp-vitals demo --no-load
      Only the server, for a client of your own at http://127.0.0.1:8000/mcp
  mcp-vitals demo --stdio --textfile mcp.prom
      The server on stdin and stdout, as a host starts it; its metrics go to a file.
  mcp-vitals demo --log-file demo.log --log-level info,swarm=debug
      Each request as a line of JSON, with what the tools have to say. While it runs:
      curl -d debug http://127.0.0.1:8080/log-level
  mcp-vitals demo --trace-file traces.jsonl --duration 10s
      And then, why requests were slow:  mcp-vitals analyze traces.jsonl
  mcp-vitals demo --duration 20s --tally sent.json --linger 10m
      A load whose counts are final, held for a Prometheus to scrape.";

fn demo() -> clap::Command {
    clap::Command::new("demo")
        .about("A real MCP server under load, with its metrics")
        .before_help(DEMO)
        .after_help(EXAMPLES)
        .help_template(TEMPLATE)
        .next_help_heading("Where")
        .args(where_args())
        .next_help_heading("Load")
        .args(load_args())
        .next_help_heading("Logs")
        .args(log_args())
        .group(ArgGroup::new("logs").args(["log-file", "log-level"]).multiple(true))
        .next_help_heading("Traces")
        .args(trace_args())
        .group(ArgGroup::new("traces").args(["trace-file", "otlp", "zipkin"]).multiple(true))
        .next_help_heading("Results")
        .args(result_args())
}

const RECOVER: &str = "\
Lines that a process logged in durable mode and had not written when it was
killed, crashed or aborted: as JSON lines on stdout, a summary on stderr.

The next start of the same server does this by itself, and writes them into its
log. This is for when there is none, or you want them now. Files of processes
that live are left alone. A file is removed when its lines are written; a log
file that ends in the middle of a line is finished first, so that no line is
there twice. Lines carry \"recovered\":true. What the server keeps out of its log
is kept out here, too, by the rules that the file carries.";

const RECOVER_AFTER: &str = "\
Exit codes:
  0  all files were read, or there was none
  1  a file could not be read or is in use, or stdout could not be written
  2  the arguments make no sense

Examples:
  mcp-vitals recover /dev/shm/mcp-vitals-$(id -u) >> server.log
      All that is left behind in the default folder.
  mcp-vitals recover --keep search.4711.1.ring | jq .message
      A look at one file, which stays.";

fn recover() -> clap::Command {
    clap::Command::new("recover")
        .about("Lines that a killed process left behind")
        .before_help(RECOVER)
        .after_help(RECOVER_AFTER)
        .help_template(TEMPLATE)
        .arg(
            Arg::new("path")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("A ring file, or a folder of them"),
        )
        .arg(flag("keep").help("Change nothing: ring files and log files stay as they are"))
}

fn recover_options(matches: &ArgMatches) -> recover::Options {
    recover::Options {
        path: matches.get_one::<PathBuf>("path").cloned().unwrap_or_default(),
        keep: matches.get_flag("keep"),
    }
}

const ANALYZE: &str = "\
Why requests were slow, from a file of spans: latency by name, the slowest
traces, what they have that others don't, and one trace as bars.

The file may be OTLP in JSON (a request a line, as the trace file has it, and
the OpenTelemetry Collector's), Jaeger's JSON (what its UI saves) or Zipkin's v2
JSON; it may be packed by gzip, or by zstd where that was built in. Which it is,
its content says. Broken lines are passed over, and counted on stderr.";

const ANALYZE_AFTER: &str = "\
Columns:
  self   time in which none of a span's children ran
  path   time in which the span itself was waited for: its part of the critical
         path. Walked from a trace's end backwards, the child that ended last was
         waited for, back to its start; then the one that ended last before that.
         All paths together are the traces' durations.
  p50    half of the spans took at most this; p90, p99, max likewise

Exit codes:
  0  a report was written
  1  the file could not be read or has no spans, or there is no such trace
  2  the arguments make no sense

Examples:
  mcp-vitals analyze traces.jsonl
  mcp-vitals analyze traces.jsonl --trace 0af76519
      One trace as bars; its id may be cut short.
  zcat traces.jsonl.*.gz | mcp-vitals analyze - --top 50
  mcp-vitals analyze traces.jsonl --format json | jq '.names[0].p99_nanos'";

fn analyze() -> clap::Command {
    clap::Command::new("analyze")
        .about("Why requests were slow, from a file of spans")
        .before_help(ANALYZE)
        .after_help(ANALYZE_AFTER)
        .help_template(TEMPLATE)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("A file of spans; - is stdin"),
        )
        .arg(
            value("trace", "ID", ValueParser::new(trace_id))
                .help("Only this trace, as bars; the beginning of its id will do"),
        )
        .arg(
            value("top", "N", value_parser!(u32).range(1..).into())
                .default_value("10")
                .help("Names, traces and differences to show"),
        )
        .arg(
            value("format", "FORMAT", ValueParser::from(["table", "json"]))
                .default_value("table")
                .hide_possible_values(true)
                .help("table, or json for programs, in nanoseconds"),
        )
        .arg(
            value("width", "N", value_parser!(u16).range(40..=1000).into())
                .help("Columns [default: the terminal's, or 100]"),
        )
}

fn analyze_options(matches: &ArgMatches) -> analyze::Options {
    analyze::Options {
        path: matches.get_one::<PathBuf>("file").cloned().unwrap_or_default(),
        trace: matches.get_one::<String>("trace").cloned(),
        top: matches.get_one::<u32>("top").map_or(10, |top| *top as usize),
        json: matches.get_one::<String>("format").is_some_and(|format| format == "json"),
        width: matches.get_one::<u16>("width").map(|width| usize::from(*width)),
    }
}

/// How an id begins.
fn trace_id(text: &str) -> Result<String, String> {
    let digits = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if digits { Ok(text.to_owned()) } else { Err("not 1 to 32 hexadecimal digits".to_owned()) }
}

fn where_args() -> [Arg; 6] {
    let path = value_parser!(PathBuf);
    [
        value("mcp", "ADDR", ValueParser::new(address)).help(
            "Where to serve MCP; a port alone is on loopback\n\
             [default: 127.0.0.1:8000, or a free port]",
        ),
        value("metrics", "ADDR", ValueParser::new(address))
            .help("Where to serve /metrics\n[default: 127.0.0.1:8080, or a free port]"),
        flag("native").help(
            "Offer native histograms to a Prometheus that has them\n\
             switched on, and then reads no classic buckets",
        ),
        flag("no-console").help(
            "Serve no console beside the metrics, and keep no logs and\ntraces in memory for it",
        ),
        value("textfile", "PATH", path).help(
            "Write the metrics to a file, too, every 5 s and at the end;\n\
             with --stdio it stands in for the port",
        ),
        flag("stdio")
            .help("Serve MCP on stdin and stdout, without a load")
            .conflicts_with_all(["mcp", "rate", "clients", "no-load", "tally", "linger"]),
    ]
}

fn load_args() -> [Arg; 5] {
    let clients = value_parser!(u16).range(1..=256);
    [
        value("rate", "N", ValueParser::new(rate))
            .default_value("50")
            .help("Requests a second, over all clients"),
        value("clients", "N", clients.into())
            .default_value("4")
            .help("Clients, each with a session of its own"),
        value("duration", "D", ValueParser::new(duration))
            .help("How long: 20s, 5m, 1h [default: until Ctrl-C]"),
        flag("no-load")
            .help("No clients: wait for one of your own")
            .conflicts_with_all(["rate", "clients", "tally"]),
        value("seed", "N", value_parser!(u64).into())
            .help("Number that chance is drawn from [default: another each time]"),
    ]
}

fn log_args() -> [Arg; 4] {
    let path = value_parser!(PathBuf);
    [
        value("log-file", "PATH", path)
            .help("Log to a file that is rolled; without it nothing is\nlogged, or to stderr with --log-level"),
        value("durable", "DIR", value_parser!(PathBuf))
            .help(
                "Hold lines in a file there until the log has them:\n\
                 what a kill leaves behind is written by the next\n\
                 start, or by `mcp-vitals recover DIR`",
            )
            .requires("log-file"),
        value("log-format", "FORMAT", ValueParser::new(str::parse::<LogFormat>))
            .help(
                "json, logfmt, text or pretty\n\
                 [default: json, and pretty on a terminal]",
            )
            .requires("logs"),
        value("log-level", "FILTER", ValueParser::new(str::parse::<LogFilter>)).help(
            "off, error, warn, info, debug or trace, and others by\n\
             logger or module: info,swarm=debug [default: info]",
        ),
    ]
}

fn trace_args() -> [Arg; 4] {
    [
        value("trace-file", "PATH", value_parser!(PathBuf)).help(
            "Write a span for each request, and for what it waited\n\
             for, to a file that is rolled; see `mcp-vitals analyze`",
        ),
        value("otlp", "URL", ValueParser::new(url))
            .help("Send them by OTLP, to http://localhost:4318 say"),
        value("zipkin", "URL", ValueParser::new(url))
            .help("Send them to Zipkin, at http://localhost:9411 say"),
        value("sample", "R", ValueParser::new(share))
            .help("The share of traces that is recorded [default: 1]")
            .requires("traces"),
    ]
}

fn result_args() -> [Arg; 2] {
    let path = value_parser!(PathBuf);
    [
        value("tally", "FILE", path)
            .help("Write what the clients counted, as JSON, after the load"),
        value("linger", "D", ValueParser::new(duration))
            .help("Keep serving for so long after the load, to be scraped"),
    ]
}

fn value(name: &'static str, placeholder: &'static str, parser: ValueParser) -> Arg {
    Arg::new(name).long(name).value_name(placeholder).value_parser(parser)
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn options(matches: &ArgMatches) -> Options {
    let address = |name| matches.get_one::<SocketAddr>(name).copied();
    let span = |name| matches.get_one::<Duration>(name).copied();
    let path = |name| matches.get_one::<PathBuf>(name).cloned();
    Options {
        mcp: address("mcp"),
        metrics: address("metrics"),
        native_histograms: matches.get_flag("native"),
        console: !matches.get_flag("no-console"),
        textfile: path("textfile"),
        stdio: matches.get_flag("stdio"),
        rate: matches.get_one("rate").copied().unwrap_or(50.0),
        clients: matches.get_one("clients").copied().unwrap_or(4),
        duration: span("duration"),
        load: !matches.get_flag("no-load"),
        // Short enough to be typed again.
        seed: matches.get_one("seed").copied().unwrap_or_else(|| fastrand::u64(1..100_000)),
        log_file: path("log-file"),
        log_format: matches.get_one("log-format").copied(),
        log_level: matches.get_one("log-level").cloned(),
        durable: path("durable"),
        trace_file: path("trace-file"),
        otlp: matches.get_one("otlp").cloned(),
        zipkin: matches.get_one("zipkin").cloned(),
        sample: matches.get_one("sample").copied(),
        tally: path("tally"),
        linger: span("linger").unwrap_or_default(),
    }
}

/// `8080`, `:8080`, `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let found = text.to_socket_addrs().ok().and_then(|mut found| found.next());
    found.ok_or_else(|| "not a port or HOST:PORT, such as 8080 or 127.0.0.1:8080".to_owned())
}

/// As far as a look at it goes.
fn url(text: &str) -> Result<String, String> {
    match text.strip_prefix("http://") {
        Some(host) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err("not a URL such as http://localhost:4318".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("not a number from 0 to 1".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.1..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("not a number from 0.1 to 100000".to_owned()),
    }
}

/// `500ms`, `20s`, `5m`, `1h`; seconds without a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    match number.parse::<f64>() {
        Ok(number) if (0.0..=604_800.0).contains(&(number * seconds)) => {
            Ok(Duration::from_secs_f64(number * seconds))
        }
        _ => Err("not a time up to a week, such as 500ms, 20s, 5m or 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo_options(args: &[&str]) -> Result<Options, clap::Error> {
        let args = ["mcp-vitals", "demo"].iter().chain(args).map(OsString::from);
        read(args).map(|command| match command {
            Command::Demo(options) => *options,
            _ => panic!("another command"),
        })
    }

    #[test]
    fn the_command_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_help() {
        let options = demo_options(&[]).unwrap();
        assert_eq!((options.mcp, options.metrics), (None, None));
        assert_eq!((options.rate, options.clients, options.duration), (50.0, 4, None));
        assert!(options.load && !options.stdio && options.linger.is_zero());
        assert!(options.log_file.is_none() && options.log_level.is_none());
        assert!(options.durable.is_none());
    }

    #[test]
    fn logs_have_a_filter_and_a_format() {
        let options = demo_options(&["--log-level", "info,swarm=debug"]).unwrap();
        assert_eq!(options.log_level, Some("info,swarm=debug".parse().unwrap()));
        let file = ["--log-file", "x", "--log-format", "logfmt"];
        assert_eq!(demo_options(&file).unwrap().log_format, Some(LogFormat::Logfmt));
        let durable =
            demo_options(&["--log-file", "x", "--durable", "/dev/shm/x"]).unwrap().durable;
        assert_eq!(durable, Some("/dev/shm/x".into()));
        assert!(demo_options(&["--durable", "/dev/shm/x"]).is_err(), "there is no log to write to");
    }

    #[test]
    fn traces_have_a_place_and_a_share() {
        let both = ["--trace-file", "x", "--otlp", "http://localhost:4318", "--sample", "0.25"];
        let options = demo_options(&both).unwrap();
        assert_eq!((options.trace_file, options.sample), (Some("x".into()), Some(0.25)));
        assert_eq!(options.otlp.as_deref(), Some("http://localhost:4318"));
        let zipkin = demo_options(&["--zipkin", "http://localhost:9411", "--sample", "0"]).unwrap();
        assert_eq!(zipkin.zipkin.as_deref(), Some("http://localhost:9411"));
        assert!(demo_options(&[]).unwrap().trace_file.is_none());
    }

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in
            [("500ms", 500), ("20s", 20_000), ("20", 20_000), ("1.5m", 90_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "20 s", "-1s", "20d", "nan", "inf", "1e9s", "169h", ".", "1.2.3s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_ports_or_hosts_with_ports() {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        for text in ["8080", ":8080", "127.0.0.1:8080"] {
            assert_eq!(address(text), Ok(loopback(8080)), "{text}");
        }
        assert!(address("[::1]:0").unwrap().is_ipv6());
        for text in ["", ":", "127.0.0.1", "70000", "127.0.0.1:x"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for args in [
            &["--stdio", "--mcp", "1"][..],
            &["--stdio", "--rate", "1"],
            &["--no-load", "--tally", "x"],
            &["--rate", "0"],
            &["--rate", "nan"],
            &["--clients", "0"],
            &["--clients", "257"],
            &["--duration", "soon"],
            &["--metrics", "nowhere"],
            &["--log-format", "json"],
            &["--log-file", "x", "--log-format", "xml"],
            &["--sample", "0.5"],
            &["--trace-file", "x", "--sample", "2"],
            &["--otlp", "localhost:4318"],
            &["--zipkin", "https://"],
            &["--log-level", "loud"],
        ] {
            assert!(demo_options(args).is_err(), "{args:?}");
        }
    }
}
