//! Spans sent to Zipkin.

use std::fmt;
use std::time::Duration;

use super::parcel::{Carrier, MOST_BYTES, Parcels};
use super::post::{Post, Settings};
use crate::batch::SpanRecord;
use crate::encode::form::Service;
use crate::encode::zipkin;
use crate::error::{Error, check};
use crate::export::sink::{Setback, Sink};
use crate::traces::ResourceValue;
use crate::traces::config::{Origin, Way};

/// What its thread and its metrics are called.
const NAME: &str = "zipkin";

/// Where Zipkin takes spans.
const PATH: &str = "/api/v2/spans";

/// A Zipkin server, or another that takes its v2 JSON, to which spans are sent. Feature `zipkin`; `tls`
/// for `https`.
///
/// It waits, tries again and gives up as [`Otlp`](super::Otlp) does, and nobody waits for it. The forms
/// differ in what is lost: Zipkin has microseconds instead of nanoseconds, texts instead of values, and
/// no links. OpenTelemetry gives up its own Zipkin exporters; what takes OTLP as well is better sent
/// that.
#[derive(Clone)]
#[must_use]
pub struct Zipkin {
    url: String,
    headers: Vec<(String, String)>,
    gzip: bool,
    timeout: Duration,
}

impl Zipkin {
    /// To the server at this URL: `/api/v2/spans` is added, unless it ends so.
    ///
    /// ```
    /// use mcp_vitals::traces::{TraceConfig, Zipkin};
    ///
    /// let traces = TraceConfig::to_memory().zipkin(Zipkin::to("http://localhost:9411").gzip(true));
    /// ```
    pub fn to(url: &str) -> Zipkin {
        let (path, query) = match url.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (url, String::new()),
        };
        let path = path.trim_end_matches('/');
        let more = if path.ends_with(PATH) { "" } else { PATH };
        let url = format!("{path}{more}{query}");
        Zipkin { url, headers: Vec::new(), gzip: false, timeout: Duration::from_secs(10) }
    }

    /// A header of each request: a key that the server wants, say. It is never shown.
    pub fn header(mut self, name: &str, value: &str) -> Zipkin {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether requests of 1 KiB and more are compressed; default no.
    pub fn gzip(mut self, on: bool) -> Zipkin {
        self.gzip = on;
        self
    }

    /// How long an attempt may take, from the name's lookup to the answer, 1 ms to 5 minutes; default
    /// 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Zipkin {
        self.timeout = timeout;
        self
    }
}

impl fmt::Debug for Zipkin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the URL nor a header's value: either may be a secret.
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Zipkin")
            .field("headers", &headers)
            .field("gzip", &self.gzip)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Way for Zipkin {
    fn name(&self) -> &'static str {
        NAME
    }

    fn open(&self, origin: Origin<'_>) -> Result<Box<dyn Sink>, Error> {
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        check("", "zipkin.timeout (milliseconds)", millis, 1..=300_000)?;
        let settings = Settings {
            headers: self.headers.clone(),
            gzip: self.gzip,
            timeout: self.timeout,
            ..Settings::new(NAME, &*self.url)
        };
        let attributes = origin.resource.attributes().iter().map(|(key, value)| {
            let text = match value {
                ResourceValue::Text(text) => text.clone(),
                ResourceValue::Int(number) => number.to_string(),
                ResourceValue::Bool(truth) => truth.to_string(),
            };
            (key.clone(), text)
        });
        let carrier = Spans {
            service: origin.resource.service_name().to_owned(),
            attributes: attributes.collect(),
            post: Post::new(&settings)?,
            body: Vec::new(),
            scratch: Vec::new(),
        };
        Ok(Box::new(Parcels::new(carrier, origin.engine)))
    }
}

struct Spans {
    service: String,
    attributes: Vec<(String, String)>,
    post: Post,
    body: Vec<u8>,
    scratch: Vec<u8>,
}

impl Carrier for Spans {
    fn pack(&mut self, spans: &mut dyn Iterator<Item = SpanRecord<'_>>, most: usize) -> usize {
        let attributes: Vec<(&str, &str)> =
            self.attributes.iter().map(|(key, text)| (&**key, &**text)).collect();
        let service = Service { name: &self.service, version: "", attributes: &attributes };
        let body = &mut self.body;
        body.clear();
        let mut count = 0;
        while count < most && body.len() < MOST_BYTES {
            let Some(span) = spans.next() else { break };
            body.push(if count == 0 { b'[' } else { b',' });
            zipkin::span(&service, &span, &mut self.scratch, body);
            count += 1;
        }
        body.push(b']');
        count
    }

    fn send(&mut self) -> Result<u32, Setback> {
        // It takes them (202) or does not; it never says of some that it would not have them.
        self.post.send("application/json", &self.body).map(|_| 0)
    }
}
