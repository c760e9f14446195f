//! Ctrl-C and SIGTERM: the first asks for a clean end, the second ends at once.

use tokio::sync::watch;

/// Says whether the user wants an end. Cloned to whoever has to know.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens for the signals from now on. Called inside a runtime.
    pub(crate) fn listen() -> Stop {
        let (wanted, stop) = watch::channel(false);
        tokio::spawn(async move {
            signal().await;
            let _ = wanted.send(true);
            signal().await;
            std::process::exit(130);
        });
        Stop(stop)
    }

    /// Returns when an end is wanted; at once if it has been for a while.
    pub(crate) async fn wanted(&mut self) {
        // The other side is kept until the process ends.
        let _ = self.0.wait_for(|wanted| *wanted).await;
    }

    pub(crate) fn is_wanted(&self) -> bool {
        *self.0.borrow()
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        // Not to be had: the signals then end the process the system's way.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
