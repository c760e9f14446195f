//! The span of a request, by OpenTelemetry's conventions for MCP.
//!
//! Its name is made of what the server itself has: a method of MCP, a tool that is known, a prompt
//! that was answered. What a client made up is in attributes alone, cut.

use super::method::Method;
use super::series::Series;
use crate::SpanContext;
use crate::catalog::Outcome;
use crate::traces::{Parent, Span, SpanKind, SpanStatus, Tracer};

/// Name of the tracer.
pub(super) const TRACER: &str = "mcp";

/// Bytes that are kept of what a client chose: names, ids.
pub(super) const MOST_TEXT: usize = 256;
/// Of a resource's URI.
#[cfg(feature = "rmcp")]
pub(super) const MOST_URI: usize = 1024;

/// What a request is about, beside its method.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    None,
    Tool(&'a str),
    Prompt(&'a str),
    #[cfg(feature = "rmcp")]
    Resource(&'a str),
}

/// Where a request's span comes from.
#[derive(Default)]
pub(crate) struct Origin {
    pub(crate) parent: Option<Parent>,
    pub(crate) link: Option<SpanContext>,
}

impl Origin {
    /// `_meta` has the parent, and HTTP's context is a link; without the one the other is the parent.
    #[cfg(feature = "rmcp")]
    pub(super) fn of(meta: Option<Parent>, http: Option<Parent>) -> Origin {
        match (meta, http) {
            (Some(meta), Some(http)) if !meta.context().is_present() => {
                // Baggage alone.
                Origin { parent: Some(http.with_all_baggage_of(&meta)), link: None }
            }
            (Some(meta), Some(http)) => {
                let link = http.context();
                let other = link.is_present() && link.span_id() != meta.context().span_id();
                Origin { parent: Some(meta), link: other.then_some(link) }
            }
            (meta, http) => Origin { parent: meta.or(http), link: None },
        }
    }
}

/// Begins the span of a request at `ticks`: below `from`'s parent, or below what is current, or a
/// trace. `named` is the method as the client sent it.
#[cold]
pub(super) fn begin(
    tracer: &Tracer,
    series: &Series,
    named: &str,
    target: Target<'_>,
    from: Origin,
    ticks: u64,
) -> Span {
    let parent = from.parent.or_else(Parent::current);
    let mut span = tracer.begin_at(series.span_name(), parent, SpanKind::Server, ticks);
    if !span.is_recording() {
        return span;
    }
    let method = series.method();
    let named = if method == Method::Other { cut(named, MOST_TEXT) } else { method.name() };
    span.set_attribute("mcp.method.name", named);
    match target {
        Target::Tool(name) => {
            span.set_attribute("gen_ai.tool.name", cut(name, MOST_TEXT));
            span.set_attribute("gen_ai.operation.name", "execute_tool");
        }
        Target::Prompt(name) => {
            let name = cut(name, MOST_TEXT);
            span.set_attribute("gen_ai.prompt.name", name);
            // Until it turns out that there is no such prompt: see `end`.
            span.set_name_of(&[method.name(), " ", name]);
        }
        #[cfg(feature = "rmcp")]
        Target::Resource(uri) => set_uri(&mut span, uri),
        Target::None => {}
    }
    if let Some(link) = from.link {
        span.add_link(link);
    }
    span
}

/// Which resource, without what may be secret: what stands before an `@` in the authority, the query and
/// the fragment.
#[cfg(feature = "rmcp")]
pub(super) fn set_uri(span: &mut Span, uri: &str) {
    match named_alone(uri) {
        // As nearly always: nothing to put together.
        [whole, ""] => span.set_attribute("mcp.resource.uri", cut(whole, MOST_URI)),
        parts if span.is_recording() => {
            span.set_attribute("mcp.resource.uri", cut(&parts.concat(), MOST_URI));
        }
        _ => {}
    }
}

/// Scheme, and authority and path.
#[cfg(feature = "rmcp")]
fn named_alone(uri: &str) -> [&str; 2] {
    let uri = uri.split(['?', '#']).next().unwrap_or_default();
    let Some(after) = uri.find("://").map(|at| at + 3) else { return [uri, ""] };
    let (scheme, rest) = uri.split_at(after);
    let authority = rest.find('/').unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => [scheme, &rest[at + 1..]],
        None => [uri, ""],
    }
}

/// Ends it at `ticks`. What a client did wrong, or took back, is no error of the server; `message` is
/// what a JSON-RPC error said.
#[cold]
pub(super) fn end(mut span: Span, series: &Series, outcome: Outcome, message: &str, ticks: u64) {
    if !span.is_recording() {
        return;
    }
    if series.method() == Method::PromptsGet
        && !matches!(outcome, Outcome::Ok | Outcome::InputRequired)
    {
        span.set_name(series.span_name());
    }
    let failed = |span: &mut Span, kind: &str, message: &str| {
        span.set_attribute("error.type", kind);
        span.set_status(SpanStatus::Error, cut(message, MOST_TEXT));
    };
    match outcome {
        Outcome::Ok => {}
        Outcome::ToolError | Outcome::Panic | Outcome::Dropped => {
            failed(&mut span, outcome.as_str(), outcome.as_str());
        }
        Outcome::JsonRpc(code) => {
            let mut digits = itoa::Buffer::new();
            let code = digits.format(code);
            span.set_attribute("rpc.response.status_code", code);
            if !outcome.rule().error_type.is_some_and(|kind| kind.starts_with("client_")) {
                failed(&mut span, code, message);
            }
        }
        Outcome::InputRequired | Outcome::Task | Outcome::Cancelled => {
            span.set_attribute("mcp_vitals.outcome", outcome.as_str());
        }
    }
    span.end_at(ticks);
}

/// At most so many bytes, whole characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    match text.len() <= most {
        true => text,
        false => {
            let end = (0..=most).rev().find(|&end| text.is_char_boundary(end));
            text.get(..end.unwrap_or(0)).unwrap_or("")
        }
    }
}

#[cfg(all(test, feature = "rmcp"))]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_in_an_address_is_left_out() {
        for (uri, named) in [
            ("file:///a/b", "file:///a/b"),
            ("https://host/a@b/c", "https://host/a@b/c"),
            ("https://u:p@host:8080/a?token=x#y", "https://host:8080/a"),
            ("https://u@p:x@host", "https://host"),
            ("note:today?key=x", "note:today"),
            ("?", ""),
            ("", ""),
            ("://@", "://"),
        ] {
            assert_eq!(named_alone(uri).concat(), named, "{uri}");
        }
    }
}
