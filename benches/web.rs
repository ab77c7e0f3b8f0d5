//! The size of pages; the time of a registration over a socket until it is on the disk; and
//! parsing: serde_json against simd-json, each of which `wire/parse.rs` uses where it is faster.
//!
//! Registrations go to a server in this process over loopback, by one phone after another and by 64
//! at once, which share a commit. The disk's flush bounds them as it bounds `store/commit`; run the
//! bench on the disk of interest (`TMPDIR`).
//!
//! Four real bodies: a phone's registration, a console's draw, a new event with 300 prizes, and an
//! old console's draw with a 2 MB picture inside. simd-json gets the best case: buffers reused
//! between bodies, which costs twice the largest body per thread, and one copy, since it changes
//! its input and the error pass needs the original.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use luckydraw::api::assets::{File, files_of};
use luckydraw::ops::config::{self, Config, Invocation};
use luckydraw::ops::server;
use luckydraw::wire::parse::parse_on_tape;
use luckydraw::wire::request::{DrawBody, NewEvent, Register};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

fn parsing(criterion: &mut Criterion) {
    let register = r#"{"event_id":"gala-2026","request_id":"5f0c2a9b7e1d4c38a6b1f0d2e9c47a35"}"#;
    read::<Register>(criterion, "register-80B", register);
    read::<DrawBody>(criterion, "standby-200B", &draw("/api/luckydraw/images/9f86d081884c7d659a2feaa0c55ad015.png"));
    let prize = r#"{"prize_name":"65인치 UHD TV","prize_rank":1,"quantity":3,"draw_mode":"card","winner_count":3}"#;
    let prizes = vec![prize; 300].join(",");
    read::<NewEvent>(criterion, "prizes-30KB", &format!(r#"{{"event_id":"gala-2026","title":"송년회","prizes":[{prizes}]}}"#));
    let picture = "iVBORw0KGgoAAAANSUhEUgAA".repeat(2_000_000 / 24);
    read::<DrawBody>(criterion, "standby-2MB", &draw(&format!("data:image/png;base64,{picture}")));
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
    group.bench_function("simd_json", |bench| bench.iter(|| parse_on_tape::<T>(black_box(body)).is_some()));
    group.finish();
}

fn register(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("web/register");
    for phones_count in [1, 64] {
        // A server per size, so that none is full.
        let folder = tempfile::tempdir().expect("a folder for the bench");
        let server = server::start(&settings(folder.path())).expect("the server starts");
        let mut phones: Vec<_> = (0..phones_count).map(|_| Phone::connect(server.addresses()[0].address)).collect();
        let mut count = 0;
        group.throughput(Throughput::Elements(phones_count));
        group.bench_function(BenchmarkId::from_parameter(phones_count), |bench| {
            bench.iter(|| {
                for phone in &mut phones {
                    count += 1;
                    phone.send(count);
                }
                phones.iter_mut().for_each(Phone::receive);
            });
        });
        drop(phones);
        server.stop();
    }
    group.finish();
}

/// Settings of a server in open mode with room for every participant of a run.
fn settings(folder: &Path) -> Config {
    let values =
        [("BIND", "127.0.0.1:0"), ("OPEN", "1"), ("DEFAULT_EVENT", "bench"), ("PARTICIPANTS_MAX", "300000"), ("LOG", "error")];
    let env = values.map(|(name, value)| (OsString::from(format!("LUCKYDRAW_{name}")), OsString::from(value)));
    let env = env.into_iter().chain([("LUCKYDRAW_DATA_DIR".into(), folder.into())]);
    match config::parse(["luckydraw".into()], env) {
        Ok(Invocation::Run { config, .. }) => *config,
        other => panic!("no settings of a server: {other:?}"),
    }
}

/// A keep-alive connection.
struct Phone {
    stream: TcpStream,
    answer: [u8; 4096],
}

impl Phone {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("it is open");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("it is open");
        Self { stream, answer: [0; 4096] }
    }

    fn send(&mut self, count: u64) {
        let body = format!(r#"{{"event_id":"bench","request_id":"bench-request-{count:020}"}}"#);
        let head =
            "POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ";
        let request = format!("{head}{}\r\n\r\n{body}", body.len());
        self.stream.write_all(request.as_bytes()).expect("the server reads");
    }

    /// Reads to the end of the response, a small JSON object without nested objects.
    fn receive(&mut self) {
        let mut len = 0;
        while len == 0 || self.answer[len - 1] != b'}' {
            let got = self.stream.read(&mut self.answer[len..]).expect("the server answers");
            assert!(got > 0, "the connection is kept");
            len += got;
        }
        assert!(self.answer.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&self.answer[..len]));
    }
}

/// Prints the transfer size of each page; sizes are not timed but belong to the figures.
fn sizes(_: &mut Criterion) {
    for page in ["phone", "stage", "console", "staff", "verify"] {
        let parts = files_of(&format!("{page}/index.html"));
        let sum = |size: fn(&File) -> usize| parts.iter().map(|file| size(file)).sum::<usize>();
        let (brotli, gzip, plain) = (sum(|file| file.brotli.len()), sum(|file| file.gzip.len()), sum(|file| file.plain().len()));
        println!("web/weight/{page}: {brotli} bytes by brotli, {gzip} by gzip, {plain} plain, {} files", parts.len());
    }
}

criterion_group!(benches, parsing, register, sizes);
criterion_main!(benches);
