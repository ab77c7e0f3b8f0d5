//! The server under a supervisor, over the real protocols: readiness and pings on a datagram socket, sockets handed over, a token in a folder of credentials.

use crate::credentials::{Authority, NAME, TODAY, Tunnel};
use crate::http::Ask;
use crate::show::EVENT;
use crate::test_server::{ADMIN_TOKEN, PATIENCE, TestServer, poll};
use hyper::Method;
use rustls::version::TLS13;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A supervisor's notification socket.
struct Ear {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Ear {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    fn path(&self) -> String {
        self.folder.path().join("notify").to_str().unwrap().to_owned()
    }

    /// The words of the next message, a line each.
    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("the supervisor is told something in time");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// Goes on hearing until a message holds this.
    fn until(&self, word: &str) -> String {
        loop {
            let message = self.next();
            if message.contains(word) {
                return message;
            }
        }
    }
}

/// A thread of another process, held still as if it hung, until this is dropped.
struct Held(libc::pid_t);

impl Held {
    /// Holds the thread of this name.
    fn hold(pid: u32, name: &str) -> Self {
        let is_it = |task: &Path| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
        let mut tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().path());
        let task = tasks.find(|task| is_it(task)).unwrap_or_else(|| panic!("there is a thread called {name}"));
        let id: libc::pid_t = task.file_name().unwrap().to_str().unwrap().parse().unwrap();
        // SAFETY: these calls take a thread's id and no pointers but the status, which lives until waitpid returns. The process is a child of ours.
        unsafe {
            assert_eq!(libc::ptrace(libc::PTRACE_SEIZE, id, 0, 0), 0, "{}", std::io::Error::last_os_error());
            assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, id, 0, 0), 0, "{}", std::io::Error::last_os_error());
            let mut status = 0;
            assert_eq!(libc::waitpid(id, &raw mut status, libc::__WALL), id);
        }
        Self(id)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: as above; the thread is stopped by us, and the same thread of ours lets it go.
        let freed = unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, 0, 0) };
        assert!(freed == 0 || std::thread::panicking(), "{}", std::io::Error::last_os_error());
    }
}

/// On one thread, since only the thread that holds another may let it go.
#[tokio::test(flavor = "current_thread")]
async fn the_supervisor_hears_when_the_server_is_ready_how_it_fares_and_that_it_stops() {
    let ear = Ear::open();
    let mut house = TestServer::start_with(&[("NOTIFY_SOCKET", &ear.path()), ("WATCHDOG_USEC", "400000")]).await;
    let first = ear.next();
    assert!(
        first.contains("READY=1\n") && first.contains("STATUS=1 events, 0 participants, 0 sockets, journal kept\n"),
        "{first}"
    );
    house.open_event().await;
    house.register_many(3).await;
    let _socket = house.socket(EVENT, "").await.greeted().await;
    let message = ear.until("STATUS=2 events, 3 participants, 1 sockets");
    assert!(message.contains("WATCHDOG=1"), "{message}");
    house.terminate();
    ear.until("STOPPING=1");
    assert_eq!(house.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "current_thread")]
async fn pings_stop_when_the_writer_a_worker_or_a_stage_hangs() {
    let ear = Ear::open();
    let house = TestServer::start_with(&[
        ("NOTIFY_SOCKET", &ear.path()),
        ("WATCHDOG_USEC", "1200000"),
        ("LUCKYDRAW_SOCKET_THREADS", "1"),
    ])
    .await;
    for name in ["sequencer", "worker-1", "socket-0"] {
        ear.until("WATCHDOG=1");
        let held = Held::hold(house.pid(), name);
        let complaint = ear.until("no answer from");
        assert!(complaint.contains(name) && !complaint.contains("WATCHDOG=1"), "{complaint}");
        let second = ear.next();
        assert!(second.contains(name) && !second.contains("WATCHDOG=1"), "and nothing but complaints follows: {second}");
        drop(held);
    }
    ear.until("WATCHDOG=1");
    assert!(house.printed().contains("no answer"), "the log says it too");
}

#[tokio::test]
async fn a_socket_that_was_handed_over_takes_the_place_of_the_server_s_own() {
    let house = TestServer::start_activated(&[("LUCKYDRAW_BIND", "127.0.0.1:1")]).await;
    assert_ne!(house.address.port(), 1);
    house.open_event().await;
    house.register(1).await;
    assert!(house.printed().contains("the supervisor's socket"), "{}", house.printed());
}

#[tokio::test]
async fn a_socket_s_name_says_what_is_spoken_there() {
    let authority = Authority::new();
    let (cert, key) = authority.files("usual", &[NAME], TODAY);
    let settings = [
        ("LISTEN_FDNAMES", "https"),
        ("LUCKYDRAW_BIND", "127.0.0.1:1"),
        ("LUCKYDRAW_TLS_CERT", cert.to_str().unwrap()),
        ("LUCKYDRAW_TLS_KEY", key.to_str().unwrap()),
        ("LUCKYDRAW_PLAIN_BIND", "127.0.0.1:0"),
    ];
    let house = TestServer::start_activated(&settings).await;
    let tunnel = Tunnel::to(house.listening("https"), authority.client(&[&TLS13], &["http/1.1"])).await;
    assert_eq!(Ask::new(tunnel.address, Method::GET, "/healthz").await.status, 200);
    assert_eq!(
        house.ask(Method::GET, "/healthz").await.status,
        200,
        "the door in the clear, which nobody handed over, is its own"
    );
}

/// A process that is ended when the test is.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listens on. Another program may take it in between, and then the test fails and says so.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn systemd_s_own_activator_starts_the_server_at_the_first_call() {
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
    let answer = Ask::new(address, Method::GET, "/api/luckydraw/admin/events").admin().await;
    assert!(answer.ok().is_object(), "the first call starts the server, is answered, and finds the token of the credentials");
    let health = Command::new(env!("CARGO_BIN_EXE_luckydraw"))
        .env_clear()
        .args(["healthcheck", "--ready", "--bind", &address.to_string()])
        .output()
        .unwrap();
    assert_eq!(health.status.code(), Some(0), "{health:?}");
}

/// Whether a socket listens there, without connecting to it.
fn is_listening(address: SocketAddr) -> bool {
    let wanted = format!("0100007F:{:04X} 00000000:0000 0A", address.port());
    std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&wanted)
}

#[tokio::test]
async fn a_health_check_tells_living_from_silent_from_wrong() {
    let house = TestServer::start().await;
    let check = |arguments: Vec<String>| async move {
        let (status, printed) =
            crate::test_server::run_to_end(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await;
        (status.code(), printed)
    };
    let there = ["--bind".to_owned(), house.address.to_string()];
    for words in [vec!["healthcheck"], vec!["healthcheck", "--ready"]] {
        let arguments: Vec<String> = words.into_iter().map(str::to_owned).chain(there.clone()).collect();
        let (code, printed) = check(arguments).await;
        assert!(code == Some(0) && printed.contains("200"), "{printed}");
    }
    let url = |path: &str| vec!["healthcheck".into(), "--url".into(), format!("http://{}{path}", house.address)];
    assert_eq!(check(url("/healthz")).await.0, Some(0));
    let (code, printed) = check(url("/no-such-page")).await;
    assert!(code == Some(1) && printed.contains("404"), "{printed}");
    let (code, printed) = check(vec!["healthcheck".into(), "--bind".into(), format!("127.0.0.1:{}", free_port())]).await;
    assert!(code == Some(1) && printed.contains("nobody answers"), "{printed}");
    assert_eq!(check(vec!["healthcheck".into(), "--bind".into(), "nonsense".into()]).await.0, Some(64));
    let frozen = std::time::Instant::now();
    // SAFETY: kill takes no pointers; the server is a child of this test and not reaped.
    unsafe { libc::kill(house.pid() as libc::pid_t, libc::SIGSTOP) };
    let (code, printed) = check(url("/healthz")).await;
    assert_eq!(code, Some(1), "a server that hangs is not healthy: {printed}");
    assert!(frozen.elapsed() >= Duration::from_secs(1), "it was given its time");
}
