//! Spans sent as OTLP.

mod answer;
#[cfg(feature = "otlp-grpc")]
mod grpc;
#[cfg(feature = "otlp")]
mod http;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::encode::otlp::Form;
use crate::error::{Error, check};
use crate::export::sink::Sink;
use crate::traces::config::{Origin, Way};

/// Where spans are sent by OTLP, OpenTelemetry's protocol, which Jaeger, Tempo, the OpenTelemetry
/// Collector and most others take. Features `otlp`, `otlp-grpc`; `tls` for `https`.
///
/// It runs on a thread of its own, and nobody waits for it: 4 MiB of spans wait in front of it
/// ([`queue_bytes`](crate::traces::TraceConfig::queue_bytes)), and what has no room there is counted. A request
/// has up to 512 spans and about 1 MiB, or those of a second. One that fails is sent again, after a
/// random part of a pause that doubles from a quarter of a second to eight and never before the server's
/// `Retry-After` (30 seconds of it at most), for a minute altogether; then its spans are lost and
/// counted. What a server refuses (`400`, `401`, `403`, `404`, …) is not sent again, what it finds too
/// large (`413`) in halves. An answer that got lost on the way means that the spans are sent twice.
///
/// No redirect is followed, and no proxy is used. `https` trusts the authorities that Mozilla does, or
/// those of [`authorities`](Self::authorities).
#[derive(Clone, PartialEq)]
#[must_use]
pub struct Otlp {
    transport: Transport,
    pub(super) url: String,
    form: Form,
    headers: Vec<(String, String)>,
    gzip: bool,
    timeout: Duration,
    authorities: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    #[cfg(feature = "otlp")]
    Http,
    #[cfg(feature = "otlp-grpc")]
    Grpc,
}

/// Where traces are, below what an endpoint is for all signals.
#[cfg(feature = "otlp")]
const PATH: &str = "/v1/traces";

impl Otlp {
    fn new(transport: Transport, url: String) -> Otlp {
        Otlp {
            transport,
            url,
            form: Form::Protobuf,
            headers: Vec::new(),
            gzip: false,
            timeout: Duration::from_secs(10),
            authorities: None,
        }
    }

    /// By HTTP/1.1, in protobuf, to a collector that others send to as well: `/v1/traces` is added to
    /// `endpoint`, unless it ends so.
    ///
    /// ```
    /// use mcp_vitals::traces::{Otlp, TraceConfig};
    ///
    /// let collector = Otlp::http("http://localhost:4318").header("x-tenant", "search").gzip(true);
    /// let traces = TraceConfig::to_memory().otlp(collector);
    /// ```
    #[cfg(feature = "otlp")]
    pub fn http(endpoint: &str) -> Otlp {
        let (path, query) = match endpoint.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (endpoint, String::new()),
        };
        let path = path.trim_end_matches('/');
        let more = if path.ends_with(PATH) { "" } else { PATH };
        Otlp::http_at(&format!("{path}{more}{query}"))
    }

    /// The same, to exactly this URL.
    #[cfg(feature = "otlp")]
    pub fn http_at(url: &str) -> Otlp {
        Otlp::new(Transport::Http, url.to_owned())
    }

    /// By gRPC, at `http://host:4317`, say; what is behind the port is not looked at. Feature
    /// `otlp-grpc`.
    ///
    /// A status that OTLP says may be tried again is, as for HTTP; `RESOURCE_EXHAUSTED` only where the
    /// server says when.
    #[cfg(feature = "otlp-grpc")]
    pub fn grpc(endpoint: &str) -> Otlp {
        Otlp::new(Transport::Grpc, endpoint.to_owned())
    }

    /// In JSON instead of protobuf, which is a third as large. Of HTTP alone.
    #[cfg(feature = "otlp")]
    pub fn json(mut self) -> Otlp {
        self.form = Form::Json;
        self
    }

    /// A header of each request: a key that the server wants, say. It is never shown.
    pub fn header(mut self, name: &str, value: &str) -> Otlp {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether requests of 1 KiB and more are compressed; default no.
    pub fn gzip(mut self, on: bool) -> Otlp {
        self.gzip = on;
        self
    }

    /// How long an attempt may take, from the name's lookup to the answer, 1 ms to 5 minutes; default
    /// 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Otlp {
        self.timeout = timeout;
        self
    }

    /// A file with certificates in PEM, whose authorities are trusted instead of the usual ones.
    #[cfg(feature = "tls")]
    pub fn authorities(mut self, path: impl Into<PathBuf>) -> Otlp {
        self.authorities = Some(path.into());
        self
    }

    /// What is in the file of authorities.
    #[cfg(any(feature = "otlp", feature = "tls"))]
    fn pem(&self) -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = &self.authorities else { return Ok(None) };
        let why = |error| format!("certificates at {}: {error}", path.display());
        let read = std::fs::read(path);
        read.map(Some).map_err(|error| Error::Exporter { name: NAME, why: why(error) })
    }
}

/// What its thread and its metrics are called.
const NAME: &str = "otlp";

impl Way for Otlp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn open(&self, origin: Origin<'_>) -> Result<Box<dyn Sink>, Error> {
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        check("", "otlp.timeout (milliseconds)", millis, 1..=300_000)?;
        match self.transport {
            #[cfg(feature = "otlp")]
            Transport::Http => http::open(self, origin),
            #[cfg(feature = "otlp-grpc")]
            Transport::Grpc => grpc::open(self, origin),
        }
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the URL nor a header's value: either may be a secret.
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Otlp")
            .field("transport", &self.transport)
            .field("form", &self.form)
            .field("headers", &headers)
            .field("gzip", &self.gzip)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "otlp"))]
mod fault_tests;
#[cfg(test)]
mod tests;
