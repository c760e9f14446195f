//! Settings of the console.

use std::net::SocketAddr;

use crate::error::{Error, check};
use crate::store::lines::Bounds;

/// Most names that one may add.
const MOST_HOSTS: u64 = 64;

/// Settings of the console; see [`VitalsBuilder::console`](crate::VitalsBuilder::console). `true` is
/// [`ConsoleConfig::new`].
///
/// ```
/// use mcp_vitals::{ConsoleConfig, Vitals};
///
/// let console = ConsoleConfig::new().host("vitals.internal").history(false);
/// let vitals = Vitals::builder().listen(0).console(console).build()?;
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleConfig {
    pub(crate) on: bool,
    pub(crate) history: bool,
    pub(crate) beyond_loopback: bool,
    pub(crate) hosts: Vec<String>,
    pub(crate) log_lines: u32,
    pub(crate) log_bytes: u32,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        ConsoleConfig {
            on: true,
            history: true,
            beyond_loopback: false,
            hosts: Vec::new(),
            log_lines: 2_000,
            log_bytes: 2 << 20,
        }
    }
}

impl From<bool> for ConsoleConfig {
    fn from(on: bool) -> Self {
        ConsoleConfig { on, ..ConsoleConfig::default() }
    }
}

impl ConsoleConfig {
    /// A console with an hour of history, for this machine alone.
    pub fn new() -> ConsoleConfig {
        ConsoleConfig::default()
    }

    /// Whether the numbers of the last hour are kept, one sample each ten seconds, whoever looks;
    /// default yes. It costs a read of the catalog's metrics each ten seconds, less than a
    /// millisecond, and a few hundred KiB, a few MiB at most.
    ///
    /// Without it nothing runs while nobody looks: a viewer's charts begin when it comes, and so
    /// do the rules.
    pub fn history(mut self, on: bool) -> Self {
        self.history = on;
        self
    }

    /// Whether the console may be served on an address that others can reach; default no, and then
    /// the engine is not built with such a one. Whoever reaches it sees the logs and traces that are
    /// in memory, and there is no password: only behind something that asks for one.
    pub fn beyond_loopback(mut self, allowed: bool) -> Self {
        self.beyond_loopback = allowed;
        self
    }

    /// A further name by which it may be asked for, without a port: of a proxy in front of it, say.
    /// Without this a request by any name but `localhost` and the machine's own addresses is refused,
    /// so that no page of somebody else's can read it by a name that leads here. 64 at most.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Most lines of the logs that are kept for it, `100..=20_000`; default 2,000. They are those that
    /// the [filter](crate::logs::LogConfig::level) lets through, as the sinks get them, whatever level
    /// a sink wants; the oldest go. Where the engine has [`logs`](crate::VitalsBuilder::logs) without
    /// a sink they are seen here alone; where it has none there is nothing to be seen.
    ///
    /// A line costs the logs' own thread one more copy of it, and the caller nothing.
    pub fn log_lines(mut self, lines: u32) -> Self {
        self.log_lines = lines;
        self
    }

    /// Bytes that these lines may take, 256 KiB to 64 MiB, charged to
    /// [`memory_limit`](crate::VitalsBuilder::memory_limit) as they are used; default 2 MiB, which is
    /// about 15,000 short lines. The oldest go, 64 KiB of them at a time.
    pub fn log_bytes(mut self, bytes: u32) -> Self {
        self.log_bytes = bytes;
        self
    }

    /// How much of the logs is kept; nothing where the console is off.
    pub(crate) fn lines(&self) -> Option<Bounds> {
        let bounds = Bounds { lines: self.log_lines.into(), bytes: self.log_bytes.into() };
        self.on.then_some(bounds)
    }

    /// What can be said without an address.
    pub(crate) fn check(&self, listens: bool) -> Result<(), Error> {
        if !self.on {
            return Ok(());
        }
        let refuse = |why: String| Err(Error::Console { why });
        if !listens {
            return refuse("there is no endpoint to serve it: `.listen(8080)` opens one".into());
        }
        check("", "console hosts", self.hosts.len() as u64, 0..=MOST_HOSTS)?;
        check("", "console.log_lines", self.log_lines.into(), 100..=20_000)?;
        check("", "console.log_bytes", self.log_bytes.into(), 256 << 10..=64 << 20)?;
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/@?#".contains(c);
        let wrong = |host: &&String| {
            let port = host.rsplit_once(':').is_some_and(|(name, _)| !name.contains(':'));
            host.is_empty() || host.contains(odd) || port
        };
        match self.hosts.iter().find(wrong) {
            Some(host) => refuse(format!("{host:?} is no host: a name or an address, no port")),
            None => Ok(()),
        }
    }

    /// Whether it may be served there.
    pub(crate) fn check_addr(&self, addr: SocketAddr) -> Result<(), Error> {
        if !self.on || self.beyond_loopback || addr.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let why = format!(
            "{addr} can be reached from other machines, and the console has no password: listen on \
             127.0.0.1, or allow it with `ConsoleConfig::beyond_loopback(true)`"
        );
        Err(Error::Console { why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_loopback_interface_only_where_it_is_allowed() {
        let config = ConsoleConfig::new();
        for addr in ["127.0.0.1:1", "[::1]:1", "127.9.9.9:1", "[::ffff:127.0.0.1]:1"] {
            assert!(config.check_addr(addr.parse().unwrap()).is_ok(), "{addr}");
        }
        for addr in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
            let addr = addr.parse().unwrap();
            let error = config.check_addr(addr).unwrap_err().to_string();
            assert!(error.contains("beyond_loopback(true)"), "{error}");
            assert!(config.clone().beyond_loopback(true).check_addr(addr).is_ok());
            assert!(ConsoleConfig::from(false).check_addr(addr).is_ok());
        }
    }

    #[test]
    fn names_are_names() {
        for host in ["", "a b", "a:80", "http://a", "a/b", "a\n"] {
            assert!(ConsoleConfig::new().host(host).check(true).is_err(), "{host:?}");
        }
        for host in ["a", "a.example", "10.0.0.1", "[2001:db8::1]"] {
            assert!(ConsoleConfig::new().host(host).check(true).is_ok(), "{host:?}");
        }
        let many = (0..65).fold(ConsoleConfig::new(), |config, n| config.host(format!("h{n}")));
        assert!(many.check(true).is_err());
        assert!(ConsoleConfig::new().check(false).unwrap_err().to_string().contains(".listen("));
        assert!(ConsoleConfig::from(false).check(false).is_ok());
    }

    #[test]
    fn lines_are_kept_within_bounds_where_it_is_on() {
        let ok = |config: ConsoleConfig| config.check(true).is_ok();
        assert!(ok(ConsoleConfig::new().log_lines(100).log_bytes(256 << 10)));
        assert!(ok(ConsoleConfig::new().log_lines(20_000).log_bytes(64 << 20)));
        assert!(
            !ok(ConsoleConfig::new().log_lines(99)) && !ok(ConsoleConfig::new().log_lines(20_001))
        );
        assert!(!ok(ConsoleConfig::new().log_bytes((256 << 10) - 1)));
        assert_eq!(ConsoleConfig::from(false).lines(), None);
        let lines = ConsoleConfig::new().lines();
        assert_eq!(lines, Some(Bounds { lines: 2_000, bytes: 2 << 20 }));
    }
}
