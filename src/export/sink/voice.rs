//! How a sink says something on stderr without waiting for whoever should read it.

use std::time::Duration;

use crate::background::Joined;
use crate::error;

/// How long a line may hold up a sink that has something to say.
const WAIT: Duration = Duration::from_millis(200);

/// Says one thing at a time, on a thread of its own: a stderr that nobody reads must not hold up a
/// file. While one hangs there, the next one is not said.
#[derive(Default)]
pub(crate) struct Voice {
    saying: Option<Joined>,
}

impl Voice {
    pub(crate) fn say(&mut self, what: String) {
        if self.saying.as_ref().is_none_or(Joined::has_ended) {
            let say = move || error::say(format_args!("{what}"));
            self.saying = Joined::spawn("mcp-vitals-say", say).ok();
            if let Some(saying) = &self.saying {
                saying.wait(WAIT);
            }
        }
    }
}
