//! A WebDriver client that is as small as the tests need: one command is one HTTP request to chromedriver on this machine.
//!
//! `chromedriver` and `chromium` come from the system's packages (Debian: `apt-get install chromium chromium-driver`);
//! `$CHROMEDRIVER` and `$CHROMIUM` name them where they are called otherwise.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lookahead_report::{Report, find, write_page};
use serde_json::{Value, json};

/// The driver, stopped on drop.
pub(crate) struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    /// Starts chromedriver on a free port; `None`, with a word on standard error, where there is none.
    pub(crate) fn start() -> Option<Self> {
        let program = std::env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".to_owned());
        let spawned = Command::new(&program).arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                eprintln!(
                    "skipped: `{program}` does not start ({error}); install chromium and chromium-driver, or set $CHROMEDRIVER"
                );
                return None;
            }
        };
        // "ChromeDriver was started successfully on port 40521."
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        // The driver blocks when nobody reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, port: port.expect("chromedriver names its port") })
    }

    /// Opens a browser with an empty profile at `profile`.
    pub(crate) fn session(&self, profile: &Path) -> Session<'_> {
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ];
        let mut arguments: Vec<String> = flags.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let mut options = json!({ "args": arguments });
        if let Ok(binary) = std::env::var("CHROMIUM") {
            options["binary"] = json!(binary);
        }
        let capabilities = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } } } });
        let opened = self.command("POST", "/session", Some(&capabilities));
        Session { driver: self, id: opened["sessionId"].as_str().unwrap().to_owned() }
    }

    fn command(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port, body.len()).unwrap();
        let mut reply = Vec::new();
        // The length is told; whether the driver then closes is its affair.
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) =
                line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            {
                length = value.trim().parse().unwrap_or_else(|_| panic!("{name} is no number"));
            }
        }
        reader.take(length).read_to_end(&mut reply).unwrap();
        let mut reply: Value = serde_json::from_slice(&reply).unwrap();
        let value = reply["value"].take();
        assert!(value["error"].is_null(), "{method} {path}: {}: {}", value["error"], value["message"]);
        value
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser window, closed on drop.
pub(crate) struct Session<'a> {
    driver: &'a Driver,
    id: String,
}

impl Session<'_> {
    fn post(&self, path: &str, body: &Value) -> Value {
        self.driver.command("POST", &format!("/session/{}/{path}", self.id), Some(body))
    }

    /// A window of this size and colour scheme, `light` or `dark`.
    pub(crate) fn emulate(&self, width: u32, height: u32, scheme: &str) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.post("goog/cdp/execute", &json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": metrics }));
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.post("goog/cdp/execute", &json!({ "cmd": "Emulation.setEmulatedMedia", "params": media }));
    }

    /// Opens a file and waits for its scripts.
    pub(crate) fn open(&self, path: &Path) {
        self.post("url", &json!({ "url": format!("file://{}", path.display()) }));
    }

    /// The value of an expression of JavaScript.
    pub(crate) fn eval(&self, expression: &str) -> Value {
        self.post("execute/sync", &json!({ "script": format!("return ({expression});"), "args": [] }))
    }

    /// The finding of a program of JavaScript that calls its last argument with it.
    pub(crate) fn run(&self, program: &str) -> Value {
        self.post("execute/async", &json!({ "script": program, "args": [] }))
    }

    /// The page as it is printed, `width` pixels of paper wide, or as it is shown; the colour scheme goes with it.
    pub(crate) fn emulate_paper(&self, width: u32) {
        self.emulate(width, 900, "dark");
        let media = json!({ "media": "print", "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
        self.post("goog/cdp/execute", &json!({ "cmd": "Emulation.setEmulatedMedia", "params": media }));
    }

    /// The page as a PDF file of A4 paper.
    pub(crate) fn print(&self, path: &Path) {
        let paper = json!({ "paperWidth": 8.27, "paperHeight": 11.69 });
        let printed = self.post("goog/cdp/execute", &json!({ "cmd": "Page.printToPDF", "params": paper }));
        std::fs::write(path, decode_base64(printed["data"].as_str().unwrap())).unwrap();
    }

    fn find(&self, selector: &str) -> String {
        let found = self.post("element", &json!({ "using": "css selector", "value": selector }));
        found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str).unwrap().to_owned()
    }

    /// Scrolls at once: the page scrolls smoothly, and a click would come too early.
    fn bring_into_view(&self, selector: &str) {
        self.eval(&format!(
            "document.querySelector({selector:?}).scrollIntoView({{ block: 'center', behavior: 'instant' }})"
        ));
    }

    /// A real click on the first element of a CSS selector.
    pub(crate) fn click(&self, selector: &str) {
        self.bring_into_view(selector);
        let element = self.find(selector);
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// Real key presses, the element in focus.
    pub(crate) fn press(&self, selector: &str, keys: &str) {
        let element = self.find(selector);
        self.post(&format!("element/{element}/value"), &json!({ "text": keys }));
    }

    /// Moves the mouse to `from`, and when there is a `to`, drags it there; shares of the element's width, half its height.
    pub(crate) fn mouse(&self, selector: &str, from: f64, to: Option<f64>) {
        self.bring_into_view(selector);
        let at = self.eval(&format!("(box => [box.x, box.y, box.width, box.height])(document.querySelector({selector:?}).getBoundingClientRect())"));
        let number = |index: usize| at[index].as_f64().unwrap();
        let to_move = |share: f64| {
            json!({ "type": "pointerMove", "duration": 0, "origin": "viewport",
            "x": (number(0) + share * number(2)).round(), "y": (number(1) + 0.5 * number(3)).round() })
        };
        let mut actions = vec![to_move(from)];
        if let Some(to) = to {
            actions.extend([
                json!({ "type": "pointerDown", "button": 0 }),
                to_move(0.5 * (from + to)),
                to_move(to),
                json!({ "type": "pointerUp", "button": 0 }),
            ]);
        }
        let mouse =
            json!({ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": actions });
        self.post("actions", &json!({ "actions": [mouse] }));
    }

    /// What the browser's console holds, warnings and errors alone.
    pub(crate) fn console(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({ "type": "browser" }));
        let bad = |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        log.as_array().into_iter().flatten().filter(bad).map(Value::to_string).collect()
    }

    /// The whole page as a PNG file.
    pub(crate) fn screenshot(&self, path: &Path) {
        let size = self.eval("[document.documentElement.clientWidth, document.documentElement.scrollHeight]");
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
        let shot = self.post(
            "goog/cdp/execute",
            &json!({ "cmd": "Page.captureScreenshot", "params": { "captureBeyondViewport": true, "clip": clip } }),
        );
        std::fs::write(path, decode_base64(shot["data"].as_str().unwrap())).unwrap();
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.driver.command("DELETE", &format!("/session/{}", self.id), None);
        }
    }
}

fn decode_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b'=').map(digit).collect();
    let bytes = digits.chunks(4).flat_map(|chunk| {
        let word = chunk
            .iter()
            .enumerate()
            .fold(0u32, |word, (position, &digit)| word | u32::from(digit) << (18 - 6 * position));
        word.to_be_bytes()[1..chunk.len()].to_vec()
    });
    bytes.collect()
}

/// Writes the page of an experiment beside its runs.
pub(crate) fn page_of(folder: &Path) -> (PathBuf, Report) {
    let mut left_out = Vec::new();
    let found = find(&[folder.to_path_buf()], &mut left_out);
    let report = Report::read(&found[0]);
    let page = folder.canonicalize().unwrap().join("report.html");
    write_page(&report, &left_out, &page).unwrap();
    (page, report)
}

/// A value that is a text.
pub(crate) fn text(value: Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Nothing is wider than the window.
pub(crate) fn fits(session: &Session<'_>) {
    let (inner, scroll) =
        (session.eval("document.documentElement.clientWidth"), session.eval("document.documentElement.scrollWidth"));
    // Inside a region that scrolls, anything may be wide.
    let widest = "[...document.querySelectorAll('body *')].filter(element => element.getBoundingClientRect().right > \
        document.documentElement.clientWidth + 0.5).map(element => element.outerHTML.slice(0, 90)).slice(0, 4)";
    assert_eq!(inner, scroll, "the page is wider than its window: {}", session.eval(widest));
}

/// Into `$LOOKAHEAD_SCREENSHOTS`, for people.
pub(crate) fn screenshot(session: &Session<'_>, name: &str) {
    if let Some(folder) = std::env::var_os("LOOKAHEAD_SCREENSHOTS").map(PathBuf::from) {
        std::fs::create_dir_all(&folder).unwrap();
        session.screenshot(&folder.join(format!("{name}.png")));
    }
}
