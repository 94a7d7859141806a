//! The values that `unpack` accepts, and its errors for others.

use bytes::Bytes;
use skyring_codec::seri::{
    Kind, Table, TableRef, UnpackError, Value, ValueRef, Values, pack, unpack, unpack_all, values,
};

#[test]
fn missing_values_are_nil_and_further_ones_ignored() {
    let payload = pack(&("GET", "key")).unwrap();
    assert_eq!(unpack::<&str>(&payload), Ok("GET"));
    assert_eq!(unpack::<()>(&payload), Ok(()));
    assert_eq!(unpack(&payload), Ok(("GET", "key", None::<i64>, Value::Nil)));
    assert_eq!(
        unpack::<(&str, &str, i64)>(&payload),
        Err(UnpackError::Mismatch {
            position: 3,
            wanted: "an integer",
            found: Kind::Nil
        })
    );
    // Further values are not read, so they may even be malformed.
    assert_eq!(unpack::<i64>(b"\x0a\x01\x07"), Ok(1));
}

#[test]
fn an_error_names_the_wanted_type_and_the_value_found() {
    let payload = pack(&(true, 300, 1.5, &b"\xff"[..], Value::from(Table::new()))).unwrap();
    let text = |error: UnpackError| error.to_string();
    assert_eq!(
        unpack::<(bool, &str)>(&payload).map_err(text),
        Err("value 2 should be a string, but is integer".to_owned())
    );
    assert_eq!(
        unpack::<(bool, u8)>(&payload).map_err(text),
        Err("value 2 is 300, which does not fit u8".to_owned())
    );
    assert_eq!(
        unpack::<(bool, i64, i64)>(&payload).map_err(text),
        Err("value 3 is the float 1.5, which is no integer".to_owned())
    );
    assert_eq!(
        unpack::<(bool, i64, f64, String)>(&payload).map_err(text),
        Err("value 4 is a string that is not UTF-8".to_owned())
    );
    assert_eq!(
        unpack::<(bool, i64, f64, &[u8], bool)>(&payload).map_err(text),
        Err("value 5 should be a boolean, but is table".to_owned())
    );
    assert_eq!(
        unpack::<i64>(&payload).map_err(text),
        Err("value 1 should be an integer, but is boolean".to_owned())
    );
}

#[test]
fn floats_and_integers_stand_for_each_other_where_exact() {
    assert_eq!(unpack(&pack(&(3.0, 4)).unwrap()), Ok((3_u8, 4.0)));
    assert_eq!(
        unpack::<i64>(&pack(&-9_223_372_036_854_775_808.0).unwrap()),
        Ok(i64::MIN)
    );
    let payload = pack(&9_223_372_036_854_775_808.0).unwrap();
    assert!(matches!(
        unpack::<i64>(&payload),
        Err(UnpackError::NotAnInteger { position: 1, .. })
    ));
    let payload = pack(&-1).unwrap();
    let error = UnpackError::IntegerOutOfRange {
        position: 1,
        wanted: "u64",
        value: -1,
    };
    assert_eq!(unpack::<u64>(&payload), Err(error));
}

#[test]
fn every_type_that_packs_unpacks_to_itself() {
    macro_rules! check {
        ($($value:expr => $type:ty),* $(,)?) => {$(
            let value: $type = $value;
            assert_eq!(unpack::<$type>(&pack(&value).unwrap()), Ok(value), stringify!($type));
        )*};
    }
    check!(
        i8::MIN => i8, i16::MIN => i16, i32::MIN => i32, i64::MIN => i64, isize::MIN => isize,
        u8::MAX => u8, u16::MAX => u16, u32::MAX => u32, i64::MAX as u64 => u64, 5 => usize,
        0.1 => f64, true => bool, "text".into() => String, vec![0, 255] => Vec<u8>,
        Bytes::from_static(b"bytes") => Bytes, Some(1) => Option<i64>, None => Option<i64>, () => (),
        (1,) => (i64,), (1, 2) => (i64, i64), (1, (2, 3), 4) => (i64, (i64, i64), i64),
        (1, 2, 3, 4, 5, 6, 7, 8) => (u8, u8, u8, u8, u8, u8, u8, u8),
        Value::from(vec![Value::from(1), Value::from("x")]) => Value,
    );
    assert_eq!(pack(b"array").unwrap(), pack("array").unwrap());
    assert_eq!(pack(&1.5_f32).unwrap(), pack(&1.5).unwrap());
}

#[test]
fn the_rest_of_the_values_can_be_taken_as_they_are() {
    let payload = pack(&("SET", 1, 2)).unwrap();
    let (command, rest, nothing): (&str, Values<'_>, Option<i64>) = unpack(&payload).unwrap();
    assert_eq!(
        (command, rest.rest(), nothing),
        ("SET", &b"\x0a\x01\x0a\x02"[..], None)
    );
    let rest: Vec<_> = rest.map(|value| value.unwrap().as_integer()).collect();
    assert_eq!(rest, [Some(1), Some(2)]);
}

#[test]
fn a_table_is_read_in_place() {
    let payload = b"\x16\x0c\x61\x0e\x0a\x05\x00\x0c\x6b\x0c\x76\x0a\x0a\x09\x00\x0a\x63";
    let (table, behind): (TableRef<'_>, u8) = unpack(payload).unwrap();
    assert_eq!(behind, 99);
    assert_eq!(table.array_length(), 2);
    let mut array = table.array();
    assert_eq!(array.len(), 2);
    assert_eq!(array.next().and_then(|item| item.as_str()), Some("a"));
    let inner = array.next().and_then(|item| item.as_table()).unwrap();
    assert_eq!(inner.get(1).and_then(|item| item.as_integer()), Some(5));
    assert!(array.next().is_none());
    let keys: Vec<_> = table.entries().map(|(key, _)| Value::from(key)).collect();
    assert_eq!(keys, [Value::from("k"), Value::from(10)]);
    assert_eq!(table.get("k").and_then(|value| value.as_str()), Some("v"));
    assert_eq!(table.get(10.0).and_then(|value| value.as_boolean()), Some(true));
    assert!(table.get("K").is_none());
    assert_eq!(
        vec![Value::from(table.to_table()), Value::from(99)],
        unpack_all(payload).unwrap()
    );
}

#[test]
fn after_an_error_the_iterator_ends() {
    let mut values = values(b"\x0a\x01\x07\x0a\x01");
    assert!(matches!(values.next(), Some(Ok(ValueRef::Integer(1)))));
    assert!(matches!(
        values.next(),
        Some(Err(UnpackError::UnknownType { offset: 2, byte: 7 }))
    ));
    assert!(values.next().is_none());
}
