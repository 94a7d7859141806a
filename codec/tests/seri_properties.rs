//! Properties of lua-seri that hold for every value and every run of bytes. A failure prints its seed.

use proptest::collection::vec;
use proptest::prelude::*;
use skyring_codec::seri::{Table, Value, ValueRef, pack, unpack_all, values};

fn key() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-300_i64..300).prop_map(Value::from),
        any::<f64>()
            .prop_filter("NaN is no key", |number| !number.is_nan())
            .prop_map(Value::from),
        vec(any::<u8>(), 0..40).prop_map(Value::from),
        ".{0,10}".prop_map(Value::from),
    ]
}

/// Values that equal themselves, so without NaN, and whose entries Lua could hold.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![1 => Just(Value::Nil), 8 => key(), 1 => (any::<u8>(), 0..70_000_usize).prop_map(|(byte, length)| Value::from(vec![byte; length]))];
    leaf.prop_recursive(5, 200, 40, |inner| {
        let entry = (
            key(),
            inner
                .clone()
                .prop_filter("nil is no entry", |value| !value.is_nil()),
        );
        (vec(inner, 0..40), vec(entry, 0..6))
            .prop_map(|(array, entries)| Value::Table(Table { array, entries }))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_values_survive_being_packed(all in vec(value(), 0..5)) {
        let packed = pack(&all).unwrap();
        prop_assert_eq!(&unpack_all(&packed).unwrap(), &all);
        let walked: Vec<Value> = values(&packed).map(|value| value.unwrap().into()).collect();
        prop_assert_eq!(walked, all);
    }

    #[test]
    fn any_float_keeps_its_bits(bits in any::<u64>()) {
        let number = f64::from_bits(bits);
        let packed = pack(&number).unwrap();
        let read = values(&packed).next();
        prop_assert!(matches!(read, Some(Ok(ValueRef::Number(same))) if same.to_bits() == bits));
    }

    #[test]
    fn a_truncated_payload_is_an_error_or_fewer_values(all in vec(value(), 1..4), at in any::<prop::sample::Index>()) {
        let packed = pack(&all).unwrap();
        let cut = at.index(packed.len());
        let read: Vec<_> = values(&packed[..cut]).collect();
        prop_assert!(read.len() <= all.len());
        for (read, whole) in read.iter().zip(&all) {
            if let Ok(read) = read {
                prop_assert_eq!(&Value::from(*read), whole);
            }
        }
        prop_assert!(read.len() < all.len() || read.iter().any(Result::is_err));
    }

    #[test]
    fn a_payload_is_its_values_back_to_back(first in vec(value(), 0..3), second in vec(value(), 0..3)) {
        let packed = [pack(&first).unwrap(), pack(&second).unwrap()].concat();
        prop_assert_eq!(unpack_all(&packed).unwrap(), [first, second].concat());
    }
}
