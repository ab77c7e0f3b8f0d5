//! How a socket comes from the worker that shook hands to the stage that keeps it.
//!
//! In the server as it is shipped there is nothing to it: all threads know the same table of open files, so a socket travels inside its order, and
//! what stands here for that is empty. With the feature `file-tables`, for benches alone, each stage has a table of its own, so that one process
//! holds more sockets than one table may (RLIMIT_NOFILE). Then the order goes without its socket, which goes through a pair of Unix sockets
//! (unix(7), SCM_RIGHTS) in the same turn, and the sender's descriptor is closed at once. None of it may cost a branch or a byte without the feature.

pub use way::{Giver, Passenger, Taker, open, part, reunite, spawn};

#[cfg(not(feature = "file-tables"))]
mod way {
    use crate::live::reactor::Join;
    use crate::live::reactor::event_loop::EventLoop;
    use std::io;
    use std::thread::{Builder, JoinHandle};

    /// What travels in the inbox: all of it.
    pub type Passenger = Join;

    /// What does not: nothing.
    pub struct Aside;

    /// The end that sockets go in at, and the one where they come out.
    #[derive(Debug)]
    pub struct Giver;
    pub struct Taker;

    // No door and no join is a byte longer for it.
    const _: () = assert!(size_of::<(Giver, Taker, Aside)>() == 0);

    pub fn open() -> io::Result<(Giver, Taker)> {
        Ok((Giver, Taker))
    }

    pub fn part(join: Box<Join>) -> (Box<Passenger>, Aside) {
        (join, Aside)
    }

    pub fn reunite(passenger: Box<Passenger>, _: Aside) -> Box<Join> {
        passenger
    }

    impl Giver {
        pub fn begin(&self) -> &Self {
            self
        }

        pub fn pass(&self, _: Aside) {}
    }

    impl Taker {
        pub fn take(&self, passenger: Box<Passenger>) -> Option<Box<Join>> {
            Some(passenger)
        }
    }

    pub fn spawn(thread: Builder, floor: EventLoop) -> io::Result<JoinHandle<()>> {
        thread.spawn(move || floor.run())
    }
}

#[cfg(feature = "file-tables")]
mod way {
    use crate::base::threads::EndProcessOnPanic;
    use crate::live::reactor::event_loop::EventLoop;
    use crate::live::{Entry, Join};
    use crate::tls::session::TlsSession;
    use bytes::Bytes;
    use crossbeam::channel::bounded;
    use rustix::cmsg_space;
    use rustix::io::{Errno, retry_on_intr};
    use rustix::net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    };
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    use std::fs;
    use std::io::{self, IoSlice, IoSliceMut};
    use std::mem::MaybeUninit;
    use std::net::TcpStream;
    use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
    use std::path::Path;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::thread::{Builder, JoinHandle};

    /// The standard streams are kept: logs go there.
    const STREAMS: [RawFd; 3] = [0, 1, 2];

    /// What travels in the inbox: a join without its socket.
    #[derive(Debug)]
    pub struct Passenger {
        cipher: Option<Box<TlsSession>>,
        answer: Bytes,
        read_ahead: Bytes,
        entry: Entry,
    }

    /// What does not: the socket.
    pub type Aside = TcpStream;

    /// The end that sockets go in at. Locked from before an order is put into the inbox until its socket is on its way, so that both come out in the
    /// same order, whichever worker put them in.
    #[derive(Debug)]
    pub struct Giver(Mutex<OwnedFd>);

    /// The turn of one order and its socket.
    pub struct Passing<'a>(MutexGuard<'a, OwnedFd>);

    /// The end where they come out. Its twin in the process's own table, like that of the stage's readiness queue, is left open until the process
    /// ends.
    pub struct Taker(OwnedFd);

    /// A new way to one stage.
    ///
    /// # Errors
    /// When the operating system gives no descriptors.
    pub fn open() -> io::Result<(Giver, Taker)> {
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Giver(Mutex::new(near)), Taker(far)))
    }

    /// Takes the socket out of a join.
    #[expect(clippy::boxed_local, reason = "as the way without this feature wants it")]
    pub fn part(join: Box<Join>) -> (Box<Passenger>, Aside) {
        let Join { socket, cipher, answer, read_ahead, entry } = *join;
        (Box::new(Passenger { cipher, answer, read_ahead, entry }), socket)
    }

    /// Puts it back.
    #[expect(clippy::boxed_local, reason = "as the way without this feature wants it")]
    pub fn reunite(passenger: Box<Passenger>, socket: Aside) -> Box<Join> {
        let Passenger { cipher, answer, read_ahead, entry } = *passenger;
        Box::new(Join { socket, cipher, answer, read_ahead, entry })
    }

    impl Giver {
        /// Waits for its turn.
        pub fn begin(&self) -> Passing<'_> {
            // It guards a descriptor that nobody changes.
            Passing(self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }

    impl Passing<'_> {
        /// Sends the socket after its order, which is in the inbox, and closes it here. Waits while the pair is full; the stage then has orders whose
        /// sockets are there, so it comes to empty it. How many sockets may be under way is bounded by the inbox.
        pub fn pass(self, socket: Aside) {
            let _guard = EndProcessOnPanic;
            let sent = retry_on_intr(|| {
                let (mut space, sockets) = ([MaybeUninit::uninit(); cmsg_space!(ScmRights(1))], [socket.as_fd()]);
                let mut beside = SendAncillaryBuffer::new(&mut space);
                beside.push(SendAncillaryMessage::ScmRights(&sockets));
                sendmsg(&*self.0, &[IoSlice::new(&[1])], &mut beside, SendFlags::NOSIGNAL)
            });
            // The stage awaits one message an order: if the socket cannot be sent, one without it, and the order is dropped there.
            let alone = || sendmsg(&*self.0, &[IoSlice::new(&[0])], &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL);
            if let Err(error) = sent.or_else(|_| retry_on_intr(alone))
                && error != Errno::PIPE
            {
                // Everybody after this one would be given his neighbour's socket.
                panic!("a stage cannot be told that a socket is lost: {error}");
            }
        }
    }

    impl Taker {
        /// The join of this order, with its socket; none if that could not be sent, or this table is full and the kernel has closed it.
        pub fn take(&self, passenger: Box<Passenger>) -> Option<Box<Join>> {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
            let mut beside = RecvAncillaryBuffer::new(&mut space);
            retry_on_intr(|| recvmsg(&self.0, &mut [IoSliceMut::new(&mut [0])], &mut beside, RecvFlags::CMSG_CLOEXEC)).ok()?;
            let socket = beside.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
                _ => None,
            });
            if socket.is_none() {
                tracing::warn!("a socket is closed: its stage has no room in its table of open files");
            }
            Some(reunite(passenger, socket?.into()))
        }
    }

    /// Starts a stage's thread, with its own table of open files by the time this returns.
    ///
    /// # Errors
    /// When the operating system gives no thread or no table.
    pub fn spawn(thread: Builder, floor: EventLoop) -> io::Result<JoinHandle<()>> {
        let (tell, told) = bounded(1);
        let thread = thread.spawn(move || {
            let owned = own_table(&[floor.poll.as_raw_fd(), floor.mailbox.taker.0.as_raw_fd()]);
            let is_owned = owned.is_ok();
            let _ = tell.send(owned);
            if is_owned {
                floor.run();
            }
        })?;
        told.recv().map_err(io::Error::other)??;
        Ok(thread)
    }

    /// Gives this thread its own table of open files, which keeps of those it was copied from the standard streams, the bells and `kept`.
    ///
    /// All others are closed in it, or it would hold open what the house closes: listening sockets, the journal, sockets on their way. Their locks
    /// do not end with that: one by fcntl(2), as SQLite takes them, belongs to the table it was taken by, which is the process's own and goes on;
    /// one by flock(2) belongs to what was opened, and ends with the last descriptor of it in any table. The bells are told by what they are, since
    /// a waker does not tell its descriptor, and a stage rings those of others: all that `eventfd` has made is kept.
    fn own_table(kept: &[RawFd]) -> io::Result<()> {
        // SAFETY: from here on this thread's descriptors are numbers in a table of its own. It has its queue, its end of the passage and all bells
        // from before, under the same numbers; it uses no other descriptor that was opened elsewhere, and gives none of its own away.
        unsafe { unshare_unsafe(UnshareFlags::FILES)? };
        let table = Path::new("/proc/thread-self/fd");
        let numbers = fs::read_dir(table)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        for name in numbers {
            // The one that the list itself was read by is closed already.
            let Ok(what) = fs::read_link(table.join(&name)) else { continue };
            let number: RawFd = name.to_str().and_then(|name| name.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
            if what.as_os_str() != "anon_inode:[eventfd]" && !kept.contains(&number) && !STREAMS.contains(&number) {
                // SAFETY: it is open, and a copy that nothing owns: its owners are in threads with the process's own table.
                unsafe { rustix::io::close(number) };
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(feature = "file-tables")]
mod tests {
    use crate::live::Role;
    use crate::live::reactor::Join;
    use crate::live::rehearsal::*;
    use bytes::Bytes;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use std::collections::BTreeSet;
    use std::io::Read;
    use std::net::TcpStream;
    use std::process::Command;

    /// In its environment, the test that changes the limit of its process is alone there.
    const ALONE: &str = "ALONE";
    const DONE: &str = "all of them heard it";

    /// The threads of this process whose table has what is called so.
    fn holders(name: &str) -> BTreeSet<String> {
        let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten().map(|thread| thread.path());
        let holds = |files: std::fs::ReadDir| {
            files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|what| what.as_os_str() == name))
        };
        let holders = threads.filter(|thread| std::fs::read_dir(thread.join("fd")).is_ok_and(holds));
        holders.filter_map(|thread| std::fs::read_to_string(thread.join("comm")).ok()).collect()
    }

    #[test]
    fn a_socket_is_in_the_table_of_its_stage_and_in_no_other() {
        let house = House::open(patient(), 3);
        let (socket, far) = house.connection();
        let name = format!("socket:[{}]", rustix::fs::fstat(&socket).unwrap().st_ino);
        assert!(holders(&name).len() > 1, "before it joins, all but the stages know it");
        house.stages.join(Join {
            socket,
            cipher: None,
            answer: Bytes::new(),
            read_ahead: Bytes::new(),
            entry: house.admitted(Role::Phone),
        });
        let mut phone = Client::new(far);
        phone.hear();
        assert_eq!(holders(&name), BTreeSet::from(["stage-0\n".to_owned()]));
        drop(phone);
        eventually("nobody holds it", || holders(&name).is_empty());
    }

    #[test]
    fn a_socket_keeps_to_its_entry_whichever_worker_brings_it() {
        let house = House::open(patient(), 1);
        let (mut joins, mut phones) = (Vec::new(), Vec::new());
        for number in 1..=60 {
            let (socket, far) = house.connection();
            joins.push(Join {
                socket,
                cipher: None,
                answer: Bytes::new(),
                read_ahead: Bytes::new(),
                entry: house.holding(number),
            });
            phones.push((number, Client::new(far)));
        }
        std::thread::scope(|scope| {
            while !joins.is_empty() {
                let some = joins.split_off(joins.len().saturating_sub(15));
                scope.spawn(|| some.into_iter().for_each(|join| house.stages.join(join)));
            }
        });
        for (number, phone) in &mut phones {
            phone.expect(&[&sync(0, Role::Phone, Some(*number))]);
        }
    }

    #[test]
    fn a_process_holds_more_sockets_than_one_table_may() {
        if std::env::var_os(ALONE).is_some() {
            return hold_more_sockets_than_one_table_may();
        }
        let (_, module) = module_path!().split_once("::").unwrap();
        let name = format!("{module}::a_process_holds_more_sockets_than_one_table_may");
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", "--nocapture", &name]).env(ALONE, "1").output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains(DONE), "{output:?}");
    }

    fn hold_more_sockets_than_one_table_may() {
        let limit = |files| {
            let maximum = getrlimit(Resource::Nofile).maximum;
            setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum }).unwrap();
        };
        limit(100);
        let mut house = House::open(patient(), 4);
        // Their far ends are in the process's own table.
        let mut phones: Vec<Client> = (0..60).map(|_| house.phone()).collect();
        house.say("news");
        phones.iter_mut().for_each(|phone| phone.expect(&["news"]));

        let knock = || {
            let (socket, far) = house.connection();
            (
                Join { socket, cipher: None, answer: Bytes::new(), read_ahead: Bytes::new(), entry: house.admitted(Role::Phone) },
                far,
            )
        };
        let ((refused, closed), (taken, open)): ((_, TcpStream), _) = (knock(), knock());
        limit(8);
        house.stages.join(refused);
        assert_eq!((&closed).read(&mut [0]).unwrap(), 0, "its stage has no room for it");
        limit(100);
        house.stages.join(taken);
        Client::new(open).expect(&[&sync(1, Role::Phone, None)]);
        println!("{DONE}");
    }
}
