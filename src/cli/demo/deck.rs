//! What the clients send: a deck of requests, shuffled and dealt over and over. Every kind is in
//! each round, so that a short run has the rare ones, too.

use std::sync::Mutex;

/// One request that a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Card {
    SwarmInit,
    /// Spawn an agent, or finish one where the client has enough.
    Agent,
    Task,
    /// A task that takes longer than the client cares to wait.
    Impatient,
    Store,
    Retrieve,
    Search,
    Delete,
    PredictSmall,
    PredictLarge,
    PredictRetired,
    EmptyPrompt,
    /// Arguments that no schema allows.
    BadArguments,
    Login,
    /// A user who does not know the secret and will not give up.
    Intruder,
    /// A tool that the server does not have.
    UnknownTool,
    UnknownPrompt,
    /// A method that MCP does not have.
    UnknownMethod,
    Ping,
    ListTools,
}

/// How often each is in a round of 200.
const ROUND: &[(Card, usize)] = &[
    (Card::SwarmInit, 6),
    (Card::Agent, 32),
    (Card::Task, 32),
    (Card::Impatient, 3),
    (Card::Store, 20),
    (Card::Retrieve, 21),
    (Card::Search, 8),
    (Card::Delete, 1),
    (Card::PredictSmall, 28),
    (Card::PredictLarge, 16),
    (Card::PredictRetired, 1),
    (Card::EmptyPrompt, 1),
    (Card::BadArguments, 1),
    (Card::Login, 12),
    (Card::Intruder, 2),
    (Card::UnknownTool, 2),
    (Card::UnknownPrompt, 1),
    (Card::UnknownMethod, 1),
    (Card::Ping, 6),
    (Card::ListTools, 6),
];

/// The deck that all clients draw from.
pub(super) struct Deck(Mutex<(Vec<Card>, fastrand::Rng)>);

impl Deck {
    pub(super) fn new(seed: u64) -> Deck {
        Deck(Mutex::new((Vec::new(), fastrand::Rng::with_seed(seed))))
    }

    pub(super) fn draw(&self) -> Card {
        let mut deck = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (cards, rng) = &mut *deck;
        loop {
            match cards.pop() {
                Some(card) => return card,
                None => {
                    cards.extend(ROUND.iter().flat_map(|&(card, count)| [card].repeat(count)));
                    rng.shuffle(cards);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_every_card_as_often_as_it_says() {
        let size = ROUND.iter().map(|(_, count)| count).sum();
        assert_eq!(size, 200);
        let deck = Deck::new(1);
        for _ in 0..3 {
            let round: Vec<Card> = (0..size).map(|_| deck.draw()).collect();
            for (card, count) in ROUND {
                assert_eq!(round.iter().filter(|drawn| *drawn == card).count(), *count, "{card:?}");
            }
        }
    }

    #[test]
    fn the_seed_is_the_order() {
        let draw = |seed| {
            let deck = Deck::new(seed);
            (0..400).map(|_| deck.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
