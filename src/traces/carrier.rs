//! What a trace's context travels in: the headers of a request, or whatever stands for them.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::marker::PhantomData;

/// What a context is read from, by [`Parent::extract`](super::Parent::extract).
///
/// Implemented for `HashMap<String, String>`, for slices of pairs, for `http::HeaderMap` (features
/// `rmcp` and `tower`), for `serde_json::Map` and the SDK's `_meta` (feature `rmcp`), and for closures
/// by [`from_fn`].
pub trait Carrier {
    /// Calls `each` with every value of `name` in order. `name` is in lower case; where names are
    /// those of HTTP, the case of the carrier's own does not matter.
    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8]));
}

/// What a context is written to: the same, and closures `|name, value|`.
pub trait CarrierMut {
    /// Sets `name`, in lower case, to `value`, in visible ASCII and spaces, and to nothing else.
    fn set(&mut self, name: &'static str, value: &str);
}

impl<S: BuildHasher> Carrier for HashMap<String, String, S> {
    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        if let Some(value) = self.get(name) {
            return each(value.as_bytes());
        }
        let same = |pair: &(&String, &String)| pair.0.eq_ignore_ascii_case(name);
        self.iter().filter(same).for_each(|(_, value)| each(value.as_bytes()));
    }
}

impl<S: BuildHasher> CarrierMut for HashMap<String, String, S> {
    fn set(&mut self, name: &'static str, value: &str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
        self.insert(name.to_owned(), value.to_owned());
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>> Carrier for [(K, V)] {
    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let same = |pair: &&(K, V)| pair.0.as_ref().eq_ignore_ascii_case(name);
        self.iter().filter(same).for_each(|(_, value)| each(value.as_ref()));
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>, const N: usize> Carrier for [(K, V); N] {
    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.as_slice().each_value(name, each);
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>> Carrier for Vec<(K, V)> {
    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.as_slice().each_value(name, each);
    }
}

/// A carrier that is asked for the value of a name, in lower case.
///
/// ```
/// use mcp_vitals::traces::{Parent, from_fn};
///
/// let header = |name: &str| (name == "traceparent")
///     .then_some("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01");
/// let parent = Parent::extract(&from_fn(header)).unwrap();
/// assert_eq!(parent.context().trace_id().unwrap().to_string(), "0af7651916cd43dd8448eb211c80319c");
/// ```
pub fn from_fn<F, V>(value: F) -> FromFn<F, V>
where
    F: Fn(&str) -> Option<V>,
    V: AsRef<[u8]>,
{
    FromFn { value, _of: PhantomData }
}

/// From [`from_fn`].
pub struct FromFn<F, V> {
    value: F,
    _of: PhantomData<fn() -> V>,
}

impl<F: Fn(&str) -> Option<V>, V: AsRef<[u8]>> Carrier for FromFn<F, V> {
    fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        if let Some(value) = (self.value)(name) {
            each(value.as_ref());
        }
    }
}

impl<F: FnMut(&'static str, &str)> CarrierMut for F {
    fn set(&mut self, name: &'static str, value: &str) {
        self(name, value);
    }
}

#[cfg(any(feature = "rmcp", feature = "tower"))]
mod headers {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Carrier, CarrierMut};

    impl Carrier for HeaderMap {
        fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
            self.get_all(name).iter().for_each(|value| each(value.as_bytes()));
        }
    }

    impl CarrierMut for HeaderMap {
        fn set(&mut self, name: &'static str, value: &str) {
            if let Ok(value) = HeaderValue::from_str(value) {
                self.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

#[cfg(feature = "rmcp")]
mod json {
    use rmcp::model::{JsonObject, MetaObject, RequestMetaObject};

    use super::{Carrier, CarrierMut};

    /// MCP's `_meta`.
    impl Carrier for MetaObject {
        fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
            self.0.each_value(name, each);
        }
    }

    impl CarrierMut for MetaObject {
        fn set(&mut self, name: &'static str, value: &str) {
            self.0.set(name, value);
        }
    }

    /// That of a request.
    impl Carrier for RequestMetaObject {
        fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
            self.0.0.each_value(name, each);
        }
    }

    impl CarrierMut for RequestMetaObject {
        fn set(&mut self, name: &'static str, value: &str) {
            self.0.0.set(name, value);
        }
    }

    /// A value that is no text is one that makes no sense.
    impl Carrier for JsonObject {
        fn each_value(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
            if let Some(value) = self.get(name) {
                each(value.as_str().unwrap_or("?").as_bytes());
            }
        }
    }

    impl CarrierMut for JsonObject {
        fn set(&mut self, name: &'static str, value: &str) {
            self.insert(name.to_owned(), value.into());
        }
    }
}
