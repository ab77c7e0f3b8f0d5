//! Certificates that the server orders by itself.
