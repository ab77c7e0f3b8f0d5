//! A seal: what is closed with it can be read only with its key, and only in the place that it was closed for.
//!
//! ChaCha20-Poly1305 (RFC 8439) under a random nonce, which goes before the text. The place (which draw of which event) is
//! authenticated along, so that a row moved to another place does not open there. A counter for a nonce would have to survive
//! every crash; 96 random bits do not, and a box seals thousands of times in its life, not billions.

use crate::base::chance;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Closes and opens under one key.
pub(super) struct Seal {
    key: LessSafeKey,
}

impl Seal {
    /// A seal with that key.
    pub fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("ChaCha20-Poly1305 takes any 32 bytes");
        Self { key: LessSafeKey::new(key) }
    }

    /// Closes `text` for `place`: 28 bytes longer than the text.
    pub fn close(&self, place: &[u8], text: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = chance::bytes();
        let mut closed = [&nonce[..], text].concat();
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut closed[NONCE_LEN..])
            .expect("a text of this size is never too long to seal");
        closed.extend_from_slice(tag.as_ref());
        closed
    }

    /// Opens what was closed for `place`; none when it was not, or has changed since.
    pub fn open(&self, place: &[u8], closed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = closed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let len = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut text).ok()?.len();
        text.truncate(len);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_opens_only_unchanged_and_in_its_place() {
        let seal = Seal::new(&[1; 32]);
        let closed = seal.close(b"here", b"secret");
        assert_eq!(closed.len(), b"secret".len() + 28);
        assert_eq!(seal.open(b"here", &closed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(seal.open(b"there", &closed), None);
        assert_eq!(Seal::new(&[2; 32]).open(b"here", &closed), None);
        for i in 0..closed.len() {
            let mut bent = closed.clone();
            bent[i] ^= 1;
            assert_eq!(seal.open(b"here", &bent), None, "byte {i}");
            assert_eq!(seal.open(b"here", &closed[..i]), None, "{i} bytes");
        }
    }

    #[test]
    fn the_same_text_never_looks_the_same() {
        let seal = Seal::new(&[1; 32]);
        assert_ne!(seal.close(b"", b"secret"), seal.close(b"", b"secret"));
    }
}
