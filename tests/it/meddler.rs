//! Somebody on the line between a client and the server who meddles with what passes: the load tester has to notice.
//!
//! A plain TCP proxy that understands as much of HTTP and WebSocket as its mischief takes. It counts over all connections, so that "one frame" is one
//! in the whole run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    /// Nothing.
    None,
    /// The numbered frame with this place in the run never arrives.
    DropFrame(u64),
    /// It arrives twice.
    DoubleFrame(u64),
    /// It arrives after the one that follows it on its socket.
    SwapFrames(u64),
    /// Of every so many announcements one is a second late.
    DelayEvery(u64),
    /// Of every so many HTTP answers one is a 500.
    FailEvery(u64),
    /// Of every so many upgrades one is refused.
    RefuseEvery(u64),
    /// One phone hears another winner of the announcement with this place in the run.
    ChangeWinner(u64),
    /// Everybody hears another winner, of all draws.
    ChangeWinners,
    /// Sockets are opened, and nothing is ever heard on them.
    Silence,
}

/// A proxy in front of a server. Dropping it ends it.
pub struct Meddler {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

/// What was counted; any thread adds, and nothing hangs on the order.
#[derive(Default)]
struct Counts {
    frames: AtomicU64,
    announcements: AtomicU64,
    answers: AtomicU64,
    upgrades: AtomicU64,
}

impl Meddler {
    pub async fn before(server: SocketAddr, mischief: Mischief) -> Self {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                // A connection that breaks is the client's to notice.
                tokio::spawn(pass(client, server, mischief, counts.clone()));
            }
        });
        Self { address, accepting }
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries one connection to its end.
async fn pass(mut client: TcpStream, server: SocketAddr, mischief: Mischief, counts: Arc<Counts>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let request = read_head(&mut client).await?;
    server.write_all(&request).await?;
    if !holds(&request.to_ascii_lowercase(), b"upgrade: websocket") {
        return answer(client, server, mischief, &counts).await;
    }
    let upgrades = counts.upgrades.fetch_add(1, Relaxed) + 1;
    if matches!(mischief, Mischief::RefuseEvery(every) if upgrades.is_multiple_of(every)) {
        return client.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    }
    let head = read_head(&mut server).await?;
    client.write_all(&head).await?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let down = frames(from_server, to_client, mischief, &counts).await;
    up.abort();
    down
}

/// One HTTP exchange, the request's head already sent.
async fn answer(client: TcpStream, server: TcpStream, mischief: Mischief, counts: &Counts) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut chunk = vec![0; 64 << 10];
    let mut begun = false;
    loop {
        let size = from_server.read(&mut chunk).await?;
        if size == 0 {
            break;
        }
        let answers = if begun { 0 } else { counts.answers.fetch_add(1, Relaxed) + 1 };
        if matches!(mischief, Mischief::FailEvery(every) if !begun && answers.is_multiple_of(every)) {
            to_client
                .write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                .await?;
            break;
        }
        begun = true;
        to_client.write_all(&chunk[..size]).await?;
    }
    up.abort();
    Ok(())
}

/// Carries the server's frames to a client, meddling.
async fn frames(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    mischief: Mischief,
    counts: &Counts,
) -> std::io::Result<()> {
    let mut held: Option<Vec<u8>> = None;
    loop {
        let mut frame = read_frame(&mut server).await?;
        let numbered = holds(&frame, b"\"seq\":") && !holds(&frame, b"\"type\":\"state_sync\"");
        let place = if numbered { counts.frames.fetch_add(1, Relaxed) + 1 } else { 0 };
        let announces = holds(&frame, b"\"type\":\"winner_announced\"");
        let announcement = if announces { counts.announcements.fetch_add(1, Relaxed) + 1 } else { 0 };
        match mischief {
            Mischief::Silence => continue,
            Mischief::DropFrame(at) if place == at => continue,
            Mischief::DoubleFrame(at) if place == at => client.write_all(&frame).await?,
            Mischief::SwapFrames(at) if place == at => {
                held = Some(frame);
                continue;
            }
            Mischief::DelayEvery(every) if announces && announcement.is_multiple_of(every) => sleep(Duration::from_secs(1)).await,
            Mischief::ChangeWinner(at) if announcement == at => change_winner(&mut frame),
            Mischief::ChangeWinners => change_winner(&mut frame),
            _ => {}
        }
        client.write_all(&frame).await?;
        if let Some(late) = held.take_if(|_| numbered) {
            client.write_all(&late).await?;
        }
    }
}

/// Makes another number of the first digit of the winner, and leaves the length as it is.
fn change_winner(frame: &mut [u8]) {
    if let Some(at) = frame.windows(11).position(|window| window == b"\"winners\":[")
        && let Some(digit) = frame.get_mut(at + 11).filter(|digit| digit.is_ascii_digit())
    {
        *digit = if *digit == b'9' { b'1' } else { *digit + 1 };
    }
}

/// A whole frame of the server's: unmasked, so that its header is 2, 4 or 10 bytes.
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

/// Bytes up to the empty line; what comes with them and belongs to the body stays unread.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(Duration::from_secs(30), stream.read_u8()).await??);
    }
    Ok(head)
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
