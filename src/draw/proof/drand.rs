//! drand: a public beacon whose rounds nobody knows before their time. Some twenty organizations
//! sign each round together (<https://drand.love>).
//!
//! A draw locks the number of a round that is to come; the round's signature is then the one value
//! that fits. A signature is a BLS signature on G1 of BLS12-381, scheme
//! `bls-unchained-g1-rfc9380`.

use super::Hash;
use crate::draw::Timestamp;
use drand_verify::{G2PubkeyRfc, Pubkey};
use ring::digest::{Context, SHA256, digest};

/// The signature of a round: a compressed point of G1.
pub type Signature = [u8; 48];

/// Time from a lock to the round that it names, at least: no relay has that round yet.
pub const LEAD_MS: i64 = 3_000;

/// A chain of rounds, as its relays describe it under `/info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrandChain {
    /// The public key, a compressed point of G2.
    pub public_key: [u8; 96],
    /// Time between rounds, in seconds.
    pub period_s: u32,
    /// The time of round 1, in seconds since 1970.
    pub genesis_s: i64,
    /// The hash of the group that began the chain.
    pub group_hash: Hash,
    /// The beacon's id.
    pub id: &'static str,
}

/// The chain that draws use: a round every three seconds since August 2023.
///
/// Key, time and group are those of `https://api.drand.sh/52db…e971/info`, and the key that of the
/// documentation of the crate `drand-verify`. The chain's name is the hash of them all, so a wrong
/// byte here would give another name: a test compares it.
pub const QUICKNET: DrandChain = DrandChain {
    public_key: from_hex(
        "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451\
         0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
    ),
    period_s: 3,
    genesis_s: 1_692_803_367,
    group_hash: from_hex("f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e"),
    id: "quicknet",
};

/// A round of a chain, as a lock names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrandRound {
    /// The hash of the chain.
    pub chain: Hash,
    /// The round's number, from 1.
    pub number: u64,
    /// The time at which relays begin to have the round.
    pub at: Timestamp,
}

/// A round whose signature was verified: it cannot be made otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beacon {
    round: DrandRound,
    signature: Signature,
}

impl DrandChain {
    /// The name of the chain: the hash of its description, as drand computes it.
    pub fn hash(&self) -> Hash {
        let mut context = Context::new(&SHA256);
        let (period, genesis) = (self.period_s.to_be_bytes(), self.genesis_s.to_be_bytes());
        let parts: [&[u8]; 5] = [&period, &genesis, &self.public_key, &self.group_hash, self.id.as_bytes()];
        parts.iter().for_each(|part| context.update(part));
        context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// The first round whose time is at least [`LEAD_MS`] after a lock.
    pub fn round_after(&self, lock: Timestamp) -> u64 {
        let since = lock.0.saturating_add(LEAD_MS).saturating_sub(self.genesis_ms());
        // Rounded up. A lock before the chain began waits for its first round.
        let periods = since.saturating_add(self.period_ms() - 1).div_euclid(self.period_ms());
        1 + u64::try_from(periods).unwrap_or_default()
    }

    /// A round of this chain.
    pub fn round(&self, number: u64) -> DrandRound {
        DrandRound { chain: self.hash(), number, at: self.time_of(number) }
    }

    /// The time at which relays begin to have a round.
    pub fn time_of(&self, round: u64) -> Timestamp {
        let periods = i64::try_from(round.saturating_sub(1)).unwrap_or(i64::MAX);
        Timestamp(self.genesis_ms().saturating_add(periods.saturating_mul(self.period_ms())))
    }

    /// The round with its signature, if the signature is the chain's: a few milliseconds of
    /// arithmetic.
    pub fn verify(&self, number: u64, signature: &Signature) -> Option<Beacon> {
        let key = G2PubkeyRfc::from_fixed(self.public_key).ok()?;
        let is_signed = key.verify(number, &[], signature).unwrap_or(false);
        is_signed.then(|| Beacon { round: self.round(number), signature: *signature })
    }

    fn genesis_ms(&self) -> i64 {
        self.genesis_s.saturating_mul(1_000)
    }

    fn period_ms(&self) -> i64 {
        i64::from(self.period_s.max(1)) * 1_000
    }
}

impl Beacon {
    /// The round.
    pub fn round(&self) -> &DrandRound {
        &self.round
    }

    /// The round's signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }
}

/// Reads hex while the program is compiled.
const fn from_hex<const LEN: usize>(text: &str) -> [u8; LEN] {
    let (digits, mut bytes, mut at) = (text.as_bytes(), [0; LEN], 0);
    assert!(digits.len() == 2 * LEN, "two digits per byte");
    while at < digits.len() {
        let digit = match digits[at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("no hex digit"),
        };
        bytes[at / 2] = bytes[at / 2] << 4 | digit;
        at += 1;
    }
    bytes
}

/// The value of a round, which relays call its randomness.
pub fn randomness(signature: &Signature) -> Hash {
    digest(&SHA256, signature).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    /// Rounds of quicknet as its relays have them: 123 from the documentation of `drand-verify`,
    /// 1000 from the recorded answer of a relay.
    const ROUNDS: [(u64, &str); 2] = [
        (123, "b75c69d0b72a5d906e854e808ba7e2accb1542ac355ae486d591aa9d43765482e26cd02df835d3546d23c4b13e0dfc92"),
        (1000, "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"),
    ];

    fn signature(hex: &str) -> Signature {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_name_of_quicknet_is_the_hash_of_its_key() {
        let name = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971";
        assert_eq!(HEXLOWER.encode(&QUICKNET.hash()), name);
        let other = DrandChain { public_key: [0x83; 96], ..QUICKNET };
        assert_ne!(other.hash(), QUICKNET.hash());
        assert_eq!(other.verify(123, &signature(ROUNDS[0].1)), None, "no point of the curve");
    }

    #[test]
    fn rounds_of_quicknet_hold_and_every_change_is_refused() {
        for (round, hex) in ROUNDS {
            let signature = signature(hex);
            let beacon = QUICKNET.verify(round, &signature).unwrap();
            assert_eq!((beacon.round().number, beacon.signature()), (round, &signature));
            assert_eq!(QUICKNET.verify(round + 1, &signature), None, "the signature of another round");
            for bit in [0, 1, 2, 3, 100, 383] {
                let mut other = signature;
                other[bit / 8] ^= 0x80 >> (bit % 8);
                assert_eq!(QUICKNET.verify(round, &other), None, "bit {bit}");
            }
        }
        let randomness = HEXLOWER.encode(&randomness(&signature(ROUNDS[1].1)));
        assert_eq!(randomness, "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd");
        let infinity = std::array::from_fn(|byte| if byte == 0 { 0xc0 } else { 0 });
        assert_eq!(QUICKNET.verify(1, &infinity), None, "the point at infinity signs nothing");
    }

    #[test]
    fn a_lock_waits_for_the_first_round_that_is_late_enough() {
        let genesis = QUICKNET.genesis_ms();
        for (after_genesis, round) in
            [(i64::MIN / 2, 1), (-3_001, 1), (-3_000, 1), (-2_999, 2), (0, 2), (1, 3), (2_999, 3), (3_000, 3), (3_001, 4)]
        {
            let lock = Timestamp(genesis.saturating_add(after_genesis));
            assert_eq!(QUICKNET.round_after(lock), round, "{after_genesis} ms after the first round");
            let wait = QUICKNET.time_of(round).0.saturating_sub(lock.0);
            assert!(wait >= LEAD_MS && (round == 1 || wait < LEAD_MS + QUICKNET.period_ms()), "{wait}");
        }
        assert_eq!(QUICKNET.time_of(1000).0, genesis + 999 * 3_000);
        assert!(QUICKNET.time_of(u64::MAX).0 > 0 && QUICKNET.round_after(Timestamp(i64::MAX)) > 1);
    }
}
