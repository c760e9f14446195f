//! `/metrics` over HTTP: an endpoint on a thread of our own, and a service for the host's server.

mod names;
mod scrapes;

#[cfg(feature = "http")]
mod answer;
#[cfg(feature = "http")]
mod connection;
#[cfg(feature = "http")]
mod endpoint;
#[cfg(feature = "http")]
mod listen;
#[cfg(feature = "http")]
mod log_level;
#[cfg(feature = "console")]
mod stream;
#[cfg(feature = "http")]
mod token;
#[cfg(feature = "tower")]
mod tower;

#[cfg(all(test, feature = "http"))]
mod tests;

#[cfg(feature = "http")]
pub use self::listen::{ListenAddr, OnPortTaken};
#[cfg(feature = "tower")]
pub use self::tower::{MetricsFuture, MetricsService};

#[cfg(feature = "http")]
pub(crate) use self::endpoint::Endpoint;
#[cfg(feature = "http")]
pub(crate) use self::listen::Listen;

#[cfg(feature = "http")]
use std::sync::Arc;

#[cfg(feature = "http")]
use crate::error::Error;
#[cfg(feature = "http")]
use crate::export::Source;

/// Whether a token can be asked for.
#[cfg(feature = "http")]
pub(crate) fn check_token(token: &str) -> Result<(), Error> {
    token::Token::new(token).map(drop)
}

/// Starts the endpoint; see [`Endpoint`].
#[cfg(feature = "http")]
pub(crate) fn start(config: &Listen, source: Arc<dyn Source>) -> Result<Endpoint, Error> {
    Endpoint::start(config, source)
}
