//! What each path below `/console` answers.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION,
};
use hyper::{Method, Response, StatusCode, Uri};

use super::events::{self, Events, Feed, Kind};
use super::history::Wanted;
use super::lines::{Follower, LogsQuery};
use super::traces::TracesQuery;
use super::{Console, assets, guard, lines, traces};
use crate::export::Event;
use crate::traces::RecentTraces;

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
        let query = asked.uri.query().unwrap_or_default();
        match path {
            "api/state" => self.state().map_or_else(gone, data),
            "api/history" => found(Wanted::read(query), |wanted| self.history(wanted)),
            "api/logs" => {
                found(LogsQuery::read(query), |query| lines::json(self.kept.lines.clone(), &query))
            }
            "api/traces" => {
                found(TracesQuery::read(query), |query| traces::list(self.traces(), &query))
            }
            "events" => self.follow(),
            "logs/events" => match LogsQuery::read(query) {
                Ok(query) => self.follow_lines(query, asked.headers),
                Err(why) => bad(why),
            },
            _ => match path.strip_prefix("api/traces/") {
                Some(id) => traces::one(self.traces(), id)
                    .map_or_else(|| missing("no such trace is in memory\n"), data),
                None => match assets::find(path) {
                    Some(asset) => reply(Event::HttpConsole, file(asset, asked.headers)),
                    None => missing(HERE),
                },
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

    fn follow_lines(self: &Arc<Self>, query: LogsQuery, headers: &HeaderMap) -> Reply {
        let Some(recent) = self.kept.lines.clone() else { return missing("nothing is logged\n") };
        let Some(place) = self.place(Kind::Lines) else { return full("the logs") };
        // A browser that comes again says what it saw last.
        let last = headers.get("last-event-id").and_then(|last| last.to_str().ok()?.parse().ok());
        let follower = Follower::new(recent, query.filter, last.or(query.after));
        stream(Events::new(Feed::lines(follower), place))
    }

    fn traces(&self) -> Option<(RecentTraces, &str)> {
        Some((self.kept.traces.clone()?, self.kept.service.0.as_str()))
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

/// What is below, for who asks for something else.
const HERE: &str =
    "here are /console/, and below it api/state, api/history, api/logs, api/traces and events\n";

fn missing(why: &'static str) -> Reply {
    reply(Event::HttpBadRequest, text(StatusCode::NOT_FOUND, why))
}

fn data(data: Vec<u8>) -> Reply {
    reply(Event::HttpConsole, json(data))
}

/// What is found by a query that makes sense, or why this one does not.
fn found<Q>(query: Result<Q, impl Display>, find: impl FnOnce(Q) -> Vec<u8>) -> Reply {
    query.map_or_else(bad, |query| data(find(query)))
}

fn bad(why: impl Display) -> Reply {
    reply(Event::HttpBadRequest, text(StatusCode::BAD_REQUEST, format!("{why}\n")))
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
