//! The body that puts the list of prizes into another order.

use super::Invalid;
use crate::draw::PrizeId;
use serde::Deserialize;
use std::sync::Arc;

/// `POST prizes/order`
#[derive(Deserialize)]
pub struct PrizeOrder {
    /// The id of each listed prize, once.
    pub order: Vec<u32>,
    /// The order that the change was made from.
    pub made_from: Option<Vec<u32>>,
}

impl PrizeOrder {
    /// The order that the change was made from. Open mode needs none, since its old scripts name
    /// none.
    pub fn made_from(&self, is_open_mode: bool) -> Result<Option<Arc<[PrizeId]>>, Invalid> {
        if self.made_from.is_none() && !is_open_mode {
            return Err(Invalid::field("made_from", "is missing"));
        }
        Ok(self.made_from.as_ref().map(|ids| ids.iter().copied().map(PrizeId).collect()))
    }
}
