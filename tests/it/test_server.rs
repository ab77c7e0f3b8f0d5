//! A real server per test: a process with its own loopback port and its own data folder.
//!
//! The process runs the binary that ships, so a SIGKILL is real and the journal is a file. It is
//! killed and reaped when the test ends, passed or failed. This file knows no rule of the product
//! and no path of its API.

use crate::http_client::RequestBuilder;
use crate::websocket_client::{RawSocket, Socket};
use hyper::Method;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The admin token of every server under test.
pub const ADMIN_TOKEN: &str = "admin-token-of-the-tests-0123456789abcdef";

/// The longest that a test waits for anything. Generous, since the machine may be building
/// something else.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Interval between checks of a condition.
const POLL: Duration = Duration::from_millis(5);

/// A running server. Dropping it kills and reaps the process.
pub struct TestServer {
    child: Child,
    pub address: SocketAddr,
    folder: TempDir,
    settings: Vec<(String, String)>,
    starts: u32,
    /// The program and its arguments.
    program: Vec<String>,
    /// A listening socket that the test holds and passes to each process, as a supervisor would.
    socket: Option<TcpListener>,
}

impl TestServer {
    /// A server in its default mode: admin calls require [`ADMIN_TOKEN`].
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server in open mode, which trusts every client as its predecessor did.
    pub async fn start_open() -> Self {
        Self::start_with(&[("LUCKYDRAW_OPEN", "1")]).await
    }

    /// A server with further settings.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Self::open(tempfile::tempdir().unwrap(), settings).await
    }

    /// A server on a listening socket of the test, which stays open from one process to the next.
    pub async fn start_activated(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        Self::open_on(tempfile::tempdir().unwrap(), settings, Some(socket), shipped()).await
    }

    /// Another program, which serves as the one that ships.
    pub async fn start_program(program: &[&str], settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let program = program.iter().map(|argument| argument.to_string()).collect();
        Self::open_on(tempfile::tempdir().unwrap(), settings, None, program).await
    }

    async fn open(folder: TempDir, settings: Vec<(String, String)>) -> Self {
        Self::open_on(folder, settings, None, shipped()).await
    }

    async fn open_on(
        folder: TempDir,
        settings: Vec<(String, String)>,
        socket: Option<TcpListener>,
        program: Vec<String>,
    ) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let child = spawn(&program, folder.path(), any_port, &settings, 1, socket.as_ref());
        let mut server = Self { child, address: any_port, folder, settings, starts: 1, program, socket };
        server.address = server.read_address().await;
        server
    }

    /// A second server on a copy of this one's data folder. This server must have stopped.
    pub async fn start_copy(&mut self) -> Self {
        assert!(self.child.try_wait().unwrap().is_some(), "the server is still running");
        let folder = tempfile::tempdir().unwrap();
        copy(&self.data_dir(), &folder.path().join("data"));
        Self::open(folder, self.settings.clone()).await
    }

    /// Starts the stopped server again, on the same folder and port.
    pub async fn restart(&mut self) {
        assert!(self.child.try_wait().unwrap().is_some(), "the server is still running");
        self.starts += 1;
        self.child = spawn(&self.program, self.folder.path(), self.address, &self.settings, self.starts, self.socket.as_ref());
        self.read_address().await;
    }

    /// The process id, for measurements.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process by SIGKILL, as the kernel would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, number: libc::c_int) {
        signal(&self.child, number);
    }

    /// Sends SIGHUP, on which the server reads its certificates again.
    pub fn hang_up(&self) {
        self.signal(libc::SIGHUP);
    }

    /// The address that the process has logged for this scheme since its last start.
    pub fn listening(&self, scheme: &str) -> SocketAddr {
        let text = printed(self.folder.path(), self.starts);
        let (_, rest) = text.split_once(&format!(" {scheme}://")).unwrap_or_else(|| panic!("no {scheme} address in: {text}"));
        rest.split(|c: char| c.is_whitespace() || c == '/').next().unwrap().parse().unwrap()
    }

    /// Sends SIGTERM, on which the server shuts down.
    pub fn terminate(&self) {
        self.signal(libc::SIGTERM);
    }

    /// Limits the size of every file, as a full disk would; `None` lifts the limit.
    pub fn limit_files(&self, bytes_max: Option<u64>) {
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        let limit = libc::rlimit { rlim_cur: bytes_max.unwrap_or(libc::RLIM_INFINITY), rlim_max: libc::RLIM_INFINITY };
        // SAFETY: prlimit reads one rlimit that lives until it returns, and writes none. The child
        // is not reaped yet.
        let result = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut()) };
        assert_eq!(result, 0, "the limit on file sizes can be set");
    }

    /// Has the process exited?
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until the process has exited.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        poll("the server exits", || child.try_wait().unwrap()).await
    }

    /// The data folder, which holds the journal.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// True when any file in the data folder contains these bytes.
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
        journals.next().expect("the data folder holds a journal")
    }

    /// Everything printed since the first start: banner, errors and log.
    pub fn printed(&self) -> String {
        (1..=self.starts).map(|start| printed(self.folder.path(), start)).collect()
    }

    /// A request to any path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        RequestBuilder::new(self.address, method, path)
    }

    /// A GET under `/api/luckydraw`.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, &format!("/api/luckydraw{path}"))
    }

    /// A POST under `/api/luckydraw`.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, &format!("/api/luckydraw{path}"))
    }

    /// Connects a socket to an event; `query` is empty or begins with `?`.
    pub async fn socket(&self, event: &str, query: &str) -> Socket {
        Socket::connect(self.address, event, query, &[]).await
    }

    /// Connects a socket with further headers in its handshake.
    pub async fn socket_with(&self, event: &str, query: &str, headers: &[(&'static str, &str)]) -> Socket {
        Socket::connect(self.address, event, query, headers).await
    }

    /// Connects a socket that sends raw bytes.
    pub async fn raw_socket(&self, event: &str) -> RawSocket {
        RawSocket::connect(self.address, event).await
    }

    async fn read_address(&mut self) -> SocketAddr {
        let folder = self.folder.path().to_owned();
        let (child, start) = (&mut self.child, self.starts);
        poll("the server logs its address", || {
            let text = printed(&folder, start);
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server exited with {status} instead of starting:\n{text}");
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

/// Runs the binary until it exits by itself; for starts that are refused.
pub async fn run_to_end(arguments: &[&str], settings: &[(&str, &str)]) -> (ExitStatus, String) {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut command = command(folder.path(), SocketAddr::from(([127, 0, 0, 1], 0)), &settings, 1);
    let mut child = command.args(arguments).spawn().unwrap();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, printed(folder.path(), 1));
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the process keeps running:\n{}", printed(folder.path(), 1));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Checks a condition until it holds; fails the test after [`TIMEOUT`].
pub async fn poll<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Copies a folder recursively, with file modes.
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

/// The binary that ships.
fn shipped() -> Vec<String> {
    vec![env!("CARGO_BIN_EXE_luckydraw").to_owned()]
}

fn spawn(
    program: &[String],
    folder: &Path,
    bind: SocketAddr,
    settings: &Vec<(String, String)>,
    start: u32,
    socket: Option<&TcpListener>,
) -> Child {
    let mut plain = base_command(&program[0], folder, bind, settings, start);
    plain.args(&program[1..]);
    let mut command = socket.map_or(plain, |socket| command_with_socket(folder, bind, settings, start, socket));
    command.spawn().expect("the binary starts")
}

/// The first descriptor that a supervisor passes (sd_listen_fds(3)).
const LISTEN_FD: libc::c_int = 3;

/// The same command line with a passed socket. A shell sets `LISTEN_PID`, which is known only once
/// the process exists.
fn command_with_socket(
    folder: &Path,
    bind: SocketAddr,
    settings: &Vec<(String, String)>,
    start: u32,
    socket: &TcpListener,
) -> Command {
    let shell = ["-c", "LISTEN_PID=$$ exec \"$0\"", env!("CARGO_BIN_EXE_luckydraw")];
    let mut command = base_command("/bin/sh", folder, bind, settings, start);
    command.args(shell).env("LISTEN_FDS", "1");
    if !settings.iter().any(|(name, _)| name == "LISTEN_FDNAMES") {
        command.env("LISTEN_FDNAMES", "http");
    }
    let socket = socket.as_raw_fd();
    // SAFETY: dup2 and fcntl are async-signal-safe, and nothing else runs between fork and exec.
    // The socket outlives the spawn.
    unsafe {
        command.pre_exec(move || {
            // dup2 of a descriptor onto itself would keep its close-on-exec flag.
            match libc::dup2(socket, LISTEN_FD) >= 0 && libc::fcntl(LISTEN_FD, libc::F_SETFD, 0) >= 0 {
                true => Ok(()),
                false => Err(std::io::Error::last_os_error()),
            }
        });
    }
    command
}

fn command(folder: &Path, bind: SocketAddr, settings: &Vec<(String, String)>, start: u32) -> Command {
    base_command(env!("CARGO_BIN_EXE_luckydraw"), folder, bind, settings, start)
}

/// The server's command line. The environment holds only what is set here, so that no developer's
/// setting leaks in. A test's setting overrides a default one; an empty value removes it.
fn base_command(program: &str, folder: &Path, bind: SocketAddr, settings: &Vec<(String, String)>, start: u32) -> Command {
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
            // A write beyond the file size limit then fails as on a full disk, instead of killing
            // the process.
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
    // SAFETY: kill takes no pointers, and the child is not reaped yet, so the id is still its own.
    let result = unsafe { libc::kill(pid, number) };
    assert_eq!(result, 0, "the server can be signalled");
}
