//! A proxy between a client and the server that causes one kind of fault, which the load tester
//! must report.
//!
//! A plain TCP proxy that parses only as much of HTTP and WebSocket as its fault needs. It counts
//! over all connections, so that "one frame" is one in the whole run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Drops the numbered frame with this place in the run.
    DropFrame(u64),
    /// Sends it twice.
    DuplicateFrame(u64),
    /// Sends it after the frame that follows it on its socket.
    SwapFrames(u64),
    /// Delays one of this many announcements by a second.
    DelayEvery(u64),
    /// Turns one of this many HTTP answers into a 500.
    FailEvery(u64),
    /// Refuses one of this many upgrades.
    RefuseEvery(u64),
    /// Changes the winner in the announcement with this place in the run, for one phone.
    ChangeWinner(u64),
    /// Changes the winner in every announcement.
    ChangeWinners,
    /// Opens sockets and never sends anything on them.
    Silence,
    /// Holds a phone that returns until the host has begun another draw, so that it has missed one.
    HoldReturning,
}

/// A listener on a free port that serves each connection by a closure. Dropping it ends it.
pub struct Acceptor {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Acceptor {
    pub async fn open<F>(mut serve: impl FnMut(TcpStream, SocketAddr) -> F + Send + 'static) -> Self
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            loop {
                let (client, peer) = listener.accept().await.unwrap();
                // The client reports a broken connection.
                tokio::spawn(serve(client, peer));
            }
        });
        Self { address, accepting }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The longest that a request is held for others.
const HELD_MAX: Duration = Duration::from_secs(10);

/// Counts over all connections; any thread adds, and nothing depends on the order.
#[derive(Default)]
struct Counts {
    /// State syncs that were sent, and standbys that were answered.
    greetings: AtomicU64,
    standbys: AtomicU64,
    frames: AtomicU64,
    announcements: AtomicU64,
    answers: AtomicU64,
    upgrades: AtomicU64,
}

/// Opens a proxy in front of a server.
pub async fn faulty_proxy(server: SocketAddr, fault: Fault) -> Acceptor {
    gated_proxy(server, fault, 0).await
}

/// Opens a proxy with which the first draw waits until this many sockets are greeted, since a phone
/// that connects late on a busy machine would miss the fault.
pub async fn gated_proxy(server: SocketAddr, fault: Fault, sockets: u64) -> Acceptor {
    let counts = Arc::new(Counts::default());
    Acceptor::open(move |client, _| proxy(client, server, fault, sockets, counts.clone())).await
}

/// Waits until a count has reached a number, or [`HELD_MAX`] is over.
async fn hold(count: &AtomicU64, until: u64) {
    let reached = async {
        while count.load(Relaxed) < until {
            sleep(Duration::from_millis(5)).await;
        }
    };
    // What did not happen then shows in the test.
    let _ = timeout(HELD_MAX, reached).await;
}

/// Proxies one connection to its end.
async fn proxy(
    mut client: TcpStream,
    server: SocketAddr,
    fault: Fault,
    sockets: u64,
    counts: Arc<Counts>,
) -> std::io::Result<()> {
    let request = read_head(&mut client).await?;
    let begins_draw = holds(&request, b"/draw/standby");
    if begins_draw {
        hold(&counts.greetings, sockets).await;
    }
    if fault == Fault::HoldReturning && holds(&request, b"since=") && !holds(&request, b"role=display") {
        hold(&counts.standbys, counts.standbys.load(Relaxed) + 1).await;
    }
    let mut server = TcpStream::connect(server).await?;
    server.write_all(&request).await?;
    if !holds(&request.to_ascii_lowercase(), b"upgrade: websocket") {
        let answered = proxy_answer(client, server, fault, &counts).await;
        counts.standbys.fetch_add(u64::from(begins_draw), Relaxed);
        return answered;
    }
    let upgrades = counts.upgrades.fetch_add(1, Relaxed) + 1;
    if matches!(fault, Fault::RefuseEvery(every) if upgrades.is_multiple_of(every)) {
        return client.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    }
    let head = read_head(&mut server).await?;
    client.write_all(&head).await?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let down = proxy_frames(from_server, to_client, fault, &counts).await;
    up.abort();
    down
}

/// Proxies one HTTP exchange whose request head has been sent.
async fn proxy_answer(client: TcpStream, server: TcpStream, fault: Fault, counts: &Counts) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut chunk = vec![0; 64 << 10];
    let mut started = false;
    loop {
        let size = from_server.read(&mut chunk).await?;
        if size == 0 {
            break;
        }
        let answers = if started { 0 } else { counts.answers.fetch_add(1, Relaxed) + 1 };
        if matches!(fault, Fault::FailEvery(every) if !started && answers.is_multiple_of(every)) {
            to_client
                .write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                .await?;
            break;
        }
        started = true;
        to_client.write_all(&chunk[..size]).await?;
    }
    up.abort();
    Ok(())
}

/// Proxies the server's frames to a client, with the fault.
async fn proxy_frames(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    fault: Fault,
    counts: &Counts,
) -> std::io::Result<()> {
    let mut held: Option<Vec<u8>> = None;
    loop {
        let mut frame = read_frame(&mut server).await?;
        let greets = holds(&frame, b"\"type\":\"state_sync\"");
        let numbered = holds(&frame, b"\"seq\":") && !greets;
        let place = if numbered { counts.frames.fetch_add(1, Relaxed) + 1 } else { 0 };
        let announces = holds(&frame, b"\"type\":\"winner_announced\"");
        let announcement = if announces { counts.announcements.fetch_add(1, Relaxed) + 1 } else { 0 };
        match fault {
            Fault::Silence => continue,
            Fault::DropFrame(at) if place == at => continue,
            Fault::DuplicateFrame(at) if place == at => client.write_all(&frame).await?,
            Fault::SwapFrames(at) if place == at => {
                held = Some(frame);
                continue;
            }
            Fault::DelayEvery(every) if announces && announcement.is_multiple_of(every) => sleep(Duration::from_secs(1)).await,
            Fault::ChangeWinner(at) if announcement == at => change_winner(&mut frame),
            Fault::ChangeWinners => change_winner(&mut frame),
            _ => {}
        }
        client.write_all(&frame).await?;
        counts.greetings.fetch_add(u64::from(greets), Relaxed);
        if let Some(late) = held.take_if(|_| numbered) {
            client.write_all(&late).await?;
        }
    }
}

/// Changes the first digit of the winner, and keeps the length.
fn change_winner(frame: &mut [u8]) {
    if let Some(at) = frame.windows(11).position(|window| window == b"\"winners\":[")
        && let Some(digit) = frame.get_mut(at + 11).filter(|digit| digit.is_ascii_digit())
    {
        *digit = if *digit == b'9' { b'1' } else { *digit + 1 };
    }
}

/// Reads a whole frame of the server: unmasked, so its header has 2, 4 or 10 bytes.
async fn read_frame(server: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 2];
    server.read_exact(&mut frame).await?;
    let more = [0, 2, 8][usize::from(frame[1] == 126) + 2 * usize::from(frame[1] == 127)];
    frame.resize(2 + more, 0);
    server.read_exact(&mut frame[2..]).await?;
    let extended = frame[2..].iter().fold(0_usize, |size, byte| (size << 8) | usize::from(*byte));
    let size = if more == 0 { usize::from(frame[1]) } else { extended };
    let header = frame.len();
    frame.resize(header + size, 0);
    server.read_exact(&mut frame[header..]).await?;
    Ok(frame)
}

/// Reads up to the empty line; the body stays unread.
pub async fn read_head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(Duration::from_secs(30), stream.read_u8()).await??);
    }
    Ok(head)
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
