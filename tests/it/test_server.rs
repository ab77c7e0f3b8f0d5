//! The real server, one for each test: a process on a loopback port of its own, over a data folder of its own.
//!
//! It is the very binary that is shipped, so that a SIGKILL is a SIGKILL and a journal is a file. It is killed and reaped when the
//! test ends, however it ends. Nothing here knows a rule or a path of the contract.

use crate::http::Ask;
use crate::socket::{RawSocket, Socket};
use hyper::Method;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What opens every admin call of a server under test.
pub const ADMIN_TOKEN: &str = "admin-token-of-the-tests-0123456789abcdef";

/// How long anything may take before a test calls it broken. Generous: the machine may be building something else.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);

/// A running server. Dropping it kills and reaps the process.
pub struct TestServer {
    child: Child,
    pub address: SocketAddr,
    folder: TempDir,
    settings: Vec<(String, String)>,
    starts: u32,
    /// A listening socket that the test holds, and hands to each process as a supervisor would.
    socket: Option<TcpListener>,
}

impl TestServer {
    /// A server in its usual mode: admin calls want [`ADMIN_TOKEN`].
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server that trusts every client, as the one before it did.
    pub async fn start_open() -> Self {
        Self::start_with(&[("LUCKYDRAW_OPEN", "1")]).await
    }

    /// A server with settings beside the usual ones.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Self::open(tempfile::tempdir().unwrap(), settings).await
    }

    /// A server that listens on a socket of the test's, which stays open while one process makes way for the next.
    pub async fn start_activated(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        Self::open_on(tempfile::tempdir().unwrap(), settings, Some(socket)).await
    }

    async fn open(folder: TempDir, settings: Vec<(String, String)>) -> Self {
        Self::open_on(folder, settings, None).await
    }

    async fn open_on(folder: TempDir, settings: Vec<(String, String)>, socket: Option<TcpListener>) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let child = spawn(folder.path(), nowhere, &settings, 1, socket.as_ref());
        let mut house = Self { child, address: nowhere, folder, settings, starts: 1, socket };
        house.address = house.read_address().await;
        house
    }

    /// A second server over a copy of this one's data folder, which must not be running: what would become of it from here?
    pub async fn twin(&mut self) -> Self {
        assert!(self.child.try_wait().unwrap().is_some(), "the server is still running");
        let folder = tempfile::tempdir().unwrap();
        copy(&self.data_dir(), &folder.path().join("data"));
        Self::open(folder, self.settings.clone()).await
    }

    /// Starts the stopped or killed server again, on the same folder and port.
    pub async fn restart(&mut self) {
        assert!(self.child.try_wait().unwrap().is_some(), "the server is still running");
        self.starts += 1;
        self.child = spawn(self.folder.path(), self.address, &self.settings, self.starts, self.socket.as_ref());
        self.read_address().await;
    }

    /// The process, for whoever measures it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process at once, as a power cut or the kernel would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells the process to read its certificates again.
    pub fn hang_up(&self) {
        signal(&self.child, libc::SIGHUP);
    }

    /// Where the process says to listen under this scheme since its last start.
    pub fn listening(&self, scheme: &str) -> SocketAddr {
        let text = printed(self.folder.path(), self.starts);
        let (_, rest) = text.split_once(&format!(" {scheme}://")).unwrap_or_else(|| panic!("it listens by {scheme}: {text}"));
        rest.split(|c: char| c.is_whitespace() || c == '/').next().unwrap().parse().unwrap()
    }

    /// Asks the process to stop.
    pub fn terminate(&self) {
        signal(&self.child, libc::SIGTERM);
    }

    /// Lets no file grow beyond so many bytes, as a full disk would; none: as large as they like again.
    pub fn limit_files(&self, bytes_max: Option<u64>) {
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        let limit = libc::rlimit { rlim_cur: bytes_max.unwrap_or(libc::RLIM_INFINITY), rlim_max: libc::RLIM_INFINITY };
        // SAFETY: prlimit reads one rlimit that lives until it returns, and writes none. The child is not reaped yet.
        let result = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut()) };
        assert_eq!(result, 0, "the limit on file sizes can be set");
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        poll("the server ends", || child.try_wait().unwrap()).await
    }

    /// Where the journal and its neighbours lie.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Whether these bytes stand anywhere in a file of the data folder.
    pub fn data_holds(&self, needle: &[u8]) -> bool {
        fn holds(folder: &Path, needle: &[u8]) -> bool {
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
                true => holds(&path, needle),
                false => std::fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle),
            })
        }
        holds(&self.data_dir(), needle)
    }

    /// The journal's file.
    pub fn journal(&self) -> PathBuf {
        let files = std::fs::read_dir(self.data_dir()).unwrap().map(|entry| entry.unwrap().path());
        let mut journals = files.filter(|path| std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0")));
        journals.next().expect("a journal lies in the data folder")
    }

    /// Everything the process has printed since the first start: banner, errors and log.
    pub fn printed(&self) -> String {
        (1..=self.starts).map(|start| printed(self.folder.path(), start)).collect()
    }

    /// A request to any path of the server.
    pub fn ask(&self, method: Method, path: &str) -> Ask {
        Ask::new(self.address, method, path)
    }

    /// A GET under `/api/luckydraw`.
    pub fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, &format!("/api/luckydraw{path}"))
    }

    /// A POST under `/api/luckydraw`.
    pub fn post(&self, path: &str) -> Ask {
        self.ask(Method::POST, &format!("/api/luckydraw{path}"))
    }

    /// A socket of an event; `query` is empty or begins with `?`.
    pub async fn socket(&self, event: &str, query: &str) -> Socket {
        Socket::connect(self.address, event, query, &[]).await
    }

    /// A socket whose handshake carries more headers.
    pub async fn socket_with(&self, event: &str, query: &str, headers: &[(&'static str, &str)]) -> Socket {
        Socket::connect(self.address, event, query, headers).await
    }

    /// A socket that sends whatever bytes it is given.
    pub async fn raw_socket(&self, event: &str) -> RawSocket {
        RawSocket::connect(self.address, event).await
    }

    async fn read_address(&mut self) -> SocketAddr {
        let folder = self.folder.path().to_owned();
        let (child, start) = (&mut self.child, self.starts);
        poll("the server says where it listens", || {
            let text = printed(&folder, start);
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status} instead of starting:\n{text}");
            }
            let (_, rest) = text.split_once("listening on http://")?;
            rest.split_once(|c: char| c.is_whitespace() || c == '/').and_then(|(address, _)| address.parse().ok())
        })
        .await
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let printed = self.printed();
            let tail = printed.char_indices().rev().nth(4_000).map_or(0, |(at, _)| at);
            eprintln!("--- the server printed:\n{}", &printed[tail..]);
        }
    }
}

/// Runs the binary with these arguments and settings until it ends by itself; for starts that are to be refused.
pub async fn run_to_end(arguments: &[&str], settings: &[(&str, &str)]) -> (ExitStatus, String) {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut command = command(folder.path(), SocketAddr::from(([127, 0, 0, 1], 0)), &settings, 1);
    let mut child = command.args(arguments).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, printed(folder.path(), 1));
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the process went on running:\n{}", printed(folder.path(), 1));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Looks at a condition until it holds, and fails the test when it does not within [`PATIENCE`].
pub async fn poll<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Copies a folder of files and folders, with their modes.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn spawn(folder: &Path, bind: SocketAddr, settings: &Vec<(String, String)>, start: u32, socket: Option<&TcpListener>) -> Child {
    let plain = command(folder, bind, settings, start);
    let mut command = socket.map_or(plain, |socket| handed(folder, bind, settings, start, socket));
    command.spawn().expect("the binary starts")
}

/// The first descriptor that a supervisor hands over (sd_listen_fds(3)).
const HANDED: libc::c_int = 3;

/// The same command line, with a socket handed over. A shell says which process it is meant for, since that is known only once there is one.
fn handed(folder: &Path, bind: SocketAddr, settings: &Vec<(String, String)>, start: u32, socket: &TcpListener) -> Command {
    let wrap = ["-c", "LISTEN_PID=$$ exec \"$0\"", env!("CARGO_BIN_EXE_luckydraw")];
    let mut command = prepared("/bin/sh", folder, bind, settings, start);
    command.args(wrap).env("LISTEN_FDS", "1");
    if !settings.iter().any(|(name, _)| name == "LISTEN_FDNAMES") {
        command.env("LISTEN_FDNAMES", "http");
    }
    let socket = socket.as_raw_fd();
    // SAFETY: dup2 and fcntl are async-signal-safe, and nothing else runs between fork and exec. The socket outlives the spawn.
    unsafe {
        command.pre_exec(move || {
            // A descriptor that is its own copy would keep its mark to be closed by exec.
            match libc::dup2(socket, HANDED) >= 0 && libc::fcntl(HANDED, libc::F_SETFD, 0) >= 0 {
                true => Ok(()),
                false => Err(std::io::Error::last_os_error()),
            }
        });
    }
    command
}

fn command(folder: &Path, bind: SocketAddr, settings: &Vec<(String, String)>, start: u32) -> Command {
    prepared(env!("CARGO_BIN_EXE_luckydraw"), folder, bind, settings, start)
}

/// The server's command line. The environment is empty but for what stands here, so that no developer's setting leaks in. A test's
/// setting overrides a usual one; an empty one takes it away.
fn prepared(program: &str, folder: &Path, bind: SocketAddr, settings: &Vec<(String, String)>, start: u32) -> Command {
    let output = |stream: &str| File::create(folder.join(format!("{stream}.{start}"))).unwrap();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LUCKYDRAW_BIND", bind.to_string())
        .env("LUCKYDRAW_DATA_DIR", folder.join("data"))
        .env("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)
        .env("LUCKYDRAW_WORKERS", "2")
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .stdout(output("stdout"))
        .stderr(output("stderr"));
    // SAFETY: signal is async-signal-safe, and nothing else runs between fork and exec.
    unsafe {
        command.pre_exec(|| {
            // A write beyond a file's limit fails then, as on a full disk, and does not end the process.
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            Ok(())
        });
    }
    for (name, value) in settings {
        match value.is_empty() {
            true => command.env_remove(name),
            false => command.env(name, value),
        };
    }
    command
}

fn printed(folder: &Path, start: u32) -> String {
    let read = |stream: &str| std::fs::read(folder.join(format!("{stream}.{start}"))).unwrap_or_default();
    String::from_utf8_lossy(&[read("stdout"), read("stderr")].concat()).into_owned()
}

fn signal(child: &Child, number: libc::c_int) {
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: kill takes no pointers, and the child is not reaped yet, so that the id is still its own.
    let result = unsafe { libc::kill(pid, number) };
    assert_eq!(result, 0, "the server is there to be signalled");
}
