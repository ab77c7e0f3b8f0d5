//! (to come)

use super::answer::{Answer, Failure};
use super::call::Call;
use crate::live::stage::Entry;

pub fn accept(call: Call, entry: Entry) -> Answer {
    let _ = (call.params, entry);
    Err(Failure::overloaded())
}
