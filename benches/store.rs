//! The journal's costs: a batch of registrations until it is on the disk, and the replay of a large
//! event.
//!
//! The disk's flush bounds a commit, so the rows per second rise with the batch; run the bench on
//! the disk of interest (`TMPDIR`).

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use luckydraw::base::data_dir::DataDir;
use luckydraw::draw::fact::{RecordedFact, SecretScope, Settings};
use luckydraw::draw::{Actor, Epoch, EventId, Fact, Number, SessionId, Timestamp};
use luckydraw::store::{Journal, JournalEntry, Keys};
use std::hint::black_box;
use tempfile::TempDir;

const REPLAYED: u32 = 100_000;

fn entry(event: &EventId, actor: Actor, fact: Fact) -> JournalEntry {
    JournalEntry { event: event.clone(), stamped: RecordedFact { at: Timestamp(1_795_360_011_042), actor, fact }, details: None }
}

/// A journal of one event without participants. The folder is removed on drop.
fn journal(event: &EventId) -> (TempDir, Journal) {
    let folder = tempfile::tempdir().expect("a folder for the bench");
    let data = DataDir::new(folder.path());
    let keys = Keys::open(&data).expect("a secret");
    let mut journal = Journal::open(&data, &keys).expect("a journal");
    let settings = Settings { title: "bench".into(), participants_max: 300_000, ..Settings::default() };
    let opened = Fact::Opened { id: event.clone(), settings, session: SessionId([1; 16]), epoch: Epoch([1; 8]) };
    journal.commit(&[entry(event, Actor::Admin, opened)]).expect("the event is opened");
    (folder, journal)
}

/// Registrations with rising numbers, `len` per call.
fn registrations(event: &EventId, len: u32) -> impl FnMut() -> Vec<JournalEntry> {
    let mut number = 0;
    move || {
        let registered = |number: u32| {
            let mut key = [0xa5; 32];
            key[..4].copy_from_slice(&number.to_le_bytes());
            entry(event, Actor::Phone, Fact::Registered { number: Number(number), key, secrets: SecretScope::Registration })
        };
        let batch = (number + 1..=number + len).map(registered).collect();
        number += len;
        batch
    }
}

fn commit(c: &mut Criterion) {
    let event = EventId::parse("bench").expect("a plain name");
    let mut group = c.benchmark_group("store/commit");
    for rows in [1, 64, 512] {
        let (_folder, mut journal) = journal(&event);
        let mut batch = registrations(&event, rows);
        group.throughput(Throughput::Elements(rows.into()));
        group.bench_function(BenchmarkId::from_parameter(rows), |b| {
            b.iter_batched(&mut batch, |batch| journal.commit(&batch).expect("the disk has room"), BatchSize::SmallInput);
        });
    }
}

fn replay(c: &mut Criterion) {
    let event = EventId::parse("bench").expect("a plain name");
    let (_folder, mut journal) = journal(&event);
    let mut batch = registrations(&event, 500);
    for _ in 0..REPLAYED / 500 {
        journal.commit(&batch()).expect("the disk has room");
    }
    let mut group = c.benchmark_group("store/replay");
    group.throughput(Throughput::Elements(REPLAYED.into()));
    group.sample_size(20);
    group.bench_function(BenchmarkId::from_parameter(REPLAYED), |b| {
        b.iter(|| {
            let mut facts = 0;
            journal.replay(|event, stamped| facts += u32::from(black_box((event, stamped)).1.at.0 > 0)).expect("it is readable");
            assert_eq!(facts, REPLAYED + 1);
        });
    });
}

criterion_group!(benches, commit, replay);
criterion_main!(benches);
