//! What must hold for lua-seri whatever bytes come in; each function panics where it does not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skyring_codec::seri::{self, SerdeError, Value, ValueRef};

use super::events::{magnitude, note, note_words};

/// Reads arbitrary bytes by every way there is, and checks that the ways agree and that what was read
/// packs again to something that reads the same.
pub fn unpack(input: &[u8]) {
    let walked: Result<Vec<ValueRef<'_>>, _> = seri::values(input).collect();
    let owned = seri::unpack_all(input);
    let typed: Result<(Option<&str>, Option<i64>), _> = seri::unpack(input);
    let (walked, owned) = match (walked, owned) {
        (Ok(walked), Ok(owned)) => (walked, owned),
        (walked, owned) => {
            let error = owned.err();
            assert_eq!(walked.err(), error, "walking and copying fail alike");
            note_words("error", &error);
            return;
        }
    };

    let packed = seri::pack(&owned).expect("what has been read can be packed");
    let copied: Vec<Value> = walked.iter().copied().map(Value::from).collect();
    // Bytes are compared rather than values: NaN does not equal itself.
    assert_eq!(
        seri::pack(&copied).as_ref(),
        Ok(&packed),
        "walking and copying read the same"
    );
    assert!(packed.len() <= input.len(), "packing takes the shortest form");

    let again = seri::unpack_all(&packed).expect("what has been packed can be read");
    assert_eq!(again.len(), owned.len());
    assert_eq!(
        seri::pack(&again).as_ref(),
        Ok(&packed),
        "a second round changes nothing"
    );

    if let Ok((text, number)) = typed {
        assert_eq!(text, owned.first().and_then(Value::as_str));
        assert_eq!(number, owned.get(1).and_then(Value::as_integer));
    }
    for (value, view) in owned.iter().zip(&walked) {
        note_value(value, 0);
        assert_eq!(value.kind(), view.kind());
        assert!(!value.to_string().is_empty() || value.as_str() == Some(""));
        if let (Some(table), Some(view)) = (value.as_table(), view.as_table()) {
            for (key, _) in &table.entries {
                let Some(key) = key.as_key() else { continue };
                let found = view.get(key).map(Value::from);
                assert_eq!(
                    seri::pack(&found),
                    seri::pack(&table.get(key).cloned()),
                    "the same is found"
                );
            }
        }
    }
}

fn note_value(value: &Value, depth: u64) {
    note_words("value", &value.kind());
    note("depth", depth);
    if let Some(integer) = value.as_integer() {
        note("integer", magnitude(integer.unsigned_abs() as usize));
    }
    if let Some(bytes) = value.as_str() {
        note("text", magnitude(bytes.len()));
    }
    let Some(table) = value.as_table() else { return };
    note("array", magnitude(table.array.len()));
    note("entries", magnitude(table.entries.len()));
    for inner in &table.array {
        note_value(inner, depth + 1);
    }
    for (key, inner) in &table.entries {
        note_words("key", &key.kind());
        note_value(inner, depth + 1);
    }
}

/// A type with one of everything that serde distinguishes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// An integer, checked against its range.
    pub id: u32,
    /// Text.
    pub name: String,
    /// A list that may have holes.
    pub scores: Vec<Option<i64>>,
    /// A tuple inside a table.
    pub position: (f64, f64),
    /// A map.
    pub counts: BTreeMap<String, u64>,
    /// A map whose keys are integers, which a list is as well.
    pub slots: BTreeMap<i64, bool>,
    /// Each form of variant.
    pub actions: Vec<Action>,
    /// A value nested in its like.
    pub inner: Option<Box<Record>>,
    /// A value of no known type.
    pub rest: Value,
}

/// An enum with each form of variant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Action {
    /// No data.
    Stop,
    /// One value, which may be nil.
    Wait(Option<u32>),
    /// Several values.
    Move(i16, i16),
    /// Fields.
    Say {
        /// Text.
        text: String,
        /// Nil for everybody.
        target: Option<u8>,
    },
}

/// Reads arbitrary bytes as Rust types, and checks that what was read survives another round.
pub fn from_bytes(input: &[u8]) {
    round::<(String, Record)>(input);
    round::<Record>(input);
    round::<Action>(input);
    // Where in a table its parts stand may change, so only that it can be read again is promised.
    if let Ok(value) = seri::from_bytes::<Value>(input) {
        note_value(&value, 0);
        let packed = seri::to_bytes(&value).expect("what has been read can be written");
        seri::from_bytes::<Value>(&packed).expect("what has been written can be read");
    }
}

fn round<T: Serialize + for<'de> Deserialize<'de>>(input: &[u8]) {
    let value = match seri::from_bytes::<T>(input) {
        Ok(value) => value,
        Err(error) => {
            note_words(std::any::type_name::<T>(), &format_args!("{error}"));
            return;
        }
    };
    note(std::any::type_name::<T>(), 0);
    let packed = seri::to_bytes(&value).expect("what has been read can be written");
    let again: Result<T, SerdeError> = seri::from_bytes(&packed);
    let again = again.expect("what has been written can be read");
    assert_eq!(
        seri::to_bytes(&again).as_ref(),
        Ok(&packed),
        "a second round changes nothing"
    );
}
