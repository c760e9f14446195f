//! The load: clients that send at a steady rate until it is time to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::Options;
use super::client::Client;
use super::deck::Deck;
use super::tally::Tally;
use crate::cli::stop::Stop;

/// Requests that a client waits for at a time. A server that falls behind is sent less.
const MOST_OPEN: usize = 32;
/// How long the answers that are still due may take at the end.
const GRACE: Duration = Duration::from_secs(10);

/// Clients that have connected.
pub(super) struct Load {
    clients: Vec<Client>,
    deck: Arc<Deck>,
}

impl Load {
    /// Connects all clients.
    pub(super) async fn connect(
        url: &str,
        options: &Options,
        tally: &Arc<Tally>,
    ) -> Result<Load, String> {
        // No proxy: whatever the environment says, the server is this process.
        let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build();
        let http = http.map_err(|error| format!("cannot make an HTTP client: {error}"))?;
        let mut clients = Vec::with_capacity(options.clients.into());
        for number in 0..options.clients {
            let seed = options.seed.wrapping_add(u64::from(number) + 1);
            let client = Client::connect(url, http.clone(), tally.clone(), seed).await;
            clients.push(client.map_err(|why| format!("no MCP session at {url}: {why}"))?);
        }
        Ok(Load { clients, deck: Arc::new(Deck::new(options.seed)) })
    }

    /// Sends until the duration is over or `stop` is wanted, waits for what is still due, and
    /// closes the sessions.
    pub(super) async fn run(self, options: &Options, stop: &Stop) {
        let start = Instant::now();
        let end = options.duration.map(|duration| start + duration);
        let every = Duration::from_secs_f64(f64::from(options.clients) / options.rate);
        let mut clients = JoinSet::new();
        for (place, client) in self.clients.into_iter().enumerate() {
            // One after the other, not all at once.
            let first = start + every.mul_f64(place as f64 / f64::from(options.clients));
            clients.spawn(drive(client, self.deck.clone(), first, every, end, stop.clone()));
        }
        while clients.join_next().await.is_some() {}
    }
}

async fn drive(
    client: Client,
    deck: Arc<Deck>,
    first: Instant,
    every: Duration,
    end: Option<Instant>,
    mut stop: Stop,
) {
    let mut ticks = interval_at(first, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let places = Arc::new(Semaphore::new(MOST_OPEN));
    let mut open = JoinSet::new();
    let over = async {
        match end {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    let send = async {
        loop {
            ticks.tick().await;
            // Never closed.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (caller, card) = (client.caller().clone(), deck.draw());
            open.spawn(async move {
                caller.play(card).await;
                drop(place);
            });
            while open.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = send => {}
        () = over => {}
        () = stop.wanted() => {}
    }
    // What is open after that is dropped unanswered, and found missing by the comparison.
    let _ = timeout(GRACE, async { while open.join_next().await.is_some() {} }).await;
    drop(open);
    client.leave().await;
}
