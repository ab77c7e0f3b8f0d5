//! Chance from the kernel: the only place where random bytes come into the house.
//!
//! The rules take chance as an argument, so that a replay picks what the live evening picked; here that argument is made. Seeded
//! generators are not used: a seed that leaks foretells every later draw, and the kernel's bytes cost a microsecond.

use crate::draw::{Entropy, Epoch, SessionId};
use data_encoding::HEXLOWER;
use ring::rand::{SecureRandom, SystemRandom};

/// A new generation of participants.
pub fn session_id() -> SessionId {
    SessionId(bytes())
}

/// A new history of frames.
pub fn epoch() -> Epoch {
    Epoch(bytes())
}

/// What one draw's chance is made of.
pub fn entropy() -> Entropy {
    Entropy(bytes())
}

/// `len` random bytes as twice as many lower-case hex digits, for names that nobody can guess.
pub fn hex(len: usize) -> String {
    let mut random = vec![0; len];
    fill(&mut random);
    HEXLOWER.encode(&random)
}

/// An array of random bytes.
pub(crate) fn bytes<const LEN: usize>() -> [u8; LEN] {
    let mut random = [0; LEN];
    fill(&mut random);
    random
}

fn fill(random: &mut [u8]) {
    SystemRandom::new().fill(random).expect("the kernel gives random bytes to every process once it has booted");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn nothing_comes_twice() {
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(session_id().0.to_vec()));
            assert!(seen.insert(epoch().0.to_vec()));
            assert!(seen.insert(entropy().0.to_vec()));
        }
    }

    #[test]
    fn hex_has_two_digits_a_byte() {
        let text = hex(16);
        assert_eq!(text.len(), 32);
        assert!(text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{text}");
        assert_ne!(text, hex(16));
    }
}
