//! Texts for a terminal: durations, and names that do no harm.

/// Three digits and a unit: `1.20 s`, `350 ms`, `12.3 µs`, `870 ns`.
pub(super) fn duration(nanos: u64) -> String {
    let units = [(1, "ns"), (1_000, "µs"), (1_000_000, "ms"), (1_000_000_000, "s")];
    // The least in which it has at most three digits before the point, rounded.
    let fits = |&&(size, _): &&(u64, &str)| (nanos as f64 / size as f64) < 999.5;
    let &(size, unit) = units.iter().find(fits).unwrap_or(&units[3]);
    let value = nanos as f64 / size as f64;
    let decimals = match value {
        _ if size == 1 => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// The text without what would drive a terminal or turn the order of what is seen.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|char| if is_hidden(char) { '\u{fffd}' } else { char }).collect()
}

fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Columns that a character takes, near enough: two for those of East Asia and for pictures, none for
/// marks that stand on the one before.
fn columns(char: char) -> usize {
    match char {
        '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// The text in exactly so many columns, cut with `…` or filled up behind.
pub(super) fn fit(text: &str, most: usize) -> String {
    let mut fitted = String::new();
    let mut used = 0;
    let is_cut = width(text) > most;
    let room = most - usize::from(is_cut && most > 0);
    for char in text.chars() {
        let next = used + columns(char);
        if next > room {
            break;
        }
        fitted.push(char);
        used = next;
    }
    if is_cut && most > 0 {
        fitted.push('…');
        used += 1;
    }
    fitted.extend(std::iter::repeat_n(' ', most - used));
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        for (nanos, text) in [
            (0, "0 ns"),
            (870, "870 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_345, "12.3 µs"),
            (999_499, "999 µs"),
            (999_600, "1.00 ms"),
            (350_000_000, "350 ms"),
            (1_203_000_000, "1.20 s"),
            (3_600_000_000_000, "3600 s"),
        ] {
            assert_eq!(duration(nanos), text, "{nanos}");
        }
        assert!(duration(u64::MAX).ends_with(" s"));
    }

    #[test]
    fn texts_fit_their_columns() {
        assert_eq!(fit("name", 6), "name  ");
        assert_eq!(fit("long name", 6), "long …");
        assert_eq!(fit("漢字", 4), "漢字");
        assert_eq!(fit("漢字", 3), "漢…");
        assert_eq!(fit("漢字x", 4), "漢… ");
        assert_eq!(fit("x", 0), "");
    }

    #[test]
    fn nothing_drives_the_terminal() {
        assert_eq!(clean("a\x1b[31mb\u{202e}\n"), "a\u{fffd}[31mb\u{fffd}\u{fffd}");
    }
}
