//! Two versions of an interface are checked against each other.

use serde::{Deserialize, Serialize};
use skyring::typed::{Incompatible, Interface};

/// A version of a service.
macro_rules! version {
    ($module:ident { $($fields:tt)* } { $($variants:tt)* } { $($methods:tt)* }) => {
        mod $module {
            use super::*;

            #[derive(Serialize, Deserialize)]
            pub(super) struct Item {
                $($fields)*
            }

            #[derive(Serialize, Deserialize)]
            pub(super) enum Color {
                $($variants)*
            }

            pub(super) struct Shop;

            #[skyring::service]
            impl Shop {
                $($methods)*
            }

            pub(super) fn interface() -> Interface {
                Interface::of::<Shop>()
            }
        }
    };
}

version!(first { name: String, price: u32, } { Red, Green, } {
    fn put(&self, _item: Item, _count: u16) -> Option<Item> { None }
    fn price(&self, _name: &str) -> i64 { 0 }
    fn color(&self) -> Color { Color::Red }
    fn paint(&self, _color: Color) {}
    fn list(&self, _start: Option<u32>) -> Vec<Item> { Vec::new() }
});

// An optional argument, an optional field, wider arguments, narrower answers, another method, one answer more.
version!(second { name: String, price: u32, weight: Option<f64>, } { Red, Green, } {
    fn put(&self, _item: Item, _count: u32, _note: Option<&str>) -> Option<Item> { None }
    fn price(&self, _name: &[u8]) -> (u8, bool) { (0, true) }
    fn color(&self) -> Color { Color::Red }
    fn paint(&self, _color: Option<Color>) {}
    fn list(&self, _start: Option<u32>) -> Vec<Item> { Vec::new() }
    fn drop(&self, _name: &str) {}
});

// Everything that breaks a caller.
version!(third { title: String, price: u32, weight: Option<f64>, } { Red, Blue, } {
    fn put(&self, _item: Item, _count: u8, _note: &str) -> Option<Item> { None }
    fn price(&self, _name: &str) -> Option<i64> { None }
    fn color(&self) -> Color { Color::Red }
    fn list(&self, _start: u32) -> Vec<Item> { Vec::new() }
    fn paint(&self) {}
});

#[test]
fn a_version_serves_its_own_callers_and_those_of_an_older_one() {
    for (newer, older) in [
        (first::interface(), first::interface()),
        (second::interface(), first::interface()),
    ] {
        assert_eq!(newer.check_serves_callers_of(&older), Ok(()));
    }
}

#[test]
fn each_change_that_breaks_callers_is_named() {
    let Err(Incompatible { changes }) = third::interface().check_serves_callers_of(&second::interface())
    else {
        panic!("the third version breaks callers");
    };
    assert_eq!(
        changes,
        [
            "put: the argument _item: Item is now _item: Item: the field title: text is missing",
            "put: the argument _count: u32 is now _count: u8",
            "put: the argument _note: text? was optional",
            "put: the answer Item? is now Item?: the field name: text is missing",
            "price: the argument _name: bytes is now _name: text",
            "price: the answer u8 is now i64?",
            "price: the answer boolean is now nil",
            "color: the answer Color is now Color: the variant Blue is unknown",
            "paint: the argument _color: Color? is gone",
            "list: the argument _start: u32? was optional",
            "list: the answer [Item] is now [Item]: the field name: text is missing",
            "drop: the method is gone",
        ]
    );
    let narrower = first::interface().check_serves_callers_of(&second::interface());
    assert!(narrower.is_err_and(|error| error.to_string().contains("drop: the method is gone")));
}

#[test]
fn an_interface_is_kept_as_a_file_and_read_again() {
    let payload = first::interface().to_payload().expect("it can be packed");
    assert_eq!(Interface::from_payload(&payload), Ok(first::interface()));
}
