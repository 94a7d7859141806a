//! lua-seri on malformed bytes, and at the limits that well-formed values may reach.

use skyring_codec::seri::{
    DEPTH_MAX, PackError, Table, UnpackError, Value, from_bytes, pack, to_bytes, unpack, unpack_all, values,
};

/// A value inside `depth` tables.
fn nested(depth: usize, innermost: Value) -> Value {
    (0..depth).fold(innermost, |inner, _| Value::from(vec![inner]))
}

/// The error of reading, which must be the same in every way to read.
fn error(payload: &[u8]) -> UnpackError {
    let copied = unpack_all(payload).expect_err("copying fails");
    let walked = values(payload).find_map(Result::err).expect("walking fails");
    assert_eq!(copied, walked);
    let through_serde = from_bytes::<(Value, Value)>(payload).expect_err("serde fails");
    assert_eq!(through_serde.to_string(), copied.to_string());
    copied
}

#[test]
fn values_lie_inside_at_most_32_tables_when_packed() {
    let within = nested(DEPTH_MAX, Value::from(1));
    assert_eq!(unpack_all(&pack(&within).unwrap()), Ok(vec![within.clone()]));
    assert_eq!(to_bytes(&within).unwrap(), pack(&within).unwrap());

    let past = nested(DEPTH_MAX + 1, Value::from(1));
    assert_eq!(pack(&past), Err(PackError::TooDeep));
    assert_eq!(to_bytes(&past), Err(PackError::TooDeep.into()));

    // Skynet checks values, not tables: one more table fits as long as it is empty.
    let empty = nested(DEPTH_MAX, Value::from(Table::new()));
    assert_eq!(unpack_all(&pack(&empty).unwrap()), Ok(vec![empty.clone()]));
    assert_eq!(to_bytes(&empty).unwrap(), pack(&empty).unwrap());
    assert_eq!(
        pack(&nested(DEPTH_MAX + 1, Value::from(Table::new()))),
        Err(PackError::TooDeep)
    );
}

#[test]
fn keys_are_as_deep_as_values_when_packed() {
    let entry = || Value::from([("key", 1)].into_iter().collect::<Table>());
    assert!(pack(&nested(DEPTH_MAX - 1, entry())).is_ok());
    assert_eq!(pack(&nested(DEPTH_MAX, entry())), Err(PackError::TooDeep));
}

#[test]
fn values_lie_inside_at_most_32_tables_when_read() {
    let payload =
        |depth: usize, innermost: &[u8]| [&vec![0x0e; depth][..], innermost, &vec![0; depth][..]].concat();
    for innermost in [&b"\x0a\x01"[..], b"\x00", b"\x0c\x61", b"\x06\x00"] {
        assert!(unpack_all(&payload(32, innermost)).is_ok(), "{innermost:02x?}");
        assert!(
            values(&payload(32, innermost)).all(|value| value.is_ok()),
            "{innermost:02x?}"
        );
        assert!(
            from_bytes::<Value>(&payload(32, innermost)).is_ok(),
            "{innermost:02x?}"
        );
        assert_eq!(
            error(&payload(33, innermost)),
            UnpackError::TooDeep { offset: 33 },
            "{innermost:02x?}"
        );
    }
    // A key inside the 33rd table, and tables as keys.
    assert_eq!(
        error(&payload(32, b"\x06\x0c\x61\x09\x00")),
        UnpackError::TooDeep { offset: 33 }
    );
    let keys = [&[0x06; 33][..], &[0x00; 100]].concat();
    assert!(matches!(unpack_all(&keys), Ok(values) if !values.is_empty()));
    assert_eq!(error(&[0x06; 100]), UnpackError::TooDeep { offset: 33 });
}

#[test]
fn deeply_nested_tables_are_refused_at_the_limit() {
    assert_eq!(error(&vec![0x0e; 1 << 20]), UnpackError::TooDeep { offset: 33 });
    assert_eq!(error(&vec![0x06; 1 << 20]), UnpackError::TooDeep { offset: 33 });
}

#[test]
fn a_declared_length_past_the_end_is_an_error() {
    let truncated = UnpackError::Truncated { offset: 1 };
    // A nil in front of each, so that the offsets are not all zero.
    for payload in [
        &b"\x00\x0a"[..],
        b"\x00\x12\x01",
        b"\x00\x22\x01\x02\x03",
        b"\x00\x32\x01\x02\x03\x04\x05\x06\x07",
        b"\x00\x42\x01\x02\x03\x04\x05\x06\x07",
        b"\x00\x0c",
        b"\x00\xfcshort",
        b"\x00\x15",
        b"\x00\x15\xff",
        b"\x00\x15\xff\xff",
        b"\x00\x25\xff\xff\xff",
        b"\x00\x25\xff\xff\xff\xff",
        b"\x00\x06",
        b"\x00\x0e\x00",
        b"\x00\xf6\x00\x00",
        b"\x00\xfe",
        b"\x00\xfe\x22\xff\xff\xff",
        b"\x00\xfe\x22\xff\xff\xff\x7f\x00\x00",
        b"\x00\xfe\x32\xff\xff\xff\xff\xff\xff\xff\x7f\x00",
    ] {
        assert_eq!(error(payload), truncated, "{payload:02x?}");
    }
}

#[test]
fn forms_that_do_not_exist_are_errors_with_their_place() {
    for cookie in (0..32).filter(|cookie| ![0, 1, 2, 4, 6, 8].contains(cookie)) {
        let byte = 2 | cookie << 3;
        assert_eq!(
            error(&[[0, byte].as_slice(), &[0; 9]].concat()),
            UnpackError::BadCookie { offset: 1, byte }
        );
    }
    for cookie in (0..32).filter(|cookie| ![2, 4].contains(cookie)) {
        let byte = 5 | cookie << 3;
        assert_eq!(
            error(&[[0, byte].as_slice(), &[0; 9]].concat()),
            UnpackError::BadCookie { offset: 1, byte }
        );
    }
    for cookie in 0..32 {
        let byte = 7 | cookie << 3;
        assert_eq!(error(&[0, byte]), UnpackError::UnknownType { offset: 1, byte });
    }
    assert_eq!(
        error(b"\x00\x03\x01\x02\x03\x04\x05\x06\x07\x08"),
        UnpackError::LightUserdata { offset: 1 }
    );
    for size in [
        &b"\x22\xff\xff\xff\xff"[..],
        b"\x42\0\0\0\0\0\0\xf0\x3f",
        b"\x09",
        b"\x0c1",
        b"\x1a\x01",
    ] {
        let payload = [b"\x00\xfe", size, &[0; 9]].concat();
        assert_eq!(
            error(&payload),
            UnpackError::BadArrayLength { offset: 1 },
            "{size:02x?}"
        );
    }
    assert_eq!(
        error(b"\x06\x42\0\0\0\0\0\0\xf8\x7f\x09\x00"),
        UnpackError::NanKey { offset: 1 }
    );
}

#[test]
fn nil_and_booleans_are_read_by_type_alone_as_in_skynet() {
    assert_eq!(
        unpack_all(b"\xf8\x11\xf9"),
        Ok(vec![Value::Nil, Value::from(true), Value::from(true)])
    );
    assert_eq!(unpack(b"\x08\x09"), Ok((None::<bool>, true)));
}
