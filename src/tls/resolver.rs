//! The certificate that is shown, where every handshake finds it.
//!
//! Handshakes on all workers read it while a source changes it, so it is swapped whole and never locked. While an order is under way the authority's
//! call is passed on to what answers it; and a call to oneself, by which a source finds out whether the street leads here, is noted.

use crate::tls::ACME_PROTOCOL;
use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_acme::ResolvesServerCertAcme;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What is shown to whom.
#[derive(Debug, Default)]
pub struct CertificateResolver {
    /// Written by the source.
    shown: ArcSwapOption<CertifiedKey>,
    /// Answers the authority while an order is under way. Written by the source.
    proof: ArcSwapOption<ResolvesServerCertAcme>,
    /// The call to oneself that is under way. Written by the source.
    call: ArcSwapOption<Call>,
}

/// A call to oneself: the name that is asked for, which nobody else knows.
#[derive(Debug)]
pub struct Call {
    name: String,
    /// Written by the handshake. Relaxed: whoever waits for it asks again, and reads nothing on the strength of it.
    has_come: AtomicBool,
}

impl CertificateResolver {
    /// Shows this certificate from now on.
    pub fn show(&self, pair: Arc<CertifiedKey>) {
        self.shown.store(Some(pair));
    }

    /// Lets an authority's call be answered, or no longer.
    pub fn prove(&self, proof: Option<Arc<ResolvesServerCertAcme>>) {
        self.proof.store(proof);
    }

    /// Expects a call to oneself that asks for `name`, and no other from now on.
    pub fn expect(&self, name: &str) -> Arc<Call> {
        let call = Arc::new(Call { name: name.to_owned(), has_come: AtomicBool::new(false) });
        self.call.store(Some(Arc::clone(&call)));
        call
    }
}

impl Call {
    /// Whether it has come in.
    pub fn has_come(&self) -> bool {
        self.has_come.load(Relaxed)
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == ACME_PROTOCOL)) {
            return self.proof.load_full()?.resolve(hello);
        }
        if let (Some(call), Some(name)) = (&*self.call.load(), hello.server_name())
            && call.name == name
        {
            call.has_come.store(true, Relaxed);
            return None;
        }
        self.shown.load_full()
    }
}
