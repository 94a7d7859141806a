//! The example in `docs/examples/chat` is started by its two commands, and played over TCP and from its web page.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::browser::Browser;
use crate::common::{Folder, Running, WAIT_MAX, free_port, run_command};

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

/// Waits until the text of an element of the page has a part.
#[track_caller]
fn wait_for_text(browser: &mut Browser, element: &str, part: &str) {
    let expression = format!(
        "document.getElementById('{element}').textContent.includes({})",
        json!(part)
    );
    browser.wait_for(&expression);
}

/// Writes into a field of the page, and ends with Enter.
#[track_caller]
fn enter(browser: &mut Browser, field: &str, text: &str) {
    browser.click(&format!("#{field}"));
    browser.write(text);
    browser.press("Enter");
}

#[test]
fn the_web_page_plays_with_those_who_came_otherwise() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let chat = start();
    let mut ada = Player::log_in(&chat, "ada");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/chat/page.html");
    let page = fs::canonicalize(page).expect("the page is there");
    browser.open(&format!(
        "file://{}?ws://127.0.0.1:{}/chat",
        page.display(),
        chat.web
    ));
    // The browser begins with an empty page.
    browser.wait_for("document.readyState === 'complete' && document.getElementById('name')");
    enter(&mut browser, "name", "web");
    wait_for_text(&mut browser, "where", "in lobby");
    wait_for_text(&mut browser, "here", "ada at 50, 50");
    ada.wait_for("came web");
    enter(&mut browser, "text", "hello from the page");
    assert_eq!(ada.wait_for("said"), "said web hello from the page");
    wait_for_text(&mut browser, "log", "web: hello from the page");
    // What others say is text, whatever is in it.
    ada.send("say <b>hello</b>, page");
    wait_for_text(&mut browser, "log", "ada: <b>hello</b>, page");
    // By the keyboard.
    browser.evaluate("document.getElementById('map').focus()");
    browser.press("ArrowRight");
    assert_eq!(ada.wait_for("moved"), "moved web 55 50");
    wait_for_text(&mut browser, "here", "web at 55, 50");
    ada.send("move 7 8");
    wait_for_text(&mut browser, "here", "ada at 7, 8");
    enter(&mut browser, "room", "cave");
    wait_for_text(&mut browser, "where", "in cave");
    assert_eq!(ada.wait_for("left"), "left web");
    // It says when the chat has gone.
    drop(chat);
    wait_for_text(&mut browser, "state", "The connection has ended");
}
