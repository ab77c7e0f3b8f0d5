//! Phones behind slow networks and the stage show the winners at one instant.
//!
//! `INSTANT_DRAWS=20` measures, per mode, what a hall sees, with the server's usual settings and
//! each mode's usual show, and prints a table. Otherwise one short draw per mode leaves the server
//! two seconds early: a page that does not hold it until the moment is that much too early, however
//! busy the machine is.

use super::chromium::{Browser, Page, Screen};
use super::instant::{open_console_with_stage_link, open_noted};
use crate::event_steps::EVENT;
use crate::faulty_proxy::Acceptor;
use crate::test_server::TestServer;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// One-way delays of the phones' networks, in milliseconds.
const DELAYS_MS: [u64; 6] = [5, 5, 50, 50, 150, 300];
/// The modes, and the winners of a draw in each.
const MODES: [(&str, u32); 4] = [("slot", 1), ("card", 2), ("network", 2), ("list", 3)];

/// A measurement.
struct Plan {
    draws: usize,
    early_ms: &'static str,
    show_seconds: Option<u32>,
    /// The most milliseconds, at the 95th percentile, from the first phone to the last and from the
    /// stage to a phone. Without a hold both are over it.
    p95_ms_max: f64,
}

impl Plan {
    fn of(draws: Option<usize>) -> Self {
        match draws {
            Some(draws) => Self { draws, early_ms: "400", show_seconds: None, p95_ms_max: 250.0 },
            None => Self { draws: 1, early_ms: "2000", show_seconds: Some(2), p95_ms_max: 1_200.0 },
        }
    }
}

/// A proxy whose bytes take `delay_ms` each way.
async fn slow_network(server: SocketAddr, delay_ms: u64) -> Acceptor {
    Acceptor::open(move |client, _| async move {
        let server = TcpStream::connect(server).await?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        let delay = Duration::from_millis(delay_ms);
        tokio::join!(carry(from_client, to_server, delay), carry(from_server, to_client, delay));
        Ok(())
    })
    .await
}

/// Carries bytes one way, each chunk `delay` after it came.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(1_024);
    let read = async move {
        let mut chunk = vec![0; 16 << 10];
        while let Ok(size @ 1..) = from.read(&mut chunk).await {
            if sender.send((Instant::now() + delay, chunk[..size].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = chunks.recv().await {
            sleep_until(due).await;
            if to.write_all(&chunk).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(read, write);
}

/// The time of a page's first turn that fits since its last one in the state `since`, in
/// milliseconds since 1970.
async fn turned_at(page: &Page<'_>, since: &str, condition: &str) -> f64 {
    let script = format!(
        "((begun) => begun >= 0 && self.turns.slice(begun).find((turn) => {condition})?.at)
             (self.turns.findLastIndex((turn) => turn.state === '{since}'))"
    );
    page.until(&script).await.as_f64().unwrap()
}

/// Milliseconds between pages in the draws of one mode.
#[derive(Default)]
struct Skew {
    first_to_last: Vec<f64>,
    stage_to_phone: Vec<f64>,
}

impl Skew {
    fn add(&mut self, stage: f64, phones: &[f64]) {
        let (first, last) = phones.iter().fold((f64::MAX, f64::MIN), |(low, high), at| (low.min(*at), high.max(*at)));
        self.first_to_last.push(last - first);
        self.stage_to_phone.extend(phones.iter().map(|at| (at - stage).abs()));
    }

    /// Median and 95th percentile of both.
    fn figures(&mut self) -> [f64; 4] {
        let quantiles = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            [0.5, 0.95].map(|share| values[((values.len() - 1) as f64 * share).round() as usize])
        };
        let ([a, b], [c, d]) = (quantiles(&mut self.first_to_last), quantiles(&mut self.stage_to_phone));
        [a, b, c, d]
    }
}

/// Runs one draw; returns when the stage and each phone showed the winners.
async fn run_draw(host: &Page<'_>, stage: &Page<'_>, phones: &[Page<'_>]) -> (f64, Vec<f64>) {
    for page in phones.iter().chain([stage]) {
        page.run("self.turns.length = 0", vec![]).await;
    }
    for step in ["standby", "start", "reveal"] {
        host.press_step(step).await;
    }
    let shown = turned_at(stage, "running", "turn.settled === 'true'").await;
    let mut turns = Vec::new();
    for phone in phones {
        turns.push(turned_at(phone, "suspense", "turn.state === 'lost'").await);
    }
    host.until("!document.querySelector('#step[data-step=playing]')").await;
    (shown, turns)
}

#[tokio::test]
async fn phones_behind_slow_networks_and_the_stage_show_the_winners_at_one_instant() {
    let plan = Plan::of(std::env::var("INSTANT_DRAWS").ok().map(|draws| draws.parse().unwrap()));
    let server = TestServer::start_with(&[("LUCKYDRAW_ANNOUNCE_EARLY_MS", plan.early_ms)]).await;
    server.open_event().await;
    for (mode, winners) in MODES {
        let prize = json!({"prize_name": mode, "prize_rank": 1, "quantity": plan.draws * winners as usize, "draw_mode": mode,
                           "winner_count": winners, "show_seconds": plan.show_seconds});
        server.admin_post("prizes", &prize).await.expect_data(201);
    }
    server.register_many(10 * plan.draws as u64).await;
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let stage = open_noted(&browser, Screen::Projector, &stage_link).await;
    stage.until_state("lobby").await;
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') !== null").await;
    let (mut networks, mut phones) = (Vec::new(), Vec::new());
    for delay_ms in DELAYS_MS {
        let network = slow_network(server.address, delay_ms).await;
        let phone =
            open_noted(&browser, Screen::Phone, &format!("http://{}/lottery/waiting?event={EVENT}", network.address)).await;
        // All see the same, so that one draw follows another.
        server.exclude(phone.join().await).await;
        networks.push(network);
        phones.push(phone);
    }
    println!("| mode | draws | first phone to last, median | p95 | stage to phone, median | p95 |\n|---|---|---|---|---|---|");
    let mut over = Vec::new();
    for (mode, _) in MODES {
        let mut skew = Skew::default();
        for _ in 0..plan.draws {
            let (shown, turns) = run_draw(&host, &stage, &phones).await;
            skew.add(shown, &turns);
        }
        let [median, p95, stage_median, stage_p95] = skew.figures();
        println!("| {mode} | {} | {median:.0} ms | {p95:.0} ms | {stage_median:.0} ms | {stage_p95:.0} ms |", plan.draws);
        over.extend([p95, stage_p95].into_iter().filter(|ms| *ms > plan.p95_ms_max).map(|ms| format!("{mode}: {ms} ms")));
    }
    assert!(over.is_empty(), "{over:?}");
    browser.assert_no_errors(&[]).await;
}

/// A WebSocket that answers pings by the time of this machine, unless it keeps them waiting, and a
/// page's clock that has stood still for `slept` milliseconds.
const FAKE_SOCKET: &str = "
    const runs = performance.now.bind(performance);
    self.slept = 0;
    performance.now = () => runs() - self.slept;
    self.waiting = [];
    self.isAnswering = true;
    const Plain = WebSocket;
    self.FakeSocket = class {
        static OPEN = Plain.OPEN;
        static CONNECTING = Plain.CONNECTING;
        readyState = Plain.OPEN;
        constructor() { self.fake = this; setTimeout(() => this.onopen()); }
        close() {}
        hear(frame) { this.onmessage({ data: JSON.stringify(frame) }); }
        answer() { for (const frame of self.waiting.splice(0)) this.hear(frame); }
        send(text) {
            if (JSON.parse(text).type !== 'ping') return;
            self.waiting.push({ type: 'pong', server_time: new Date().toISOString() });
            if (self.isAnswering) setTimeout(() => this.answer());
        }
    };";

/// Opens a connection of the page's own script on the fake socket, and waits for its first pongs.
const CONNECT: &str = "return (async () => {
    const { $shared_connection: { connect } } = await import(document.querySelector('script[type=module]').src);
    self.WebSocket = self.FakeSocket;
    self.frames = [];
    self.connection = connect({ event: 'gala', onFrame: ({ type }) => self.frames.push(type) });
    await new Promise((done) => setTimeout(done, 50));
    self.fake.hear({ type: 'state_sync', seq: 1, epoch: 'e', current: null });
    while (self.connection.clock.samples.length < 5) await new Promise((done) => setTimeout(done, 20));
    return true;
})()";

/// Delivers an announcement whose moment is past; returns true if the page passes it on before a
/// timer of 1.5 seconds, however slow the machine is.
const ANNOUNCE: &str = "return new Promise((done) => {
    const passed = () => self.frames.includes('winner_announced');
    self.frames.length = 0;
    setTimeout(() => done(passed()), 1500);
    self.fake.hear({ type: 'winner_announced', show_at: new Date(Date.now() - 1).toISOString(), seq: self.seq = (self.seq ?? 1) + 1, epoch: 'e' });
})";

#[tokio::test]
async fn a_phone_that_has_slept_turns_at_the_moment() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let page = browser.open_blank(Screen::Phone).await;
    page.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": FAKE_SOCKET})).await;
    page.go(&server.page(&format!("/j/{EVENT}"))).await;
    page.until_state("welcome").await;
    let run = async |script: &str| page.run(script, vec![]).await;
    assert_eq!(run(CONNECT).await, true);
    assert_eq!(run(ANNOUNCE).await, true, "awake");
    // The page's clock stood still for two seconds, and nothing tells the page.
    run("self.slept += 2000").await;
    assert_eq!(run(ANNOUNCE).await, true, "the wall clock has moved against the page's clock");
    // It sleeps with a ping on its way, whose pong names a time of before.
    run("self.isAnswering = false; document.dispatchEvent(new Event('visibilitychange')); self.slept += 2000").await;
    run("document.dispatchEvent(new Event('visibilitychange')); self.isAnswering = true; self.fake.answer()").await;
    assert_eq!(run(ANNOUNCE).await, true, "the pong of an earlier ping sets no clock");
    let off = run("return Math.abs(self.connection.clock.now() - Date.now())").await;
    assert!(off.as_f64().unwrap() < 1_000.0, "{off}");
    browser.assert_no_errors(&[]).await;
}
