//! (to come: randomness from the operating system)

pub fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

pub fn request_key() -> [u8; 32] {
    [0; 32]
}
