//! Simulated phones of a rehearsal: how many an operator wants, and what became of them.
//!
//! A call sets their number and counts them; a thread of the program plays them, and it comes
//! through the listener as every phone does. Only a rehearsal has them, so that no real draw has
//! a simulated winner. They hold to the very room that they were asked for: one that is deleted and
//! opened again under its name has none. One lock for the few events that have any; no phone takes
//! it.

use crate::draw::EventId;
use crate::live::room::{Directory, Room};
use crate::wire::view::events::SimulatedPhonesView;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Simulated phones of all events, at most.
const PHONES_MAX: u32 = 5_000;

/// The simulated phones of all events.
#[derive(Debug)]
pub struct SimulatedPhones {
    groups: Mutex<BTreeMap<EventId, Arc<PhoneGroup>>>,
    phones_max: u32,
    /// Wakes the thread that plays them.
    pub changed: Notify,
}

/// The simulated phones of one event.
#[derive(Debug)]
pub struct PhoneGroup {
    /// The event.
    pub room: Arc<Room>,
    /// Phones that there are to be. Written by the operators' calls.
    wanted: AtomicU32,
    /// Phones with a number. This and the next two are written by the phones themselves; relaxed,
    /// since they are only shown.
    pub registered: AtomicU32,
    /// Phones with a socket.
    pub connected: AtomicU32,
    /// Phones that the server refused a number.
    pub refused: AtomicU32,
}

impl PhoneGroup {
    /// Phones that there are to be.
    pub fn wanted(&self) -> u32 {
        self.wanted.load(Relaxed)
    }

    /// The figures as they are now.
    pub fn view(&self) -> SimulatedPhonesView {
        let [wanted, registered, connected, refused] =
            [&self.wanted, &self.registered, &self.connected, &self.refused].map(|count| count.load(Relaxed));
        SimulatedPhonesView { wanted, registered, connected, refused }
    }

    /// Returns whether the event is there, and not another one under its name.
    pub fn is_present(&self, directory: &Directory) -> bool {
        directory.find(self.room.id.as_str()).is_some_and(|room| Arc::ptr_eq(&room, &self.room))
    }
}

impl SimulatedPhones {
    /// None, and at most as many as half of the connections allow: the other half is for people.
    pub fn new(connections_max: usize) -> Self {
        let phones_max = u32::try_from(connections_max / 2).unwrap_or(u32::MAX).clamp(1, PHONES_MAX);
        Self { groups: Mutex::default(), phones_max, changed: Notify::new() }
    }

    /// Sets the number of an event's phones; 0 ends them.
    ///
    /// # Errors
    /// The most that there may be, when all events together would have more.
    pub fn set(&self, room: &Arc<Room>, count: u32) -> Result<Arc<PhoneGroup>, u32> {
        let mut groups = self.lock();
        let others = groups.iter().filter(|(event, _)| **event != room.id).map(|(_, group)| group.wanted()).sum::<u32>();
        let count_max = self.phones_max.saturating_sub(others);
        if count > count_max {
            return Err(count_max);
        }
        let known = groups.get(&room.id).filter(|group| Arc::ptr_eq(&group.room, room));
        let group = known.cloned().unwrap_or_else(|| {
            let (wanted, registered, connected, refused) = Default::default();
            Arc::new(PhoneGroup { room: Arc::clone(room), wanted, registered, connected, refused })
        });
        group.wanted.store(count, Relaxed);
        groups.insert(room.id.clone(), Arc::clone(&group));
        drop(groups);
        self.changed.notify_one();
        Ok(group)
    }

    /// The phones of this room, if it has any.
    pub fn find(&self, room: &Arc<Room>) -> Option<Arc<PhoneGroup>> {
        self.lock().get(&room.id).filter(|group| Arc::ptr_eq(&group.room, room)).cloned()
    }

    /// The groups of all events.
    pub fn all(&self) -> Vec<Arc<PhoneGroup>> {
        self.lock().values().cloned().collect()
    }

    /// Forgets a group whose event is gone, or of which no phone is wanted.
    pub fn remove(&self, group: &Arc<PhoneGroup>) {
        self.lock().retain(|_, known| !Arc::ptr_eq(known, group));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EventId, Arc<PhoneGroup>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
