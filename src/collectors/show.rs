//! Hands what collectors gave to whoever walks the scrape.

use super::pool::Round;
use super::samples::Described;
use super::{About, Answer};
use crate::registry::render_begin;
use crate::snapshot::{Head, Number, Visit};

/// Visits the samples of a round, family by family; `constants` are the engine's constant labels.
/// Samples are rendered from scratch each time: a label set may be there this once.
pub(crate) fn show<V: Visit>(round: &Round, constants: &[(String, String)], visit: &mut V) {
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
        let head = head(family[0].0);
        if !visit.wants(&head) {
            continue;
        }
        let mut begun = false;
        for &(described, about, answer, place) in family {
            answer.of(about, place, |values, value| {
                if !begun {
                    visit.family(&head);
                    begun = true;
                }
                let own = described.label_names.iter().map(|name| &**name);
                let own = own.zip(values.iter().copied());
                let constants = constants.iter().map(|(name, value)| (&**name, &**value));
                let labels = own.chain(constants);
                render_begin(&mut text, &described.spec.name, labels.clone());
                visit.sample(Number::Reading(value), &text, labels);
            });
        }
    }
}

fn head(described: &Described) -> Head<'_> {
    Head {
        name: &described.spec.name,
        kind: described.spec.kind,
        help: &described.spec.help,
        clash: Some(&described.clash),
        text: &described.head,
        bounds: &[],
        decimals: 0,
    }
}
