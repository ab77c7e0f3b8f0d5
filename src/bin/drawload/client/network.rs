//! `--network hall`: the path between each phone's socket and the server, as phones in a hall have
//! it.
//!
//! A task of the tester carries the bytes of a socket in order, each chunk after the delay of its
//! link. That needs no rights, and shows to the server what a network would: late and clustered
//! messages, peers that are gone without a word, and peers that come back and ask for what they
//! missed. Every path follows from the seed. Not simulated: bandwidth, a phone's kernel that no
//! longer acknowledges, and calls over HTTP, which go to the server directly.

use crate::measure::clock::{Clock, Rng, Span};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, copy, duplex, sink, split};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Share of phones on Wi-Fi; the others are on 4G.
const WIFI: f64 = 0.6;

/// Delays one way, in milliseconds, and more at random for each chunk, as a share of it.
const WIFI_MS: (f64, f64) = (5.0, 60.0);
const CELLULAR_MS: (f64, f64) = (30.0, 300.0);
const JITTER: f64 = 0.3;

/// Share of chunks that stall, as after a loss, and the first time-out of TCP, which doubles.
const STALLS: (f64, f64) = (0.01, 0.03);
const STALL: Duration = Duration::from_millis(200);
const STALL_DOUBLINGS_MAX: u64 = 3;

/// Shares of phones that change their network once, and whose tab sleeps once.
const ROAMING: f64 = 0.2;
const ASLEEP: f64 = 0.2;

/// Length of a sleep, in seconds; shorter than the time in which a request must be answered.
const SLEEP_S: (f64, f64) = (2.0, 12.0);

/// A phone takes its socket for lost within this time: what it was not able to receive meanwhile is
/// no fault of the server.
const SILENCE: Duration = Duration::from_secs(13);

/// Buffer between a phone and its path; a chunk is as long at most.
const CHUNK_BYTES: usize = 4 << 10;

/// Chunks on their way.
const CHUNKS_MAX: usize = 256;

/// The path of one phone.
#[derive(Debug)]
pub struct Path {
    pub is_wifi: bool,
    one_way: Duration,
    stalls: f64,
    /// When the phone changes its network, without a close of any kind.
    pub roams_at: Option<Duration>,
    /// When its tab sleeps.
    pub sleep: Option<Span>,
    seed: u64,
    connections: Cell<u64>,
    is_broken: Cell<bool>,
}

/// All paths of a scenario.
#[derive(Debug)]
pub struct Network {
    paths: Vec<Rc<Path>>,
    clock: Clock,
    /// Sockets that the server may still hold though their phones are gone.
    half_open: Rc<Cell<u64>>,
    ended: CancellationToken,
}

impl Path {
    /// The path of a phone that may be disturbed within `within`.
    pub fn new(seed: u64, phone: usize, within: Span) -> Self {
        let mut rng = Rng(seed ^ (phone as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let is_wifi = rng.fraction() < WIFI;
        let between = |rng: &mut Rng, (from, to): (f64, f64)| from + (to - from) * rng.fraction();
        let one_way_ms = between(&mut rng, if is_wifi { WIFI_MS } else { CELLULAR_MS });
        let stalls = between(&mut rng, STALLS);
        let at = |rng: &mut Rng| within.from + within.length.mul_f64(rng.fraction());
        let (roams, sleeps) = (rng.fraction() < ROAMING, rng.fraction() < ASLEEP);
        let (roams_at, sleep_from) = (at(&mut rng), at(&mut rng));
        let length = Duration::from_secs_f64(between(&mut rng, SLEEP_S)).min(within.length / 3);
        let length = length.min(within.end().saturating_sub(sleep_from));
        Self {
            is_wifi,
            one_way: Duration::from_secs_f64(one_way_ms / 1_000.0),
            stalls,
            roams_at: roams.then_some(roams_at),
            sleep: sleeps.then_some(Span { from: sleep_from, length }),
            seed: rng.next(),
            connections: Cell::new(0),
            is_broken: Cell::new(false),
        }
    }

    /// The delay of each chunk of one way of one connection.
    fn delays(&self, connection: u64, way: u64) -> impl Iterator<Item = Duration> {
        let (one_way, stalls, mut rng) = (self.one_way, self.stalls, Rng(self.seed ^ (2 * connection + way)));
        std::iter::repeat_with(move || {
            let stall = if rng.fraction() < stalls { STALL * (1 << (rng.next() % STALL_DOUBLINGS_MAX)) } else { Duration::ZERO };
            one_way.mul_f64(1.0 + JITTER * rng.fraction()) + stall
        })
    }

    /// The end of the sleep in which a time falls.
    fn wakes_at(&self, at: Duration) -> Option<Duration> {
        self.sleep.filter(|sleep| sleep.from <= at && at < sleep.end()).map(Span::end)
    }
}

impl Network {
    pub fn new(seed: u64, phones: usize, within: Span, clock: Clock, ended: CancellationToken) -> Self {
        let paths = (0..phones).map(|phone| Rc::new(Path::new(seed, phone, within))).collect();
        Self { paths, clock, half_open: Rc::default(), ended }
    }

    pub fn paths(&self) -> &[Rc<Path>] {
        &self.paths
    }

    pub fn half_open(&self) -> u64 {
        self.half_open.get()
    }

    /// Tells whether the path of a phone broke its socket, or kept it silent.
    pub fn is_disturbed(&self, phone: usize) -> bool {
        let path = &self.paths[phone];
        let now = self.clock.now();
        path.is_broken.get() || path.sleep.is_some_and(|sleep| sleep.from <= now && now < sleep.end() + SILENCE)
    }

    /// Leads the connection of a phone over its path; returns the phone's end.
    pub fn lead(&self, phone: usize, server: impl AsyncRead + AsyncWrite + Unpin + 'static) -> DuplexStream {
        let path = self.paths[phone].clone();
        let connection = path.connections.replace(path.connections.get() + 1);
        path.is_broken.set(false);
        let (near, far) = duplex(CHUNK_BYTES);
        let (clock, half_open, ended) = (self.clock, self.half_open.clone(), self.ended.clone());
        spawn_local(async move {
            let (mut from_server, mut to_server) = split(server);
            let roamed = {
                let (from_phone, to_phone) = split(far);
                let up = carry(from_phone, &mut to_server, &path, clock, path.delays(connection, 0));
                let down = carry(&mut from_server, to_phone, &path, clock, path.delays(connection, 1));
                // A network is changed once, and the socket after it lasts.
                let roam = async {
                    match path.roams_at.filter(|at| *at > clock.now()) {
                        Some(at) => drop(clock.wait_until(at).await),
                        None => std::future::pending().await,
                    }
                    path.is_broken.set(true);
                };
                tokio::select! {
                    _ = async { tokio::join!(up, down) } => false,
                    () = roam => true,
                }
            };
            if roamed {
                // Neither a FIN nor a reset: the server must notice by itself that nobody answers.
                half_open.set(half_open.get() + 1);
                let mut unread = sink();
                tokio::select! {
                    _ = copy(&mut from_server, &mut unread) => {}
                    () = ended.cancelled() => {}
                }
                half_open.set(half_open.get() - 1);
            }
        });
        near
    }
}

/// Carries bytes one way until either end closes.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    path: &Path,
    clock: Clock,
    mut delays: impl Iterator<Item = Duration>,
) {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let read = async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(size @ 1..) = from.read(&mut chunk).await {
            let asleep = path.wakes_at(clock.now()).map_or(Duration::ZERO, |at| at.saturating_sub(clock.now()));
            let due = Instant::now() + asleep + delays.next().unwrap_or_default();
            if sender.send((due, chunk[..size].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = chunks.recv().await {
            // A chunk that is due before the one that it follows waits for it.
            sleep_until(due).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        // The other end may be gone already.
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::LocalSet;

    const WITHIN: Span = Span { from: Duration::from_secs(20), length: Duration::from_secs(60) };

    /// Everything that happens to a phone.
    fn course(seed: u64, phone: usize) -> (Duration, Option<Duration>, Option<Span>, Vec<Duration>) {
        let path = Path::new(seed, phone, WITHIN);
        (path.one_way, path.roams_at, path.sleep, path.delays(1, 1).take(500).collect())
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule() {
        assert!((0..50).all(|phone| course(7, phone) == course(7, phone)));
        assert_ne!(course(7, 1), course(8, 1));
        assert_ne!(course(7, 1), course(7, 2));
    }

    #[test]
    fn paths_are_as_described() {
        let paths: Vec<Path> = (0..1_000).map(|phone| Path::new(3, phone, WITHIN)).collect();
        let count = |holds: &dyn Fn(&Path) -> bool| paths.iter().filter(|path| holds(path)).count();
        assert!(paths.iter().all(|path| (5..=300).contains(&path.one_way.as_millis())));
        assert!((550..650).contains(&count(&|path| path.is_wifi)));
        assert!((150..250).contains(&count(&|path| path.roams_at.is_some())));
        assert!((150..250).contains(&count(&|path| path.sleep.is_some())));
        assert!(paths.iter().filter_map(|path| path.sleep).all(|sleep| sleep.end() <= WITHIN.end()));
        let delays: Vec<_> = paths[0].delays(0, 0).take(10_000).collect();
        let stalled = delays.iter().filter(|delay| **delay >= STALL + paths[0].one_way).count();
        assert!((80..350).contains(&stalled), "1 to 3 %: {stalled}");
    }

    #[tokio::test]
    async fn bytes_arrive_in_order_and_a_roaming_phone_leaves_its_socket_open() {
        let carried = async {
            let clock = Clock::start();
            let (server, mut far) = duplex(1 << 16);
            let within = Span { from: Duration::from_millis(700), length: Duration::ZERO };
            let roaming = (0..).find(|phone| Path::new(1, *phone, within).roams_at.is_some()).unwrap();
            let network = Network::new(1, roaming + 1, within, clock, CancellationToken::new());
            let mut phone = network.lead(roaming, server);
            for byte in 0..50 {
                far.write_all(&[byte]).await.unwrap();
            }
            let mut received = Vec::new();
            phone.read_to_end(&mut received).await.unwrap();
            assert!(received.is_sorted() && network.is_disturbed(roaming), "{received:?}");
            assert_eq!(network.half_open(), 1);
            far.write_all(b"nobody reads this, and nothing is closed").await.unwrap();
            assert_eq!(network.half_open(), 1);
            drop(far);
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            assert_eq!(network.half_open(), 0, "the server gave it up");
        };
        LocalSet::new().run_until(carried).await;
    }
}
