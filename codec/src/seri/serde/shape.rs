//! The shape of a Rust type as Lua values: what a caller in any language has to write, and what it reads.
//!
//! A type says what it wants to read only while it reads. So it reads from a probe, which offers small values and
//! records what is asked for. A type with alternatives (an option, a list, an enum) is read once for each, and a
//! struct once for each field that it may lack.
//!
//! # Invariants
//!
//! - A part of a type is named by its path: the steps from the whole type to it.
//! - A type is read at most [`READS_MAX`] times. What was not seen by then, or stands after a value that the type
//!   refuses, has the shape [`Shape::Any`].

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::probe::Probe;

/// How often the probe reads one type.
pub const READS_MAX: usize = 2_000;

/// The Lua values that a Rust type is written as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Any value.
    Any,
    /// Nil, or no value.
    Nil,
    /// A boolean.
    Boolean,
    /// An integer of a range.
    Integer {
        /// The least.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A number.
    Number,
    /// A string of UTF-8.
    Text,
    /// A string of any bytes.
    Bytes,
    /// The shape, or nil.
    Optional(Box<Shape>),
    /// A table with a list.
    List(Box<Shape>),
    /// A table with a list of so many items.
    Tuple(Vec<Shape>),
    /// A table whose keys have one shape and whose values another.
    Map(Box<Shape>, Box<Shape>),
    /// A table with fields.
    Struct {
        /// The name of the type.
        name: String,
        /// Its fields.
        fields: Vec<Field>,
    },
    /// The name of a variant, or a table with its name as the key of its data.
    Enum {
        /// The name of the type.
        name: String,
        /// Its variants.
        variants: Vec<Variant>,
    },
    /// A struct or an enum that stands around this place.
    Named(String),
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The key in the table.
    pub name: String,
    /// The shape of the value.
    pub shape: Shape,
    /// Whether the field may be missing.
    #[serde(default)]
    pub is_optional: bool,
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// The shape of its data, if it has any.
    #[serde(default)]
    pub data: Option<Shape>,
}

/// The steps from the whole type to a part of it.
pub(super) type Path = Vec<usize>;

/// What the probe has learned about one part of a type.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// A shape without parts.
    Leaf(Shape),
    /// An option; the value is step 0.
    Option,
    /// A list; the item is step 0.
    List,
    /// A tuple of so many items, which are its steps.
    Tuple(usize),
    /// A map; the key is step 0, the value step 1.
    Map,
    /// A struct; the fields are its steps.
    Struct(&'static str, &'static [&'static str]),
    /// An enum; the variants are its steps.
    Enum(&'static str, &'static [&'static str]),
    /// The data of a variant with named fields, which are its steps.
    Fields(&'static [&'static str]),
    /// A variant without data.
    NoData,
}

/// One reading of the type: which alternatives it takes, and which field it lacks.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    /// The alternative of each part that is not the first one.
    pub(super) alternatives: BTreeMap<Path, usize>,
    /// The struct and the field that is left out.
    pub(super) omitted: Option<(Path, usize)>,
}

/// What all readings have learned.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) parts: BTreeMap<Path, Part>,
    /// Whether the type could be read without a field, where a reading has shown that.
    omitted: Vec<(Path, usize, bool)>,
    waiting: VecDeque<Reading>,
}

impl Found {
    /// Records a part, once, and plans the readings that tell more about it.
    pub(super) fn record(&mut self, reading: &Reading, path: &Path, part: Part) {
        if self.parts.contains_key(path) {
            return;
        }
        let alternatives = match &part {
            Part::Option | Part::List | Part::Map => 2,
            Part::Enum(_, variants) => variants.len(),
            _ => 1,
        };
        for alternative in 1..alternatives {
            let mut reading = Reading {
                omitted: None,
                ..reading.clone()
            };
            reading.alternatives.insert(path.clone(), alternative);
            self.waiting.push_back(reading);
        }
        if let Part::Struct(_, fields) | Part::Fields(fields) = &part {
            for field in 0..fields.len() {
                self.waiting.push_back(Reading {
                    omitted: Some((path.clone(), field)),
                    ..reading.clone()
                });
            }
        }
        self.parts.insert(path.clone(), part);
    }

    /// The shape of the part at a path.
    fn shape(&self, path: &mut Path) -> Shape {
        let part = self.parts.get(path.as_slice());
        let mut step = |step: usize| {
            path.push(step);
            let shape = self.shape(path);
            path.pop();
            shape
        };
        match part {
            None => Shape::Any,
            Some(Part::NoData) => Shape::Nil,
            Some(Part::Leaf(shape)) => shape.clone(),
            Some(Part::Option) => Shape::Optional(Box::new(step(0))),
            Some(Part::List) => Shape::List(Box::new(step(0))),
            Some(Part::Map) => Shape::Map(Box::new(step(0)), Box::new(step(1))),
            Some(Part::Tuple(length)) => Shape::Tuple((0..*length).map(step).collect()),
            Some(Part::Struct(name, fields)) => Shape::Struct {
                name: (*name).to_owned(),
                fields: self.fields(path, fields),
            },
            Some(Part::Fields(fields)) => Shape::Struct {
                name: String::new(),
                fields: self.fields(path, fields),
            },
            Some(Part::Enum(name, variants)) => {
                let variants = variants.iter().enumerate().map(|(at, variant)| {
                    let shape = step(at);
                    Variant {
                        name: (*variant).to_owned(),
                        data: (shape != Shape::Nil).then_some(shape),
                    }
                });
                Shape::Enum {
                    name: (*name).to_owned(),
                    variants: variants.collect(),
                }
            }
        }
    }

    fn fields(&self, path: &mut Path, names: &[&str]) -> Vec<Field> {
        let fields = names.iter().enumerate().map(|(at, name)| {
            path.push(at);
            let shape = self.shape(path);
            path.pop();
            let shown = self
                .omitted
                .iter()
                .find(|(of, field, _)| of == path && *field == at);
            let is_optional = shown.map_or(matches!(shape, Shape::Optional(_)), |(.., could)| *could);
            Field {
                name: (*name).to_owned(),
                shape,
                is_optional,
            }
        });
        fields.collect()
    }
}

impl Shape {
    /// The shape of a type.
    pub fn of<'de, T: Deserialize<'de>>() -> Shape {
        let mut found = Found::default();
        found.waiting.push_back(Reading::default());
        for _ in 0..READS_MAX {
            let Some(reading) = found.waiting.pop_front() else {
                break;
            };
            let read = T::deserialize(Probe::new(&reading, &mut found));
            // A value that the type refuses only ends this reading.
            let could = match read {
                Ok(_) => true,
                Err(error) if error.is_of_missing_field() => false,
                Err(_) => continue,
            };
            if let Some((path, field)) = reading.omitted {
                found.omitted.push((path, field, could));
            }
        }
        found.shape(&mut Vec::new())
    }
}

impl std::fmt::Display for Shape {
    /// Writes the shape in one line: `i64`, `text?`, `[Player]`. Structs and enums are their names.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Shape::Any => formatter.write_str("any"),
            Shape::Nil => formatter.write_str("nil"),
            Shape::Boolean => formatter.write_str("boolean"),
            Shape::Integer { min, max } => match integer_name(*min, *max) {
                Some(name) => formatter.write_str(name),
                None => write!(formatter, "{min}..={max}"),
            },
            Shape::Number => formatter.write_str("number"),
            Shape::Text => formatter.write_str("text"),
            Shape::Bytes => formatter.write_str("bytes"),
            Shape::Optional(shape) => write!(formatter, "{shape}?"),
            Shape::List(shape) => write!(formatter, "[{shape}]"),
            Shape::Tuple(shapes) => {
                let shapes: Vec<String> = shapes.iter().map(Shape::to_string).collect();
                write!(formatter, "({})", shapes.join(", "))
            }
            Shape::Map(key, value) => write!(formatter, "{{[{key}] = {value}}}"),
            Shape::Struct { name, fields } if name.is_empty() => {
                let fields: Vec<String> = fields.iter().map(Field::to_string).collect();
                write!(formatter, "{{{}}}", fields.join(", "))
            }
            Shape::Struct { name, .. } | Shape::Enum { name, .. } | Shape::Named(name) => {
                formatter.write_str(name)
            }
        }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.is_optional, &self.shape) {
            // The shape says it already.
            (false, shape) | (true, shape @ Shape::Optional(_)) => {
                write!(formatter, "{}: {shape}", self.name)
            }
            (true, shape) => write!(formatter, "{}: {shape}?", self.name),
        }
    }
}

fn integer_name(min: i64, max: i64) -> Option<&'static str> {
    Some(match (min, max) {
        (-0x80, 0x7f) => "i8",
        (-0x8000, 0x7fff) => "i16",
        (-0x8000_0000, 0x7fff_ffff) => "i32",
        (i64::MIN, i64::MAX) => "i64",
        (0, 0xff) => "u8",
        (0, 0xffff) => "u16",
        (0, 0xffff_ffff) => "u32",
        (0, i64::MAX) => "u64",
        _ => return None,
    })
}
