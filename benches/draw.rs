//! The cost of a pick: pools of three sizes, from one winner to the most per draw, with and without
//! weights.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use luckydraw::draw::{Entropy, Number, Pool, pick};
use std::hint::black_box;

/// A pool without one number in a hundred, where one in a hundred has this weight.
fn pool(size: u32, weight: u16) -> Pool {
    let mut pool = Pool::new(size);
    let eligible = (1..=size).filter(|number| number % 100 != 58);
    eligible.for_each(|number| pool.push(Number(number), if number % 100 == 7 { weight } else { 1 }));
    pool
}

fn picks(criterion: &mut Criterion) {
    for (name, weight) in [("draw/pick", 1), ("draw/pick_weighted", 3)] {
        let mut group = criterion.benchmark_group(name);
        for size in [300, 20_000, 300_000] {
            let pool = pool(size, weight);
            for count in [1, 10, 500].into_iter().filter(|count| *count <= pool.size) {
                group.throughput(Throughput::Elements(count.into()));
                group.bench_function(BenchmarkId::new(size.to_string(), count), |bencher| {
                    bencher.iter(|| pick::pick(black_box(&pool), count, &Entropy([7; 32])));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, picks);
criterion_main!(benches);
