//! A typed service tells its interface.

use skyring::typed::{DESCRIBE, Interface, Shape};

use crate::counter::{Counter, pair};
use crate::support::run;

#[test]
fn a_service_answers_with_its_interface() {
    let (_db, game) = pair();
    let told = run(&game, |caller| async move {
        let reply = caller.node("db").call("@counter", DESCRIBE).await?;
        Interface::from_payload(&reply)
    });
    assert_eq!(told, Ok(Interface::of::<Counter>()));
}

#[test]
fn an_interface_has_signatures_documentation_and_shapes() {
    let interface = Interface::of::<Counter>();
    assert_eq!(
        (interface.name.as_str(), interface.about.as_str()),
        ("Counter", "Sums numbers, and keeps notes.")
    );
    let signatures: Vec<String> = interface.methods.iter().map(ToString::to_string).collect();
    assert_eq!(
        signatures,
        [
            "add(number: i64) -> i64",
            "report(to: Recipient) -> text, i64 or ReportError",
            "reset()",
            "note(name: text, text: bytes?) -> bytes?",
            "GET() -> i64",
            "wait() -> i64",
        ]
    );
    let add = interface.method("add").expect("it is there");
    assert_eq!(add.about, "Adds a number, and answers with the total.");
    let report = interface.method("report").expect("it is there");
    let Shape::Struct { fields, .. } = &report.arguments[0].shape else {
        panic!("a recipient is a struct");
    };
    let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
    assert_eq!(fields, ["name: text", "copies: u8?"]);
    assert!(interface.method("reset").is_some_and(|reset| reset.is_send));
}
