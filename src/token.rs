//! (to come: tokens that are derived, not stored)

/// Makes and checks tokens.
pub struct Tokens;
