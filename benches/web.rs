//! What pages weigh, and reading bodies: serde_json against simd-json, each of which `wire/parse.rs` uses where it wins.
//!
//! Four real bodies: a phone's registration, a console's draw, a new event with 300 prizes, and an old console's draw with a 2 MB picture
//! inside. simd-json gets the best case: buffers kept between bodies, at twice the largest body a thread for good, and one copy, since it
//! scribbles over its input and the error pass needs it as it came.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use luckydraw::web::files::{File, weighed};
use luckydraw::wire::parse::read_many_fields;
use luckydraw::wire::request::{NewEvent, Register, Spec};
use serde::de::DeserializeOwned;
use std::hint::black_box;

fn parsing(criterion: &mut Criterion) {
    let register = r#"{"event_id":"gala-2026","request_id":"5f0c2a9b7e1d4c38a6b1f0d2e9c47a35"}"#;
    read::<Register>(criterion, "register-80B", register);
    read::<Spec>(criterion, "standby-200B", &draw("/api/luckydraw/images/9f86d081884c7d659a2feaa0c55ad015.png"));
    let prize = r#"{"prize_name":"65인치 UHD TV","prize_rank":1,"quantity":3,"draw_mode":"card","winner_count":3}"#;
    let prizes = vec![prize; 300].join(",");
    read::<NewEvent>(criterion, "prizes-30KB", &format!(r#"{{"event_id":"gala-2026","title":"송년회","prizes":[{prizes}]}}"#));
    let picture = "iVBORw0KGgoAAAANSUhEUgAA".repeat(2_000_000 / 24);
    read::<Spec>(criterion, "standby-2MB", &draw(&format!("data:image/png;base64,{picture}")));
}

fn draw(image: &str) -> String {
    format!(
        r#"{{"prize_name":"65인치 UHD TV","prize_rank":1,"prize_image":"{image}","draw_mode":"card","winner_count":5,"prize_id":12}}"#
    )
}

fn read<T: DeserializeOwned>(criterion: &mut Criterion, name: &str, body: &str) {
    let body = body.as_bytes();
    let mut group = criterion.benchmark_group(format!("web/parse/{name}"));
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("serde_json", |bench| bench.iter(|| serde_json::from_slice::<T>(black_box(body)).is_ok()));
    group.bench_function("simd_json", |bench| bench.iter(|| read_many_fields::<T>(black_box(body)).is_some()));
    group.finish();
}

/// Prints what each page weighs over the wire: a size is not timed, and belongs to the figures all the same.
fn weights(_: &mut Criterion) {
    for page in ["phone.html", "stage.html", "console.html", "staff.html", "verify.html"] {
        let parts = weighed(page);
        let sum = |size: fn(&File) -> usize| parts.iter().map(|file| size(file)).sum::<usize>();
        let (brotli, gzip, plain) = (sum(|file| file.brotli.len()), sum(|file| file.gzip.len()), sum(|file| file.plain.len()));
        println!("web/weight/{page}: {brotli} bytes by brotli, {gzip} by gzip, {plain} plain, {} files", parts.len());
    }
}

criterion_group!(benches, parsing, weights);
criterion_main!(benches);
