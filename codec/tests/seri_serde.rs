//! Rust types through serde: the Lua values that they become, and the way back.

use std::collections::BTreeMap;
use std::fmt;

use proptest::prelude::*;
use serde::{Deserialize, Serialize, Serializer};
use skyring_codec::seri::{
    PackError, SerdeError, Table, UnpackError, Value, from_bytes, pack, to_bytes, unpack_all,
};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Player {
    name: String,
    level: u8,
    health: f64,
    title: Option<String>,
    items: Vec<Item>,
    position: (i32, i32),
    scores: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Item {
    Torch,
    Coins(u32),
    Note(Option<String>),
    Rope(u8, u8),
    Sword { name: String, edge: Option<f32> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Command(String, i64);

/// Bytes as serde calls them, rather than a sequence of numbers.
#[derive(Debug, PartialEq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Blob;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

fn round<T: Serialize + for<'de> Deserialize<'de> + PartialEq + fmt::Debug>(value: T) -> Vec<u8> {
    let packed = to_bytes(&value).expect("packs");
    assert_eq!(from_bytes::<T>(&packed).as_ref(), Ok(&value));
    packed.to_vec()
}

fn text(packed: &[u8]) -> String {
    let values: Vec<_> = unpack_all(packed)
        .expect("unpacks")
        .iter()
        .map(Value::to_string)
        .collect();
    values.join(" ")
}

#[test]
fn a_struct_is_a_table_with_names() {
    let player = Player {
        name: "Alice".into(),
        level: 10,
        health: 1.0,
        items: vec![
            Item::Torch,
            Item::Coins(5),
            Item::Note(None),
            Item::Note(Some("x".into())),
            Item::Rope(1, 2),
            Item::Sword {
                name: "S".into(),
                edge: None,
            },
        ],
        position: (-1, 2),
        scores: [("a".to_owned(), 1)].into(),
        title: None,
    };
    assert_eq!(
        text(&round(player)),
        concat!(
            r#"{name = "Alice", level = 10, health = 1.0, items = {"Torch", {Coins = 5}, "Note", {Note = "x"}, "#,
            r#"{Rope = {1, 2}}, {Sword = {name = "S"}}}, position = {-1, 2}, scores = {a = 1}}"#
        )
    );
}

#[test]
fn a_tuple_at_the_top_is_several_values() {
    assert_eq!(round(("SET".to_owned(), 1, Some(true))), b"\x1cSET\x0a\x01\x09");
    assert_eq!(round(Command("SET".into(), 1)), b"\x1cSET\x0a\x01");
    assert_eq!(round(Some((1, 2))), b"\x0a\x01\x0a\x02");
    assert_eq!(round((1, (2, 3))), b"\x0a\x01\x16\x0a\x02\x0a\x03\x00");
    assert_eq!(round(vec![(1, 2)]), b"\x0e\x16\x0a\x01\x0a\x02\x00\x00");
    assert_eq!(round(()), b"");
    assert_eq!(round((7,)), b"\x0a\x07");
    assert_eq!(round(None::<i64>), b"\x00");
    assert_eq!(
        from_bytes::<(i64, Option<i64>)>(b"\x0a\x01"),
        Ok((1, None)),
        "missing values are nil"
    );
    assert_eq!(
        from_bytes::<(i64,)>(b"\x0a\x01\x07"),
        Ok((1,)),
        "further ones are not read"
    );
    assert_eq!(from_bytes::<i64>(b"\x0a\x01\x07"), Ok(1));
    assert!(from_bytes::<(i64, i64)>(b"\x0a\x01").is_err());
}

#[test]
fn strings_and_bytes_are_strings_and_borrow() {
    assert_eq!(round('é'), b"\x14\xc3\xa9");
    assert_eq!(round(Blob(vec![0xff, 0])), b"\x14\xff\x00");
    assert_eq!(
        from_bytes::<(&str, &[u8])>(b"\x0ca\x0c\xff"),
        Ok(("a", &b"\xff"[..]))
    );
    assert!(matches!(
        from_bytes::<String>(b"\x0c\xff"),
        Err(SerdeError::Message(_))
    ));
}

#[test]
fn numbers_are_checked_against_their_types() {
    assert_eq!(
        from_bytes::<u8>(b"\x42\0\0\0\0\0\0\xf0\x3f"),
        Ok(1),
        "a float that is an integer"
    );
    assert_eq!(from_bytes::<f64>(b"\x0a\x01"), Ok(1.0));
    assert!(from_bytes::<u8>(b"\x12\x00\x01").is_err());
    assert!(from_bytes::<u64>(b"\x22\xff\xff\xff\xff").is_err());
    assert!(from_bytes::<i64>(b"\x42\0\0\0\0\0\0\xf8\x3f").is_err());
    let error = PackError::IntegerOutOfRange { value: u64::MAX };
    assert_eq!(to_bytes(&u64::MAX), Err(SerdeError::Pack(error)));
}

#[test]
fn a_table_with_more_than_a_list_is_no_list() {
    let mixed = b"\x0e\x0a\x01\x0c\x61\x0a\x01\x00";
    assert!(from_bytes::<Vec<i64>>(mixed).is_err());
    assert!(
        from_bytes::<((i64, i64),)>(b"\x1e\x0a\x01\x0a\x01\x0a\x01\x00").is_err(),
        "three for two"
    );
    assert_eq!(from_bytes::<Vec<i64>>(b"\x06\x00"), Ok(vec![]));
    assert_eq!(from_bytes::<BTreeMap<i64, i64>>(b"\x06\x00"), Ok([].into()));
    assert_eq!(
        from_bytes::<BTreeMap<i64, i64>>(b"\x1e\x0a\x05\x00\x0a\x07\x00"),
        Ok([(1, 5), (3, 7)].into())
    );
    assert_eq!(
        from_bytes::<(i64, (i64, Option<i64>))>(b"\x02\x0e\x0a\x01\x00"),
        Ok((0, (1, None)))
    );
}

#[test]
fn holes_in_a_list_survive() {
    assert_eq!(round(vec![None, Some(1), None]), b"\x1e\x00\x0a\x01\x00\x00");
}

#[test]
fn a_struct_ignores_unknown_keys_and_does_not_take_a_position_for_a_name() {
    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Pair {
        first: i64,
        second: i64,
    }
    // {7, 8, second = 2, other = {{}}, [true] = 1, [{}] = 1}
    let payload =
        b"\x16\x0a\x07\x0a\x08\x34second\x0a\x02\x2cother\x0e\x06\x00\x00\x09\x0a\x01\x06\x00\x0a\x01\x00";
    assert_eq!(from_bytes::<Pair>(payload), Ok(Pair { first: 0, second: 2 }));

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        first: i64,
    }
    let error = from_bytes::<Strict>(b"\x0e\x0a\x07\x00").unwrap_err().to_string();
    assert!(error.contains("unknown field `[1]`"), "{error}");
}

#[test]
fn a_variant_must_exist_and_be_the_only_entry() {
    assert_eq!(from_bytes::<Item>(b"\x2cTorch"), Ok(Item::Torch));
    for wrong in [
        &b"\x2ctorch"[..],
        b"\x06\x2cTorch\x09\x00",
        b"\x06\x2cCoins\x0a\x01\x24Rope\x0a\x01\x00",
        b"\x24Rope",
        b"\x2cSword",
        b"\x2cCoins",
        b"\x06\x00",
        b"\x06\x0a\x01\x09\x00",
        b"\x0e\x2cTorch\x00",
        b"\x0c\xff",
        b"",
    ] {
        assert!(from_bytes::<Item>(wrong).is_err(), "{wrong:02x?}");
    }
}

#[test]
fn a_sequence_of_unknown_length_is_packed_like_a_known_one() {
    struct Unknown(usize);
    impl Serialize for Unknown {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            // The filter makes the lower bound of the length zero, so serde passes no length.
            serializer.collect_seq((0..self.0).filter(|_| true))
        }
    }
    for length in [0, 1, 30, 31, 32, 300] {
        let known: Vec<usize> = (0..length).collect();
        assert_eq!(to_bytes(&Unknown(length)), to_bytes(&known), "{length} items");
        let (nested, plain) = (("x", [Unknown(length)]), ("x", [known]));
        assert_eq!(to_bytes(&nested), to_bytes(&plain), "{length} items inside");
    }
}

#[test]
fn keys_that_lua_cannot_hold_are_refused() {
    let nil: BTreeMap<Option<i64>, i64> = [(None, 1)].into();
    assert_eq!(to_bytes(&nil), Err(PackError::NilKey.into()));
    let nan = Table {
        array: vec![],
        entries: vec![(Value::from(f64::NAN), Value::from(1))],
    };
    assert_eq!(to_bytes(&nan), Err(PackError::NanKey.into()));
}

#[test]
fn types_nested_without_end_stop_at_the_limit() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Nest {
        inner: Option<Box<Nest>>,
    }
    let nest = |depth: usize| {
        (1..depth).fold(Nest { inner: None }, |inner, _| Nest {
            inner: Some(Box::new(inner)),
        })
    };
    // As a Lua table the innermost would be empty and could lie one deeper; but that its only field is nil
    // is known once that is written, which is too deep already.
    round(nest(32));
    assert_eq!(to_bytes(&nest(33)), Err(PackError::TooDeep.into()));
    let deep = [&b"\x06\x2cinner".repeat(34)[..], &[0; 34]].concat();
    assert_eq!(
        from_bytes::<Nest>(&deep),
        Err(UnpackError::TooDeep { offset: 32 * 7 + 1 }.into())
    );
}

#[test]
fn a_value_survives_serde() {
    let mut table = Table::from(vec![Value::from(1), Value::from("two")]);
    table.set("name", "Alice");
    table.set(
        7,
        Value::from(vec![Value::from(0.5), Value::Nil, Value::from(&b"\xff"[..])]),
    );
    let value = Value::from(table);
    assert_eq!(
        from_bytes::<Value>(&to_bytes(&value).unwrap()).as_ref(),
        Ok(&value)
    );
    assert_eq!(from_bytes::<Value>(&pack(&value).unwrap()).as_ref(), Ok(&value));
    let list = Value::from(vec![Value::from(1), Value::Nil, Value::from(3)]);
    assert_eq!(to_bytes(&list).unwrap(), pack(&list).unwrap());
    assert_eq!(from_bytes::<Value>(&pack(&list).unwrap()).as_ref(), Ok(&list));
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        Just(Item::Torch),
        any::<u32>().prop_map(Item::Coins),
        any::<Option<String>>().prop_map(Item::Note),
        any::<(u8, u8)>().prop_map(|(from, to)| Item::Rope(from, to)),
        any::<(String, Option<i16>)>().prop_map(|(name, edge)| Item::Sword {
            name,
            edge: edge.map(f32::from)
        }),
    ]
}

prop_compose! {
    fn player()(
        (name, level, health, title) in any::<(String, u8, i32, Option<String>)>(),
        items in prop::collection::vec(item(), 0..40),
        position in any::<(i32, i32)>(),
        scores in prop::collection::btree_map(any::<String>(), any::<i64>(), 0..5),
    ) -> Player {
        Player { name, level, health: f64::from(health) / 8.0, title, items, position, scores }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_player_survives(player in player()) {
        let packed = to_bytes(&player).unwrap();
        prop_assert_eq!(from_bytes::<Player>(&packed).unwrap(), player.clone());
        let packed = to_bytes(&("SET", &player)).unwrap();
        prop_assert_eq!(from_bytes::<(String, Player)>(&packed).unwrap(), ("SET".to_owned(), player));
    }

    #[test]
    fn no_bytes_make_from_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = from_bytes::<(String, Player)>(&bytes);
        let _ = from_bytes::<Vec<Item>>(&bytes);
        let read = from_bytes::<Value>(&bytes);
        // What serde reads as a lone value, unpack reads as the first one, and the other way round.
        let first = skyring_codec::seri::unpack::<Value>(&bytes);
        prop_assert_eq!(read.is_ok(), first.is_ok());
    }
}
