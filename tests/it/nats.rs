//! A real NATS server per test, with the configuration that ships, and a client that speaks its
//! protocol by hand: it may say what the library would refuse to.

use crate::test_server::{TIMEOUT, poll};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// The user that may do everything, for tests alone.
pub const TAP: &str = "tap";

/// A running NATS server. Dropping it kills and reaps the process.
pub struct NatsServer {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl NatsServer {
    /// Starts `scripts/deploy/nats.conf` on a port of its own, with [`TAP`] as one user more.
    pub async fn start() -> Self {
        Self::start_edited(|conf| conf).await
    }

    /// The same with a configuration that was edited.
    pub async fn start_edited(edit: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/deploy/nats.conf");
        let text = std::fs::read_to_string(shipped).unwrap();
        let more = "# One more per edge";
        assert!(text.contains(more), "the configuration says where users go");
        let text = text.replace(more, &format!("{{ user: {TAP}, password: {TAP} }}\n    {more}"));
        std::fs::write(folder.path().join("nats.conf"), edit(text)).unwrap();
        // Free a moment ago; the server sets SO_REUSEADDR, so that it finds it again.
        let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let server = Self { child: spawn(&folder, address), address, folder };
        server.until_listening().await;
        server
    }

    /// Kills the process by SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the killed server again on the same port. It remembers nothing.
    pub async fn restart(&mut self) {
        self.child = spawn(&self.folder, self.address);
        self.until_listening().await;
    }

    /// The settings of an origin or edge that signs in as this user.
    pub fn settings(&self, user: &str) -> Vec<(String, String)> {
        let file = self.credentials(user).to_str().unwrap().to_owned();
        vec![("LUCKYDRAW_NATS_URL".into(), format!("nats://{}", self.address)), ("LUCKYDRAW_NATS_CREDENTIALS".into(), file)]
    }

    /// A file with the credentials of both edges.
    pub fn edge_credentials(&self) -> String {
        let file = self.folder.path().join("edges.credentials");
        let lines = ["edge1", "edge2"].map(|user| format!("{user}:{}\n", password(user)));
        std::fs::write(&file, format!("# of edges\n{}", lines.concat())).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// Everything that the server has logged.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// A client that has signed in as this user.
    pub fn client(&self, user: &str) -> NatsClient {
        NatsClient::connect(self.address, user)
    }

    fn credentials(&self, user: &str) -> PathBuf {
        let file = self.folder.path().join(format!("{user}.credentials"));
        std::fs::write(&file, format!("{user}:{}\n", password(user))).unwrap();
        file
    }

    async fn until_listening(&self) {
        poll("NATS listens", || TcpStream::connect(self.address).ok()).await;
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn password(user: &str) -> String {
    if user == TAP { TAP.to_owned() } else { format!("secret-of-{user}") }
}

fn spawn(folder: &TempDir, address: SocketAddr) -> Child {
    // Debian installs it where only root looks.
    let program =
        ["/usr/sbin/nats-server", "/usr/local/bin/nats-server"].into_iter().find(|path| std::path::Path::new(path).exists());
    Command::new(program.unwrap_or("nats-server"))
        .arg("-c")
        .arg(folder.path().join("nats.conf"))
        .args(["-a", &address.ip().to_string(), "-p", &address.port().to_string()])
        .env("NATS_ORIGIN_PASSWORD", password("origin"))
        .env("NATS_EDGE1_PASSWORD", password("edge1"))
        .env("NATS_EDGE2_PASSWORD", password("edge2"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.path().join("stderr")).unwrap())
        .spawn()
        .expect("nats-server is installed: scripts/test installs it")
}

/// A connection that keeps everything it hears.
pub struct NatsClient {
    stream: TcpStream,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl NatsClient {
    fn connect(address: SocketAddr, user: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let sign_in = serde_json::json!({"verbose": false, "pedantic": false, "headers": true, "no_responders": true,
            "user": user, "pass": password(user), "lang": "test", "version": "0"});
        stream.write_all(format!("CONNECT {sign_in}\r\n").as_bytes()).unwrap();
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let (mut reader, mut writer, keep) = (stream.try_clone().unwrap(), stream.try_clone().unwrap(), Arc::clone(&heard));
        std::thread::spawn(move || {
            let mut chunk = [0; 16 << 10];
            while let Ok(length @ 1..) = reader.read(&mut chunk) {
                keep.lock().unwrap().extend_from_slice(&chunk[..length]);
                // A ping too many answers one that came in two pieces.
                if chunk[..length].windows(6).any(|window| window == b"PING\r\n") && writer.write_all(b"PONG\r\n").is_err() {
                    return;
                }
            }
        });
        Self { stream, heard }
    }

    /// Subscribes to a subject.
    pub fn subscribe(&mut self, subject: &str) {
        self.say(&format!("SUB {subject} 1\r\n"));
    }

    /// Publishes a message with headers, each ending in CRLF; `reply` may be empty.
    pub fn publish(&mut self, subject: &str, reply: &str, headers: &str, payload: &str) {
        let head = format!("NATS/1.0\r\n{headers}\r\n");
        let (head_len, all_len) = (head.len(), head.len() + payload.len());
        self.say(&format!("HPUB {subject} {reply} {head_len} {all_len}\r\n{head}{payload}\r\n"));
    }

    /// Returns whether these bytes have been heard.
    pub fn has_heard(&self, needle: &str) -> bool {
        self.count(needle) > 0
    }

    /// The number of times that these bytes have been heard.
    pub fn count(&self, needle: &str) -> usize {
        let heard = self.heard.lock().unwrap();
        heard.windows(needle.len()).filter(|window| *window == needle.as_bytes()).count()
    }

    /// Waits until these bytes have been heard.
    pub async fn until_heard(&self, needle: &str) {
        poll(&format!("NATS says {needle}"), || self.has_heard(needle).then_some(())).await;
    }

    fn say(&mut self, text: &str) {
        self.stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        self.stream.write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for NatsClient {
    fn drop(&mut self) {
        // Ends the reading thread.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}
