//! What each path below `/console` answers.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION,
};
use hyper::{Method, Response, StatusCode, Uri};

use super::events::{self, Events, Feed, Kind};
use super::history::Wanted;
use super::{Console, assets, guard};
use crate::export::Event;

/// Where the console is.
const ROOT: &str = "/console";

/// A request, as far as it matters here.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// The address that the client has called.
    pub(crate) local: Option<SocketAddr>,
}

/// The answer, and what it is counted as.
pub(crate) struct Reply {
    pub(crate) event: Event,
    pub(crate) response: Response<Content>,
}

/// What is sent.
pub(crate) enum Content {
    Whole(Bytes),
    Events(Events),
}

/// Whether the console answers for `path`.
pub(crate) fn is_below(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Console {
    /// Answers a request whose path is [below](is_below) the console's.
    pub(crate) fn answer(self: &Arc<Self>, asked: &Asked<'_>) -> Reply {
        let refused = guard::may_ask(asked.uri, asked.headers, asked.local, &self.config.hosts);
        let mut reply = match refused {
            Err(why) => reply(Event::HttpForbidden, text(StatusCode::FORBIDDEN, why)),
            Ok(()) if asked.method != Method::GET => {
                let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
                reply(Event::HttpBadRequest, response)
            }
            Ok(()) => self.route(asked),
        };
        guard::headers(&mut reply.response);
        reply
    }

    fn route(self: &Arc<Self>, asked: &Asked<'_>) -> Reply {
        let path = asked.uri.path().strip_prefix(ROOT).unwrap_or_default();
        let Some(path) = path.strip_prefix('/') else {
            let mut response = text(StatusCode::PERMANENT_REDIRECT, "console/\n");
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("console/"));
            return reply(Event::HttpConsole, response);
        };
        match path {
            "api/state" => match self.state() {
                Some(state) => reply(Event::HttpConsole, json(state)),
                None => gone(),
            },
            "api/history" => match Wanted::read(asked.uri.query().unwrap_or_default()) {
                Ok(wanted) => reply(Event::HttpConsole, json(self.history(wanted))),
                Err(why) => bad(why),
            },
            "events" => self.follow(),
            _ => match assets::find(path) {
                Some(asset) => reply(Event::HttpConsole, file(asset, asked.headers)),
                None => unknown(),
            },
        }
    }

    fn follow(self: &Arc<Self>) -> Reply {
        let Some(place) = self.place(Kind::States) else { return full("the console") };
        // Before the state is read: what is posted meanwhile is sent after it.
        let seen = self.board.number();
        let Some(state) = self.state() else { return gone() };
        let first = Some(events::first("state", &state));
        stream(Events::new(Feed::States { seen, first }, place))
    }
}

fn reply(event: Event, response: Response<Content>) -> Reply {
    Reply { event, response }
}

fn with(status: StatusCode, content_type: &'static str, content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Content> {
    let mut response = with(status, "text/plain; charset=utf-8", Content::Whole(text.into()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Data of the moment.
fn json(data: Vec<u8>) -> Response<Content> {
    let mut response = with(StatusCode::OK, "application/json", Content::Whole(data.into()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn stream(events: Events) -> Reply {
    let mut response = with(StatusCode::OK, "text/event-stream", Content::Events(events));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply(Event::HttpViewer, response)
}

/// A file of the page, unless the browser has it.
fn file(asset: &assets::Asset, headers: &HeaderMap) -> Response<Content> {
    let tag = asset.etag();
    let known = |value: &HeaderValue| {
        let tags = value.to_str().unwrap_or_default().split(',');
        tags.map(str::trim).any(|known| known.strip_prefix("W/").unwrap_or(known) == tag)
    };
    let mut response = if headers.get_all(IF_NONE_MATCH).iter().any(known) {
        let nothing = Content::Whole(Bytes::new());
        with(StatusCode::NOT_MODIFIED, asset.content_type, nothing)
    } else {
        with(StatusCode::OK, asset.content_type, Content::Whole(asset.body()))
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, HeaderValue::from_static(tag));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn unknown() -> Reply {
    let here =
        "here are /console/, api/state, api/history, api/logs, api/traces and events below\n";
    reply(Event::HttpBadRequest, text(StatusCode::NOT_FOUND, here))
}

fn bad(why: impl Into<Bytes>) -> Reply {
    reply(Event::HttpBadRequest, text(StatusCode::BAD_REQUEST, why))
}

fn gone() -> Reply {
    let gone = text(StatusCode::SERVICE_UNAVAILABLE, "the engine is gone\n");
    reply(Event::HttpBadRequest, gone)
}

fn full(what: &str) -> Reply {
    let why = format!(
        "{} viewers follow {what} already: close one of them, and try again\n",
        super::MOST_VIEWERS
    );
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert("retry-after", HeaderValue::from_static("5"));
    reply(Event::HttpViewersFull, response)
}
