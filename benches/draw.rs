//! The cost of a pick: pools of three sizes, from one winner to the most per draw, with and without
//! weights. And that of a start, lock and pick included, as the writer pays it.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use luckydraw::base::sha256;
use luckydraw::draw::command::{Command, Sources};
use luckydraw::draw::decide::open_event;
use luckydraw::draw::fact::{Fact, SecretScope, Settings};
use luckydraw::draw::proof::OutsideRule;
use luckydraw::draw::proof::drand::QUICKNET;
use luckydraw::draw::{DrawRequest, Entropy, Epoch, Event, EventId, Number, Pool, SessionId, Timestamp, pick};
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

/// An event with so many participants, whose keys are hashed ahead as the call that starts a draw
/// does it.
fn event(participants: u32, outside: OutsideRule) -> Event {
    let settings = Settings { title: "Gala".into(), participants_max: participants, outside, ..Settings::default() };
    let (id, session, epoch, at) = (EventId::parse("gala").expect("a name"), SessionId([1; 16]), Epoch([2; 8]), Timestamp(1));
    let facts = open_event(id.clone(), settings.clone(), session, epoch, &[], &mut || Entropy([7; 32])).expect("it opens");
    let mut event = Event::new(id, settings, session, epoch, at);
    facts.iter().for_each(|fact| event.apply(at, fact));
    for number in 1..=participants {
        let (key, secrets) = (sha256(&number.to_be_bytes()), SecretScope::Registration);
        event.apply(at, &Fact::Registered { number: Number(number), key, secrets });
    }
    (0..).take_while(|part| event.prepare_lock(*part)).count();
    event
}

fn starts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("draw/start");
    for (size, outside) in [(300, OutsideRule::None), (20_000, OutsideRule::None), (20_000, OutsideRule::DrandOrHall)] {
        let (event, at) = (event(size, outside), Timestamp(1_800_000_000_000));
        let request = DrawRequest { prize_name: Some("TV".into()), prize_rank: Some(1), ..DrawRequest::default() };
        group.bench_function(BenchmarkId::new(size.to_string(), outside.name()), |bencher| {
            bencher.iter(|| {
                let sources = Sources { entropy: &mut || Entropy([7; 32]), drand: &QUICKNET };
                let decided = event.decide(at, &Command::Start(request.clone()), sources).expect("it starts");
                let mut started = event.clone();
                decided.facts.iter().for_each(|fact| started.apply(at, fact));
                started
            });
        });
    }
    group.finish();
}

criterion_group!(benches, picks, starts);
criterion_main!(benches);
