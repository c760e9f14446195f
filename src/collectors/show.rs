//! Hands what collectors gave to whoever walks the scrape.

use super::pool::Round;
use super::samples::Described;
use super::{About, Answer};
use crate::registry::push_labels;
use crate::snapshot::{Head, Line, Number, Visit};

/// Visits the samples of a round, family by family; `constant` are the engine's constant labels,
/// rendered. Samples are rendered from scratch each time: a label set may be there this once.
pub(crate) fn show<V: Visit>(round: &Round, constant: &str, visit: &mut V) {
    // The callbacks of one family are many: they are shown together.
    let mut parts: Vec<(&Described, &About, &Answer, usize)> = Vec::new();
    for (about, answer) in round.answers() {
        let families = about.families.iter().enumerate();
        parts.extend(families.map(|(place, family)| (&**family, about, answer, place)));
    }
    // Stable: callbacks stay in the order of their registration.
    parts.sort_by_key(|(family, ..)| family.order);
    let mut text = String::new();
    for family in parts.chunk_by(|(a, ..), (b, ..)| a.order == b.order) {
        let mut begun = false;
        for &(described, about, answer, place) in family {
            answer.of(about, place, |values, value| {
                if !begun {
                    visit.family(&head(described));
                    begun = true;
                }
                visit.sample(Number::Reading(value), line(&mut text, described, values, constant));
            });
        }
        if begun {
            visit.family_end();
        }
    }
}

fn head(described: &Described) -> Head<'_> {
    Head {
        // No kept pages belong to it.
        number: usize::MAX,
        name: &described.spec.name,
        type_name: described.spec.kind.type_name(),
        text: &described.head,
        bounds: &[],
    }
}

/// Renders what a sample's line begins with into `text`.
fn line<'a>(
    text: &'a mut String,
    described: &Described,
    values: &[&str],
    constant: &str,
) -> Line<'a> {
    text.clear();
    text.push_str(&described.spec.name);
    let bare = values.is_empty() && constant.is_empty();
    if !bare {
        text.push('{');
    }
    let labels_at = text.len();
    let names = described.label_names.iter().map(|name| &**name);
    push_labels(text, names.zip(values.iter().copied()));
    text.push_str(constant);
    if !bare {
        // In the last comma's place.
        text.pop();
        text.push('}');
    }
    text.push(' ');
    Line { text, labels: &text[labels_at..] }
}
