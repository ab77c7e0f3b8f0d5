//! The server under a supervisor, over the real protocols: readiness and pings on a datagram
//! socket, inherited sockets, a token in a credentials folder.

use crate::credentials::{Authority, NAME, TODAY, Tunnel};
use crate::event_steps::{EVENT, prize, request_id};
use crate::http_client::RequestBuilder;
use crate::test_server::{ADMIN_TOKEN, TIMEOUT, TestServer, poll};
use hyper::Method;
use rustls::version::TLS13;
use serde_json::json;
use std::future::IntoFuture;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A supervisor's notification socket.
struct NotifySocket {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl NotifySocket {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self { socket, folder }
    }

    fn path(&self) -> String {
        self.folder.path().join("notify").to_str().unwrap().to_owned()
    }

    /// The next message, one state per line.
    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a notification arrives in time");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// Receives until a message contains this text, and returns that message.
    fn until(&self, text: &str) -> String {
        loop {
            let message = self.next();
            if message.contains(text) {
                return message;
            }
        }
    }
}

/// A thread of another process, stopped as if it hung, until this is dropped.
struct StoppedThread(libc::pid_t);

impl StoppedThread {
    /// Stops the thread of this name.
    fn stop(pid: u32, name: &str) -> Self {
        let has_name = |task: &Path| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
        let mut tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().path());
        let task = tasks.find(|task| has_name(task)).unwrap_or_else(|| panic!("there is a thread called {name}"));
        let id: libc::pid_t = task.file_name().unwrap().to_str().unwrap().parse().unwrap();
        // SAFETY: these calls take a thread's id and no pointer but the status, which lives until
        // waitpid returns. The process is a child of this one.
        unsafe {
            assert_eq!(libc::ptrace(libc::PTRACE_SEIZE, id, 0, 0), 0, "{}", std::io::Error::last_os_error());
            assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, id, 0, 0), 0, "{}", std::io::Error::last_os_error());
            let mut status = 0;
            assert_eq!(libc::waitpid(id, &raw mut status, libc::__WALL), id);
        }
        Self(id)
    }
}

impl Drop for StoppedThread {
    fn drop(&mut self) {
        // SAFETY: as above; this thread stopped the other, and detaches from it.
        let result = unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, 0, 0) };
        assert!(result == 0 || std::thread::panicking(), "{}", std::io::Error::last_os_error());
    }
}

/// On one thread, since only the thread that stopped another may resume it.
#[tokio::test(flavor = "current_thread")]
async fn the_supervisor_is_notified_of_readiness_status_and_stop() {
    let supervisor = NotifySocket::open();
    let mut server = TestServer::start_with(&[("NOTIFY_SOCKET", &supervisor.path()), ("WATCHDOG_USEC", "400000")]).await;
    let first = supervisor.next();
    assert!(
        first.contains("READY=1\n") && first.contains("STATUS=1 events, 0 participants, 0 sockets, journal kept\n"),
        "{first}"
    );
    server.open_event().await;
    server.register_many(3).await;
    let _socket = server.socket(EVENT, "").await.synced().await;
    let message = supervisor.until("STATUS=2 events, 3 participants, 1 sockets");
    assert!(message.contains("WATCHDOG=1"), "{message}");
    server.terminate();
    supervisor.until("STOPPING=1");
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "current_thread")]
async fn pings_stop_when_the_sequencer_a_worker_or_a_socket_thread_hangs() {
    let supervisor = NotifySocket::open();
    let server = TestServer::start_with(&[
        ("NOTIFY_SOCKET", &supervisor.path()),
        ("WATCHDOG_USEC", "1200000"),
        ("LUCKYDRAW_SOCKET_THREADS", "1"),
    ])
    .await;
    for name in ["sequencer", "worker-1", "socket-0"] {
        supervisor.until("WATCHDOG=1");
        let stopped = StoppedThread::stop(server.pid(), name);
        let message = supervisor.until("no answer from");
        assert!(message.contains(name) && !message.contains("WATCHDOG=1"), "{message}");
        let second = supervisor.next();
        assert!(second.contains(name) && !second.contains("WATCHDOG=1"), "the next message is no ping either: {second}");
        drop(stopped);
    }
    supervisor.until("WATCHDOG=1");
    assert!(server.printed().contains("no answer"), "the log has it too");
}

#[tokio::test(flavor = "current_thread")]
async fn a_call_that_waits_for_a_stalled_writer_is_answered_and_perhaps_done() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    let stopped = StoppedThread::stop(server.pid(), "sequencer");
    let calls = [
        server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(2)})),
        server.admin(Method::POST, "draw/standby").json(&prize("TV")),
        server.admin(Method::GET, "winners"),
        server.admin(Method::GET, "audit"),
    ];
    for answer in futures_util::future::join_all(calls.map(|call| call.into_future())).await {
        answer.expect_refusal(503, "OUTCOME_UNKNOWN");
        assert!(answer.header("retry-after").parse::<u32>().is_ok(), "{:?}", answer.headers);
    }
    server.public("/state").await;
    assert_eq!(server.register(1).await.number, 1, "a known phone needs no writer");
    drop(stopped);
    assert_eq!(server.register(2).await.number, 2, "the retry finds the number that was given meanwhile");
    assert_eq!(server.admin_get("stats").await["participant_count"], 2);
    let state = server.public("/state").await["state_sync"].clone();
    assert_eq!(state["current"]["prize_name"], "TV", "what was said to be perhaps done is done: {state}");
}

#[tokio::test]
async fn an_inherited_socket_replaces_the_server_s_own() {
    let server = TestServer::start_activated(&[("LUCKYDRAW_BIND", "127.0.0.1:1")]).await;
    assert_ne!(server.address.port(), 1);
    server.open_event().await;
    server.register(1).await;
    assert!(server.printed().contains("the supervisor's socket"), "{}", server.printed());
}

#[tokio::test]
async fn a_socket_s_name_selects_its_protocol() {
    let authority = Authority::new();
    let (cert, key) = authority.files("usual", &[NAME], TODAY);
    let settings = [
        ("LISTEN_FDNAMES", "https"),
        ("LUCKYDRAW_BIND", "127.0.0.1:1"),
        ("LUCKYDRAW_TLS_CERT", cert.to_str().unwrap()),
        ("LUCKYDRAW_TLS_KEY", key.to_str().unwrap()),
        ("LUCKYDRAW_PLAIN_BIND", "127.0.0.1:0"),
    ];
    let server = TestServer::start_activated(&settings).await;
    let tunnel = Tunnel::to(server.listening("https"), authority.client(&[&TLS13], &["http/1.1"])).await;
    assert_eq!(RequestBuilder::new(tunnel.address, Method::GET, "/healthz").await.status, 200);
    assert_eq!(
        server.request(Method::GET, "/healthz").await.status,
        200,
        "the server opens the plain listener, which was not inherited"
    );
}

/// A process that is killed when the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port without a listener. If another program takes it meanwhile, the test fails with that
/// error.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn systemd_s_own_activator_starts_the_server_at_the_first_connection() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("admin-token"), format!("{ADMIN_TOKEN}\n")).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let setenv = |name: &str, value: &Path| format!("--setenv={name}={}", value.display());
    let mut activator = Command::new("systemd-socket-activate");
    activator
        .env_clear()
        .arg(format!("--listen={address}"))
        .arg("--fdname=http")
        .arg(setenv("LUCKYDRAW_DATA_DIR", &folder.path().join("data")))
        .arg(setenv("CREDENTIALS_DIRECTORY", &credentials))
        .arg(env!("CARGO_BIN_EXE_luckydraw"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut process = Process(activator.env("PATH", path).spawn().expect("systemd-socket-activate is installed"));
    poll("the activator listens", || match process.0.try_wait().unwrap() {
        Some(status) => panic!("systemd-socket-activate ended with {status}"),
        None => is_listening(address).then_some(()),
    })
    .await;
    let answer = RequestBuilder::new(address, Method::GET, "/api/luckydraw/admin/events").admin().await;
    assert!(answer.ok().is_object(), "the first request starts the server, whose token is that of the credentials");
    let health = Command::new(env!("CARGO_BIN_EXE_luckydraw"))
        .env_clear()
        .args(["healthcheck", "--ready", "--bind", &address.to_string()])
        .output()
        .unwrap();
    assert_eq!(health.status.code(), Some(0), "{health:?}");
}

/// True when a socket listens on this address; checked without a connection.
fn is_listening(address: SocketAddr) -> bool {
    let wanted = format!("0100007F:{:04X} 00000000:0000 0A", address.port());
    std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&wanted)
}

#[tokio::test]
async fn a_health_check_distinguishes_healthy_absent_and_hung_servers() {
    let server = TestServer::start().await;
    let check = |arguments: Vec<String>| async move {
        let (status, printed) =
            crate::test_server::run_to_end(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await;
        (status.code(), printed)
    };
    let bind = ["--bind".to_owned(), server.address.to_string()];
    for words in [vec!["healthcheck"], vec!["healthcheck", "--ready"]] {
        let arguments: Vec<String> = words.into_iter().map(str::to_owned).chain(bind.clone()).collect();
        let (code, printed) = check(arguments).await;
        assert!(code == Some(0) && printed.contains("200"), "{printed}");
    }
    let url = |path: &str| vec!["healthcheck".into(), "--url".into(), format!("http://{}{path}", server.address)];
    assert_eq!(check(url("/healthz")).await.0, Some(0));
    let (code, printed) = check(url("/no-such-page")).await;
    assert!(code == Some(1) && printed.contains("404"), "{printed}");
    let (code, printed) = check(vec!["healthcheck".into(), "--bind".into(), format!("127.0.0.1:{}", free_port())]).await;
    assert!(code == Some(1) && printed.contains("no answer at"), "{printed}");
    assert_eq!(check(vec!["healthcheck".into(), "--bind".into(), "nonsense".into()]).await.0, Some(64));
    let frozen = std::time::Instant::now();
    // SAFETY: kill takes no pointers; the server is a child of this test and not reaped.
    unsafe { libc::kill(server.pid() as libc::pid_t, libc::SIGSTOP) };
    let (code, printed) = check(url("/healthz")).await;
    assert_eq!(code, Some(1), "a server that hangs is not healthy: {printed}");
    assert!(frozen.elapsed() >= Duration::from_secs(1), "the check waits for an answer first");
}
