//! One instant: phones behind slow networks and the stage show the winners at the same time, and no
//! second screen ends the suspense.

use super::chromium::{Browser, Page, Screen};
use super::people::{ENTER, open_console};
use crate::event_steps::EVENT;
use crate::faulty_proxy::{Acceptor, Fault, faulty_proxy};
use crate::test_server::{ADMIN_TOKEN, TestServer};
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
/// Draws, unless `INSTANT_DRAWS` is set.
const DRAWS: usize = 4;
/// A loose bound on the median spread: a busy machine renders late, and the figures are reported.
const MEDIAN_MS_MAX: f64 = 1_000.0;

/// Notes when the body's state and settling change, by the page's own clock.
const NOTE_TURNS: &str = "self.turns = [];
    new MutationObserver(() => {
        const { state, settled, draw, count, rolling, moment } = document.body.dataset;
        self.turns.push({ state, settled, draw, count, rolling, moment, at: performance.timeOrigin + performance.now() });
    }).observe(document, { attributes: true, subtree: true, attributeFilter: ['data-state', 'data-settled', 'data-count', 'data-rolling', 'data-moment'] });";

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

async fn open_noted<'b>(browser: &'b Browser, screen: Screen, address: &str) -> Page<'b> {
    let page = browser.open_blank(screen).await;
    page.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": NOTE_TURNS})).await;
    page.go(address).await;
    page
}

/// The time of a page's last turn that fits, in milliseconds since 1970.
async fn turned_at(page: &Page<'_>, condition: &str) -> f64 {
    page.until(&format!("self.turns.filter((turn) => {condition}).at(-1)?.at")).await.as_f64().unwrap()
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Opens the console, and makes a link to a stage there.
async fn open_console_with_stage_link<'b>(browser: &'b Browser, server: &TestServer) -> (Page<'b>, String) {
    let host = open_console(browser, server, &format!("/lottery/admin?event={EVENT}")).await;
    host.open_tab("links").await;
    let stage_link = host.make_link("display").await;
    (host, stage_link)
}

#[tokio::test]
async fn phones_behind_slow_networks_and_the_stage_show_the_winners_at_one_instant() {
    let server = TestServer::start().await;
    server.open_event().await;
    let draws = std::env::var("INSTANT_DRAWS").map_or(DRAWS, |draws| draws.parse().unwrap());
    for prize in 0..draws {
        server.add_prize(&format!("경품 {prize}")).await;
    }
    // So that there are people left for each draw.
    server.register_many(draws as u64).await;
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let stage = open_noted(&browser, Screen::Projector, &stage_link).await;
    stage.until_state("lobby").await;
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') !== null").await;
    let mut networks = Vec::new();
    let mut phones = Vec::new();
    for delay_ms in DELAYS_MS {
        let network = slow_network(server.address, delay_ms).await;
        let address = format!("http://{}/lottery/waiting?event={EVENT}", network.address);
        networks.push(network);
        let phone = open_noted(&browser, Screen::Phone, &address).await;
        phone.join().await;
        phones.push(phone);
    }
    let (mut spreads, mut behind_stage) = (Vec::new(), Vec::new());
    for _ in 0..draws {
        let mut turns = Vec::new();
        for page in phones.iter().chain([&stage]) {
            page.run("self.turns.length = 0", vec![]).await;
        }
        for step in ["standby", "start", "reveal"] {
            host.press_step(step).await;
        }
        host.until("document.querySelector('#step').dataset.step === 'playing'").await;
        assert!(host.run("return document.querySelector('#step').disabled", vec![]).await == true, "the big button rests");
        let shown = turned_at(&stage, "turn.settled === 'true'").await;
        for phone in &phones {
            turns.push(turned_at(phone, "['won', 'lost'].includes(turn.state)").await);
        }
        let relative: Vec<_> = turns.iter().map(|at| (at - shown).round()).collect();
        println!("phones after the stage, in ms, by delay {DELAYS_MS:?}: {relative:?}");
        let turns = sorted(turns);
        spreads.push(turns[turns.len() - 1] - turns[0]);
        behind_stage.extend(turns.iter().map(|at| (at - shown).abs()));
        host.until("!document.querySelector('#step[data-step=playing]')").await;
    }
    let quantile = |values: &[f64], share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    let (spreads, behind_stage) = (sorted(spreads), sorted(behind_stage));
    println!(
        "first phone to last: median {:.0} ms, p95 {:.0} ms; stage to phones: median {:.0} ms, p95 {:.0} ms ({draws} draws)",
        quantile(&spreads, 0.5),
        quantile(&spreads, 0.95),
        quantile(&behind_stage, 0.5),
        quantile(&behind_stage, 0.95),
    );
    assert!(quantile(&spreads, 0.5) < MEDIAN_MS_MAX, "{spreads:?}");
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn the_last_seconds_count_down_on_the_stage_and_every_phone() {
    let server = TestServer::start().await;
    server.open_event().await;
    let prize = json!({"prize_name": "자전거", "prize_rank": 1, "quantity": 1, "show_seconds": 5});
    server.admin_post("prizes", &prize).await.expect_data(201);
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    host.open_tab("links").await;
    host.until("!document.querySelector('#unreachable').hidden").await;
    let stage_link = host.make_link("display").await;
    let stage = open_noted(&browser, Screen::Projector, &stage_link).await;
    stage.until_state("lobby").await;
    stage.until_text("#unreachable", "이 컴퓨터에서만").await;
    let mut phones = Vec::new();
    for _ in 0..2 {
        let phone = open_noted(&browser, Screen::Phone, &server.page(&format!("/lottery/waiting?event={EVENT}"))).await;
        phone.join().await;
        phones.push(phone);
    }
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') !== null").await;
    for step in ["standby", "start"] {
        host.press_step(step).await;
    }
    for phone in &phones {
        phone.until("document.querySelectorAll('#roll .strip').length === 3").await;
    }
    host.press_step("reveal").await;
    stage.until("document.body.dataset.settled === 'true'").await;
    let mut ends = Vec::new();
    for phone in &phones {
        phone.until("['won', 'lost'].includes(document.body.dataset.state) && document.body.dataset.moment !== undefined").await;
        assert!(
            phone.run("return document.querySelector('#roll') === null", vec![]).await == true,
            "the roll ends at the moment"
        );
        ends.push(phone.state().await);
    }
    ends.sort();
    assert_eq!(ends, ["lost", "won"]);
    // A busy machine may render late; a second is then not shown at all, and never out of order.
    let seconds =
        "return self.turns.map((turn) => turn.count).filter((count, at, all) => count && count !== all[at - 1]).join('')";
    for page in phones.iter().chain([&stage]) {
        let counted = page.run(seconds, vec![]).await;
        assert!(["321", "21", "32", "31"].contains(&counted.as_str().unwrap()), "{counted}");
    }
    // The console shows what the phones report of the moment.
    host.until_text("#delivery", "휴대폰 2대가").await;
    let winner = phones.iter().zip(&ends).next().unwrap().0;
    let winner = if winner.state().await == "won" { winner } else { &phones[1] };
    winner.click("#won-here").await;
    stage.until("document.querySelector('#animation [data-arrived]') !== null").await;
    host.until("document.querySelector('.seat[data-arrived]') !== null").await;
    stage.refresh().await;
    stage.until("document.querySelector('#animation [data-arrived]') !== null").await;
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn where_sockets_are_blocked_console_and_stage_poll() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.add_prize("자전거").await;
    let proxy = faulty_proxy(server.address, Fault::RefuseEvery(1)).await;
    let blocked = |path: &str| format!("http://{}{path}", proxy.address);
    let phone_number = server.register(1).await.number;
    let browser = Browser::start().await;
    let host = browser.open(Screen::Desktop, &blocked(&format!("/lottery/admin?event={EVENT}"))).await;
    host.fill("#login-token", ADMIN_TOKEN).await;
    host.press(ENTER).await;
    host.until("document.querySelector('#connection').dataset.connection === 'polling'").await;
    let link = server.admin_post("links", &json!({"role": "display"})).await.expect_data(201);
    let stage = browser.open(Screen::Projector, &blocked(link["path"].as_str().unwrap())).await;
    stage.until("document.body.dataset.connection === 'polling' && document.body.dataset.role === 'stage'").await;
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') !== null").await;
    host.click("#stages [data-action=black]").await;
    stage.until("document.body.dataset.black !== undefined").await;
    host.click("#stages [data-action=black][aria-pressed=true]").await;
    stage.until("document.body.dataset.black === undefined").await;
    host.until("document.querySelector('#stages [data-action=black][aria-pressed=false]') !== null").await;
    for step in ["standby", "start", "reveal"] {
        host.press_step(step).await;
    }
    stage.until(&format!("document.querySelector('#animation [data-winner=\"{phone_number}\"]') !== null")).await;
    stage.until_state("announced").await;
    host.until("document.querySelector('.current-draw').dataset.status === 'announced'").await;
    browser.assert_no_errors(&["WebSocket connection to"]).await;
}

#[tokio::test]
async fn each_screen_has_its_own_part_of_the_show() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let lead = browser.open(Screen::Projector, &stage_link).await;
    lead.until_state("lobby").await;
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') !== null").await;
    let other = browser.open(Screen::Projector, &stage_link).await;
    let choose = async |screen: &str| {
        host.choose("#stages [data-lead=false] [data-action=page]", screen).await;
        other.until(&format!("document.body.dataset.screen === '{screen}'")).await;
    };
    host.until("document.querySelectorAll('#stages li').length === 2").await;
    choose("overlay").await;
    other.until_state("empty").await;
    host.press_step("standby").await;
    other.until_state("standby").await;
    choose("entrance").await;
    other.until_state("lobby").await;
    lead.until_state("standby").await;
    choose("winners").await;
    other.until_state("between").await;
    for step in ["start", "reveal"] {
        host.press_step(step).await;
    }
    lead.until_state("announced").await;
    other.until("document.querySelector('#board [data-winner]') !== null").await;
    assert_eq!(other.state().await, "between");
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_second_screen_does_not_end_the_suspense() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let stage = browser.open(Screen::Projector, &stage_link).await;
    stage.until_state("lobby").await;
    let phone = browser.open(Screen::Phone, &server.page(&format!("/lottery/waiting?event={EVENT}"))).await;
    phone.join().await;
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') !== null").await;
    for step in ["standby", "start", "reveal"] {
        host.press_step(step).await;
    }
    stage.until_state("revealed").await;
    // It opens after the reveal, reduces its motion, and is done with the show at once.
    let second = browser.open_blank(Screen::Projector).await;
    let reduced = json!({"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]});
    second.command("Emulation.setEmulatedMedia", reduced).await;
    second.go(&stage_link).await;
    second.until("['revealed', 'announced'].includes(document.body.dataset.state)").await;
    stage.refresh().await;
    phone.until_state("won").await;
    let audit = server.admin_get("audit").await;
    let announced = audit["lines"].as_array().unwrap().iter().find(|line| line["kind"] == "announced").unwrap();
    assert_eq!(announced["summary"]["cause"], "show_end", "the server announced it at the planned moment: {announced}");
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_host_steers_every_stage_and_announces_early_only_by_holding() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let stages = [browser.open(Screen::Projector, &stage_link).await, browser.open(Screen::Projector, &stage_link).await];
    for stage in &stages {
        stage.until_state("lobby").await;
    }
    host.open_tab("show").await;
    host.until("document.querySelectorAll('#stages li').length === 2").await;
    let mirror = "#stages [data-lead=false]";
    host.click(&format!("{mirror} [data-action=black]")).await;
    stages[1].until("document.body.dataset.black !== undefined").await;
    assert!(stages[0].run("return document.body.dataset.black === undefined", vec![]).await == true);
    host.click(&format!("{mirror} [data-action=lead]")).await;
    stages[1].until("document.body.dataset.lead === 'true'").await;
    stages[0].until("document.body.dataset.lead === 'false'").await;
    for step in ["standby", "start"] {
        host.press_step(step).await;
    }
    host.until("document.querySelector('#step[data-step=reveal]:not(:disabled)') !== null").await;
    host.click("#step").await;
    host.until_text("dialog[open]", "암전").await;
    host.click("dialog[open] [data-answer=yes]").await;
    host.until("document.querySelector('#step').dataset.step === 'playing'").await;
    // A tap does nothing; a hold of a second announces.
    host.run(
        "const button = document.querySelector('#announce-now');
         button.dispatchEvent(new PointerEvent('pointerdown')); button.dispatchEvent(new PointerEvent('pointerup'));
         button.dispatchEvent(new PointerEvent('pointerdown'));",
        vec![],
    )
    .await;
    stages[0].until_state("announced").await;
    let audit = server.admin_get("audit").await;
    let announced = audit["lines"].as_array().unwrap().iter().find(|line| line["kind"] == "announced").unwrap();
    assert!(["completed", "show_end"].contains(&announced["summary"]["cause"].as_str().unwrap()), "{announced}");
    browser.assert_no_errors(&[]).await;
}
