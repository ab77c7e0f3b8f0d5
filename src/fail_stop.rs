//! What happens when a thread panics that the house cannot do without: the process ends, and the supervisor starts the next one from the journal.
//!
//! Going on would be worse. A writer may hold half a truth; without the listener nobody comes in; and the sockets of a stage are closed, but every second
//! phone that comes back would be dealt to it and turned away, for good. A handler's panic is no such thing: it ends its connection.

/// Ends the process when it is dropped by a panic. To be held for as long as its thread runs.
#[derive(Debug)]
pub struct EndProcessOnPanic;

impl Drop for EndProcessOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}
