//! The example in `docs/examples/chat` is started by its two commands, and played over TCP and from its web page.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::common::{Folder, Running, WAIT_MAX, free_port, run_command, wait_until};

/// The running chat.
struct Chat {
    _folder: Folder,
    nodes: Vec<Running>,
    tcp: u16,
    web: u16,
}

/// Starts both nodes of the example, on other ports than it has.
fn start() -> Chat {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/chat");
    let folder = Folder::new();
    let ports = [free_port(), free_port(), free_port(), free_port()];
    let here = format!("{}/", folder.path("").display());
    fs::create_dir(folder.path("service")).expect("an empty folder");
    let files = |folder: &Path| fs::read_dir(folder).expect("the example is there");
    for file in files(&example).chain(files(&example.join("service"))) {
        let path = file.expect("its files can be listed").path();
        if path.is_dir() {
            continue;
        }
        let mut text = fs::read_to_string(&path).expect("text");
        for (old, new) in [":7301", ":7302", ":8888", ":8889"].iter().zip(ports) {
            text = text.replace(old, &format!(":{new}"));
        }
        text = text.replace("./docs/examples/chat/", &here);
        folder.write(
            path.strip_prefix(&example)
                .expect("below it")
                .to_str()
                .expect("ASCII"),
            text,
        );
    }
    let node = |config: &str, ready| Running::ready(&mut run_command(&folder.path(config)), ready);
    let nodes = vec![
        node("config_db", "the database of the chat is ready"),
        node("config_game", "the chat is ready"),
    ];
    let [_, _, tcp, web] = ports;
    Chat {
        _folder: folder,
        nodes,
        tcp,
        web,
    }
}

/// A player over TCP.
struct Player(TcpStream);

impl Player {
    fn connect(chat: &Chat) -> Player {
        let stream = TcpStream::connect(("127.0.0.1", chat.tcp)).expect("it listens");
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a time");
        Player(stream)
    }

    fn log_in(chat: &Chat, name: &str) -> Player {
        let mut player = Player::connect(chat);
        player.send(&format!("login {name}"));
        player.wait_for(&format!("welcome {name}"));
        player.wait_for(&format!("came {name}"));
        player
    }

    fn send(&mut self, line: &str) {
        let length = (line.len() as u16).to_be_bytes();
        self.0
            .write_all(&[&length, line.as_bytes()].concat())
            .expect("it is open");
    }

    fn read(&mut self) -> String {
        let mut length = [0; 2];
        self.0.read_exact(&mut length).expect("a line");
        let mut line = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut line).expect("all of it");
        String::from_utf8(line).expect("text")
    }

    /// Reads up to a line that begins so.
    #[track_caller]
    fn wait_for(&mut self, beginning: &str) -> String {
        loop {
            let line = self.read();
            if line.starts_with(beginning) {
                return line;
            }
            assert!(!line.starts_with("error"), "{line} instead of {beginning}");
        }
    }
}

#[test]
fn players_log_in_talk_move_change_rooms_and_come_back_where_they_were() {
    let chat = start();
    let mut ada = Player::log_in(&chat, "ada");
    let mut bob = Player::log_in(&chat, "bob");
    assert_eq!(ada.wait_for("came"), "came bob 50 50");
    bob.send("say hello, ada");
    assert_eq!(ada.wait_for("said"), "said bob hello, ada");
    assert_eq!(bob.wait_for("said"), "said bob hello, ada");
    ada.send("move 10 90");
    assert_eq!(bob.wait_for("moved"), "moved ada 10 90");
    ada.send("room cave");
    assert_eq!(ada.wait_for("room"), "room cave");
    assert_eq!(bob.wait_for("left"), "left ada");
    // In the other room nothing of it is heard.
    bob.send("say nobody hears me");
    assert_eq!(bob.wait_for("said"), "said bob nobody hears me");
    ada.send("say alone");
    assert_eq!(ada.wait_for("said"), "said ada alone");
    // The database has where she was. Her name is free once she has left.
    drop(ada);
    let began = Instant::now();
    let mut ada = loop {
        let mut again = Player::connect(&chat);
        again.send("login ada");
        match again.read() {
            line if line == "welcome ada 10 90" => break again,
            line => assert!(
                line.contains("is here already") && began.elapsed() < WAIT_MAX,
                "{line}"
            ),
        }
    };
    assert_eq!(ada.wait_for("room"), "room cave");
}

#[test]
fn what_players_may_not_do_is_answered_and_ends_nothing() {
    let chat = start();
    let mut ada = Player::connect(&chat);
    for wrong in [
        "",
        "hello",
        "login",
        "login two words",
        "login a\"b",
        "login a-name-that-is-too-long",
    ] {
        ada.send(wrong);
        let answer = ada.read();
        assert!(answer.starts_with("error log in first"), "{wrong}: {answer}");
    }
    let _bob = Player::log_in(&chat, "bob");
    ada.send("login bob");
    assert_eq!(ada.read(), "error bob is here already");
    ada.send("login ada");
    ada.wait_for("came ada");
    let long = format!("say {}", "x".repeat(401));
    for wrong in [
        "login ada",
        "dance",
        "say",
        "say a\nb",
        "move",
        "move 1",
        "move 101 0",
        "move -1 0",
        "room two words",
        long.as_str(),
    ] {
        ada.send(wrong);
        let answer = ada.read();
        assert!(answer.starts_with("error "), "{wrong}: {answer}");
    }
    ada.send("say still here");
    assert_eq!(ada.wait_for("said"), "said ada still here");
    assert!(
        chat.nodes
            .iter()
            .all(|node| !node.written().contains("stack traceback"))
    );
}

/// A page in a browser without a window, driven by its debugger's protocol.
struct Browser {
    process: Child,
    page: WebSocket<TcpStream>,
    number: u64,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Browser {
    fn open(program: &str, folder: &Folder, url: &str) -> Browser {
        let mut process = Command::new(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", folder.path("browser").display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the browser starts");
        let stderr = process.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines();
        let debugger = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("DevTools listening on ws://")?.1.to_owned()))
            .expect("the browser has a debugger");
        // It must not be blocked by what it writes.
        std::thread::spawn(move || lines.for_each(drop));
        let (address, _) = debugger.split_once('/').expect("a path");
        let mut target = None;
        wait_until("the page is there", || {
            target = page_of(address);
            target.is_some()
        });
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a time");
        let (page, _) = tungstenite::client(target.expect("a page"), stream).expect("a websocket");
        Browser {
            process,
            page,
            number: 0,
        }
    }

    /// The value of an expression in the page, as text.
    fn evaluate(&mut self, expression: &str) -> String {
        self.number += 1;
        let request = json!({
            "id": self.number,
            "method": "Runtime.evaluate",
            "params": { "expression": format!("String({expression})"), "returnByValue": true },
        });
        self.page
            .send(Message::text(request.to_string()))
            .expect("it is open");
        loop {
            let Message::Text(text) = self.page.read().expect("an answer") else {
                continue;
            };
            let answer: Value = serde_json::from_str(&text).expect("JSON");
            if answer["id"] == self.number {
                assert!(
                    answer["result"]["exceptionDetails"].is_null(),
                    "{expression}: {answer}"
                );
                return answer["result"]["result"]["value"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
            }
        }
    }

    #[track_caller]
    fn wait_for(&mut self, expression: &str, part: &str) {
        let (began, mut value) = (Instant::now(), String::new());
        while !value.contains(part) {
            assert!(
                began.elapsed() < WAIT_MAX,
                "{expression} is {value}, without {part}"
            );
            std::thread::sleep(Duration::from_millis(20));
            value = self.evaluate(expression);
        }
    }

    /// Types into a field, and submits its form.
    fn submit(&mut self, form: &str, field: &str, text: &str) {
        self.evaluate(&format!(
            "(at('{field}').value = '{text}', at('{form}').requestSubmit())"
        ));
    }
}

/// The debugger's address of the page that the browser shows.
fn page_of(address: &str) -> Option<String> {
    let mut http = TcpStream::connect(address).ok()?;
    http.set_read_timeout(Some(WAIT_MAX)).ok()?;
    write!(
        http,
        "GET /json/list HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    // It may keep the connection: the length says where the answer ends.
    let mut part = [0; 4_096];
    while let Ok(count @ 1..) = http.read(&mut part) {
        answer.push_str(&String::from_utf8_lossy(&part[..count]));
        if let Some((_, body)) = answer.split_once("\r\n\r\n")
            && let Ok(targets) = serde_json::from_str::<Value>(body)
        {
            let targets = targets.as_array()?;
            let page = targets.iter().find(|target| target["type"] == "page")?;
            return page["webSocketDebuggerUrl"].as_str().map(str::to_owned);
        }
    }
    None
}

#[test]
fn the_web_page_plays_with_those_who_came_otherwise() {
    let program = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ]
    .into_iter()
    .find(|program| Path::new(program).exists());
    let Some(program) = program else {
        println!("SKIPPED: there is no Chromium");
        return;
    };
    let chat = start();
    let mut ada = Player::log_in(&chat, "ada");
    let folder = Folder::new();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/chat/page.html");
    let page = fs::canonicalize(page).expect("the page is there");
    let url = format!("file://{}?ws://127.0.0.1:{}/chat", page.display(), chat.web);
    let mut browser = Browser::open(program, &folder, &url);
    // The browser begins with an empty page, which is complete too.
    browser.wait_for("document.readyState + typeof at", "completefunction");
    browser.submit("login", "name", "web");
    browser.wait_for("at('where').textContent", "in lobby");
    browser.wait_for("at('here').textContent", "ada at 50, 50");
    ada.wait_for("came web");
    browser.submit("say", "text", "hello from the page");
    assert_eq!(ada.wait_for("said"), "said web hello from the page");
    browser.wait_for("at('log').textContent", "web: hello from the page");
    // What others say is text, whatever is in it.
    ada.send("say <b>hello</b>, page");
    browser.wait_for("at('log').textContent", "ada: <b>hello</b>, page");
    // By the keyboard.
    browser.evaluate("at('map').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight' }))");
    assert_eq!(ada.wait_for("moved"), "moved web 55 50");
    browser.wait_for("at('here').textContent", "web at 55, 50");
    ada.send("move 7 8");
    browser.wait_for("at('here').textContent", "ada at 7, 8");
    browser.submit("go", "room", "cave");
    browser.wait_for("at('where').textContent", "in cave");
    assert_eq!(ada.wait_for("left"), "left web");
    // It says when the chat has gone.
    drop(chat);
    browser.wait_for("at('state').textContent", "The connection has ended");
}
