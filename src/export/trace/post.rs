//! The one HTTP client of all exporters: posts a body and says what the answer means for the next
//! attempt. It blocks, on the exporter's own thread.
//!
//! It tries once: the sink's thread tries again, so that one clock, one queue and one deadline are all
//! that there is to a batch (see [`Again`]). It follows no redirect, so that no header that was meant
//! for one server goes to another, and asks no proxy, whatever the environment says. What it or a
//! library below it logs on this thread does not come back into the engine that it works for.

use std::io::{Read, Write};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::http::{HeaderName, HeaderValue, Uri};
use ureq::{Agent, Error as Failed};

use crate::error::Error;
use crate::export::sink::{Again, Setback};

/// Bytes of an answer that are read; of a server's own words in an error.
const MOST_ANSWER: u64 = 64 << 10;
const MOST_WORDS: usize = 200;

/// The longest that a server may have us wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A body that is smaller is sent as it is.
const WORTH_PACKING: usize = 1 << 10;

/// How long a connection is kept without use. Less than servers do, which rarely close one within five
/// seconds: a request that meets the end of its connection has to be sent again.
const IDLE: Duration = Duration::from_secs(4);

/// Where bodies go, and how.
#[derive(Clone)]
pub(crate) struct Settings {
    /// What errors call it.
    pub(crate) name: &'static str,
    /// The whole of it, `http` or `https`.
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) gzip: bool,
    /// For all of an attempt, from the name's lookup to the end of the answer.
    pub(crate) timeout: Duration,
    /// Certificates of authorities in PEM that count instead of the usual ones.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    pub(crate) authorities: Option<Vec<u8>>,
}

impl Settings {
    pub(crate) fn new(name: &'static str, url: impl Into<String>) -> Settings {
        Settings {
            name,
            url: url.into(),
            headers: Vec::new(),
            gzip: false,
            timeout: Duration::from_secs(10),
            authorities: None,
        }
    }
}

/// A client for one address.
pub(crate) struct Post {
    agent: Agent,
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    gzip: bool,
    packed: Vec<u8>,
    answer: Vec<u8>,
}

impl Post {
    /// Checks everything and connects to nothing.
    pub(crate) fn new(settings: &Settings) -> Result<Post, Error> {
        let refused = |why: String| Error::Exporter { name: settings.name, why };
        // What may be a secret is not shown.
        let url = settings.url.parse::<Uri>();
        let url = url.map_err(|error| refused(format!("the address is no URL: {error}")))?;
        match url.scheme_str() {
            _ if url.host().is_none_or(str::is_empty) => {
                return Err(refused(
                    "the address needs a scheme and a host: http://host:4318".into(),
                ));
            }
            Some("http") => {}
            Some("https") if cfg!(feature = "tls") => {}
            Some("https") => return Err(refused("https needs the feature `tls`".into())),
            _ => return Err(refused("the address must begin with http:// or https://".into())),
        }
        let headers = settings.headers.iter().map(|(name, value)| {
            let key = HeaderName::try_from(name);
            let key = key.map_err(|_| refused(format!("header {name:?} can't be a name")))?;
            let value = HeaderValue::try_from(value);
            let mut value =
                value.map_err(|_| refused(format!("header {name:?} has a value that can't be")))?;
            value.set_sensitive(true);
            Ok((key, value))
        });
        let headers = headers.collect::<Result<_, Error>>()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(settings.timeout))
            .user_agent(concat!("mcp-vitals/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(1)
            .max_idle_age(IDLE);
        #[cfg(feature = "tls")]
        let config = config.tls_config(tls(settings).map_err(refused)?);
        Ok(Post {
            agent: config.build().into(),
            url,
            headers,
            gzip: settings.gzip,
            packed: Vec::new(),
            answer: Vec::new(),
        })
    }

    /// Sends `body`, once. The answer's body where the other side took it, up to 64 KiB of it; empty
    /// where that could not be read: it was taken all the same.
    pub(crate) fn send(&mut self, content_type: &str, body: &[u8]) -> Result<&[u8], Setback> {
        let pack = self.gzip && body.len() >= WORTH_PACKING;
        if pack {
            self.pack(body)?;
        }
        let mut request = self.agent.post(&self.url).content_type(content_type);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if pack {
            request = request.header("content-encoding", "gzip");
        }
        let answer = request.send(if pack { &self.packed[..] } else { body });
        let mut answer = answer.map_err(|failed| self.failed(&failed))?;
        self.answer.clear();
        let mut reader = answer.body_mut().as_reader().take(MOST_ANSWER);
        if reader.read_to_end(&mut self.answer).is_err() {
            self.answer.clear();
        }
        let status = answer.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(&self.answer);
        }
        let again = match status {
            // Those that OTLP names, and no other.
            429 | 502 | 503 | 504 => {
                let after = answer.headers().get("retry-after");
                let after = after.and_then(|after| after.to_str().ok());
                Again::Later(after.and_then(|after| wait(after, SystemTime::now())))
            }
            413 => Again::Smaller,
            _ => Again::Never,
        };
        Err(Setback { again, why: format!("{} answered {status}{}", self.host(), self.words()) })
    }

    fn pack(&mut self, body: &[u8]) -> Result<(), Setback> {
        self.packed.clear();
        // The fast one: a tenth larger than the usual one for a third of its time.
        let mut packer = GzEncoder::new(std::mem::take(&mut self.packed), Compression::fast());
        let packed = packer.write_all(body).and_then(|()| packer.finish());
        self.packed = packed
            .map_err(|error| Setback { again: Again::Never, why: format!("gzip: {error}") })?;
        Ok(())
    }

    fn failed(&self, failed: &Failed) -> Setback {
        let again = match failed {
            // Nothing of what is sent or where changes by itself.
            Failed::Http(_) | Failed::BadUri(_) | Failed::RequireHttpsOnly(_) => Again::Never,
            _ => Again::Later(None),
        };
        Setback { again, why: format!("{}: {failed}", self.host()) }
    }

    /// Without what may be a secret.
    fn host(&self) -> String {
        let (host, port) = (self.url.host().unwrap_or_default(), self.url.port_u16());
        port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// What the server said of it, if that is text.
    fn words(&self) -> String {
        let text = String::from_utf8_lossy(&self.answer[..self.answer.len().min(MOST_WORDS)]);
        let is_text = |c: char| !c.is_control() && c != char::REPLACEMENT_CHARACTER;
        let words = text.trim();
        match words.chars().all(is_text) && !words.is_empty() {
            true => format!(": {words}"),
            false => String::new(),
        }
    }
}

/// How long `Retry-After` says to wait: seconds, or a date.
fn wait(after: &str, now: SystemTime) -> Option<Duration> {
    let after = after.trim();
    let wait = match after.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(after).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(feature = "tls")]
fn tls(settings: &Settings) -> Result<ureq::tls::TlsConfig, String> {
    use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

    let Some(pem) = &settings.authorities else { return Ok(TlsConfig::default()) };
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(format!("certificate: {error}")),
        }
    }
    if certificates.is_empty() {
        return Err("certificate: there is none in the file".into());
    }
    let roots = RootCerts::new_with_certs(&certificates);
    Ok(TlsConfig::builder().root_certs(roots).build())
}

#[cfg(test)]
mod tests;
