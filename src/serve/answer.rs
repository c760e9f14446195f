//! What each request is answered.

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap,
    HeaderValue, VARY,
};
use hyper::{Method, Response, StatusCode, Uri};

use super::names::Names;
use super::scrapes::{Rendered, TOO_MANY};
use crate::Format;

/// Texts from here to there are compressed. Less is one packet either way; more would keep the
/// endpoint's thread busy for half a second and longer, while a health check waits.
const COMPRESSED_BYTES: std::ops::RangeInclusive<usize> = 1 << 10..=256 << 20;

/// Whether the engine is there, which anybody may ask.
pub(crate) const HEALTH: &str = "/healthz";

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Metrics {
        format: Format,
        /// Not all of them.
        only: Option<Names>,
        compressed: bool,
    },
    /// Metrics by names past a limit; why, for people.
    Names(&'static str),
    Health,
    /// Another path.
    Unknown,
    /// A method that is neither GET nor HEAD.
    Method,
}

pub(crate) fn asked(method: &Method, uri: &Uri, headers: &HeaderMap, formats: &[Format]) -> Asked {
    match uri.path() {
        "/metrics" | HEALTH if method != Method::GET && method != Method::HEAD => Asked::Method,
        "/metrics" => match Names::read(uri.query()) {
            Ok(only) => {
                let lines = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
                let format = Format::negotiate_among(formats, lines);
                let compressed = takes_gzip(headers);
                Asked::Metrics { format, only, compressed }
            }
            Err(why) => Asked::Names(why),
        },
        HEALTH => Asked::Health,
        _ => Asked::Unknown,
    }
}

/// Whether the client takes gzip: named, or by `*`, and not with a weight of 0.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for coding in lines.flat_map(|line| line.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts
            .filter_map(|part| part.split_once('='))
            .any(|(key, weight)| key.trim().eq_ignore_ascii_case("q") && is_zero(weight.trim()));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return !refused;
        }
        any |= name == "*" && !refused;
    }
    any
}

/// A weight that is 0, or that nobody can read.
fn is_zero(weight: &str) -> bool {
    !weight.parse::<f32>().is_ok_and(|weight| weight > 0.0)
}

/// See [`super::scrapes::Compress`]. The fastest level: 29 MB of counters take 43 ms and become
/// 2.5 MB, where the usual level takes 228 ms for 2.2 MB.
pub(crate) fn gzip(text: &[u8], spare: Vec<u8>) -> Option<Vec<u8>> {
    if !COMPRESSED_BYTES.contains(&text.len()) {
        return None;
    }
    let mut encoder = GzEncoder::new(spare, Compression::fast());
    // Writing to memory does not fail; were it to, the text is sent as it is.
    encoder.write_all(text).ok()?;
    encoder.finish().ok()
}

/// The metrics, or 503 when the engine is gone. `head` leaves the text out, and tells its length.
pub(crate) fn metrics(rendered: Option<&Rendered>, compressed: bool, head: bool) -> Answer {
    let Some(rendered) = rendered else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the engine is gone\n", head);
    };
    let (body, coded) = match &rendered.compressed {
        Some(small) if compressed => (small.clone(), true),
        _ => (rendered.text.clone(), false),
    };
    let mut answer = whole(StatusCode::OK, body, head);
    let headers = answer.headers_mut();
    let content = rendered.format.content_type();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    if coded {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// 503 where too many wait for some of the metrics.
pub(crate) fn too_many(head: bool) -> Answer {
    text(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY, head)
}

/// 200 while the engine is there, 503 when it is gone.
pub(crate) fn health(alive: bool, head: bool) -> Answer {
    match alive {
        true => text(StatusCode::OK, "ok\n", head),
        false => text(StatusCode::SERVICE_UNAVAILABLE, "the engine is gone\n", head),
    }
}

pub(crate) fn unknown(head: bool) -> Answer {
    text(StatusCode::NOT_FOUND, "here are /metrics and /healthz\n", head)
}

pub(crate) fn wrong_method() -> Answer {
    not_allowed("GET, HEAD", "only GET and HEAD\n")
}

/// 405 with the methods that are allowed.
pub(crate) fn not_allowed(methods: &'static str, why: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, why, false);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

/// What a connection beyond the limit gets, as bytes: it is not worth a task.
pub(crate) const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

pub(crate) type Answer = Response<Sent>;

/// A short text for people.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>, head: bool) -> Answer {
    let mut answer = whole(status, text.into(), head);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

fn whole(status: StatusCode, body: Bytes, head: bool) -> Answer {
    let length = HeaderValue::from(body.len());
    let mut answer = Response::new(Sent::Whole((!head).then_some(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    answer
}

/// A body.
pub(crate) enum Sent {
    /// In one piece; none for HEAD.
    Whole(Option<Bytes>),
    /// Without an end.
    #[cfg(feature = "console")]
    Events(super::stream::Stream),
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    #[cfg_attr(not(feature = "console"), allow(unused_variables))]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut *self {
            Sent::Whole(bytes) => Poll::Ready(bytes.take()),
            #[cfg(feature = "console")]
            Sent::Events(stream) => stream.poll(context),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Sent::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Sent::Whole(body) => {
                SizeHint::with_exact(body.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            #[cfg(feature = "console")]
            Sent::Events(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip_by(value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
        takes_gzip(&headers)
    }

    #[test]
    fn gzip_only_for_who_takes_it() {
        for yes in ["gzip", "deflate, GZIP;q=0.5", "*", "x-gzip", "gzip ; Q = 1", "br,gzip,zstd"] {
            assert!(gzip_by(yes), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "gzip;q=0.000", "*;q=0", "gzip;q=0, *", "gzip;q=x"] {
            assert!(!gzip_by(no), "{no}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn short_texts_are_not_compressed() {
        assert!(gzip(b"a 1\n", Vec::new()).is_none());
        assert!(gzip(&[b'a'; 5000], Vec::new()).is_some_and(|small| small.len() < 200));
    }

    #[test]
    fn what_is_asked() {
        let none = HeaderMap::new();
        let asked = |method: Method, uri: &str| {
            super::asked(&method, &uri.parse().unwrap(), &none, Format::ALL)
        };
        let metrics = Asked::Metrics { format: Format::Text, only: None, compressed: false };
        assert_eq!(asked(Method::GET, "/metrics"), metrics);
        assert_eq!(asked(Method::HEAD, "/metrics?name=a"), metrics);
        assert_eq!(asked(Method::POST, "/metrics"), Asked::Method);
        assert_eq!(asked(Method::DELETE, "/healthz"), Asked::Method);
        for path in ["/", "/metrics/", "/metricsx", "//metrics", "*", "/?name[]=a"] {
            assert_eq!(asked(Method::GET, path), Asked::Unknown, "{path}");
        }
        let only = Names::read(Some("name[]=a")).unwrap();
        let some = Asked::Metrics { format: Format::Text, only, compressed: false };
        assert_eq!(asked(Method::GET, "http://here/metrics?name%5B%5D=a&x=y"), some);
        let long = format!("/metrics?name[]={}", "a".repeat(300));
        assert!(matches!(asked(Method::HEAD, &long), Asked::Names(_)));
        assert_eq!(asked(Method::POST, &long), Asked::Method);
    }
}
