//! `/log-level`: tells which lines are logged, and changes it.
//!
//! The endpoint may have no token, so that this answers only who connects from this machine and names
//! it by a name of its own: a page in a browser on this machine can neither send an `Origin` that is
//! this endpoint's, nor, by a name of its own that leads here, the right `Host`.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode, Uri};

use super::answer::{self, Answer};
use crate::export::{Event, Source};

pub(crate) const PATH: &str = "/log-level";

/// Bytes of a filter's text.
const MOST_BYTES: usize = 1 << 10;

/// The answer, and what it is counted as.
pub(crate) async fn answer(
    source: &dyn Source,
    peer: Option<SocketAddr>,
    request: Request<Incoming>,
) -> (Event, Answer) {
    if let Err(why) = may_ask(peer, request.uri(), request.headers()) {
        return (Event::HttpForbidden, closing(StatusCode::FORBIDDEN, why));
    }
    let head = request.method() == Method::HEAD;
    match *request.method() {
        Method::GET | Method::HEAD => tell(source, head),
        Method::POST => match read(request.into_body()).await {
            Ok(text) => change(source, &text),
            Err((status, why)) => (Event::HttpBadRequest, closing(status, why)),
        },
        _ => {
            let methods = "GET, HEAD, POST";
            (Event::HttpBadRequest, answer::not_allowed(methods, "only GET, HEAD and POST\n"))
        }
    }
}

/// The filter in effect.
fn tell(source: &dyn Source, head: bool) -> (Event, Answer) {
    match source.log_filter() {
        Some(filter) => (Event::HttpLogLevel, answer::text(StatusCode::OK, filter + "\n", head)),
        None if source.alive() => {
            let nothing = answer::text(StatusCode::NOT_FOUND, "nothing is logged\n", head);
            (Event::HttpBadRequest, nothing)
        }
        None => (Event::HttpBadRequest, answer::health(false, head)),
    }
}

fn change(source: &dyn Source, text: &str) -> (Event, Answer) {
    let wrong = |why| (Event::HttpBadRequest, answer::text(StatusCode::BAD_REQUEST, why, false));
    if text.is_empty() {
        return wrong("the body is to be a filter, info,rmcp=warn say\n".to_owned());
    }
    match source.set_log_filter(text) {
        Ok(()) => tell(source, false),
        Err(why) => wrong(why + "\n"),
    }
}

/// The body, within its limit. Its time is that of the answer.
async fn read(mut body: Incoming) -> Result<String, (StatusCode, &'static str)> {
    let too_long = (StatusCode::PAYLOAD_TOO_LARGE, "a filter has at most 1 KiB\n");
    if body.size_hint().lower() > MOST_BYTES as u64 {
        return Err(too_long);
    }
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| (StatusCode::BAD_REQUEST, "the body is broken\n"))?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        if bytes.len() + data.len() > MOST_BYTES {
            return Err(too_long);
        }
        bytes.extend_from_slice(data);
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(_) => Err((StatusCode::BAD_REQUEST, "a filter is UTF-8\n")),
    }
}

/// An answer to a request of which nothing more is read.
fn closing(status: StatusCode, why: &'static str) -> Answer {
    let mut answer = answer::text(status, why, false);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn may_ask(peer: Option<SocketAddr>, uri: &Uri, headers: &HeaderMap) -> Result<(), &'static str> {
    if !peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
        return Err("only from this machine\n");
    }
    let host = only(headers, &HOST)?.ok_or("the request names no host\n")?;
    let named = [Some(host), uri.authority().map(Authority::as_str)];
    if !named.into_iter().flatten().all(is_local) {
        return Err("only by localhost, 127.0.0.1 or [::1]\n");
    }
    match only(headers, &ORIGIN)? {
        Some(origin) if origin.strip_prefix("http://") != Some(host) => {
            Err("not for a page of another origin\n")
        }
        _ => Ok(()),
    }
}

/// The header, of which there may not be two.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::to_str).transpose();
    match (first, values.next()) {
        (Ok(first), None) => Ok(first),
        _ => Err("a header that is there twice, or is no text\n"),
    }
}

/// Whether `host`, with a port or without, is this machine by a name that nobody can give away.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(peer: &str, uri: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        may_ask(Some(peer.parse().unwrap()), &uri.parse().unwrap(), &map).is_ok()
    }

    const HERE: &str = "127.0.0.1:5";

    #[test]
    fn this_machine_by_its_own_names_may_ask() {
        for host in ["localhost", "LocalHost:9464", "127.0.0.1:9464", "[::1]", "[::1]:9464"] {
            assert!(asks(HERE, PATH, &[("host", host)]), "{host}");
        }
        for peer in ["127.8.9.1:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
            assert!(asks(peer, PATH, &[("host", "localhost")]), "{peer}");
        }
        let own = [("host", "localhost:9464"), ("origin", "http://localhost:9464")];
        assert!(asks(HERE, PATH, &own));
        assert!(asks(HERE, "http://localhost:9464/log-level", &own));
    }

    #[test]
    fn nobody_else_may() {
        for peer in ["192.0.2.1:5", "10.0.0.1:5", "[2001:db8::1]:5", "[::ffff:192.0.2.1]:5"] {
            assert!(!asks(peer, PATH, &[("host", "localhost")]), "{peer}");
        }
        assert!(may_ask(None, &PATH.parse().unwrap(), &HeaderMap::new()).is_err());
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "::1",
            "localhost:80:evil",
            "0.0.0.0",
            "evil@localhost",
            "[::1].evil",
        ] {
            assert!(!asks(HERE, PATH, &[("host", host)]), "{host}");
        }
        assert!(!asks(HERE, PATH, &[]));
        assert!(!asks(HERE, PATH, &[("host", "localhost"), ("host", "evil.example")]));
        assert!(!asks(HERE, "http://evil.example/log-level", &[("host", "localhost")]));
        for origin in
            ["null", "", "https://localhost", "http://localhost:3000", "http://evil.example"]
        {
            let headers = [("host", "localhost"), ("origin", origin)];
            assert!(!asks(HERE, PATH, &headers), "{origin}");
        }
    }
}
