//! Headers as nobody writes them, read and written again. The tests and the fuzz targets share it.

#![allow(dead_code)] // each uses its own part

use mcp_vitals::traces::Parent;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

/// What a fuzz target of this name does with bytes.
pub fn of_target(name: &str) -> fn(&[u8]) {
    match name {
        "traceparent" => traceparent,
        "tracestate" => tracestate,
        _ => baggage,
    }
}

fn written(parent: &Parent) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    parent.inject(&mut |name: &'static str, value: &str| headers.push((name, value.to_owned())));
    headers
}

/// The same when it is read again, and nothing in it that cannot go into a header.
fn goes_on(parent: &Parent) -> Vec<(&'static str, String)> {
    let headers = written(parent);
    for (name, value) in &headers {
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')), "{name}: {value:?}");
    }
    match Parent::extract(&headers) {
        Some(again) => assert_eq!(written(&again), headers),
        None => assert!(headers.is_empty()),
    }
    headers
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Any bytes as a `traceparent`.
pub fn traceparent(bytes: &[u8]) {
    let parent = Parent::extract(&[("traceparent", bytes)]);
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches([' ', '\t']);
    // The oracle cuts at dashes.
    let parts: Vec<&str> = text.split('-').collect();
    let good = match &parts[..] {
        [version, trace, span, flags, rest @ ..] => {
            [version, trace, span, flags].iter().all(|part| is_hex(part))
                && [version, trace, span, flags].map(|part| part.len()) == [2, 32, 16, 2]
                && trace.contains(|digit| digit != '0')
                && span.contains(|digit| digit != '0')
                && *version != "ff"
                && (*version != "00" || rest.is_empty())
        }
        _ => false,
    };
    assert_eq!(parent.is_some(), good, "{text:?}");
    if let Some(parent) = parent {
        let [(_, value)] = &goes_on(&parent)[..] else { panic!("more than came") };
        assert_eq!(value[3..52], text[3..52]);
    }
}

/// Any bytes as the values of `tracestate` headers, with 0xff between them.
pub fn tracestate(bytes: &[u8]) {
    let mut headers = vec![("traceparent", PARENT.as_bytes())];
    headers.extend(bytes.split(|byte| *byte == 0xff).map(|value| ("tracestate", value)));
    let parent = Parent::extract(&headers).expect("a good traceparent stays");
    assert!(parent.tracestate().len() <= 512);
    let mut keys: Vec<&str> = parent
        .tracestate()
        .split(',')
        .filter_map(|member| Some(member.split_once('=')?.0))
        .collect();
    let members = keys.len();
    assert!(members <= 32);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), members, "a key twice");
    goes_on(&parent);
}

/// The same as those of `baggage`.
pub fn baggage(bytes: &[u8]) {
    let mut headers = vec![("traceparent", PARENT.as_bytes())];
    headers.extend(bytes.split(|byte| *byte == 0xff).map(|value| ("baggage", value)));
    let parent = Parent::extract(&headers).expect("a good traceparent stays");
    let baggage = parent.baggage();
    assert!(baggage.as_str().len() <= 8192 && baggage.entries().count() <= 64);
    for entry in baggage.entries() {
        assert!(baggage.get(entry.key()).is_some());
        assert!(!entry.value().contains('\u{0}') || entry.value().len() < 8192);
        entry.properties().for_each(drop);
    }
    goes_on(&parent);
    // What is set is there, or there was no room, or that is no key.
    let (key, value) = bytes.split_at(bytes.len().min(3));
    let (key, value) = (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
    let before = baggage.as_str().to_owned();
    let with = parent.clone().with_baggage(&key, &value);
    match with.baggage().as_str() == before {
        true => {}
        false => assert_eq!(with.baggage().get(&key).as_deref(), Some(&*value)),
    }
    goes_on(&with);
}

/// All three.
pub fn bytes_are_read_once_and_for_all(bytes: &[u8]) {
    traceparent(bytes);
    tracestate(bytes);
    baggage(bytes);
}
