//! Who may ask: whoever calls this machine by a name that nobody else can give away; and what every
//! answer carries.
//!
//! A page of somebody else's can have its own name lead to the loopback address, and would then be of
//! the same origin as the console; but its requests carry that name as their `Host`.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{Response, Uri};

/// What each answer carries. Scripts and styles are files of this origin, and nothing else is loaded
/// from anywhere.
const HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Adds the headers.
pub(super) fn headers<B>(response: &mut Response<B>) {
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

/// Why it is refused, where it is.
///
/// * `local`: the address that the client has called.
/// * `hosts`: further names.
pub(super) fn may_ask(
    uri: &Uri,
    headers: &HeaderMap,
    local: Option<SocketAddr>,
    hosts: &[String],
) -> Result<(), String> {
    let host = only(headers, &HOST)?.ok_or("the request names no host\n")?;
    let named = [Some(host), uri.authority().map(Authority::as_str)];
    if !named.into_iter().flatten().all(|name| is_ours(name, local, hosts)) {
        return Err(format!(
            "not by the name {host:?}: localhost, or the address that the server listens on; \
             `ConsoleConfig::host(..)` adds another\n"
        ));
    }
    let same = |origin: &str| {
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    };
    match only(headers, &ORIGIN)? {
        Some(origin) if !same(origin) => Err("not for a page of another origin\n".into()),
        _ if is_of_another_site(headers) => Err("not for a page of another site\n".into()),
        _ => Ok(()),
    }
}

/// Whether a page of another site's loads it, as an image, say, which has no origin: it could not read
/// what it gets, but would take the viewers' places. Who follows a link from there may.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let is = |name: &str, values: &[&str]| {
        headers.get(name).is_some_and(|value| values.iter().any(|known| value == known))
    };
    is("sec-fetch-site", &["cross-site", "same-site"]) && !is("sec-fetch-dest", &["document"])
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

/// Whether `host`, with a port or without, is this machine.
fn is_ours(host: &str, local: Option<SocketAddr>, hosts: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let bracketed = bare.len() != name.len();
    let ip = bare.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv6() == bracketed);
    let is_called = |ip: IpAddr| {
        let called = local.map(|local| local.ip().to_canonical());
        ip.to_canonical().is_loopback() || called == Some(ip.to_canonical())
    };
    ip.is_some_and(is_called) || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(local: &str, uri: &str, headers: &[(&'static str, &str)], hosts: &[&str]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        may_ask(&uri.parse().unwrap(), &map, local.parse().ok(), &hosts).is_ok()
    }

    const HERE: &str = "127.0.0.1:5";
    const PATH: &str = "/console/";

    #[test]
    fn this_machine_by_its_own_names() {
        for host in ["localhost", "LocalHost:9464", "127.0.0.1:9464", "127.3.2.1", "[::1]:9464"] {
            assert!(asks(HERE, PATH, &[("host", host)], &[]), "{host}");
        }
        assert!(asks("192.0.2.7:80", PATH, &[("host", "192.0.2.7:80")], &[]));
        assert!(asks("[::ffff:192.0.2.7]:80", PATH, &[("host", "192.0.2.7")], &[]));
        assert!(asks("[2001:db8::1]:80", PATH, &[("host", "[2001:db8::1]:80")], &[]));
        assert!(asks(HERE, PATH, &[("host", "Vitals.Internal:80")], &["vitals.internal"]));
        assert!(asks(HERE, "http://localhost/console/", &[("host", "localhost")], &[]));
        for origin in ["http://localhost:9464", "https://localhost:9464"] {
            let own = [("host", "localhost:9464"), ("origin", origin)];
            assert!(asks(HERE, PATH, &own, &[]), "{origin}");
        }
    }

    #[test]
    fn a_page_of_another_sites_may_link_here_and_load_nothing() {
        let by = |site: &str, dest: &str| {
            let headers =
                [("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-dest", dest)];
            asks(HERE, PATH, &headers, &[])
        };
        assert!(by("none", "document") && by("cross-site", "document"));
        assert!(by("same-origin", "empty") && by("same-origin", "script"));
        for dest in ["image", "empty", "iframe", "script", ""] {
            assert!(!by("cross-site", dest) && !by("same-site", dest), "{dest}");
        }
    }

    #[test]
    fn nobody_else() {
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "::1",
            "[127.0.0.1]",
            "localhost:80:evil",
            "0.0.0.0",
            "192.0.2.7",
            "evil@localhost",
            "[::1].evil",
        ] {
            assert!(!asks(HERE, PATH, &[("host", host)], &["vitals.internal"]), "{host}");
        }
        assert!(!asks(HERE, PATH, &[], &[]));
        assert!(!asks(HERE, PATH, &[("host", "localhost"), ("host", "evil.example")], &[]));
        assert!(!asks(HERE, "http://evil.example/console/", &[("host", "localhost")], &[]));
        for origin in ["null", "", "http://localhost:3000", "http://evil.example"] {
            let headers = [("host", "localhost"), ("origin", origin)];
            assert!(!asks(HERE, PATH, &headers, &[]), "{origin}");
        }
    }
}
