//! The channel between a coordinator and its agents: TLS 1.3, in which both sides prove that they
//! hold the shared token.
//!
//! Each side derives the same Ed25519 key from the token, presents it as a raw public key (RFC
//! 7250) and accepts no other. So the token never crosses the network, nobody else can read or
//! change a line, and no certificate has to be made or copied. Who holds no token learns the public
//! key at most; the derivation is slow, so that a guess at the token is expensive.

use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{default_provider, sign::any_eddsa_type};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use std::num::NonZeroU32;
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The version of the lines: an agent of another version is refused in the handshake (RFC 7301).
const VERSION: &[u8] = b"drawload-agent/2";

const SALT: &[u8] = b"drawload agents and their coordinator";
const ROUNDS: NonZeroU32 = NonZeroU32::new(200_000).expect("it is not zero");

/// The beginning of an Ed25519 private key in PKCS #8 (RFC 8410 section 7); its 32 bytes follow.
const PKCS8_OF_ED25519: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The name that TLS wants and no raw key has.
pub const NAME: &str = "agent.drawload.invalid";

/// The key of a token, as both sides hold it.
pub struct AgentKey {
    key: Arc<CertifiedKey>,
    verifier: Arc<OneKey>,
    provider: Arc<CryptoProvider>,
}

impl AgentKey {
    /// Derives the key of a token; takes some tenths of a second.
    ///
    /// # Errors
    /// When the library refuses the key.
    pub fn derive(token: &str) -> Result<Self, Error> {
        let mut pkcs8 = [0; 48];
        pkcs8[..16].copy_from_slice(&PKCS8_OF_ED25519);
        pbkdf2::derive(PBKDF2_HMAC_SHA256, ROUNDS, SALT, token.as_bytes(), &mut pkcs8[16..]);
        let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(&pkcs8[..]))?;
        let public = key.public_key().ok_or_else(|| Error::General("the key has no public half".to_owned()))?.to_vec();
        let certified = CertifiedKey::new(vec![CertificateDer::from(public.clone())], key);
        let provider = Arc::new(default_provider());
        let verifier = Arc::new(OneKey { public, provider: provider.clone() });
        Ok(Self { key: Arc::new(certified), verifier, provider })
    }

    /// The coordinator's side.
    pub fn connector(&self) -> Result<TlsConnector, Error> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone()).with_protocol_versions(&[&TLS13])?;
        let builder = builder.dangerous().with_custom_certificate_verifier(self.verifier.clone());
        let mut config = builder.with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![VERSION.to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// The agent's side.
    pub fn acceptor(&self) -> Result<TlsAcceptor, Error> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone()).with_protocol_versions(&[&TLS13])?;
        let builder = builder.with_client_cert_verifier(self.verifier.clone());
        let mut config = builder.with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(self.key.clone())));
        // Each coordinator proves the token anew.
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![VERSION.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Accepts one raw public key.
#[derive(Debug)]
struct OneKey {
    public: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl OneKey {
    fn check(&self, presented: &CertificateDer<'_>) -> Result<(), Error> {
        let is_ours = presented.as_ref() == self.public;
        if is_ours { Ok(()) } else { Err(Error::General("the token is another".to_owned())) }
    }

    fn verify(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.provider.signature_verification_algorithms)
    }
}

/// The part that the verifiers of both sides have in common.
macro_rules! verifies_one_key {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.2 is not spoken".to_owned()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            key: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.verify(message, key, signature)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

impl ServerCertVerifier for OneKey {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(key).map(|()| ServerCertVerified::assertion())
    }

    verifies_one_key!();
}

impl ClientCertVerifier for OneKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(key).map(|()| ClientCertVerified::assertion())
    }

    verifies_one_key!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// Both ends of a handshake: what the agent read, and the coordinator's failure.
    async fn shake(agent: &str, coordinator: &str) -> (Option<String>, Option<String>) {
        let [agent, coordinator] = [agent, coordinator].map(|token| AgentKey::derive(token).unwrap());
        let (near, far) = duplex(1 << 16);
        let accepts = async {
            let mut stream = agent.acceptor().unwrap().accept(far).await.ok()?;
            let mut read = String::new();
            stream.read_to_string(&mut read).await.ok().map(|_| read)
        };
        let connects = async {
            let mut stream = coordinator.connector().unwrap().connect(NAME.try_into().unwrap(), near).await?;
            stream.write_all(b"a job").await?;
            stream.shutdown().await.map(|()| stream)
        };
        // The stream lasts until the agent has read its end.
        let (read, sent) = tokio::join!(accepts, connects);
        (read, sent.err().map(|error| error.to_string()))
    }

    #[tokio::test]
    async fn only_the_same_token_opens_the_channel() {
        let token = "a-token-of-both-sides";
        assert_eq!(shake(token, token).await, (Some("a job".to_owned()), None));
        let (read, why) = shake(token, "a-token-of-a-stranger").await;
        assert!(read.is_none() && why.as_ref().is_some_and(|why| why.contains("the token is another")), "{why:?}");
    }
}
