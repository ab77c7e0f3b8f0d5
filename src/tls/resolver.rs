//! The certificate that handshakes show.
//!
//! Handshakes on all workers read it while a source changes it, so it is swapped whole and never
//! locked. While an order is under way, the authority's connection gets its proof instead. A
//! connection of the server to itself, by which a source finds out whether the domain leads here,
//! is noted and gets no certificate.

use crate::tls::ACME_PROTOCOL;
use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_acme::ResolvesServerCertAcme;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Chooses the certificate of each handshake.
#[derive(Debug, Default)]
pub struct CertificateResolver {
    /// Written by the source.
    shown: ArcSwapOption<CertifiedKey>,
    /// The proof for the authority while an order is under way. Written by the source.
    proof: ArcSwapOption<ResolvesServerCertAcme>,
    /// The probe that is under way. Written by the source.
    probe: ArcSwapOption<ReachProbe>,
}

/// A connection of the server to itself, recognized by a server name that no other program knows.
#[derive(Debug)]
pub struct ReachProbe {
    server_name: String,
    /// Written by the handshake. Relaxed: the prober polls it, and reads nothing on the strength of
    /// it.
    has_arrived: AtomicBool,
}

impl CertificateResolver {
    /// Shows this certificate from now on.
    pub fn show(&self, key: Arc<CertifiedKey>) {
        self.shown.store(Some(key));
    }

    /// The certificate that is shown; `None` before the first.
    pub fn shown(&self) -> Option<Arc<CertifiedKey>> {
        self.shown.load_full()
    }

    /// Sets the proof for the authority, or removes it.
    pub fn set_proof(&self, proof: Option<Arc<ResolvesServerCertAcme>>) {
        self.proof.store(proof);
    }

    /// Expects a probe that asks for `server_name`, and no other from now on.
    pub fn expect_probe(&self, server_name: &str) -> Arc<ReachProbe> {
        let probe = Arc::new(ReachProbe { server_name: server_name.to_owned(), has_arrived: AtomicBool::new(false) });
        self.probe.store(Some(Arc::clone(&probe)));
        probe
    }
}

impl ReachProbe {
    /// True once the connection has arrived at this server.
    pub fn has_arrived(&self) -> bool {
        self.has_arrived.load(Relaxed)
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == ACME_PROTOCOL)) {
            return self.proof.load_full()?.resolve(hello);
        }
        if let (Some(probe), Some(name)) = (&*self.probe.load(), hello.server_name())
            && probe.server_name == name
        {
            probe.has_arrived.store(true, Relaxed);
            return None;
        }
        self.shown()
    }
}
