//! A series as whoever reads it sees it.

use super::family::FamilyCore;
use super::name::push_labels;
use super::values::Turn;

/// One series: its name and labels.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    family: &'a FamilyCore,
    place: u32,
    turn: &'a Turn<'a>,
}

impl<'a> Line<'a> {
    pub(crate) fn new(family: &'a FamilyCore, place: u32, turn: &'a Turn<'a>) -> Line<'a> {
        Line { family, place, turn }
    }

    /// Names and values, the constant labels last.
    pub(crate) fn labels(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let constants = self.family.constants().iter();
        self.own().chain(constants.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Appends `name` and `{labels} `, what a line begins with up to its number; of a histogram
    /// `name_bucket` and `{labels,`, up to its `le`.
    pub(crate) fn render(self, out: &mut String) {
        out.push_str(&self.family.spec.name);
        let bucket = self.family.histogram.is_some();
        if bucket {
            out.push_str("_bucket");
        }
        out.push('{');
        let labels_at = out.len();
        push_labels(out, self.own());
        out.push_str(self.family.constants_text());
        if bucket {
            return;
        }
        out.pop();
        out.push_str(if out.len() < labels_at { " " } else { "} " });
    }

    fn own(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names = self.family.label_names().iter().enumerate();
        names.map(move |(label, name)| (&**name, self.family.value(self.place, label, self.turn)))
    }
}

/// Renders what the line of a number begins with into `text`: `name{labels} `.
pub(crate) fn render_begin<'a>(
    text: &mut String,
    name: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) {
    text.clear();
    text.push_str(name);
    text.push('{');
    let labels_at = text.len();
    push_labels(text, labels);
    // In the last comma's place, or the brace's.
    text.pop();
    text.push_str(if text.len() < labels_at { " " } else { "} " });
}
