//! (to come: the lock-free claim table)

/// Where numbers come from.
#[derive(Debug)]
pub struct Roster;
