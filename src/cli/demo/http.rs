//! The server over streamable HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use mcp_vitals::{InstrumentExt, Vitals};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

use super::server::Demo;

/// Where MCP is served unless the user says otherwise, or the port is taken.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
/// How long a session may be silent. Far longer than a slow load's clients are.
const IDLE: Duration = Duration::from_secs(3600);

/// A server that listens.
pub(super) struct Http {
    addr: SocketAddr,
}

impl Http {
    /// Listens at `addr` and serves from then on, until the runtime ends.
    pub(super) async fn start(
        addr: Option<SocketAddr>,
        demo: Demo,
        vitals: &Vitals,
    ) -> Result<Http, String> {
        let listener = match addr {
            Some(addr) => TcpListener::bind(addr).await,
            None => match TcpListener::bind(DEFAULT).await {
                Ok(listener) => Ok(listener),
                Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
            },
        };
        let failed = |error| {
            let addr = addr.unwrap_or(DEFAULT);
            format!(
                "cannot serve MCP on {addr}: {error}; --mcp says where else, 0 for any free port"
            )
        };
        let listener = listener.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;

        let mut sessions = LocalSessionManager::default();
        sessions.session_config.keep_alive = Some(IDLE);
        let mut config = StreamableHttpServerConfig::default();
        if !addr.ip().is_loopback() {
            // Served to others because the user said so, under names that nobody here knows.
            config = config.disable_allowed_hosts();
        }
        let vitals = vitals.clone();
        let service = StreamableHttpService::new(
            move || Ok(demo.clone().instrumented(&vitals).answer_panics(true)),
            Arc::new(sessions),
            config,
        );
        let router = Router::new().nest_service("/mcp", service);
        // Answers are small and somebody waits for each.
        let listener = listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Http { addr })
    }

    /// Where a client on this machine finds it.
    pub(super) fn url(&self) -> String {
        let mut addr = self.addr;
        if addr.ip().is_unspecified() {
            addr.set_ip(match addr {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{addr}/mcp")
    }

    /// Whether the default port was not to be had.
    pub(super) fn is_elsewhere(&self, asked: Option<SocketAddr>) -> bool {
        asked.is_none() && self.addr != DEFAULT
    }
}
