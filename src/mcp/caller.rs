//! Who sent a request to an `rmcp` server, for what is logged and traced of it.

use std::sync::Arc;

use rmcp::model::{Extensions, RequestId};
use rmcp::service::{NotificationContext, RequestContext, RoleServer};

use super::edge::Edge;
use super::lines::Noted;
use super::method::OTHER;
use super::request::InFlight;
use super::series::Series;
use super::spans::{MOST_TEXT, Origin, Target, cut};
use crate::Span;
use crate::logs::Ready;

/// As the SDK names it.
const SESSION_ID: &str = "mcp-session-id";
/// In `_meta`, as the protocol names it.
const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Versions are dates.
const FIRST_WITHOUT_SESSIONS: &str = "2026-07-28";

/// Starts a request's record; `name` is the method that the client named.
#[inline]
pub(super) fn enter(
    edge: &Edge,
    series: Arc<Series>,
    name: &str,
    target: Target<'_>,
    context: &RequestContext<RoleServer>,
) -> InFlight {
    let noted = if edge.logs() {
        let requested = if let Target::Tool(tool) = target { tool } else { name };
        Some(noted(&series, requested, context))
    } else {
        None
    };
    let mut request = InFlight::begin(edge, series, noted, name, target, || origin(edge, context));
    if edge.traces()
        && let Some(span) = request.span_mut()
    {
        describe(span, context);
    }
    request
}

/// What the request's span is below.
fn origin(edge: &Edge, context: &RequestContext<RoleServer>) -> Origin {
    let propagation = edge.propagation();
    let meta = propagation.extract(&context.meta.0.0);
    let http = parts(&context.extensions).and_then(|http| propagation.extract(&http.headers));
    Origin::of(meta, http)
}

/// Says what the SDK knows of a request, by OpenTelemetry's conventions.
#[cold]
fn describe(span: &mut Span, context: &RequestContext<RoleServer>) {
    if !span.is_recording() {
        return;
    }
    match &context.id {
        RequestId::Number(number) => {
            span.set_attribute("jsonrpc.request.id", itoa::Buffer::new().format(*number));
        }
        RequestId::String(text) => span.set_attribute("jsonrpc.request.id", short(text)),
    }
    let told = context.meta.get(PROTOCOL_VERSION).and_then(|version| version.as_str());
    let agreed = if told.is_none() { context.peer.peer_info() } else { None };
    let agreed = agreed.as_ref().map(|info| info.protocol_version.as_str());
    let version = told.or(agreed);
    if let Some(version) = version {
        span.set_attribute("mcp.protocol.version", short(version));
    }
    let Some(http) = parts(&context.extensions) else {
        return span.set_attribute("network.transport", "pipe");
    };
    span.set_attribute("network.transport", "tcp");
    span.set_attribute("network.protocol.name", "http");
    let protocol = match http.version {
        http::Version::HTTP_10 => Some("1.0"),
        http::Version::HTTP_11 => Some("1.1"),
        http::Version::HTTP_2 => Some("2"),
        http::Version::HTTP_3 => Some("3"),
        _ => None,
    };
    if let Some(protocol) = protocol {
        span.set_attribute("network.protocol.version", protocol);
    }
    // Later versions have no sessions, whatever a client sends.
    if let Some(session) = session_id(&context.extensions)
        && version.is_none_or(|version| version < FIRST_WITHOUT_SESSIONS)
    {
        span.set_attribute("mcp.session.id", short(session));
    }
}

fn short(text: &str) -> &str {
    cut(text, MOST_TEXT)
}

#[cold]
fn noted(series: &Series, name: &str, context: &RequestContext<RoleServer>) -> Box<Noted> {
    let session = session_id(&context.extensions);
    let noted = match &context.id {
        RequestId::Number(number) => Noted::new(Some(itoa::Buffer::new().format(*number)), session),
        RequestId::String(text) => Noted::new(Some(text), session),
    };
    Box::new(if series.names().tool == OTHER { noted.requested(name) } else { noted })
}

/// Whose notification it is, where something is logged and the transport says it. A notification has
/// no line of its own: nobody waits for its end.
#[inline]
pub(super) fn of_notification(
    edge: &Edge,
    context: &NotificationContext<RoleServer>,
) -> Option<Ready> {
    if !edge.logs() {
        return None;
    }
    session_id(&context.extensions).map(|session| Ready::of_request(None, Some(session)))
}

/// The session's id over streamable HTTP; on stdio there is none.
fn session_id(extensions: &Extensions) -> Option<&str> {
    parts(extensions)?.headers.get(SESSION_ID)?.to_str().ok()
}

fn parts(extensions: &Extensions) -> Option<&http::request::Parts> {
    extensions.get()
}
