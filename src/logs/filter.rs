//! Which lines are logged: a level for all, and others for some modules and loggers.

use std::fmt;
use std::str::FromStr;

use super::level::{Level, UnknownLevel};

/// Which lines are logged, `info,rmcp=warn,my_server::search=debug`: a level for all, and others for
/// modules and loggers whose names begin so. The longest that fits decides; `off` keeps all out.
///
/// The default is `info`, with `rmcp=info` whatever the first word says: the SDK's own debugging has
/// each message in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    all: Option<Level>,
    /// By name, the longest first.
    some: Vec<(String, Option<Level>)>,
}

impl Default for LogFilter {
    fn default() -> LogFilter {
        LogFilter::level(Level::Info)
    }
}

impl From<Level> for LogFilter {
    fn from(level: Level) -> LogFilter {
        LogFilter::level(level)
    }
}

impl LogFilter {
    /// Nothing is logged.
    pub fn off() -> LogFilter {
        LogFilter { all: None, some: Vec::new() }
    }

    /// This level and what matters more, and of `rmcp` no more than `info`.
    pub fn level(level: Level) -> LogFilter {
        LogFilter { all: Some(level), some: Vec::new() }.with("rmcp", level.min(Level::Info))
    }

    /// Another level for the module or logger `name` and those within it.
    pub fn with(self, name: &str, level: impl Into<Option<Level>>) -> LogFilter {
        self.and(name.to_owned(), level.into())
    }

    fn and(mut self, name: String, level: Option<Level>) -> LogFilter {
        self.some.retain(|(known, _)| *known != name);
        let at = self.some.partition_point(|(known, _)| known.len() >= name.len());
        self.some.insert(at, (name, level));
        self
    }

    /// The most verbose level for lines of these names, of which the longest match decides.
    pub(crate) fn most_verbose(&self, names: [&str; 2]) -> u8 {
        let fits = |prefix: &str| names.iter().any(|name| is_within(name, prefix));
        let found = self.some.iter().find(|(prefix, _)| fits(prefix));
        number(found.map_or(self.all, |(_, level)| *level))
    }

    /// The most verbose level that any line can have.
    pub(crate) fn most(&self) -> u8 {
        let some = self.some.iter().map(|(_, level)| number(*level));
        some.chain([number(self.all)]).max().unwrap_or(0)
    }

    /// The most verbose level that any line of the logger `name` can have, and whether it depends on
    /// the module.
    pub(crate) fn of_logger(&self, name: &str) -> (u8, bool) {
        let own = self.most_verbose([name, name]);
        let others = self.some.iter().filter(|(prefix, _)| !is_within(name, prefix));
        let most = others.clone().map(|(_, level)| number(*level)).max().unwrap_or(0).max(own);
        (most, others.clone().any(|(_, level)| number(*level) != own))
    }
}

fn number(level: Option<Level>) -> u8 {
    level.map_or(0, |level| level as u8)
}

/// Whether `name` is `prefix` or something within it.
fn is_within(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '.', '/']))
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |level: Option<Level>| level.map_or("off", Level::as_str);
        f.write_str(word(self.all))?;
        self.some.iter().try_for_each(|(name, level)| write!(f, ",{name}={}", word(*level)))
    }
}

impl FromStr for LogFilter {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<LogFilter, UnknownLevel> {
        let level = |word: &str| match word.trim() {
            off if off.eq_ignore_ascii_case("off") => Ok(None),
            word => word.parse().map(Some),
        };
        let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let mut filter = LogFilter::default();
        for all in parts().filter(|part| !part.contains('=')) {
            filter = level(all)?.map_or_else(LogFilter::off, LogFilter::level);
        }
        for (name, word) in parts().filter_map(|part| part.split_once('=')) {
            filter = filter.and(name.trim().to_owned(), level(word)?);
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> LogFilter {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_name_decides() {
        let filter = filter("warn, app=debug,app::noise=off,audit = trace");
        let most = |module, logger| filter.most_verbose([module, logger]);
        assert_eq!(most("other", "x"), Level::Warn as u8);
        assert_eq!(most("app", "x"), Level::Debug as u8);
        assert_eq!(most("app::search", "x"), Level::Debug as u8);
        assert_eq!(most("apple", "x"), Level::Warn as u8);
        assert_eq!(most("app::noise::deep", "x"), 0);
        assert_eq!(most("other", "audit.log"), Level::Trace as u8);
        assert_eq!(most("rmcp::service", "x"), Level::Warn as u8);
        assert_eq!(filter.of_logger("x"), (Level::Trace as u8, true));
        assert_eq!((filter.most(), LogFilter::off().most()), (Level::Trace as u8, 0));
    }

    #[test]
    fn the_sdk_stays_at_info_unless_somebody_says_otherwise() {
        let most = |text| filter(text).most_verbose(["rmcp::service", "rmcp"]);
        assert_eq!(most("trace"), Level::Info as u8);
        assert_eq!(most("error"), Level::Error as u8);
        assert_eq!(most("info,rmcp=debug"), Level::Debug as u8);
        assert_eq!(most(""), Level::Info as u8);
        assert_eq!(most("off"), 0);
    }

    #[test]
    fn a_filter_is_read_back_from_what_it_prints() {
        for text in ["off", "info", "debug,a::b=trace,c=off", "off,x=error"] {
            assert_eq!(filter(&filter(text).to_string()), filter(text), "{text}");
        }
        assert!("info,a=loud".parse::<LogFilter>().is_err());
    }
}
