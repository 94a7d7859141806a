//! A typed service tells `skyring call` its commands, and a shell completes them.

use std::process::Output;

use serde::{Deserialize, Serialize};
use skyring::{Answer, Context, Message, Service};

use crate::common::{assert_one_line, node_with_service, outcome, output, skyring};

#[derive(Serialize, Deserialize)]
struct Item {
    name: String,
    price: Option<u32>,
}

struct Shop;

/// Sells things.
#[skyring::service]
impl Shop {
    /// Puts an item on a shelf.
    fn put(&mut self, item: Item, shelf: Option<u8>) -> String {
        format!("{} {:?} {shelf:?}", item.name, item.price)
    }

    /// What is in stock.
    fn price(&self, name: &str) -> usize {
        name.len()
    }

    #[send]
    fn close(&mut self) {}
}

const ALL: &str = "Shop: Sells things.

  put(item: Item, shelf: u8?) -> text
      Puts an item on a shelf.
  price(name: text) -> u64
      What is in stock.
  close()  (a send)

  Item = {name: text, price: u32?}
";

const PRICE: &str = "  price(name: text) -> u64\n      What is in stock.\n";

#[track_caller]
fn assert_writes(output: &Output, text: &str) {
    assert_eq!(outcome(output), (Some(0), text.to_owned(), String::new()));
}

#[test]
fn the_commands_are_listed_and_each_has_its_help() {
    let (_node, address) = node_with_service("shop", || Shop);
    let call = ["call", "--addr", &address, "@shop"];
    assert_writes(&output([&call[..], &["--describe"]].concat()), ALL);
    assert_writes(&output([&call[..], &["price", "--help"]].concat()), PRICE);
    assert_writes(&output([&call[..], &["-h", "price"]].concat()), PRICE);
    assert_writes(&output([&call[..], &["price", "sword"]].concat()), "5\n");
    // After `--` it is an argument.
    assert_writes(&output([&call[..], &["price", "--", "--help"]].concat()), "6\n");
    let unknown = output([&call[..], &["steal", "--help"]].concat());
    assert_one_line(&unknown, 1, "unknown command steal: Shop has put, price, close");
    let help = outcome(&output(["call", "--addr", &address, "--help"]));
    assert!(
        help.0 == Some(0) && help.1.contains("Usage: skyring call"),
        "{help:?}"
    );
}

#[test]
fn the_interface_as_json_is_read_again_and_compared() {
    let (_node, address) = node_with_service("shop", || Shop);
    let json = outcome(&output([
        "call",
        "--addr",
        &address,
        "@shop",
        "--describe",
        "--json",
    ]));
    assert_eq!(json.0, Some(0), "{json:?}");
    let interface: skyring::typed::Interface = serde_json::from_str(&json.1).expect("it is an interface");
    let own = skyring::typed::Interface::of::<Shop>();
    assert_eq!(interface, own);
    assert_eq!(own.check_serves_callers_of(&interface), Ok(()));
}

/// Answers everything with its payload.
struct Echo;

impl Service for Echo {
    fn handle(&mut self, _context: &Context<Self>, message: Message) -> Answer {
        Answer::payload(message.payload)
    }
}

#[test]
fn a_service_that_is_not_typed_is_an_error_and_so_is_one_that_is_not_there() {
    let (_node, address) = node_with_service("echo", || Echo);
    let untyped = output(["call", "--addr", &address, "@echo", "--describe"]);
    assert_one_line(
        &untyped,
        1,
        "@echo does not describe itself, as typed services do",
    );
    let absent = output(["call", "--addr", &address, "@nobody", "--describe"]);
    assert_one_line(&absent, 1, "no-such-service: @nobody");
}

/// What a shell gets for the last of these words.
fn completed(words: &[&str]) -> String {
    let mut command = skyring([&["--", "skyring"], words].concat());
    let index = words.len().to_string();
    command
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", index)
        .env("_CLAP_IFS", "\n");
    let (code, text, error) = outcome(&command.output().expect("the command starts"));
    assert_eq!((code, error.as_str()), (Some(0), ""));
    text
}

#[test]
fn a_shell_completes_the_commands_of_the_service() {
    let (_node, address) = node_with_service("shop", || Shop);
    assert_eq!(
        completed(&["call", "--addr", &address, "@shop", "p"]),
        "put\nprice"
    );
    assert_eq!(completed(&["call", "--addr", &address, "@shop", "pr"]), "price");
    assert_eq!(completed(&["call", "--addr", &address, "@nobody", "p"]), "");
    assert!(completed(&["ca"]).contains("call"));
}
