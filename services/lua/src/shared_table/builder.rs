//! Makes an immutable tree of tables, the inner tables first.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxHashMap;

use super::tables::{Key, NONE, Node, Shape, Tables, Value, text_of};

/// Most levels of nested tables in a shared table.
pub const SHARED_NESTING_MAX: u32 = 128;

/// Most bytes of a shared table.
pub const SHARED_BYTES_MAX: usize = 1 << 30;

/// The longest text that is looked for among those that are already there.
const COMPARED_TEXT_BYTES: usize = 64;

/// The most fields of a table whose shape is looked for among those that are already there.
const COMPARED_FIELDS: usize = 64;

/// The number of the last version.
static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

/// Why a table cannot be shared, and where in it the cause is.
#[derive(Debug)]
pub(crate) struct BuildError {
    cause: Cause,
    /// The keys that lead there, the innermost first.
    path: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Type(&'static str),
    KeyType(&'static str),
    Cycle,
    Nested,
    Large,
    Shared,
    Stack,
}

impl BuildError {
    fn new(cause: Cause) -> BuildError {
        BuildError {
            cause,
            path: Vec::new(),
        }
    }

    /// A value of a type that cannot be shared.
    pub(crate) fn value_type(name: &'static str) -> BuildError {
        BuildError::new(Cause::Type(name))
    }

    /// A key of a type that cannot be shared.
    pub(crate) fn key_type(name: &'static str) -> BuildError {
        BuildError::new(Cause::KeyType(name))
    }

    /// A table that is itself a shared one.
    pub(crate) fn shared() -> BuildError {
        BuildError::new(Cause::Shared)
    }

    /// The interpreter's stack is full.
    pub(crate) fn stack() -> BuildError {
        BuildError::new(Cause::Stack)
    }

    /// Adds the key whose value contains the cause.
    pub(crate) fn below(mut self, key: String) -> BuildError {
        self.path.push(key);
        self
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Type(name) => write!(f, "a {name} cannot be shared")?,
            Cause::KeyType(name) => write!(f, "a {name} cannot be a key of a shared table")?,
            Cause::Cycle => write!(f, "a table that contains itself cannot be shared")?,
            Cause::Nested => write!(
                f,
                "tables nested deeper than {SHARED_NESTING_MAX} cannot be shared"
            )?,
            Cause::Large => write!(f, "a table larger than {SHARED_BYTES_MAX} bytes cannot be shared")?,
            Cause::Shared => write!(f, "the table is a shared one already: share a deep copy of it")?,
            Cause::Stack => write!(f, "the stack is full")?,
        }
        if self.path.is_empty() {
            return Ok(());
        }
        // The path of a deeply nested table is cut.
        let path: Vec<&str> = self.path.iter().rev().take(8).map(String::as_str).collect();
        let more = if self.path.len() > 8 { "…" } else { "" };
        write!(f, ": at {}{more}", path.join("."))
    }
}

/// The state of a table of the source.
#[derive(Debug, Clone, Copy)]
enum Progress {
    Begun,
    Done(u32),
}

/// Collects the tables of a tree.
pub(crate) struct Builder {
    tables: Tables,
    /// The bytes so far, without the shapes' positions.
    bytes: usize,
    texts: FxHashMap<Box<[u8]>, u32>,
    shapes: FxHashMap<Box<[(u8, u64)]>, u32>,
    /// The tables of the source by address: one that occurs twice is stored once.
    sources: FxHashMap<usize, Progress>,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        let tables = Tables {
            nodes: Vec::new(),
            values: Vec::new(),
            shapes: Vec::new(),
            text: Vec::new(),
            root: 0,
            number: 0,
        };
        Builder {
            tables,
            bytes: 0,
            texts: FxHashMap::default(),
            shapes: FxHashMap::default(),
            sources: FxHashMap::default(),
        }
    }

    /// Begins the table of the source with this address. `Some`: it is already there.
    pub(crate) fn begin(&mut self, address: usize, depth: u32) -> Result<Option<u32>, BuildError> {
        match self.sources.get(&address) {
            Some(Progress::Begun) => return Err(BuildError::new(Cause::Cycle)),
            Some(Progress::Done(table)) => return Ok(Some(*table)),
            None => {}
        }
        if depth > SHARED_NESTING_MAX {
            return Err(BuildError::new(Cause::Nested));
        }
        self.sources.insert(address, Progress::Begun);
        Ok(None)
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, text: &[u8]) -> Result<Value, BuildError> {
        let is_compared = text.len() <= COMPARED_TEXT_BYTES;
        let known = if is_compared { self.texts.get(text) } else { None };
        let start = match known {
            Some(start) => *start,
            None => {
                self.count(text.len())?;
                let start = self.tables.text.len() as u32;
                self.tables.text.extend_from_slice(text);
                if is_compared {
                    self.texts.insert(text.into(), start);
                }
                start
            }
        };
        Ok(Value::Text {
            start,
            length: text.len() as u32,
        })
    }

    /// Adds the table that was begun with this address, whose inner tables are there.
    pub(crate) fn end(
        &mut self,
        address: usize,
        items: &[Value],
        fields: &mut [(Value, Value)],
    ) -> Result<u32, BuildError> {
        self.count(size_of::<Node>() + (items.len() + fields.len()) * size_of::<Value>())?;
        let is_compared = fields.len() <= COMPARED_FIELDS;
        if is_compared {
            fields.sort_unstable_by_key(|(key, _)| key.bits());
        }
        let shape = self.shape(fields, is_compared)?;
        let table = self.tables.nodes.len() as u32;
        self.tables.nodes.push(Node {
            values: self.tables.values.len() as u32,
            items: items.len() as u32,
            shape,
            parent: NONE,
            slot: NONE,
        });
        let values = items
            .iter()
            .copied()
            .chain(fields.iter().map(|(_, value)| *value));
        for (slot, value) in values.enumerate() {
            if let Value::Table(inner) = value
                && let Some(node) = self.tables.nodes.get_mut(inner as usize)
                && node.parent == NONE
            {
                (node.parent, node.slot) = (table, slot as u32);
            }
            self.tables.values.push(value);
        }
        self.sources.insert(address, Progress::Done(table));
        Ok(table)
    }

    fn shape(&mut self, fields: &[(Value, Value)], is_compared: bool) -> Result<u32, BuildError> {
        let bits: Box<[(u8, u64)]> = if is_compared {
            fields.iter().map(|(key, _)| key.bits()).collect()
        } else {
            Box::default()
        };
        if is_compared && let Some(shape) = self.shapes.get(&bits) {
            return Ok(*shape);
        }
        let shape = Shape::new(fields.iter().map(|(key, _)| *key).collect(), &self.tables);
        self.count(shape.bytes())?;
        let index = self.tables.shapes.len() as u32;
        self.tables.shapes.push(shape);
        if is_compared {
            self.shapes.insert(bits, index);
        }
        Ok(index)
    }

    fn count(&mut self, bytes: usize) -> Result<(), BuildError> {
        self.bytes += bytes;
        if self.bytes > SHARED_BYTES_MAX {
            return Err(BuildError::new(Cause::Large));
        }
        Ok(())
    }

    /// The text of a key, for an error.
    pub(crate) fn key_text(&self, key: Value) -> String {
        match key {
            Value::Text { start, length } => text_of(Key::Text(self.tables.text(start, length))),
            Value::Integer(number) => text_of(Key::Integer(number)),
            Value::Number(number) => text_of(Key::Number(number)),
            Value::Boolean(value) => text_of(Key::Boolean(value)),
            Value::Table(_) => String::new(),
        }
    }

    /// The finished tree, with a number of its own.
    pub(crate) fn finish(self, root: u32) -> Tables {
        let mut tables = self.tables;
        tables.nodes.shrink_to_fit();
        tables.values.shrink_to_fit();
        tables.text.shrink_to_fit();
        tables.root = root;
        tables.number = LAST_NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
        tables
    }
}
