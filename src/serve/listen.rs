//! Where the endpoint listens, and within what limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;
use std::{fmt, io};

/// An address to listen on: a port alone is on the loopback interface.
///
/// Made from a port (`9090`), a [`SocketAddr`], `(IpAddr, port)`, or text: `"9090"`, `":9090"`,
/// `"127.0.0.1:9090"`, `"[::1]:9090"`, `"localhost:9090"`. Port 0 lets the system choose. Text is
/// understood when the engine is built, and what is wrong with it is that build's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr(Written);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    Addr(SocketAddr),
    Text(String),
}

impl ListenAddr {
    /// The address; a name is looked up, and its first address taken.
    pub(crate) fn resolve(&self) -> io::Result<SocketAddr> {
        let text = match &self.0 {
            Written::Addr(addr) => return Ok(*addr),
            Written::Text(text) => text.trim(),
        };
        if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
            return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
        let none = || io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
        text.to_socket_addrs()?.next().ok_or_else(none)
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Written::Addr(addr) => addr.fmt(f),
            Written::Text(text) => text.fmt(f),
        }
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(addr: SocketAddr) -> Self {
        ListenAddr(Written::Addr(addr))
    }
}

impl From<(IpAddr, u16)> for ListenAddr {
    fn from(addr: (IpAddr, u16)) -> Self {
        SocketAddr::from(addr).into()
    }
}

impl From<u16> for ListenAddr {
    fn from(port: u16) -> Self {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()
    }
}

impl From<&str> for ListenAddr {
    fn from(text: &str) -> Self {
        ListenAddr(Written::Text(text.to_string()))
    }
}

impl From<String> for ListenAddr {
    fn from(text: String) -> Self {
        ListenAddr(Written::Text(text))
    }
}

/// What to do when the port is in use, by another copy of the same server, say.
///
/// Only a port in use is meant: an address that this machine does not have, or a port that needs
/// rights, is an error of the set-up under every policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnPortTaken {
    /// The engine is not built: `Error::Listen`.
    #[default]
    Fail,
    /// A free port that the system chooses, on the same interface; `Vitals::metrics_addr` tells it.
    Ephemeral,
    /// No endpoint; everything else works.
    Skip,
}

/// Where to listen and how.
#[derive(Clone)]
pub(crate) struct Listen {
    pub(crate) addr: ListenAddr,
    pub(crate) on_port_taken: OnPortTaken,
    /// Whether the filter of the logs can be read and changed.
    pub(crate) log_level: bool,
    #[cfg(feature = "console")]
    pub(crate) console: Option<std::sync::Arc<crate::console::Console>>,
    /// What a client must bring, but for `/healthz` and the console.
    pub(crate) token: Option<String>,
    pub(crate) limits: Limits,
}

impl Listen {
    pub(crate) fn new(addr: ListenAddr) -> Listen {
        Listen {
            addr,
            on_port_taken: OnPortTaken::default(),
            log_level: false,
            #[cfg(feature = "console")]
            console: None,
            token: None,
            limits: Limits::default(),
        }
    }
}

/// What a client may take of us.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Connections at one time.
    pub(crate) connections: usize,
    /// From the first byte of a request, or from the connection's start, to the end of its head.
    pub(crate) head: Duration,
    /// From a request's head until the whole answer is in the system's hands.
    pub(crate) answer: Duration,
    /// From an event of a stream until it is in the system's hands.
    pub(crate) event: Duration,
    /// Between two requests. More than a minute: that is how often some Prometheus scrape.
    pub(crate) idle: Duration,
    /// Bytes of a request's head.
    pub(crate) head_bytes: usize,
    /// Bytes of answers that slow readers may hold between them, unless four times the largest of
    /// them is more; past it the oldest lose theirs.
    pub(crate) held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 64,
            head: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            event: Duration::from_secs(10),
            idle: Duration::from_secs(90),
            head_bytes: 16 << 10,
            held_bytes: 32 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_the_loopback_interface() {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090));
        for addr in [9090.into(), "9090".into(), ":9090".into(), loopback.into()] {
            let addr: ListenAddr = addr;
            assert_eq!(addr.resolve().unwrap(), loopback, "{addr}");
        }
        let any = ListenAddr::from("0.0.0.0:0").resolve().unwrap();
        assert!(any.ip().is_unspecified());
        let six = ListenAddr::from("[::1]:9").resolve().unwrap();
        assert!(six.is_ipv6());
    }

    #[test]
    fn what_is_no_address_is_an_error() {
        for text in ["", ":", "localhost", "127.0.0.1:x", "127.0.0.1:70000", "70000"] {
            assert!(ListenAddr::from(text).resolve().is_err(), "{text}");
        }
    }
}
