//! How a request ended, and the one table of what each end counts as.

/// How one request ended, as the server saw it.
///
/// [`Outcome::rule`] says what it counts as; [`RULES`] is the whole table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Answered with a result.
    Ok,
    /// A tool answered with a result whose `isError` is true.
    ToolError,
    /// Answered with a JSON-RPC error of this code.
    JsonRpc(i32),
    /// Answered with a demand for more input, after which the client asks again.
    InputRequired,
    /// Answered with a task, whose result the client fetches later.
    Task,
    /// The client withdrew the request before it was answered.
    Cancelled,
    /// The handler panicked.
    Panic,
    /// The handler was dropped before it ended: the runtime stopped, or the caller gave up.
    Dropped,
}

/// The `status` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// `success`
    Success,
    /// `error`
    Error,
    /// `cancelled`: on neither side of an error ratio.
    Cancelled,
}

impl Status {
    /// Every status, in the order of its index.
    pub const ALL: [Status; 3] = [Status::Success, Status::Error, Status::Cancelled];

    /// The label's value.
    #[inline]
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Success => "success",
            Status::Error => "error",
            Status::Cancelled => "cancelled",
        }
    }
}

impl AsRef<str> for Status {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// One row of the outcome table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The outcome; `JsonRpc(0)` stands for every code without a row of its own.
    pub outcome: Outcome,
    /// The `status` label of `mcp_requests_total`.
    pub status: Status,
    /// The `error_type` label of `mcp_request_errors_total`; `None` counts no error.
    pub error_type: Option<&'static str>,
    /// When it happens, for the documentation.
    pub when: &'static str,
}

const fn rule(
    outcome: Outcome,
    status: Status,
    error_type: Option<&'static str>,
    when: &'static str,
) -> Rule {
    Rule { outcome, status, error_type, when }
}

/// Every end of a request and what it counts as; `docs/METRICS.md` holds the same table.
///
/// An `error_type` that begins with `client_` is the caller's own fault: it is counted, and moves no
/// error-ratio alert. The others are the server's.
pub const RULES: [Rule; 18] = {
    use Outcome::{Cancelled, Dropped, InputRequired, JsonRpc, Panic, Task, ToolError};
    use Status::{Error, Success};
    [
        rule(Outcome::Ok, Success, None, "a result"),
        rule(InputRequired, Success, None, "a demand for more input"),
        rule(Task, Success, None, "a task to be fetched later"),
        rule(ToolError, Error, Some("tool_error"), "a tool result with `isError: true`"),
        rule(JsonRpc(-32603), Error, Some("internal"), "internal error"),
        rule(Panic, Error, Some("panic"), "the handler panicked"),
        rule(JsonRpc(-32700), Error, Some("client_parse_error"), "the message is not JSON"),
        rule(JsonRpc(-32600), Error, Some("client_invalid_request"), "not a valid request"),
        rule(JsonRpc(-32601), Error, Some("client_method_not_found"), "no such method or prompt"),
        rule(JsonRpc(-32602), Error, Some("client_invalid_params"), "no such tool, bad arguments"),
        rule(JsonRpc(-32002), Error, Some("client_resource_not_found"), "no such resource"),
        rule(JsonRpc(-32020), Error, Some("client_header_mismatch"), "headers contradict the body"),
        rule(
            JsonRpc(-32021),
            Error,
            Some("client_missing_capability"),
            "the client lacks a capability that the answer needs",
        ),
        rule(
            JsonRpc(-32022),
            Error,
            Some("client_unsupported_version"),
            "a protocol version that the server does not speak",
        ),
        rule(
            JsonRpc(-32042),
            Error,
            Some("client_elicitation_required"),
            "the user has to visit a URL first",
        ),
        rule(JsonRpc(0), Error, Some("jsonrpc_other"), "any other code: the server's own"),
        rule(
            Cancelled,
            Status::Cancelled,
            None,
            "the client cancelled it, or its connection closed",
        ),
        rule(Dropped, Status::Cancelled, None, "dropped unfinished, as at the runtime's shutdown"),
    ]
};

/// The row that every code without a row of its own shares.
const OTHER_CODE: usize = {
    let mut row = 0;
    while !matches!(RULES[row].outcome, Outcome::JsonRpc(0)) {
        row += 1;
    }
    row
};

impl Outcome {
    /// A word for it, as lines of the log have it: `ok`, `tool_error`, `jsonrpc_error`,
    /// `input_required`, `task`, `cancelled`, `panic`, `dropped`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::ToolError => "tool_error",
            Outcome::JsonRpc(_) => "jsonrpc_error",
            Outcome::InputRequired => "input_required",
            Outcome::Task => "task",
            Outcome::Cancelled => "cancelled",
            Outcome::Panic => "panic",
            Outcome::Dropped => "dropped",
        }
    }

    /// What this outcome counts as. Reads at most the 18 rows of a constant table.
    #[inline]
    pub fn rule(self) -> &'static Rule {
        &RULES[self.row()]
    }

    /// The row's place in [`RULES`].
    #[inline]
    pub(crate) fn row(self) -> usize {
        RULES.iter().position(|rule| rule.outcome == self).unwrap_or(OTHER_CODE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_faults_say_client() {
        for code in [-32700, -32600, -32601, -32602, -32002, -32020, -32021, -32022] {
            let rule = Outcome::JsonRpc(code).rule();
            assert_eq!(rule.status, Status::Error);
            assert!(rule.error_type.unwrap().starts_with("client_"), "{code}: {rule:?}");
        }
    }

    #[test]
    fn the_servers_faults_do_not() {
        for (outcome, name) in [
            (Outcome::ToolError, "tool_error"),
            (Outcome::JsonRpc(-32603), "internal"),
            (Outcome::Panic, "panic"),
            (Outcome::JsonRpc(-32099), "jsonrpc_other"),
            (Outcome::JsonRpc(0), "jsonrpc_other"),
            (Outcome::JsonRpc(i32::MIN), "jsonrpc_other"),
        ] {
            assert_eq!(outcome.rule().status, Status::Error, "{outcome:?}");
            assert_eq!(outcome.rule().error_type, Some(name), "{outcome:?}");
        }
    }

    #[test]
    fn what_was_withdrawn_is_in_neither_side_of_the_ratio() {
        for outcome in [Outcome::Cancelled, Outcome::Dropped] {
            assert_eq!(outcome.rule().status, Status::Cancelled);
            assert_eq!(outcome.rule().error_type, None);
        }
        for outcome in [Outcome::Ok, Outcome::InputRequired, Outcome::Task] {
            assert_eq!(outcome.rule().status, Status::Success);
            assert_eq!(outcome.rule().error_type, None);
        }
    }

    #[test]
    fn no_outcome_and_no_error_type_stands_twice() {
        for (row, rule) in RULES.iter().enumerate() {
            assert_eq!(rule.outcome.row(), row);
            let same = RULES
                .iter()
                .filter(|other| other.error_type.is_some() && other.error_type == rule.error_type);
            assert!(same.count() <= 1, "{rule:?}");
        }
    }
}
