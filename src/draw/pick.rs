//! placeholder until the pick branch is merged
use super::{Entropy, Number, Pool};
/// placeholder
pub fn pick(pool: &Pool, count: u32, entropy: &Entropy) -> Vec<Number> {
    let _ = entropy;
    pool.numbers().take(count as usize).collect()
}
/// placeholder
pub fn commitment(entropy: &Entropy) -> [u8; 32] {
    entropy.0
}
