//! The real writer on a real journal, without a network: commands go through its inbox, and a crash
//! is a copy of its folder.

use bytes::Bytes;
use luckydraw::draw::command::{Command, WinSelector};
use luckydraw::draw::fact::{Settings, WinnerDetails};
use luckydraw::draw::{Actor, DrawId, EventId, Number, Prize, PrizeId};
use luckydraw::live::Role;
use luckydraw::live::message_handler::{Action, MessageHandler, PeerContext};
use luckydraw::live::reactor::Reactors;
use luckydraw::live::room::{Directory, Snapshot};
use luckydraw::sequencer::inbox::{Accepted, Inbox, Rejection, Request, Responder, queue};
use luckydraw::sequencer::{Limits, Sequencer};
use luckydraw::store::Keys;
use luckydraw::store::journal::Journal;
use luckydraw::wire::request::Contact;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

const EVENT: &str = "simulated";

/// Limit of participants in a simulated event.
pub const PARTICIPANTS_MAX: u32 = 60;

/// Never called: no socket is connected.
struct NoMessages;

impl MessageHandler for NoMessages {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, _: Option<Number>) -> Bytes {
        snapshot.sync[role].clone()
    }

    fn handle(&mut self, _: &PeerContext<'_>, _: &mut [u8]) -> Action {
        Action::Nothing
    }
}

/// A writer on its thread, with its inbox.
pub struct Writer {
    dir: TempDir,
    inbox: Inbox,
    directory: Arc<Directory>,
    reactors: Reactors,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn open(dir: TempDir) -> Self {
        let data = luckydraw::base::data_dir::DataDir::new(dir.path());
        let keys = Keys::open(&data).unwrap();
        let journal = Journal::open(&data, &keys).unwrap();
        let directory = Arc::new(Directory::default());
        let (inbox, requests) = queue(64);
        let limits = Limits {
            events_max: 4,
            announce_after: Duration::from_secs(3_600),
            announce_early: Duration::ZERO,
            event_ttl: Duration::from_secs(3_600),
            details_ttl: Duration::from_secs(3_600),
            backups_dir: data.backups(),
            drand: luckydraw::draw::proof::drand::QUICKNET,
        };
        let reactors = Reactors::start(1, || Box::new(NoMessages)).unwrap();
        let writer = Sequencer::recover(
            journal,
            directory.clone(),
            reactors.clone(),
            requests,
            limits,
            Default::default(),
            Default::default(),
        )
        .unwrap();
        let thread = Some(std::thread::spawn(|| writer.run()));
        Self { dir, inbox, directory, reactors, thread }
    }

    pub fn start() -> Self {
        let writer = Self::open(tempfile::tempdir().unwrap());
        let settings = Settings { title: "t".into(), participants_max: PARTICIPANTS_MAX, ..Settings::default() };
        let prizes = vec![listed("TV", 2, false), listed("Mug", 40, true)];
        let event = EventId::parse(EVENT).unwrap();
        writer.wait(|reply| Request::Open { event, settings, prizes, reply: Responder::Handler(reply) }).unwrap();
        writer
    }

    pub fn wait<T>(
        &self,
        make: impl FnOnce(tokio::sync::oneshot::Sender<Result<T, Rejection>>) -> Request,
    ) -> Result<T, Rejection> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.inbox.post(make(reply)).unwrap();
        answer.blocking_recv().unwrap()
    }

    pub fn execute(&self, command: Command) -> Result<Accepted, Rejection> {
        let event = EventId::parse(EVENT).unwrap();
        self.wait(|reply| Request::Command { event, actor: Actor::Admin, command, reply: Responder::Handler(reply) })
    }

    /// Submits a winner's details under this name.
    pub fn submit_details(&self, draw: DrawId, number: Number, name: String) -> Result<Accepted, Rejection> {
        let event = EventId::parse(EVENT).unwrap();
        let (win, contact) = (WinSelector::Draw(draw), Contact { name, phone: "0".into(), address: None, made_from: None });
        let actor = Actor::Phone;
        self.wait(|reply| Request::SubmitDetails { event, actor, number, win, contact, reply: Responder::Handler(reply) })
    }

    /// All stored details of winners.
    pub fn details(&self) -> Vec<WinnerDetails> {
        let event = EventId::parse(EVENT).unwrap();
        self.wait(|reply| Request::ReadDetails { event, after: (DrawId(0), Number(0)), limit: u32::MAX, reply }).unwrap()
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.directory.find(EVENT).unwrap().snapshot()
    }

    /// Simulates a power cut: the next writer opens the files as they were on disk, without a clean
    /// shutdown.
    pub fn crash(&mut self) {
        let image = tempfile::tempdir().unwrap();
        copy_files(self.dir.path(), image.path());
        self.stop();
        *self = Self::open(image);
    }

    fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.inbox.post(Request::Stop).unwrap();
            thread.join().unwrap();
            self.reactors.stop(Duration::ZERO, Duration::ZERO);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn listed(name: &str, quantity: u32, repeat_winners: bool) -> Prize {
    Prize {
        id: PrizeId(0),
        name: name.into(),
        rank: 1,
        grade: None,
        quantity,
        mode: None,
        winner_count: None,
        show_length: None,
        image: None,
        repeat_winners,
        group: None,
        needs_address: false,
    }
}
