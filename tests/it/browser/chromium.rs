//! A real browser: Debian's Chromium, driven through ChromeDriver as a user would, one browser
//! context per person.
//!
//! Contexts share neither cookies nor storage, so one browser holds many phones, a stage and a
//! console. ChromeDriver cannot open a context; Chromium's own protocol can, and ChromeDriver
//! drives any window. Both processes form one group, which is killed however the test ends. Waits
//! poll a condition until it holds; nothing sleeps for a fixed time, and no request leaves this
//! machine.

use crate::http_client::RequestBuilder;
use crate::test_server::TIMEOUT;
use fantoccini::elements::Element;
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::{SinkExt, StreamExt};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, Semaphore, SemaphorePermit};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Interval at which a condition is polled.
const POLL: Duration = Duration::from_millis(20);

/// One browser at a time, where tests run concurrently in one process.
static BROWSER_PERMIT: Semaphore = Semaphore::const_new(1);

/// Collects the reports of a page's content security policy where the test finds them.
const LISTEN: &str = "self.policyReports = []; addEventListener('securitypolicyviolation', \
    (report) => self.policyReports.push(`${report.violatedDirective}: ${report.blockedURI}`));";

/// A running browser. Dropping it kills and reaps it.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    client: Client,
    session: String,
    /// Connection of Chromium's own protocol, and the id of its last call.
    protocol: AsyncMutex<(WebSocketStream<TcpStream>, u64)>,
    /// The window that ChromeDriver has focused.
    focused: AsyncMutex<Option<WindowHandle>>,
    windows: Mutex<Vec<WindowHandle>>,
    folder: TempDir,
    _permit: SemaphorePermit<'static>,
}

/// Kind of a window.
#[derive(Clone, Copy, Debug)]
pub enum Screen {
    Phone,
    Desktop,
    Projector,
}

impl Screen {
    /// Width and height in CSS pixels.
    fn size(self) -> (u32, u32) {
        match self {
            Self::Phone => (390, 844),
            Self::Desktop => (1280, 900),
            Self::Projector => (1280, 720),
        }
    }
}

impl Browser {
    /// Starts a browser whose language is Korean.
    pub async fn start() -> Self {
        let permit = BROWSER_PERMIT.acquire().await.expect("the semaphore is never closed");
        let folder = tempfile::tempdir().unwrap();
        let driver = spawn(folder.path());
        let address = driver_address(folder.path()).await;
        let mut arguments = vec![
            "--headless".to_owned(),
            format!("--user-data-dir={}", folder.path().join("profile").display()),
            "--accept-lang=ko-KR".to_owned(),
        ];
        arguments.extend(ARGUMENTS.iter().map(|argument| argument.to_string()));
        // SAFETY: geteuid takes nothing and cannot fail.
        if unsafe { libc::geteuid() } == 0 {
            // Chromium's sandbox does not run as root.
            arguments.push("--no-sandbox".to_owned());
        }
        let wanted = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
            "unhandledPromptBehavior": "ignore",
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wanted.as_object().cloned().expect("it is an object"));
        let url = format!("http://{address}");
        let connecting = builder.connect(&url);
        let client = tokio::time::timeout(TIMEOUT * 2, connecting).await.expect("chromium starts").expect("chromium starts");
        let session = client.session_id().await.unwrap().expect("a session has an id");
        let options = &client.capabilities().expect("a session has capabilities")["goog:chromeOptions"];
        let protocol = AsyncMutex::new((protocol(options["debuggerAddress"].as_str().unwrap()).await, 0));
        let (focused, windows) = (AsyncMutex::new(None), Mutex::new(Vec::new()));
        Self { driver, address, client, session, protocol, focused, windows, folder, _permit: permit }
    }

    /// Opens a new person's window at this address.
    pub async fn open(&self, screen: Screen, address: &str) -> Page<'_> {
        let page = self.open_blank(screen).await;
        page.go(address).await;
        page
    }

    /// Opens a new person's empty window.
    pub async fn open_blank(&self, screen: Screen) -> Page<'_> {
        let context = self.call_browser("Target.createBrowserContext", json!({})).await;
        self.window(screen, context["browserContextId"].as_str()).await
    }

    async fn window(&self, screen: Screen, context: Option<&str>) -> Page<'_> {
        let (width, height) = screen.size();
        let mut wanted = json!({"url": "about:blank", "newWindow": true, "width": width, "height": height});
        if let Some(context) = context {
            wanted["browserContextId"] = json!(context);
        }
        let target = self.call_browser("Target.createTarget", wanted).await;
        let window = WindowHandle::try_from(target["targetId"].as_str().unwrap().to_owned()).unwrap();
        self.windows.lock().unwrap().push(window.clone());
        let page = Page { browser: self, window, context: context.map(str::to_owned) };
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        page.command("Emulation.setDeviceMetricsOverride", screen).await;
        page.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": LISTEN})).await;
        page
    }

    /// Asserts that no page had an error, violated its policy or sent a request to another host.
    /// Console lines that contain one of `expected` are allowed.
    pub async fn assert_no_errors(&self, expected: &[&str]) {
        let log = self.call_driver("se/log", json!({"type": "browser"})).await;
        let is_bad = |entry: &&Value| entry["level"] == "SEVERE" || entry["source"] == "security";
        let is_new = |entry: &&Value| !expected.iter().any(|part| entry["message"].as_str().unwrap().contains(part));
        let errors: Vec<_> =
            log.as_array().unwrap().iter().filter(is_bad).filter(is_new).map(|entry| &entry["message"]).collect();
        assert!(errors.is_empty(), "errors in the console of a page: {errors:#?}");
        let windows = self.windows.lock().unwrap().clone();
        for window in windows {
            let page = Page { browser: self, window, context: None };
            let script =
                "return [self.policyReports, performance.getEntriesByType('resource').map((entry) => new URL(entry.name))
                .filter((url) => url.host !== location.host && url.protocol !== 'blob:').map(String)]";
            assert_eq!(page.run(script, vec![]).await, json!([[], []]), "policy reports and requests to other hosts");
        }
    }

    /// Calls the browser itself through Chromium's protocol.
    async fn call_browser(&self, method: &str, params: Value) -> Value {
        let mut protocol = self.protocol.lock().await;
        protocol.1 += 1;
        let id = protocol.1;
        let call = async {
            protocol.0.send(Message::text(json!({"id": id, "method": method, "params": params}).to_string())).await.unwrap();
            loop {
                let Message::Text(text) = protocol.0.next().await.expect("the browser lives").unwrap() else { continue };
                let answer: Value = serde_json::from_str(&text).unwrap();
                if answer["id"] == id {
                    return answer["result"].clone();
                }
            }
        };
        tokio::time::timeout(TIMEOUT, call).await.unwrap_or_else(|_| panic!("{method}: no answer"))
    }

    /// Calls a ChromeDriver extension.
    async fn call_driver(&self, path: &str, body: Value) -> Value {
        let answer = RequestBuilder::new(self.address, Method::POST, &format!("/session/{}/{path}", self.session))
            .json(&body)
            .await
            .json();
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {}", answer["value"]["message"]);
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = libc::pid_t::try_from(self.driver.id()).unwrap();
        // SAFETY: kill takes no pointers, and the driver is not reaped yet, so the group id is
        // still its own.
        unsafe { libc::kill(-group, libc::SIGKILL) };
        let _ = self.driver.wait();
        // The killed processes may write to their profile until they are gone.
        let deadline = Instant::now() + Duration::from_secs(2);
        while std::fs::remove_dir_all(self.folder.path().join("profile"))
            .is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound)
            && Instant::now() < deadline
        {
            std::thread::sleep(POLL);
        }
    }
}

/// One window, and how a person uses it.
pub struct Page<'b> {
    browser: &'b Browser,
    window: WindowHandle,
    /// `None`: the browser's default context.
    context: Option<String>,
}

impl Page<'_> {
    /// Opens another window of the same person.
    pub async fn open_beside(&self, screen: Screen, address: &str) -> Self {
        let page = self.browser.window(screen, self.context.as_deref()).await;
        page.go(address).await;
        page
    }

    /// Navigates to an address.
    pub async fn go(&self, address: &str) {
        let _focus = self.focus().await;
        self.browser.client.goto(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    }

    /// Reloads the page.
    pub async fn refresh(&self) {
        let _focus = self.focus().await;
        self.browser.client.refresh().await.unwrap();
    }

    /// The current address.
    pub async fn url(&self) -> String {
        let _focus = self.focus().await;
        self.browser.client.current_url().await.unwrap().to_string()
    }

    /// Runs a script with `arguments`; returns its result.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.try_run(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    async fn try_run(&self, script: &str, arguments: Vec<Value>) -> Result<Value, String> {
        let _focus = self.focus().await;
        let running = tokio::time::timeout(TIMEOUT, self.browser.client.execute(script, arguments));
        running.await.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())
    }

    /// Waits until an expression of the page is neither false nor empty; returns its value.
    pub async fn until(&self, expression: &str) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        let script = format!("return ({expression})");
        loop {
            // A loading page cannot run scripts.
            let result = self.try_run(&script, vec![]).await;
            match result {
                Ok(value) if !matches!(&value, Value::Null | Value::Bool(false)) && value != json!("") && value != json!(0) => {
                    return value;
                }
                _ if Instant::now() < deadline => tokio::time::sleep(POLL).await,
                _ => panic!("timed out waiting until {expression}: {result:?}\nthe page is\n{}", self.describe().await),
            }
        }
    }

    /// Waits until the page is in this state.
    pub async fn until_state(&self, state: &str) {
        self.until(&format!("document.body.dataset.state === {}", json!(state))).await;
    }

    /// Waits until the first element of a selector contains a text.
    pub async fn until_text(&self, selector: &str, part: &str) {
        self.until(&format!("document.querySelector({})?.innerText.includes({})", json!(selector), json!(part))).await;
    }

    /// The visible text of the first element of a selector.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.run("return document.querySelector(arguments[0]).innerText", vec![json!(selector)]).await;
        text.as_str().unwrap().trim().to_owned()
    }

    /// Clicks as soon as the element exists, is enabled and is not covered.
    pub async fn click(&self, selector: &str) {
        self.act(selector, async |element| match element.is_enabled().await? {
            true => element.click().await.map(|()| true),
            false => Ok(false),
        })
        .await;
    }

    /// Replaces the text of a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        self.act(selector, async |element| {
            element.clear().await?;
            element.send_keys(text).await.map(|()| true)
        })
        .await;
    }

    /// Selects an option by its value.
    pub async fn choose(&self, selector: &str, value: &str) {
        self.act(selector, async |element| element.select_by_value(value).await.map(|()| true)).await;
    }

    /// Presses keys at the focused element. Special keys are characters of WebDriver's private use
    /// area.
    pub async fn press(&self, keys: &str) {
        let _focus = self.focus().await;
        self.browser.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Calls this window through Chromium's protocol.
    pub async fn command(&self, command: &str, params: Value) -> Value {
        let _focus = self.focus().await;
        self.browser.call_driver("goog/cdp/execute", json!({"cmd": command, "params": params})).await
    }

    /// Retries an action until it succeeds: a page may render at any time and replace the
    /// element.
    async fn act(&self, selector: &str, act: impl AsyncFn(&Element) -> Result<bool, fantoccini::error::CmdError>) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let tried = {
                let _focus = self.focus().await;
                match self.browser.client.find(Locator::Css(selector)).await {
                    Ok(element) => act(&element).await,
                    Err(error) => Err(error),
                }
            };
            match tried {
                Ok(true) => return,
                _ if Instant::now() < deadline => tokio::time::sleep(POLL).await,
                _ => panic!("{selector}: {tried:?}\nthe page is\n{}", self.describe().await),
            }
        }
    }

    async fn focus(&self) -> MutexGuard<'_, Option<WindowHandle>> {
        let mut focused = self.browser.focused.lock().await;
        if focused.as_ref() != Some(&self.window) {
            self.browser.client.switch_to_window(self.window.clone()).await.expect("the window is open");
            *focused = Some(self.window.clone());
        }
        focused
    }

    async fn describe(&self) -> String {
        let script = "return `${location} ${JSON.stringify(document.body.dataset)}\n${document.body.innerText}`";
        self.try_run(script, vec![]).await.map_or_else(|error| error, |text| text.as_str().unwrap_or_default().to_owned())
    }
}

/// Flags: only local names resolve, background pages are not throttled, and the browser itself
/// sends no requests.
const ARGUMENTS: &[&str] = &[
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-renderer-backgrounding",
    "--disable-sync",
    "--mute-audio",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
];

/// Starts ChromeDriver as the leader of a process group, which its children join.
fn spawn(folder: &Path) -> Child {
    let output = |name: &str| File::create(folder.join(name)).unwrap();
    Command::new("chromedriver")
        .args(["--port=0"])
        .stdin(Stdio::null())
        .stdout(output("driver.out"))
        .stderr(output("driver.err"))
        .process_group(0)
        .spawn()
        .expect("chromedriver starts: install chromium and chromium-driver, as scripts/test does")
}

async fn driver_address(folder: &Path) -> SocketAddr {
    let port = crate::test_server::poll("chromedriver says where it listens", || {
        let text = std::fs::read_to_string(folder.join("driver.out")).unwrap();
        let (_, rest) = text.split_once("successfully on port ")?;
        rest.split_once('.')?.0.parse().ok()
    });
    SocketAddr::from(([127, 0, 0, 1], port.await))
}

/// Connects to the browser's own protocol, at the address that `/json/version` names.
async fn protocol(debugger: &str) -> WebSocketStream<TcpStream> {
    let port: u16 = debugger.rsplit(':').next().unwrap().parse().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let version = RequestBuilder::new(address, Method::GET, "/json/version").await.json();
    let url = version["webSocketDebuggerUrl"].as_str().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    tokio_tungstenite::client_async(url, stream).await.unwrap().0
}
