//! Settings of OTLP.

use super::*;

#[cfg(feature = "otlp")]
#[test]
fn the_path_of_traces_is_added_to_what_is_for_all_signals() {
    for (endpoint, url) in [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
        ("https://host/otlp/", "https://host/otlp/v1/traces"),
        ("https://host/otlp/v1/traces", "https://host/otlp/v1/traces"),
        ("https://host/otlp?key=a/b", "https://host/otlp/v1/traces?key=a/b"),
    ] {
        assert_eq!(Otlp::http(endpoint).url, url);
    }
    assert_eq!(Otlp::http_at("http://host/").url, "http://host/");
}

#[cfg(feature = "otlp")]
#[test]
fn what_may_be_a_secret_is_not_shown() {
    let otlp = Otlp::http("http://user:secret@host/secret").header("authorization", "secret");
    let shown = format!("{otlp:?}");
    assert!(!shown.contains("secret") && shown.contains("authorization"), "{shown}");
}
