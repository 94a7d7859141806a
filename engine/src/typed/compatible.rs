//! Whether a newer version of an interface serves the callers of an older one.

use std::fmt;

use skyring_codec::seri::{Field, Shape, Variant};

use crate::typed::interface::{Interface, Method};

/// What callers of an older version of an interface cannot do with the newer one. The display has one line for each
/// change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatible {
    /// The changes, each with the method, what the older version has, and what the newer one has.
    pub changes: Vec<String>,
}

impl fmt::Display for Incompatible {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.changes.join("\n"))
    }
}

impl std::error::Error for Incompatible {}

impl Interface {
    /// Checks that a service of this version serves the callers of an older one. New methods, new optional arguments,
    /// new optional fields of arguments and new fields of answers are compatible; so is a type that accepts more, or
    /// answers with less.
    ///
    /// # Errors
    /// The changes that are not compatible.
    pub fn check_serves_callers_of(&self, older: &Interface) -> Result<(), Incompatible> {
        let mut changes = Vec::new();
        for method in &older.methods {
            match self.method(&method.name) {
                Some(newer) => compare(method, newer, &mut changes),
                None => changes.push(format!("{}: the method is gone", method.name)),
            }
        }
        if changes.is_empty() {
            Ok(())
        } else {
            Err(Incompatible { changes })
        }
    }
}

fn compare(older: &Method, newer: &Method, changes: &mut Vec<String>) {
    let name = &older.name;
    for (at, argument) in older.arguments.iter().enumerate() {
        let Some(now) = newer.arguments.get(at) else {
            changes.push(format!("{name}: the argument {argument} is gone"));
            continue;
        };
        if argument.is_optional && !now.is_optional {
            changes.push(format!("{name}: the argument {argument} was optional"));
        } else if let Err(place) = accepts(&now.shape, &argument.shape) {
            changes.push(format!(
                "{name}: the argument {argument} is now {now}{}",
                at_place(&place)
            ));
        }
    }
    for argument in newer.arguments.iter().skip(older.arguments.len()) {
        if !argument.is_optional {
            changes.push(format!("{name}: the new argument {argument} is not optional"));
        }
    }
    for (at, result) in older.results.iter().enumerate() {
        let now = newer.results.get(at).unwrap_or(&Shape::Nil);
        if let Err(place) = accepts(result, now) {
            changes.push(format!(
                "{name}: the answer {result} is now {now}{}",
                at_place(&place)
            ));
        }
    }
    // An error that is gone is one that no caller meets any more.
    if let (Some(error), Some(now)) = (&older.error, &newer.error)
        && let Err(place) = accepts(error, now)
    {
        changes.push(format!(
            "{name}: the error {error} is now {now}{}",
            at_place(&place)
        ));
    }
}

fn at_place(place: &str) -> String {
    if place.is_empty() {
        String::new()
    } else {
        format!(": {place}")
    }
}

/// Whether whoever reads `reader` can read all that `writer` writes. The error is the part that differs, empty for the
/// whole.
fn accepts(reader: &Shape, writer: &Shape) -> Result<(), String> {
    match (reader, writer) {
        (Shape::Any, _) | (_, Shape::Any) => Ok(()),
        (Shape::Optional(_), Shape::Nil) => Ok(()),
        (Shape::Optional(reader), Shape::Optional(writer)) => accepts(reader, writer),
        (Shape::Optional(reader), writer) => accepts(reader, writer),
        (
            Shape::Integer { min, max },
            Shape::Integer {
                min: least,
                max: largest,
            },
        ) if min <= least && max >= largest => Ok(()),
        (Shape::Number, Shape::Number | Shape::Integer { .. }) => Ok(()),
        (Shape::Bytes, Shape::Bytes | Shape::Text) => Ok(()),
        (Shape::List(reader), Shape::List(writer)) => accepts(reader, writer),
        (Shape::Map(key, value), Shape::Map(old_key, old_value)) => {
            accepts(key, old_key).and_then(|()| accepts(value, old_value))
        }
        (Shape::Tuple(reader), Shape::Tuple(writer)) if reader.len() == writer.len() => {
            let mut pairs = reader.iter().zip(writer);
            pairs.try_for_each(|(reader, writer)| accepts(reader, writer))
        }
        (Shape::Struct { fields, .. }, Shape::Struct { fields: written, .. }) => {
            fields.iter().try_for_each(|field| accepts_field(field, written))
        }
        (
            Shape::Enum { variants, .. },
            Shape::Enum {
                variants: written, ..
            },
        ) => written
            .iter()
            .try_for_each(|variant| accepts_variant(variants, variant)),
        // What stands around them is compared already.
        (Shape::Named(_), Shape::Named(_)) => Ok(()),
        (reader, writer) if reader == writer => Ok(()),
        _ => Err(String::new()),
    }
}

fn accepts_field(field: &Field, written: &[Field]) -> Result<(), String> {
    match written.iter().find(|written| written.name == field.name) {
        None if field.is_optional => Ok(()),
        None => Err(format!("the field {field} is missing")),
        Some(other) if other.is_optional && !field.is_optional => {
            Err(format!("the field {field} may be missing"))
        }
        Some(other) => match accepts(&field.shape, &other.shape) {
            Ok(()) => Ok(()),
            Err(place) if place.is_empty() => Err(format!("the field {field} is written as {other}")),
            Err(place) => Err(place),
        },
    }
}

fn accepts_variant(variants: &[Variant], written: &Variant) -> Result<(), String> {
    let name = &written.name;
    let Some(variant) = variants.iter().find(|variant| variant.name == *name) else {
        return Err(format!("the variant {name} is unknown"));
    };
    match (&variant.data, &written.data) {
        (Some(reader), Some(writer)) => accepts(reader, writer).map_err(|place| match place.as_str() {
            "" => format!("the data of the variant {name} differs"),
            _ => place,
        }),
        (None, None) => Ok(()),
        (Some(Shape::Optional(_)), None) => Ok(()),
        _ => Err(format!("the data of the variant {name} differs")),
    }
}
