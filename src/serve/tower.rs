//! `/metrics` as a tower service, for a server that the host runs already.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, VARY};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower_service::Service;

use super::names::Names;
use super::scrapes::{FilteredScrape, Renderings, Scrape, TOO_MANY};
use crate::Format;
use crate::export::{Event, Source};

/// The metrics as a [`tower_service::Service`]: GET and HEAD answer the metrics whatever the path,
/// in the [`Format`] that `Accept` asks for, of all families or of those that the query's
/// `name[]` asks for; other methods 405. Cheap to clone; clones share renderings.
///
/// ```
/// # let vitals = mcp_vitals::Vitals::builder().build()?;
/// let app: axum::Router = axum::Router::new().route_service("/metrics", vitals.metrics_service()?);
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
///
/// Always ready and never fails; answers 503 once the engine is gone. A scrape is rendered on the
/// thread that polls it (about 3 ms for 100,000 counters), which also waits there for callbacks and
/// collectors, up to `collect_deadline`; scrapes that come together share one rendering, those by `name[]`
/// take turns, 48 at most, another is answered 503. Compression, time-outs and limits are the host's.
#[derive(Clone)]
pub struct MetricsService {
    scrapes: Arc<Renderings>,
}

impl MetricsService {
    pub(crate) fn new(source: Arc<dyn Source>) -> Self {
        MetricsService { scrapes: Arc::new(Renderings::new(source, None)) }
    }
}

impl std::fmt::Debug for MetricsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsService").finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for MetricsService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = MetricsFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> MetricsFuture {
        let lines = request.headers().get_all(ACCEPT).iter();
        let format = Format::negotiate_among(
            self.scrapes.source().formats(),
            lines.filter_map(|value| value.to_str().ok()),
        );
        let head = request.method() == Method::HEAD;
        let answer = if !head && request.method() != Method::GET {
            Pending::WrongMethod
        } else {
            match Names::read(request.uri().query()) {
                Ok(None) => Pending::Scrape { scrape: self.scrapes.of(format).scrape(false), head },
                Ok(Some(names)) => match self.scrapes.filtered().scrape(format, names, false) {
                    Some(scrape) => Pending::Filtered { scrape, head },
                    None => Pending::TooMany,
                },
                Err(why) => Pending::BadNames(why),
            }
        };
        MetricsFuture { answer, scrapes: self.scrapes.clone() }
    }
}

/// The answer of a [`MetricsService`]; dropping it early is harmless.
pub struct MetricsFuture {
    answer: Pending,
    scrapes: Arc<Renderings>,
}

enum Pending {
    Scrape { scrape: Scrape, head: bool },
    Filtered { scrape: FilteredScrape, head: bool },
    TooMany,
    BadNames(&'static str),
    WrongMethod,
}

impl std::fmt::Debug for MetricsFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsFuture").finish_non_exhaustive()
    }
}

impl Future for MetricsFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let source = this.scrapes.source();
        let (polled, head) = match &mut this.answer {
            Pending::Scrape { scrape, head } => (Pin::new(scrape).poll(context), *head),
            Pending::Filtered { scrape, head } => (Pin::new(scrape).poll(context), *head),
            Pending::TooMany => {
                source.count(Event::TowerRefused);
                return Poll::Ready(Ok(plain(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY)));
            }
            Pending::BadNames(why) => {
                source.count(Event::TowerBadRequest);
                return Poll::Ready(Ok(plain(StatusCode::BAD_REQUEST, why)));
            }
            Pending::WrongMethod => {
                source.count(Event::TowerBadRequest);
                let text = "only GET and HEAD\n";
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                return Poll::Ready(Ok(response));
            }
        };
        let Some(scraped) = ready!(polled) else {
            let gone = plain(StatusCode::SERVICE_UNAVAILABLE, "the engine is gone\n");
            return Poll::Ready(Ok(gone));
        };
        source.count(Event::TowerScrape);
        if scraped.shared {
            source.count(Event::TowerShared);
        }
        let (text, content) = (scraped.rendered.text, scraped.rendered.format.content_type());
        let length = HeaderValue::from(text.len());
        let mut response = Response::new(Full::new(if head { Bytes::new() } else { text }));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
        headers.insert(VARY, HeaderValue::from_static("accept"));
        headers.insert(CONTENT_LENGTH, length);
        Poll::Ready(Ok(response))
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
