//! A plain table: the first column as wide as there is room, the others as they need.

use super::super::terminal::{BOLD, PLAIN, RED};
use super::text::{fit, width};

/// Blanks between columns.
const GAP: usize = 2;

/// What a line is like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Failed,
}

pub(super) struct Table {
    heads: Vec<&'static str>,
    /// Whether a column is text, and so begins at the left.
    left: Vec<bool>,
    lines: Vec<(Tone, Vec<String>)>,
}

impl Table {
    /// Of these columns; those that begin with `<` are texts.
    pub(super) fn new(heads: &[&'static str]) -> Table {
        let left = heads.iter().map(|head| head.starts_with('<')).collect();
        let heads = heads.iter().map(|head| head.trim_start_matches('<')).collect();
        Table { heads, left, lines: Vec::new() }
    }

    pub(super) fn add(&mut self, tone: Tone, cells: Vec<String>) {
        self.lines.push((tone, cells));
    }

    /// Appends it. Columns at the end that have no room are left out.
    pub(super) fn write(&self, columns: usize, out: &mut String) {
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|at| {
                let cells = self.lines.iter().filter_map(|(_, cells)| cells.get(at));
                cells.map(|cell| width(cell)).max().unwrap_or(0).max(width(self.heads[at]))
            })
            .collect();
        // The first gives way down to so much; then the last ones go.
        let least = widths[0].min(24);
        let mut shown = widths.len();
        let rest = |shown: usize| widths[1..shown].iter().map(|width| width + GAP).sum::<usize>();
        while shown > 1 && least + rest(shown) > columns {
            shown -= 1;
        }
        let first = widths[0].min(columns.saturating_sub(rest(shown)).max(1));
        let line = |cell: &dyn Fn(usize) -> String| {
            let mut line = String::new();
            for (at, width) in widths.iter().enumerate().take(shown) {
                let wide = if at == 0 { first } else { *width };
                if at > 0 {
                    line.push_str(&" ".repeat(GAP));
                }
                let text = cell(at);
                match self.left[at] {
                    true => line.push_str(&fit(&text, wide)),
                    false => {
                        let before = wide.saturating_sub(super::text::width(&text));
                        line.push_str(&" ".repeat(before));
                        line.push_str(&text);
                    }
                }
            }
            line.trim_end().to_owned()
        };
        out.push_str(&format!("{BOLD}{}{PLAIN}\n", line(&|at| self.heads[at].to_owned())));
        for (tone, cells) in &self.lines {
            let line = line(&|at| cells.get(at).cloned().unwrap_or_default());
            match tone {
                Tone::Plain => out.push_str(&line),
                Tone::Failed => out.push_str(&format!("{RED}{line}{PLAIN}")),
            }
            out.push('\n');
        }
    }
}
