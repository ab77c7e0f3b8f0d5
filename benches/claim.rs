//! The cost of a claim: 20,000 keys claimed by one thread, and by every core at once.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use luckydraw::live::roster::Roster;
use ring::digest::{SHA256, digest};
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Keys per round: a full event of the default size.
const KEYS: u32 = 20_000;

/// Claims all `keys`, dealt to `threads` that start at once. Returns the time from the first start
/// to the last end.
fn claim_all(roster: &Roster, keys: &[[u8; 32]], threads: usize) -> Duration {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let start = |thread| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let started = Instant::now();
                for key in keys.iter().skip(thread).step_by(threads) {
                    black_box(roster.claim(key));
                }
                (started, Instant::now())
            })
        };
        let running: Vec<_> = (0..threads).map(start).collect();
        let spans = running.into_iter().map(|thread| thread.join().expect("a claim does not panic"));
        let (first, last) = spans.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1))).expect("there is a thread");
        last - first
    })
}

fn claim(criterion: &mut Criterion) {
    let keys: Vec<[u8; 32]> =
        (0..KEYS).map(|i| digest(&SHA256, &i.to_be_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")).collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut group = criterion.benchmark_group("live/claim");
    group.throughput(Throughput::Elements(KEYS.into()));
    for threads in [1, cores, 4 * cores] {
        group.bench_function(format!("first/{threads}"), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| claim_all(&Roster::new(KEYS, 1), &keys, threads)).sum());
        });
        group.bench_function(format!("retry/{threads}"), |bencher| {
            let roster = Roster::new(KEYS, 1);
            claim_all(&roster, &keys, 1);
            bencher.iter_custom(|rounds| (0..rounds).map(|_| claim_all(&roster, &keys, threads)).sum());
        });
    }
    group.finish();
}

criterion_group!(benches, claim);
criterion_main!(benches);
