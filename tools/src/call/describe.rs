//! `skyring call … --describe`: the interface of a typed service, or one of its commands.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use skyring::Payload;
use skyring::typed::{DESCRIBE, Interface, Method, Shape, Variant};

use super::request::{Request, call};

/// Asks a service for its interface.
pub(super) fn interface(mut request: Request) -> Result<Interface, String> {
    request.payload = Payload::pack(DESCRIBE).map_err(|error| error.to_string())?;
    let address = request.address.to_string();
    let untyped =
        |cause: String| format!("{address} does not describe itself, as typed services do: {cause}");
    let payload = call(request).map_err(|error| match error.code() {
        "remote" => untyped(error.to_string()),
        _ => error.to_string(),
    })?;
    Interface::from_payload(&payload).map_err(|error| untyped(error.to_string()))
}

/// The text about all commands, or about one.
pub(super) fn text(interface: &Interface, command: Option<&str>) -> Result<String, String> {
    let mut text = String::new();
    let methods: Vec<&Method> = match command {
        None => {
            text.push_str(&interface.name);
            if !interface.about.is_empty() {
                let _ = write!(text, ": {}", interface.about.replace('\n', " "));
            }
            text.push_str("\n\n");
            interface.methods.iter().collect()
        }
        Some(name) => vec![interface.method(name).ok_or_else(|| {
            let names: Vec<&str> = interface
                .methods
                .iter()
                .map(|method| method.name.as_str())
                .collect();
            format!(
                "unknown command {name}: {} has {}",
                interface.name,
                names.join(", ")
            )
        })?],
    };
    let mut types = BTreeMap::new();
    for method in methods {
        let _ = writeln!(
            text,
            "  {method}{}",
            if method.is_send { "  (a send)" } else { "" }
        );
        for line in method.about.lines() {
            let _ = writeln!(text, "      {line}");
        }
        let arguments = method.arguments.iter().map(|argument| &argument.shape);
        for shape in arguments.chain(&method.results).chain(&method.error) {
            collect(shape, &mut types);
        }
    }
    if !types.is_empty() {
        text.push('\n');
    }
    for (name, definition) in types {
        let _ = writeln!(text, "  {name} = {definition}");
    }
    Ok(text)
}

/// Adds the definitions of the named types in a shape.
fn collect(shape: &Shape, types: &mut BTreeMap<String, String>) {
    match shape {
        Shape::Optional(inner) | Shape::List(inner) => collect(inner, types),
        Shape::Tuple(shapes) => shapes.iter().for_each(|shape| collect(shape, types)),
        Shape::Map(key, value) => {
            collect(key, types);
            collect(value, types);
        }
        Shape::Struct { name, fields } => {
            if !name.is_empty() {
                let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
                types.insert(name.clone(), format!("{{{}}}", fields.join(", ")));
            }
            fields.iter().for_each(|field| collect(&field.shape, types));
        }
        Shape::Enum { name, variants } => {
            let texts: Vec<String> = variants.iter().map(variant).collect();
            types.insert(name.clone(), texts.join(" or "));
            let data = variants.iter().filter_map(|variant| variant.data.as_ref());
            data.for_each(|shape| collect(shape, types));
        }
        _ => {}
    }
}

/// A variant as Lua writes it.
fn variant(variant: &Variant) -> String {
    match &variant.data {
        None => format!("\"{}\"", variant.name),
        Some(data) => format!("{{{} = {data}}}", variant.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyring::typed::{Field, MethodArgument};

    fn interface() -> Interface {
        let item = Shape::Struct {
            name: "Item".to_owned(),
            fields: vec![Field {
                name: "name".to_owned(),
                shape: Shape::Text,
                is_optional: false,
            }],
        };
        let color = Shape::Enum {
            name: "Color".to_owned(),
            variants: vec![
                Variant {
                    name: "Red".to_owned(),
                    data: None,
                },
                Variant {
                    name: "Like".to_owned(),
                    data: Some(item.clone()),
                },
            ],
        };
        let method = |name: &str, about: &str, shape: Shape, is_send| Method {
            name: name.to_owned(),
            about: about.to_owned(),
            is_send,
            arguments: vec![MethodArgument {
                name: "what".to_owned(),
                shape,
                is_optional: false,
            }],
            results: Vec::new(),
            error: None,
        };
        Interface {
            name: "Shop".to_owned(),
            about: "Sells.".to_owned(),
            methods: vec![
                method(
                    "put",
                    "Puts it there.\nTwice.",
                    Shape::List(Box::new(item)),
                    false,
                ),
                method("paint", "", color, true),
            ],
        }
    }

    #[test]
    fn all_commands_are_listed_with_the_types_that_they_name() {
        assert_eq!(
            text(&interface(), None).as_deref(),
            Ok(
                "Shop: Sells.\n\n  put(what: [Item])\n      Puts it there.\n      Twice.\n  paint(what: Color)  (a send)\n\n  \
                Color = \"Red\" or {Like = Item}\n  Item = {name: text}\n"
            )
        );
    }

    #[test]
    fn one_command_is_described_alone_and_an_unknown_one_is_an_error() {
        assert_eq!(
            text(&interface(), Some("put")).as_deref(),
            Ok("  put(what: [Item])\n      Puts it there.\n      Twice.\n\n  Item = {name: text}\n")
        );
        assert_eq!(
            text(&interface(), Some("get")),
            Err("unknown command get: Shop has put, paint".to_owned())
        );
    }
}
