//! An immutable tree of tables.
//!
//! All tables of a tree are in four vectors, so that a row takes 24 bytes and 16 for each value. Tables with the same keys
//! share the list of them, their shape. A table's slots are its items, the keys from 1 on, then its fields.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// The value of a slot, or the key of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    /// Bytes of [`Tables::text`].
    Text {
        start: u32,
        length: u32,
    },
    /// The index of a table.
    Table(u32),
}

impl Value {
    /// Equal for equal values of one builder.
    pub(super) fn bits(self) -> (u8, u64) {
        match self {
            Value::Boolean(value) => (0, u64::from(value)),
            Value::Integer(value) => (1, value as u64),
            Value::Number(value) => (2, value.to_bits()),
            Value::Text { start, length } => (3, u64::from(start) << 32 | u64::from(length)),
            Value::Table(index) => (4, u64::from(index)),
        }
    }
}

/// A key that is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'a> {
    Boolean(bool),
    Integer(i64),
    /// Not an integer.
    Number(f64),
    Text(&'a [u8]),
}

/// The hash of a key.
fn hash(key: Key<'_>) -> u32 {
    let mut hasher = FxHasher::default();
    match key {
        Key::Boolean(value) => hasher.write_u8(u8::from(value)),
        Key::Integer(value) => hasher.write_i64(value),
        Key::Number(value) => hasher.write_u64(value.to_bits()),
        Key::Text(text) => hasher.write(text),
    }
    let hash = hasher.finish();
    (hash >> 32) as u32 ^ hash as u32
}

/// One table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// The first item in the vector of values; the fields follow the items.
    pub(super) values: u32,
    pub(super) items: u32,
    pub(super) shape: u32,
    /// The table that contains it, and its slot there. Those of the root are [`NONE`].
    pub(super) parent: u32,
    pub(super) slot: u32,
}

/// No table.
pub(super) const NONE: u32 = u32::MAX;

/// The most keys that are compared one after the other.
const SCANNED_KEYS: usize = 8;

/// The keys of the fields of a table.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) keys: Box<[Value]>,
    /// By hash, with linear probing: the position of a key, plus 1. Empty for few keys.
    positions: Box<[u32]>,
}

/// An immutable tree of tables, a version of a shared table.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(super) nodes: Vec<Node>,
    pub(super) values: Vec<Value>,
    pub(super) shapes: Vec<Shape>,
    pub(super) text: Vec<u8>,
    pub(super) root: u32,
    /// Identifies the version in this process.
    pub(super) number: u64,
}

impl Shape {
    pub(super) fn new(keys: Box<[Value]>, tables: &Tables) -> Shape {
        let mut positions = Box::default();
        if keys.len() > SCANNED_KEYS {
            positions = vec![0_u32; (keys.len() * 2).next_power_of_two()].into_boxed_slice();
            for (position, key) in keys.iter().enumerate() {
                let Some(key) = tables.key(*key) else { continue };
                let mut at = hash(key) as usize & (positions.len() - 1);
                while positions[at] != 0 {
                    at = (at + 1) & (positions.len() - 1);
                }
                positions[at] = position as u32 + 1;
            }
        }
        Shape { keys, positions }
    }

    #[inline]
    fn find(&self, tables: &Tables, key: Key<'_>) -> Option<u32> {
        if self.positions.is_empty() {
            let found = self.keys.iter().position(|known| tables.is_key(*known, key))?;
            return Some(found as u32);
        }
        let mask = self.positions.len() - 1;
        let mut at = hash(key) as usize & mask;
        loop {
            let position = self.positions[at].checked_sub(1)?;
            if tables.is_key(self.keys[position as usize], key) {
                return Some(position);
            }
            at = (at + 1) & mask;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.keys.len() * size_of::<Value>() + self.positions.len() * 4 + size_of::<Shape>()
    }
}

impl Tables {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn root(&self) -> u32 {
        self.root
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node>()
            + self.values.len() * size_of::<Value>()
            + self.text.len()
            + self.shapes.iter().map(Shape::bytes).sum::<usize>()
    }

    /// Whether there is a table with this index.
    pub(crate) fn contains(&self, table: u32) -> bool {
        (table as usize) < self.nodes.len()
    }

    /// The number of items of a table: its keys are 1 to this.
    #[inline]
    pub(crate) fn items(&self, table: u32) -> u32 {
        self.nodes.get(table as usize).map_or(0, |node| node.items)
    }

    /// The number of slots of a table.
    #[inline]
    pub(crate) fn slots(&self, table: u32) -> u32 {
        let fields = |node: &Node| self.shapes[node.shape as usize].keys.len() as u32;
        self.nodes
            .get(table as usize)
            .map_or(0, |node| node.items + fields(node))
    }

    /// The slot of a key.
    #[inline]
    pub(crate) fn find(&self, table: u32, key: Key<'_>) -> Option<u32> {
        let node = self.nodes.get(table as usize)?;
        if let Key::Integer(number) = key
            && number >= 1
            && number <= i64::from(node.items)
        {
            return Some(number as u32 - 1);
        }
        let position = self.shapes[node.shape as usize].find(self, key)?;
        Some(node.items + position)
    }

    /// The value of a slot.
    #[inline]
    pub(crate) fn value(&self, table: u32, slot: u32) -> Option<Value> {
        if slot >= self.slots(table) {
            return None;
        }
        let node = self.nodes.get(table as usize)?;
        self.values.get(node.values as usize + slot as usize).copied()
    }

    /// The key of a slot.
    #[inline]
    pub(crate) fn key_at(&self, table: u32, slot: u32) -> Option<Value> {
        let node = self.nodes.get(table as usize)?;
        if slot < node.items {
            return Some(Value::Integer(i64::from(slot) + 1));
        }
        let shape = &self.shapes[node.shape as usize];
        shape.keys.get((slot - node.items) as usize).copied()
    }

    /// The bytes of a text.
    #[inline]
    pub(crate) fn text(&self, start: u32, length: u32) -> &[u8] {
        let start = start as usize;
        self.text.get(start..start + length as usize).unwrap_or_default()
    }

    /// The table that contains a table, and its slot there.
    fn place(&self, table: u32) -> Option<(u32, u32)> {
        let node = self.nodes.get(table as usize)?;
        (node.parent != NONE).then_some((node.parent, node.slot))
    }

    /// A key as it is looked up; a table is no key.
    fn key(&self, key: Value) -> Option<Key<'_>> {
        Some(match key {
            Value::Boolean(value) => Key::Boolean(value),
            Value::Integer(value) => Key::Integer(value),
            Value::Number(value) => Key::Number(value),
            Value::Text { start, length } => Key::Text(self.text(start, length)),
            Value::Table(_) => return None,
        })
    }

    #[inline]
    fn is_key(&self, known: Value, key: Key<'_>) -> bool {
        match (known, key) {
            (Value::Text { start, length }, Key::Text(text)) => {
                length as usize == text.len() && self.text(start, length) == text
            }
            (Value::Integer(known), Key::Integer(number)) => known == number,
            (Value::Boolean(known), Key::Boolean(value)) => known == value,
            (Value::Number(known), Key::Number(number)) => known == number,
            _ => false,
        }
    }

    /// The keys that lead from the root to a table.
    fn path(&self, table: u32) -> Vec<Key<'_>> {
        let mut keys = Vec::new();
        let mut at = table;
        while let Some((parent, slot)) = self.place(at) {
            keys.extend(self.key_at(parent, slot).and_then(|key| self.key(key)));
            at = parent;
        }
        keys.reverse();
        keys
    }

    /// The table of this version that is where `table` is in `old`.
    pub(crate) fn counterpart(&self, old: &Tables, table: u32) -> Option<u32> {
        let mut at = self.root;
        for key in old.path(table) {
            match self.value(at, self.find(at, key)?)? {
                Value::Table(next) => at = next,
                _ => return None,
            }
        }
        Some(at)
    }

    /// The keys that lead to a table, and a key in it, for a text: `a.b.1`.
    pub(crate) fn path_text(&self, table: u32, key: Option<Key<'_>>) -> String {
        let keys: Vec<String> = self.path(table).into_iter().chain(key).map(text_of).collect();
        keys.join(".")
    }
}

/// A key in an error.
pub(super) fn text_of(key: Key<'_>) -> String {
    match key {
        Key::Boolean(value) => value.to_string(),
        Key::Integer(value) => value.to_string(),
        Key::Number(value) => value.to_string(),
        Key::Text(text) => String::from_utf8_lossy(text).into_owned(),
    }
}
