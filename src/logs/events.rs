//! Lines for what MCP servers have in common, with the names and fields that the Python original
//! gave them.

use std::error::Error;
use std::time::Duration;

use super::level::Level;
use super::loggable::exception;
use super::logger::Logger;

/// Each line has a flag (`mcp_event`, `agent_event`, …) by which it is found whatever its message.
/// Fields of one's own come from the scope, by [`Context::field`](super::Context::field):
///
/// ```
/// use std::time::Duration;
/// use mcp_vitals::logs::{Context, LogConfig};
/// use mcp_vitals::{Status, Vitals};
///
/// let vitals = Vitals::builder().logs(LogConfig::to_memory()).build()?;
/// let logger = vitals.logger("swarm");
/// let _context = Context::current().field("region", "eu-1").enter();
/// let took = Duration::from_millis(250);
/// logger.log_mcp_operation("execute", "swarm_init", Status::Success, took);
///
/// let line = &vitals.captured_logs()[0];
/// assert!(line.contains("\"mcp_event\":true") && line.contains("\"region\":\"eu-1\""));
/// # Ok::<(), mcp_vitals::Error>(())
/// ```
///
/// Where a status or an event is taken, a [`Status`](crate::Status) or a word will do. `error`,
/// `failed` and `panic` are errors; `cancelled`, `timeout` and `denied` are warnings; everything else
/// is `info`.
impl Logger {
    /// An operation of a tool: `mcp_event`, `operation`, `tool`, `status`, `duration_seconds`.
    ///
    /// The wrappers and [`Vitals::request`](crate::Vitals::request) log each request by themselves.
    pub fn log_mcp_operation(
        &self,
        operation: &str,
        tool: &str,
        status: impl AsRef<str>,
        duration: Duration,
    ) {
        let status = status.as_ref();
        log!(
            self,
            level(status),
            "mcp operation",
            mcp_event = true,
            operation,
            tool,
            status,
            duration_seconds = duration,
        );
    }

    /// Something happened to an agent (`spawned`, `idle`, `failed`, …): `agent_event`, `agent_id`,
    /// `agent_type`, `event`.
    pub fn log_agent_event(&self, agent_id: &str, agent_type: &str, event: impl AsRef<str>) {
        let event = event.as_ref();
        log!(self, level(event), "agent event", agent_event = true, agent_id, agent_type, event);
    }

    /// Something happened to a task (`queued`, `started`, or how it ended): `task_event`, `task_id`,
    /// `task_type`, `event`, and `duration_seconds` where there is one.
    pub fn log_task_event(
        &self,
        task_id: &str,
        task_type: &str,
        event: impl AsRef<str>,
        duration: Option<Duration>,
    ) {
        let event = event.as_ref();
        let level = level(event);
        match duration {
            None => log!(self, level, "task event", task_event = true, task_id, task_type, event),
            Some(duration) => log!(
                self,
                level,
                "task event",
                task_event = true,
                task_id,
                task_type,
                event,
                duration_seconds = duration,
            ),
        }
    }

    /// Somebody authenticated, or failed to, which is a warning: `auth_event`, `user`, `method`
    /// (`token`, `password`, …), `success`. No credential belongs in any of them.
    pub fn log_auth_event(&self, user: &str, method: &str, success: bool) {
        let level = if success { Level::Info } else { Level::Warn };
        log!(self, level, "auth event", auth_event = true, user, method, success);
    }

    /// An operation failed: `error_event`, `operation`, and the error with its causes as
    /// `exception`.
    pub fn log_error_event<E: Error + ?Sized>(&self, error: &E, operation: &str) {
        log!(
            self,
            Level::Error,
            "operation failed",
            error_event = true,
            operation,
            exception = exception(error),
        );
    }
}

/// How much a line of this status or event matters.
fn level(word: &str) -> Level {
    match word {
        "error" | "failed" | "panic" => Level::Error,
        "cancelled" | "timeout" | "denied" => Level::Warn,
        _ => Level::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::LogConfig;
    use crate::{Status, Vitals};

    fn lines(work: impl FnOnce(&Logger)) -> Vec<serde_json::Value> {
        let logs = LogConfig::to_memory();
        let vitals = Vitals::builder().system_metrics(false).logs(logs).build().unwrap();
        work(&vitals.logger("swarm"));
        vitals.captured_logs().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn assert_has(line: &serde_json::Value, fields: serde_json::Value) {
        for (key, value) in fields.as_object().unwrap() {
            assert_eq!(&line[key], value, "{key} in {line}");
        }
    }

    #[test]
    fn an_operation_has_the_level_of_its_status() {
        let took = Duration::from_millis(1_500);
        let lines = lines(|logger| {
            for status in Status::ALL {
                logger.log_mcp_operation("execute", "swarm_init", status, took);
            }
            logger.log_mcp_operation("execute", "swarm_init", "timeout", took);
        });
        let ends =
            [("success", "info"), ("error", "error"), ("cancelled", "warn"), ("timeout", "warn")];
        assert_eq!(lines.len(), ends.len());
        for (line, (status, level)) in lines.iter().zip(ends) {
            assert_has(
                line,
                serde_json::json!({
                    "mcp_event": true, "operation": "execute", "tool": "swarm_init",
                    "status": status, "duration_seconds": 1.5, "level": level, "logger": "swarm",
                }),
            );
        }
    }

    #[test]
    fn agents_tasks_and_users_have_their_flags() {
        let lines = lines(|logger| {
            logger.log_agent_event("7", "coder", "spawned");
            logger.log_agent_event("7", "coder", "failed");
            logger.log_task_event("t-1", "review", "queued", None);
            logger.log_task_event("t-1", "review", Status::Cancelled, Some(Duration::from_secs(2)));
            logger.log_auth_event("ann", "token", true);
            logger.log_auth_event("ann", "token", false);
        });
        let expected = serde_json::json!([
            {"agent_event": true, "agent_id": "7", "agent_type": "coder", "event": "spawned",
             "level": "info"},
            {"agent_event": true, "event": "failed", "level": "error"},
            {"task_event": true, "task_id": "t-1", "task_type": "review", "event": "queued",
             "level": "info", "duration_seconds": null},
            {"task_event": true, "event": "cancelled", "level": "warn", "duration_seconds": 2.0},
            {"auth_event": true, "user": "ann", "method": "token", "success": true,
             "level": "info"},
            {"auth_event": true, "success": false, "level": "warn"},
        ]);
        assert_eq!(lines.len(), 6);
        for (line, expected) in lines.iter().zip(expected.as_array().unwrap()) {
            assert_has(line, expected.clone());
        }
        assert!(lines[2].get("duration_seconds").is_none());
    }

    #[test]
    fn an_error_has_its_exception() {
        let wrong = "x".parse::<u8>().unwrap_err();
        let boxed: Box<dyn Error> = Box::new(wrong.clone());
        let lines = lines(|logger| {
            logger.log_error_event(&wrong, "parse");
            logger.log_error_event(&*boxed, "parse");
        });
        for line in &lines {
            let fields = serde_json::json!({"error_event": true, "operation": "parse"});
            assert_has(line, fields);
            assert_eq!(line["level"], "error");
            assert_eq!(line["exception"]["message"], "invalid digit found in string");
        }
        assert_eq!(lines.len(), 2);
    }
}
