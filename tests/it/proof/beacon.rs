//! A beacon of our own: a chain of drand whose key the tests hold, relays that serve it well or
//! badly, and servers that use it.
//!
//! No setting makes the server take another chain than quicknet. So the server with this chain is
//! another program: the test binary starts itself again, and hands the chain over as a value.

use crate::credentials::{Authority, NAME, TODAY};
use crate::test_server::TestServer;
use bls12_381::hash_to_curve::{ExpandMsgXmd, HashToCurve};
use bls12_381::{G1Affine, G1Projective, G2Affine, G2Projective, Scalar};
use luckydraw::base::clock::wall_clock;
use luckydraw::base::http_client::Url;
use luckydraw::base::sha256;
use luckydraw::draw::proof::{DrandChain, Signature};
use luckydraw::ops::config::{self, Invocation};
use luckydraw::ops::{logs, server};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The secret key of the chain.
const SECRET: u64 = 0x6c75_636b_7964_7261;

/// The domain of signatures on G1 (scheme `bls-unchained-g1-rfc9380`).
const DOMAIN: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";

/// The chain, with a round per second.
pub fn chain() -> DrandChain {
    let public_key = G2Affine::from(G2Projective::generator() * Scalar::from(SECRET)).to_compressed();
    DrandChain { public_key, period_s: 1, genesis_s: 1_700_000_000, group_hash: [0x6c; 32], id: "luckydraw-tests" }
}

/// The chain's signature of a round.
pub fn sign(round: u64) -> Signature {
    sign_with(SECRET, round)
}

fn sign_with(secret: u64, round: u64) -> Signature {
    let message = sha256(&round.to_be_bytes());
    let point = <G1Projective as HashToCurve<ExpandMsgXmd<sha2::Sha256>>>::hash_to_curve(message, DOMAIN);
    G1Affine::from(point * Scalar::from(secret)).to_compressed()
}

/// The way in which a relay serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    Honest,
    /// Honest, in chunks.
    Chunked,
    /// It has rounds that are to come: by the caller's clock, which is slow.
    Early,
    /// It has no round.
    Missing,
    /// It accepts and never answers.
    Silent,
    /// The round before, under its own number.
    Stale,
    /// The round before, under the number that was asked for.
    OtherRound,
    /// A signature by another key.
    Forged,
    /// No point of the curve.
    NoPoint,
    Garbage,
    /// 100 MB of digits.
    Huge,
}

/// A relay on loopback.
pub struct Relay {
    pub url: Url,
    conduct: Arc<Mutex<Conduct>>,
    asked: Arc<AtomicUsize>,
}

impl Relay {
    pub fn start(conduct: Conduct) -> Self {
        Self::serve(conduct, None)
    }

    /// A relay that speaks TLS, with a certificate of this authority.
    pub fn start_tls(conduct: Conduct, authority: &Authority) -> Self {
        let (certificate, key) = authority.make(&[NAME], TODAY);
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Self::serve(conduct, Some(Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())))
    }

    fn serve(conduct: Conduct, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (scheme, host) = if tls.is_some() { ("https", NAME) } else { ("http", "127.0.0.1") };
        let url = Url::parse(&format!("{scheme}://{host}:{port}/drand")).unwrap();
        let (conduct, asked) = (Arc::new(Mutex::new(conduct)), Arc::<AtomicUsize>::default());
        let (current, count) = (Arc::clone(&conduct), Arc::clone(&asked));
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                let conduct = *current.lock().unwrap();
                let stream = stream.unwrap();
                match &tls {
                    _ if conduct == Conduct::Silent => silent.push(stream),
                    None => answer(stream, conduct),
                    Some(tls) => answer(StreamOwned::new(ServerConnection::new(Arc::clone(tls)).unwrap(), stream), conduct),
                }
            }
        });
        Self { url, conduct, asked }
    }

    pub fn turn(&self, conduct: Conduct) {
        *self.conduct.lock().unwrap() = conduct;
    }

    /// Requests so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(mut stream: impl Read + Write, conduct: Conduct) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap();
    let name = data_encoding::HEXLOWER.encode(&chain().hash());
    let round: u64 = path.strip_prefix(&format!("/drand/{name}/public/")).expect("the chain is named").parse().unwrap();
    let is_there = wall_clock().0 >= chain().time_of(round).0;
    let body = |number: u64, signature: &[u8]| {
        format!(r#"{{"round":{number},"randomness":"00","signature":"{}"}}"#, data_encoding::HEXLOWER.encode(signature))
    };
    let text = match conduct {
        Conduct::Missing => return send(&mut stream, "404 Not Found", "{}"),
        Conduct::Honest | Conduct::Chunked if !is_there => return send(&mut stream, "425 Too Early", "{}"),
        Conduct::Honest | Conduct::Early => body(round, &sign(round)),
        Conduct::Chunked => return send_chunked(&mut stream, &body(round, &sign(round))),
        Conduct::Stale => body(round - 1, &sign(round - 1)),
        Conduct::OtherRound => body(round, &sign(round - 1)),
        Conduct::Forged => body(round, &sign_with(SECRET + 1, round)),
        Conduct::NoPoint => body(round, &[0x9a; 48]),
        Conduct::Garbage => "<html>\u{fffd}".to_owned(),
        Conduct::Huge => return send_huge(&mut stream),
        Conduct::Silent => unreachable!("it reads no request"),
    };
    send(&mut stream, "200 OK", &text);
}

/// A client that has seen enough may have closed already.
fn send(stream: &mut impl Write, status: &str, body: &str) {
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
}

fn send_chunked(stream: &mut impl Write, body: &str) {
    let (first, rest) = body.split_at(20);
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n",
        rest.len()
    );
}

fn send_huge(stream: &mut impl Write) {
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    let block = [b'7'; 64 << 10];
    for _ in 0..1_600 {
        if stream.write_all(&block).is_err() {
            return;
        }
    }
}

/// A server whose chain is this one, with these relays and no others.
pub async fn serve(relays: &[&Relay]) -> TestServer {
    let urls: Vec<_> = relays.iter().map(|relay| relay.url.to_string()).collect();
    let own = std::env::current_exe().unwrap();
    let program = [own.to_str().unwrap(), "--exact", "proof::beacon::own_chain_server", "--ignored", "--nocapture"];
    TestServer::start_program(&program, &[("LUCKYDRAW_DRAND_URLS", &urls.join(","))]).await
}

#[test]
#[ignore = "a server for other tests, which runs until it is killed"]
fn own_chain_server() {
    if std::env::var_os("LUCKYDRAW_DATA_DIR").is_none() {
        return;
    }
    let env = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LUCKYDRAW_"));
    let Ok(Invocation::Run { mut config, .. }) = config::parse(["luckydraw".into()], env) else { panic!("bad settings") };
    config.sequencer.drand = chain();
    logs::start(logs::parse_filter(&config.log).unwrap());
    let server = server::start(&config).unwrap();
    println!("listening on http://{}/", server.addresses()[0].address);
    loop {
        std::thread::park();
    }
}
