//! The demonstration that runs by itself, for a page that anybody may open: `luckydraw demo`.
//!
//! The server plays host and audience of its first event: simulated phones beside those of
//! visitors, and a draw per minute. Every hour participants, draws and all that visitors entered
//! are wiped. Its commands go through the inbox, as every host's, and its phones through the front
//! door, as those of a rehearsal. The journal keeps what was wiped until the process ends, so a
//! supervisor restarts it once a day.

use crate::api::app::App;
use crate::base::chance;
use crate::draw::{Actor, Command, DrawRequest, EventId, Prize};
use crate::live::room::Room;
use crate::ops::server::Server;
use crate::sequencer::inbox::{Rejection, Request};
use std::convert::Infallible;
use std::time::{Duration, Instant};

/// Simulated phones.
pub const PHONES: u32 = 60;
/// Longest wait for them, and time between looks.
const PHONES_WAIT: Duration = Duration::from_secs(20);
const PHONES_CHECK: Duration = Duration::from_millis(50);
/// Draws from one wipe to the next.
pub const DRAWS: usize = 60;

/// The times of the steps.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From a draw to the next.
    pub draw_every: Duration,
    /// From standby to start.
    pub standby: Duration,
    /// From start to reveal.
    pub started: Duration,
}

impl Pace {
    /// A draw per minute, and thus a wipe per hour.
    pub const MINUTE: Pace =
        Pace { draw_every: Duration::from_secs(60), standby: Duration::from_secs(10), started: Duration::from_secs(4) };
}

impl Server {
    /// Runs the demonstration in the default event for as long as it is polled. A step that fails
    /// is logged, and the next draw or wipe begins anew.
    pub async fn run_demo(&self, pace: Pace) -> Infallible {
        loop {
            let began = Instant::now();
            match self.default_event() {
                Some(event) => {
                    if let Err(error) = run_hour(&self.app, &event, pace).await {
                        tracing::warn!(%error, "the demonstration begins anew");
                    }
                }
                None => tracing::warn!("the demonstration has no event"),
            }
            tokio::time::sleep(pace.draw_every.saturating_sub(began.elapsed())).await;
        }
    }
}

/// Wipes the event, lets the phones in, and draws until the next wipe is due.
async fn run_hour(app: &App, event: &EventId, pace: Pace) -> Result<(), Rejection> {
    app.inbox.submit(event.clone(), Actor::Admin, Command::Wipe(chance::session_id())).await?;
    app.inbox.ask(|reply| Request::DropDetails { event: event.clone(), reply }).await?;
    let room = app.directory.find(event.as_str()).ok_or(Rejection::NoSuchEvent)?;
    if app.simulated_phones.set(&room, PHONES).is_err() {
        tracing::warn!("the demonstration has no simulated phones: there is room for few connections");
    }
    await_phones(&room).await;
    for round in 0..DRAWS {
        let began = Instant::now();
        let prizes = room.snapshot().event.prizes.clone();
        if let Some(prize) = prizes.get(round % prizes.len().max(1)) {
            draw(app, event, prize, pace).await?;
        }
        tokio::time::sleep(pace.draw_every.saturating_sub(began.elapsed())).await;
    }
    Ok(())
}

/// Waits for the simulated phones to register. The wait ends without them too: in a full event
/// there are phones enough.
async fn await_phones(room: &Room) {
    let deadline = Instant::now() + PHONES_WAIT;
    while room.snapshot().event.participant_count() < PHONES && Instant::now() < deadline {
        tokio::time::sleep(PHONES_CHECK).await;
    }
}

/// Shows a prize, draws and reveals it. The announcement follows by itself.
async fn draw(app: &App, event: &EventId, prize: &Prize, pace: Pace) -> Result<(), Rejection> {
    let request = DrawRequest { prize_id: Some(prize.id), ..DrawRequest::default() };
    let submit = |command| app.inbox.submit(event.clone(), Actor::Admin, command);
    submit(Command::Standby(request.clone())).await?;
    tokio::time::sleep(pace.standby).await;
    submit(Command::Start(request)).await?;
    tokio::time::sleep(pace.started).await;
    submit(Command::Reveal(app.stages.show(event, Instant::now()))).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::config::{self, Invocation};
    use crate::ops::server;
    use std::ffi::OsString;

    #[test]
    fn the_demonstration_draws_wipes_and_begins_again() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data").into_os_string();
        let words = ["luckydraw", "demo", "--bind=127.0.0.1:0", "--announce-after-ms=0", "--data-dir"].map(OsString::from);
        let Ok(Invocation::Run { config, .. }) = config::parse(words.into_iter().chain([data]), []) else { panic!() };
        let server = server::start(&config).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pace = Pace { draw_every: Duration::ZERO, standby: Duration::ZERO, started: Duration::ZERO };
        runtime.block_on(async {
            let room = server.app.directory.find("demo").unwrap();
            let first = room.snapshot().event.session;
            let is_second_hour = || {
                let event = &room.snapshot().event;
                event.session != first && event.participant_count() >= PHONES && event.draws().len() > 1
            };
            let second_hour = async {
                while !is_second_hour() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                // The first wipe gives the event its first session of the demonstration.
                let session = room.snapshot().event.session;
                while room.snapshot().event.session == session || !is_second_hour() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let bounded = tokio::time::timeout(Duration::from_secs(60), second_hour);
            tokio::select! {
                ended = bounded => ended.expect("a second hour begins"),
                never = server.run_demo(pace) => match never {},
            }
        });
        server.stop();
    }
}
