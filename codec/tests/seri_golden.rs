//! lua-seri against bytes that a Skynet node packed.

mod hex;

use hex::bytes_of as bytes;
use skyring_codec::seri::{Table, Value, from_bytes, pack, to_bytes, unpack, unpack_all};

fn list(items: impl IntoIterator<Item = i64>) -> Value {
    Value::from(items.into_iter().map(Value::from).collect::<Vec<_>>())
}

fn table(array: Vec<Value>, entries: Vec<(Value, Value)>) -> Value {
    Value::Table(Table { array, entries })
}

/// Checks both directions.
fn check(name: &str, values: &[Value], hex: &str) {
    let golden = bytes(hex);
    assert_eq!(pack(values).expect("packs"), golden, "packing {name}");
    assert_eq!(unpack_all(&golden).expect("unpacks"), values, "unpacking {name}");
}

#[test]
fn a_run_in_golden_bytes_stands_for_that_many() {
    assert_eq!(bytes("00<78*3>ff"), [0, 0x78, 0x78, 0x78, 0xff]);
}

#[test]
fn nil_and_booleans_are_as_skynet_packs_them() {
    check("nothing", &[], "");
    check("nil", &[Value::Nil], "00");
    check("nil,nil", &[Value::Nil, Value::Nil], "0000");
    check("true", &[Value::from(true)], "09");
    check("false", &[Value::from(false)], "01");
}

#[test]
fn integers_are_as_skynet_packs_them() {
    let rows: [(i64, &str); 19] = [
        (0, "02"),
        (1, "0a01"),
        (-1, "22ffffffff"),
        (127, "0a7f"),
        (128, "0a80"),
        (255, "0aff"),
        (256, "120001"),
        (-128, "2280ffffff"),
        (65535, "12ffff"),
        (65536, "2200000100"),
        (-65536, "220000ffff"),
        (2147483647, "22ffffff7f"),
        (2147483648, "320000008000000000"),
        (-2147483648, "2200000080"),
        (-2147483649, "32ffffff7fffffffff"),
        (4294967295, "32ffffffff00000000"),
        (4294967296, "320000000001000000"),
        (9223372036854775807, "32ffffffffffffff7f"),
        (-9223372036854775808, "320000000000000080"),
    ];
    for (integer, hex) in rows {
        check(&integer.to_string(), &[Value::from(integer)], hex);
        assert_eq!(pack(&integer).unwrap(), bytes(hex), "packing {integer}");
        assert_eq!(unpack::<i64>(&bytes(hex)), Ok(integer));
        assert_eq!(to_bytes(&integer).unwrap(), bytes(hex), "serializing {integer}");
        assert_eq!(from_bytes::<i64>(&bytes(hex)), Ok(integer));
    }
}

#[test]
fn floats_are_as_skynet_packs_them() {
    let rows = [
        (0.0, "420000000000000000"),
        (-0.0, "420000000000000080"),
        (1.0, "42000000000000f03f"),
        (1.5, "42000000000000f83f"),
        (-2.25, "4200000000000002c0"),
        (std::f64::consts::PI, "42182d4454fb210940"),
        (1e308, "42a0c8eb85f3cce17f"),
        (f64::INFINITY, "42000000000000f07f"),
        (f64::NEG_INFINITY, "42000000000000f0ff"),
    ];
    for (number, hex) in rows {
        check(&number.to_string(), &[Value::from(number)], hex);
        assert_eq!(pack(&number).unwrap(), bytes(hex), "packing {number}");
        assert_eq!(unpack::<f64>(&bytes(hex)).unwrap().to_bits(), number.to_bits());
        assert_eq!(to_bytes(&number).unwrap(), bytes(hex), "serializing {number}");
    }
}

#[test]
fn strings_are_as_skynet_packs_them() {
    let long = "15ff00<63*255>";
    let rows: [(Vec<u8>, &str); 6] = [
        (vec![], "04"),
        (b"a".to_vec(), "0c61"),
        (vec![b'b'; 31], "fc<62*31>"),
        (vec![b'b'; 32], "152000<62*32>"),
        (vec![b'c'; 255], long),
        (vec![0, 0xff, 0x0a], "1c00ff0a"),
    ];
    for (string, hex) in rows {
        check(
            &format!("{} bytes", string.len()),
            &[Value::from(string.clone())],
            hex,
        );
        assert_eq!(pack(&string).unwrap(), bytes(hex));
        assert_eq!(unpack::<Vec<u8>>(&bytes(hex)), Ok(string));
    }
}

#[test]
fn tables_are_as_skynet_packs_them() {
    let empty = || Value::from(Table::new());
    let int = |value: i64| Value::from(value);
    check("{}", &[empty()], "0600");
    check("{1,2,3}", &[list(1..=3)], "1e0a010a020a0300");
    check(
        "{a=1}",
        &[table(vec![], vec![("a".into(), int(1))])],
        "060c610a0100",
    );
    let mixed = table(vec![int(1), int(2)], vec![("x".into(), "y".into())]);
    check("{1,2,x='y'}", &[mixed], "160a010a020c780c7900");
    let nested = Value::from(vec![empty(), Value::from(vec![empty()])]);
    check("{{},{{}}}", &[nested], "1606000e06000000");
    check(
        "{[10]=true}",
        &[table(vec![], vec![(int(10), true.into())])],
        "060a0a0900",
    );
    check(
        "{[1.5]='f'}",
        &[table(vec![], vec![(1.5.into(), "f".into())])],
        "0642000000000000f83f0c6600",
    );
    check(
        "{[true]=false}",
        &[table(vec![], vec![(true.into(), false.into())])],
        "06090100",
    );
    check(
        "{1,nil,3}",
        &[table(vec![int(1)], vec![(int(3), int(3))])],
        "0e0a010a030a0300",
    );
}

#[test]
fn list_lengths_around_the_cookie_are_as_skynet_packs_them() {
    let items = |end: u8| (1..=end).map(|item| format!("0a{item:02x}")).collect::<String>();
    check("1..30", &[list(1..=30)], &format!("f6{}00", items(30)));
    check("1..31", &[list(1..=31)], &format!("fe0a1f{}00", items(31)));
    check("1..32", &[list(1..=32)], &format!("fe0a20{}00", items(32)));
    check(
        "300 zeros",
        &[list(std::iter::repeat_n(0, 300))],
        "fe122c01<02*300>00",
    );
}

#[test]
fn several_values_are_as_skynet_packs_them() {
    let set = "1c5345545c706c617965725f31303031c47b6e616d653d22416c696365222c206c6576656c3d31307d";
    let player = "{name=\"Alice\", level=10}";
    check("SET", &["SET".into(), "player_1001".into(), player.into()], set);
    assert_eq!(pack(&("SET", "player_1001", player)).unwrap(), bytes(set));
    assert_eq!(to_bytes(&("SET", "player_1001", player)).unwrap(), bytes(set));
    assert_eq!(unpack(&bytes(set)), Ok(("SET", "player_1001", player)));
    assert_eq!(from_bytes(&bytes(set)), Ok(("SET", "player_1001", player)));

    let all = "0a011c74776f420000000000000c400009060c6b060c760a010000";
    let inner = table(vec![], vec![("v".into(), 1.into())]);
    let outer = table(vec![], vec![("k".into(), inner)]);
    check(
        "all",
        &[
            1.into(),
            "two".into(),
            3.5.into(),
            Value::Nil,
            true.into(),
            outer.clone(),
        ],
        all,
    );
    assert_eq!(
        pack(&(1_u8, "two", 3.5_f32, None::<i64>, true, &outer)).unwrap(),
        bytes(all)
    );
    assert_eq!(
        unpack(&bytes(all)),
        Ok((1_u8, "two", 3.5, None::<i64>, true, outer))
    );
}
