//! (to come)

use crate::draw::{Event, Number};

#[derive(Clone, Copy)]
pub enum Voice {
    Phone,
    Display,
    Admin,
}

#[derive(Clone, Copy)]
pub struct Counts {
    pub participants: u32,
    pub connections: u32,
}

pub fn personal(event: &Event, seq: u64, counts: Counts, audience: Voice, number: Option<Number>) -> String {
    let _ = (event, seq, counts.participants, counts.connections, audience, number);
    "{}".to_owned()
}
