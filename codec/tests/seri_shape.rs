//! The shape of a type is what serde reads and writes for it.

#![expect(dead_code, reason = "only the types of the fields matter")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use skyring_codec::seri::{Field, Shape, Value, Variant};

fn text<T: Deserialize<'static>>() -> String {
    Shape::of::<T>().to_string()
}

#[test]
fn plain_types_have_short_names() {
    assert_eq!(text::<i64>(), "i64");
    assert_eq!(text::<u16>(), "u16");
    assert_eq!(text::<u64>(), "u64");
    assert_eq!(text::<bool>(), "boolean");
    assert_eq!(text::<f32>(), "number");
    assert_eq!(text::<&str>(), "text");
    assert_eq!(text::<Cow<'_, str>>(), "text");
    assert_eq!(text::<&[u8]>(), "bytes");
    assert_eq!(text::<()>(), "nil");
    assert_eq!(text::<Value>(), "any");
    assert_eq!(text::<Option<Vec<(i8, char)>>>(), "[(i8, text)]?");
    assert_eq!(text::<BTreeMap<String, f64>>(), "{[text] = number}");
    assert_eq!(text::<std::num::NonZeroU8>(), "u8");
}

#[derive(Deserialize)]
struct Player {
    name: String,
    guild: Option<String>,
    #[serde(default)]
    level: u32,
    #[serde(rename = "where")]
    place: Place,
    friends: Vec<Player>,
}

#[derive(Deserialize)]
enum Place {
    Nowhere,
    Room(u64),
    At(i32, i32),
    In {
        house: String,
        #[serde(default)]
        floor: u8,
    },
}

fn field(name: &str, shape: Shape, is_optional: bool) -> Field {
    Field {
        name: name.to_owned(),
        shape,
        is_optional,
    }
}

#[test]
fn a_struct_has_its_fields_and_which_of_them_may_be_missing() {
    let Shape::Struct { name, fields } = Shape::of::<Player>() else {
        panic!("a struct");
    };
    assert_eq!(name, "Player");
    let place = fields[3].shape.clone();
    assert_eq!(
        fields,
        [
            field("name", Shape::Text, false),
            field("guild", Shape::Optional(Box::new(Shape::Text)), true),
            field("level", Shape::of::<u32>(), true),
            field("where", place.clone(), false),
            field(
                "friends",
                Shape::List(Box::new(Shape::Named("Player".to_owned()))),
                false
            ),
        ]
    );
    let variant = |name: &str, data| Variant {
        name: name.to_owned(),
        data,
    };
    assert_eq!(
        place,
        Shape::Enum {
            name: "Place".to_owned(),
            variants: vec![
                variant("Nowhere", None),
                variant("Room", Some(Shape::of::<u64>())),
                variant("At", Some(Shape::of::<(i32, i32)>())),
                variant(
                    "In",
                    Some(Shape::Struct {
                        name: String::new(),
                        fields: vec![
                            field("house", Shape::Text, false),
                            field("floor", Shape::of::<u8>(), true)
                        ],
                    })
                ),
            ],
        }
    );
}

#[derive(Deserialize)]
enum Expression {
    Sum(Box<Expression>, Box<Expression>),
    Number(f64),
}

#[derive(Deserialize)]
struct Formula {
    expression: Expression,
    name: String,
}

#[test]
fn a_type_within_itself_ends_with_its_name_and_hides_nothing_after_it() {
    let Shape::Struct { fields, .. } = Shape::of::<Formula>() else {
        panic!("a struct");
    };
    assert_eq!(fields[1], field("name", Shape::Text, false));
    let Shape::Enum { variants, .. } = &fields[0].shape else {
        panic!("an enum");
    };
    assert_eq!(variants[1].data, Some(Shape::Number));
    let Some(Shape::Tuple(operands)) = &variants[0].data else {
        panic!("two operands");
    };
    assert_eq!(operands[0], Shape::Named("Expression".to_owned()));
}

#[derive(Deserialize)]
struct Server {
    address: std::net::IpAddr,
    port: u16,
}

#[test]
fn a_value_that_a_type_refuses_hides_no_other_field() {
    let Shape::Struct { fields, .. } = Shape::of::<Server>() else {
        panic!("a struct");
    };
    assert_eq!(fields[0].shape, Shape::Text);
    assert_eq!(fields[1].shape, Shape::of::<u16>());
}

/// Each struct doubles what the probe would have to read.
macro_rules! doubled {
    ($($outer:ident $inner:ident)*) => {$(
        #[derive(Deserialize)]
        struct $outer {
            left: Option<$inner>,
            right: Option<$inner>,
        }
    )*};
}

doubled!(A B  B C  C D  D E  E F  F G  G H  H I  I J  J K  K L  L M);

#[derive(Deserialize)]
struct M {
    last: u8,
}

#[test]
fn a_large_type_is_read_a_bounded_number_of_times() {
    assert!(format!("{:?}", Shape::of::<A>()).contains("Any"));
}

#[test]
fn a_shape_survives_the_wire() {
    let shape = Shape::of::<Player>();
    let bytes = skyring_codec::seri::to_bytes(&shape).expect("it can be packed");
    assert_eq!(skyring_codec::seri::from_bytes::<Shape>(&bytes), Ok(shape));
}
