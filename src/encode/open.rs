//! What OpenMetrics says of a family before its series, and at the end.

use crate::snapshot::{Head, MetricKind};

/// What the last line says.
pub(super) const END: &[u8] = b"# EOF\n";

/// The units that a name may end in: those that OpenMetrics calls base units, and the percent that
/// people use all the same.
const UNITS: [&str; 10] = [
    "seconds", "bytes", "ratio", "percent", "joules", "grams", "meters", "volts", "amperes",
    "celsius",
];

/// Appends `# TYPE`, `# UNIT` where the name ends in one, and `# HELP` where there is a help text.
///
/// A counter is called what its samples are, without `_total`. One whose samples have no such ending,
/// or whose name another family has without it, is of an unknown type here: its samples are never
/// renamed, so that negotiating another format makes no other series.
pub(super) fn head(out: &mut Vec<u8>, head: &Head<'_>) {
    let short = head.short();
    let name = short.unwrap_or(head.name);
    let kind = match (head.kind, short) {
        (MetricKind::Counter | MetricKind::Observed, Some(_)) => "counter",
        (MetricKind::Counter | MetricKind::Observed, None) => "unknown",
        (MetricKind::Info, Some(_)) => "info",
        (other, _) => other.type_name(),
    };
    line(out, b"# TYPE ", name, kind);
    let last = name.rsplit_once('_').map_or("", |(_, last)| last);
    if let Some(unit) = UNITS.iter().find(|unit| **unit == last)
        && head.kind != MetricKind::Info
    {
        line(out, b"# UNIT ", name, unit);
    }
    if !head.help.is_empty() {
        out.extend_from_slice(b"# HELP ");
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        escape(out, head.help);
        out.push(b'\n');
    }
}

fn line(out: &mut Vec<u8>, what: &[u8], name: &str, is: &str) {
    for part in [what, name.as_bytes(), b" ", is.as_bytes(), b"\n"] {
        out.extend_from_slice(part);
    }
}

/// As a label's value: unlike in text 0.0.4 quotes are escaped, too.
fn escape(out: &mut Vec<u8>, text: &str) {
    for &byte in text.as_bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' => out.extend_from_slice(b"\\\""),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Clash;

    fn shown(name: &str, clash: Option<&Clash>, kind: MetricKind, help: &str) -> String {
        let mut out = Vec::new();
        head(&mut out, &Head { name, kind, help, clash, text: "", bounds: &[], decimals: 0 });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn heads_are_spelled_as_openmetrics_wants_them() {
        let alone = &Clash::default();
        assert_eq!(
            shown("a_seconds_total", Some(alone), MetricKind::Observed, "So \"long\".\n\\"),
            "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
             # HELP a_seconds So \\\"long\\\".\\n\\\\\n",
        );
        assert_eq!(shown("a_total", None, MetricKind::Counter, ""), "# TYPE a_total unknown\n",);
        assert_eq!(
            shown("a_bytes", Some(alone), MetricKind::Histogram, "Size."),
            "# TYPE a_bytes histogram\n# UNIT a_bytes bytes\n# HELP a_bytes Size.\n",
        );
        assert_eq!(shown("target_info", Some(alone), MetricKind::Info, ""), "# TYPE target info\n");
        assert_eq!(shown("seconds", Some(alone), MetricKind::Gauge, ""), "# TYPE seconds gauge\n");
    }
}
