//! Who sent a request to an `rmcp` server, for what is logged of it.

use std::sync::Arc;

use rmcp::model::{Extensions, RequestId};
use rmcp::service::{NotificationContext, RequestContext, RoleServer};

use super::edge::Edge;
use super::lines::Noted;
use super::method::OTHER;
use super::request::InFlight;
use super::series::Series;
use crate::logs::Ready;

/// As the SDK names it.
const SESSION_ID: &str = "mcp-session-id";

/// Starts a request's record; `name` is the tool or the method that the client named.
#[inline]
pub(super) fn enter(
    edge: &Edge,
    series: Arc<Series>,
    name: &str,
    context: &RequestContext<RoleServer>,
) -> InFlight {
    let noted = if edge.logs() { Some(noted(&series, name, context)) } else { None };
    InFlight::enter(series, noted)
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
    extensions.get::<http::request::Parts>()?.headers.get(SESSION_ID)?.to_str().ok()
}
