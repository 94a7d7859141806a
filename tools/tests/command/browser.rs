//! A headless Chromium, driven by its DevTools protocol over a pipe: clicks and keys are real events of the browser.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::wait_until;

/// The longest wait for an answer of the browser; a loaded machine is slow.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// The names under which systems have it.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Messages of the browser that may wait to be looked at.
const MESSAGES_MAX: usize = 10_000;

/// A browser with one page. Drop ends it.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: Value,
    last_id: u64,
    /// What the page did wrong: exceptions that nobody caught, and what its policy forbids.
    faults: Vec<String>,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Both fail only for a process that was reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    /// Starts one; without Chromium it says so where a test's output is seen, and there is none.
    pub(crate) fn start() -> Option<Browser> {
        let is_there = |program: &&&str| {
            let version = Command::new(program)
                .arg("--version")
                .stdin(Stdio::null())
                .output();
            version.is_ok_and(|output| output.status.success())
        };
        let Some(program) = PROGRAMS.iter().find(is_there) else {
            // The macros write where nobody looks while tests pass.
            let _ = writeln!(
                io::stderr(),
                "SKIPPED: there is no Chromium: a test of a page did not run"
            );
            return None;
        };
        let profile = tempfile::tempdir().expect("a folder for the browser");
        // The browser reads descriptor 3 and writes descriptor 4.
        let mut child = Command::new("sh")
            .args([
                "-c",
                "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null",
                program,
            ])
            .args([
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
            ])
            .args([
                "--no-first-run",
                "--disable-dev-shm-usage",
                "--disable-extensions",
                "--hide-scrollbars",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let commands = child.stdin.take().expect("it is piped");
        let output = child.stdout.take().expect("it is piped");
        let (sender, messages) = sync_channel(MESSAGES_MAX);
        // Ends with the browser, which closes the pipe, or with the test.
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                let parsed = serde_json::from_slice(&message).expect("the browser writes JSON");
                if sender.send(parsed).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Browser {
            child,
            commands,
            messages,
            session: Value::Null,
            last_id: 0,
            faults: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].take();
        let attach = json!({ "targetId": target, "flatten": true });
        browser.session = browser.call("Target.attachToTarget", attach)["sessionId"].take();
        for domain in ["Page", "Runtime", "Log", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Calls a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut request = json!({ "id": self.last_id, "method": method, "params": parameters });
        if !self.session.is_null() {
            request["sessionId"] = self.session.clone();
        }
        let mut bytes = serde_json::to_vec(&request).expect("JSON");
        bytes.push(0);
        self.commands.write_all(&bytes).expect("the browser reads");
        let until = Instant::now() + ANSWER_WAIT_MAX;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut message = match self.messages.recv_timeout(left) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => panic!("the browser does not answer {method}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the browser has ended before {method}"),
            };
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.note_fault(&message);
        }
    }

    fn note_fault(&mut self, message: &Value) {
        let parameters = &message["params"];
        if message["method"] == "Runtime.exceptionThrown" {
            self.faults.push(parameters["exceptionDetails"].to_string());
        }
        let entry = &parameters["entry"];
        // That the node does not answer is what the page is to show.
        if message["method"] == "Log.entryAdded" && entry["level"] == "error" && entry["source"] != "network"
        {
            self.faults.push(entry.to_string());
        }
    }

    /// What the page has done wrong so far.
    pub(crate) fn faults(&mut self) -> &[String] {
        // Messages before this one are read.
        self.evaluate("0");
        &self.faults
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.call("Runtime.evaluate", parameters);
        let exception = &result["exceptionDetails"];
        assert!(exception.is_null(), "{expression}: {exception}");
        result["result"]["value"].take()
    }

    /// The text of the first element that a selector finds, as it is shown; empty if there is none.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let expression = format!("document.querySelector({})?.innerText ?? ''", json!(selector));
        self.evaluate(&expression).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true; where it cannot be evaluated yet, it is not.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, expression: &str) {
        let wanted =
            format!("(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()");
        wait_until(expression, || self.evaluate(&wanted) == true);
    }

    /// Waits until an element has a text in it.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, selector: &str, text: &str) {
        wait_until(&format!("{selector} has {text:?}"), || {
            self.text(selector).contains(text)
        });
    }

    /// Clicks on the middle of an element.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.evaluate(&format!(
            "(() => {{ const element = document.querySelector({}); element.scrollIntoView({{ block: 'center' }}); \
             const box = element.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key, such as `Tab` or `ArrowUp`.
    pub(crate) fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            other => panic!("the test knows no key {other}"),
        };
        // Only Enter also writes something.
        let text = if key == "Enter" { "\r" } else { "" };
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            let event =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Writes a text where the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Sets the size of the window, and whether its user wants it dark.
    pub(crate) fn set_window(&mut self, width: u32, is_dark: bool) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if is_dark { "dark" } else { "light" };
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", feature);
    }

    /// Writes the whole page as an image into the folder that `SKYRING_SCREENSHOTS` names, if it does.
    pub(crate) fn screenshot(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("SKYRING_SCREENSHOTS") else {
            return;
        };
        let parameters = json!({ "format": "png", "captureBeyondViewport": true });
        let image = self.call("Page.captureScreenshot", parameters)["data"].take();
        let bytes = STANDARD
            .decode(image.as_str().expect("an image"))
            .expect("base64");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).expect("a file");
    }

    /// The controls and tables of the page that have no name for those who do not see it.
    pub(crate) fn nameless(&mut self) -> Vec<String> {
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().expect("a tree");
        let needs_name = [
            "button",
            "checkbox",
            "combobox",
            "form",
            "link",
            "meter",
            "radio",
            "region",
            "searchbox",
            "table",
            "textbox",
            "tree",
            "treeitem",
        ];
        let mut wrong = Vec::new();
        for node in nodes {
            let role = node["role"]["value"].as_str().unwrap_or_default();
            let name = node["name"]["value"].as_str().unwrap_or_default();
            if node["ignored"] == false && needs_name.contains(&role) && name.trim().is_empty() {
                wrong.push(format!("{role}: {node}"));
            }
        }
        wrong
    }
}
