//! The table at the end: what the clients sent against what the metrics hold.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use mcp_vitals::Snapshot;

use super::tally::{Counts, Kind, Sent};
use crate::cli::terminal::{BOLD, DIM, GREEN, PLAIN, RED};

/// What the comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same, row by row.
    Equal,
    /// The metrics hold more, and others than the demo's clients were there.
    Others,
    /// They differ.
    Different,
}

/// What the clients sent and what the metrics hold, row by row.
pub(super) struct Report {
    rows: Vec<Row>,
    /// Nothing where there was no load.
    compared: Option<(Verdict, Sent)>,
}

struct Row {
    kind: Kind,
    status: Cow<'static, str>,
    sent: u64,
    held: u64,
    /// What half of the requests took at most, and 95 of 100.
    seconds: Option<[f64; 2]>,
}

impl Report {
    /// Compares, where there was a load.
    pub(super) fn new(sent: Option<Sent>, snapshot: &Snapshot) -> Report {
        let held = held(snapshot);
        let none = Counts::new();
        let counts = sent.as_ref().map_or(&none, |sent| &sent.counts);
        let keys: BTreeSet<_> = counts.keys().chain(held.keys()).collect();
        let mut rows: Vec<Row> = keys
            .into_iter()
            .map(|key| Row {
                kind: key.0.clone(),
                status: key.1.clone(),
                sent: counts.get(key).copied().unwrap_or(0),
                held: held.get(key).copied().unwrap_or(0),
                seconds: seconds(snapshot, &key.0),
            })
            .collect();
        // The good end first.
        rows.sort_by_key(|row| (row.kind.clone(), Reverse(row.status.clone())));
        let compared = sent.map(|sent| (verdict(&rows, others(&sent, snapshot)), sent));
        Report { rows, compared }
    }

    /// Nothing where there was no load.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.compared.as_ref().map(|(verdict, _)| *verdict)
    }
}

/// `mcp_requests_total`, without the series that are still at 0.
fn held(snapshot: &Snapshot) -> Counts {
    const NAME: &str = "mcp_requests_total";
    let mut counts = Counts::new();
    for set in snapshot.label_sets(NAME) {
        let labels: Vec<_> = set.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let text = |name| {
            let found = labels.iter().find(|(own, _)| *own == name);
            Cow::Owned(found.map_or("", |(_, value)| value).to_owned())
        };
        let count = snapshot.value(NAME, &labels).unwrap_or(0.0) as u64;
        if count > 0 {
            let kind = Kind { tool: text("tool"), operation: text("operation") };
            *counts.entry((kind, text("status"))).or_default() += count;
        }
    }
    counts
}

fn seconds(snapshot: &Snapshot, kind: &Kind) -> Option<[f64; 2]> {
    let labels = [("tool", &*kind.tool), ("operation", &*kind.operation)];
    let histogram = snapshot.histogram("mcp_request_duration_seconds", &labels)?;
    Some([0.5, 0.95].map(|share| histogram.quantile(share)))
}

/// Whether others than the demo's own clients called: by a session of theirs, or in the newer
/// protocol, which has none.
fn others(sent: &Sent, snapshot: &Snapshot) -> bool {
    let discovered = [("tool", "server"), ("operation", "discover")];
    snapshot.value("mcp_sessions_total", &[]).unwrap_or(0.0) as u64 > sent.sessions
        || snapshot.sum("mcp_requests_total", &discovered) > 0.0
}

fn verdict(rows: &[Row], others: bool) -> Verdict {
    if rows.iter().all(|row| row.sent == row.held) {
        Verdict::Equal
    } else if others && rows.iter().all(|row| row.sent <= row.held) {
        Verdict::Others
    } else {
        Verdict::Different
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sent = |text: String| if self.compared.is_some() { text } else { String::new() };
        let [tool, operation, status] = ["tool", "operation", "status"];
        write!(f, "{BOLD}{tool:<18}{operation:<11}{status:<10}{PLAIN}")?;
        let head = sent(format!("{:>9}", "sent"));
        writeln!(f, "{BOLD}{head}{:>9}{:>10}{:>10}{PLAIN}", "metrics", "p50", "p95")?;
        let mut last = None;
        for row in &self.rows {
            // A name is said once.
            let (same_tool, same_kind) = last.map_or((false, false), |last: &Kind| {
                (last.tool == row.kind.tool, *last == row.kind)
            });
            let once =
                |said: bool, text: &'_ str| if said { String::new() } else { text.to_owned() };
            let tool = once(same_tool, &row.kind.tool);
            let operation = once(same_kind, &row.kind.operation);
            let Row { status, held, .. } = row;
            write!(f, "{tool:<18}{operation:<11}{status:<10}")?;
            write!(f, "{}{held:>9}", sent(format!("{:>9}", row.sent)))?;
            if let (false, Some([half, most])) = (same_kind, row.seconds) {
                write!(f, "{DIM}{:>10}{:>10}{PLAIN}", time(half), time(most))?;
            }
            if self.compared.is_some() && row.sent != row.held {
                let (count, word) = match row.held.checked_sub(row.sent) {
                    Some(more) => (more, "too many"),
                    None => (row.sent - row.held, "missing"),
                };
                write!(f, "  {RED}{count} {word}{PLAIN}")?;
            }
            writeln!(f)?;
            last = Some(&row.kind);
        }
        writeln!(f)?;
        let held: u64 = self.rows.iter().map(|row| row.held).sum();
        let Some((verdict, sent)) = &self.compared else {
            let s = if held == 1 { "" } else { "s" };
            return write!(f, "The metrics hold {held} request{s}.");
        };
        let Sent { total, sessions, unknown, .. } = sent;
        let counted = format!("{total} requests in {sessions} sessions");
        match verdict {
            Verdict::Equal => {
                write!(f, "{GREEN}{counted}, and the metrics hold exactly these.{PLAIN}")?;
            }
            Verdict::Others => {
                write!(f, "{counted}: the metrics hold them, and what other clients sent.")?;
            }
            Verdict::Different => {
                write!(f, "{RED}{counted}, but the metrics hold {held}: they differ.{PLAIN}")?;
            }
        }
        if *unknown > 0 {
            let why = "got no answer, so that their clients can't tell how they ended";
            write!(f, "\n{RED}{unknown} of them {why}.{PLAIN}")?;
        }
        Ok(())
    }
}

/// A time in three digits or fewer.
fn time(seconds: f64) -> String {
    let (number, unit) = match seconds {
        less if less < 0.000_999_5 => (seconds * 1e6, "µs"),
        less if less < 0.999_5 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let places = if number < 9.95 { 1 } else { 0 };
    format!("{number:.places$} {unit}")
}

#[cfg(test)]
mod tests {
    use mcp_vitals::{Outcome, Vitals};

    use super::*;

    fn vitals() -> Vitals {
        let vitals = Vitals::builder().system_metrics(false).build().unwrap();
        vitals.mcp().learn_tools(["x"]);
        for outcome in [Outcome::Ok, Outcome::Ok, Outcome::ToolError] {
            vitals.request("tools/call").tool("x").start().finish(outcome);
        }
        vitals
    }

    fn sent(success: u64, error: u64) -> Sent {
        let count = |status, count| ((Kind::new("x", "execute"), Cow::Borrowed(status)), count);
        let counts = [count("success", success), count("error", error)];
        Sent { counts: counts.into(), total: success + error, ..Sent::default() }
    }

    #[test]
    fn what_agrees_is_equal_and_says_no_more() {
        let report = Report::new(Some(sent(2, 1)), &vitals().snapshot());
        assert_eq!(report.verdict(), Some(Verdict::Equal));
        let text = report.to_string();
        assert!(!text.contains("missing") && !text.contains("too many"), "{text}");
    }

    #[test]
    fn a_row_too_few_or_too_many_is_different() {
        for (success, error, word) in [(3, 1, "1 missing"), (2, 0, "1 too many"), (0, 1, "2 too")] {
            let report = Report::new(Some(sent(success, error)), &vitals().snapshot());
            assert_eq!(report.verdict(), Some(Verdict::Different));
            assert!(report.to_string().contains(word), "{report}");
        }
    }

    #[test]
    fn other_clients_may_add_and_not_take() {
        let vitals = vitals();
        vitals.mcp().sessions.inc();
        let report = |sent| Report::new(Some(sent), &vitals.snapshot()).verdict();
        assert_eq!(report(sent(1, 1)), Some(Verdict::Others));
        assert_eq!(report(sent(3, 1)), Some(Verdict::Different));
        let one = Sent { sessions: 1, ..sent(1, 1) };
        assert_eq!(report(one), Some(Verdict::Different), "the session is ours");
    }

    #[test]
    fn without_a_load_nothing_is_compared() {
        let report = Report::new(None, &vitals().snapshot());
        assert_eq!(report.verdict(), None);
        let text = report.to_string();
        assert!(text.contains("3 requests") && !text.contains("sent"), "{text}");
    }

    #[test]
    fn times_have_three_digits_at_most() {
        for (seconds, text) in [
            (0.0, "0.0 µs"),
            (0.000_012_3, "12 µs"),
            (0.000_999_7, "1.0 ms"),
            (0.012_3, "12 ms"),
            (0.999_6, "1.0 s"),
            (31.4, "31 s"),
        ] {
            assert_eq!(time(seconds), text);
        }
    }
}
