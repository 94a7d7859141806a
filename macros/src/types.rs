//! How a type is written: plain, as bytes, or through serde.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{GenericArgument, Lifetime, PathArguments, Type, TypePath, parse_quote};

/// Types that are packed without serde: their form is the same, and they are read faster.
const PLAIN: [&str; 13] = [
    "bool", "f64", "i8", "i16", "i32", "i64", "isize", "u8", "u16", "u32", "u64", "usize", "String",
];

/// A type with the way in which it is written.
pub(crate) struct Class {
    /// As the source has it, without the names of lifetimes.
    pub(crate) ty: Type,
    /// Without borrows, as a caller gets it.
    pub(crate) owned: Type,
    pub(crate) way: Way,
    /// Whether it borrows.
    pub(crate) is_borrowed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Packed without serde.
    Plain,
    /// Packed without serde, as a string, which serde would make a list of numbers.
    Bytes,
    Serde,
}

impl Class {
    pub(crate) fn of(ty: &Type) -> Class {
        let (mut elided, mut owned) = (ty.clone(), ty.clone());
        Elided.visit_type_mut(&mut elided);
        Owner.visit_type_mut(&mut owned);
        Class {
            ty: elided,
            is_borrowed: quote!(#ty).to_string() != quote!(#owned).to_string(),
            owned,
            way: way(ty),
        }
    }

    /// The place of the type in the source, for errors about it.
    pub(crate) fn span(&self) -> Span {
        Span::call_site().located_at(self.ty.span())
    }

    /// The function that gives the shape of the type.
    pub(crate) fn shape(&self) -> TokenStream {
        if self.way == Way::Bytes {
            return match option(&self.ty) {
                Some(_) => {
                    quote!(|| ::skyring::typed::Shape::Optional(::std::boxed::Box::new(
                        ::skyring::typed::Shape::Bytes
                    )))
                }
                None => quote!(|| ::skyring::typed::Shape::Bytes),
            };
        }
        let (ty, span) = (&self.ty, self.span());
        // A type that is no serde type has this error already.
        if self.way == Way::Serde {
            return quote_spanned!(span=> <#ty as ::skyring::typed::ArgumentValue<'_>>::shape);
        }
        quote_spanned!(span=> ::skyring::typed::Shape::of::<#ty>)
    }

    /// The function that gives the shape of the type as an answer.
    pub(crate) fn answer_shape(&self) -> TokenStream {
        if self.way != Way::Serde {
            return self.shape();
        }
        let (ty, span) = (&self.owned, self.span());
        quote_spanned!(span=> <#ty as ::skyring::typed::AnswerValue>::shape)
    }
}

fn way(ty: &Type) -> Way {
    match ty {
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => Way::Plain,
            Type::Slice(slice) if is_u8(&slice.elem) => Way::Bytes,
            // The client of an answer gets what is borrowed here.
            other => way(other),
        },
        Type::Path(path) => path_way(path),
        Type::Paren(inner) => way(&inner.elem),
        Type::Group(inner) => way(&inner.elem),
        _ => Way::Serde,
    }
}

fn path_way(path: &TypePath) -> Way {
    if let Some(inner) = option_of(path) {
        return way(inner);
    }
    let Some(last) = path.path.segments.last() else {
        return Way::Serde;
    };
    if last.ident == "Bytes" && last.arguments.is_none() {
        return Way::Bytes;
    }
    if last.ident == "Vec" && generic(path).is_some_and(is_u8) {
        return Way::Bytes;
    }
    let is_plain = path.qself.is_none() && PLAIN.iter().any(|plain| path.path.is_ident(plain));
    if is_plain { Way::Plain } else { Way::Serde }
}

fn is_u8(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("u8"))
}

/// The only generic type of a path.
fn generic(path: &TypePath) -> Option<&Type> {
    let last = path.path.segments.last()?;
    match &last.arguments {
        PathArguments::AngleBracketed(generics) if generics.args.len() == 1 => match generics.args.first()? {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        },
        _ => None,
    }
}

fn option_of(path: &TypePath) -> Option<&Type> {
    let last = path.path.segments.last()?;
    if last.ident == "Option" {
        generic(path)
    } else {
        None
    }
}

/// What an `Option` is an option of.
pub(crate) fn option(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Path(path) => option_of(path),
        Type::Paren(inner) => option(&inner.elem),
        Type::Group(inner) => option(&inner.elem),
        _ => None,
    }
}

/// Replaces borrowed types by those that own what they have.
struct Owner;

impl VisitMut for Owner {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::Reference(reference) = ty {
            let mut inner = (*reference.elem).clone();
            self.visit_type_mut(&mut inner);
            *ty = match inner {
                Type::Path(path) if path.path.is_ident("str") => {
                    parse_quote!(::std::string::String)
                }
                Type::Slice(slice) => {
                    let item = slice.elem;
                    parse_quote!(::std::vec::Vec<#item>)
                }
                other => other,
            };
            return;
        }
        visit_mut::visit_type_mut(self, ty);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        *lifetime = Lifetime::new("'static", lifetime.span());
    }
}

/// Removes the names of lifetimes, which only the method has.
struct Elided;

impl VisitMut for Elided {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::Reference(reference) = ty {
            reference.lifetime = None;
        }
        visit_mut::visit_type_mut(self, ty);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        *lifetime = Lifetime::new("'_", lifetime.span());
    }
}

/// The text of a type, as one writes it.
pub(crate) fn text(ty: &Type) -> String {
    let tokens = quote!(#ty).to_string();
    let mut text = tokens;
    for (spaced, close) in [
        ("& ", "&"),
        (" < ", "<"),
        (" >", ">"),
        (" ,", ","),
        (" :: ", "::"),
        (":: ", "::"),
        (" ;", ";"),
        ("( ", "("),
        (" )", ")"),
        ("[ ", "["),
        (" ]", "]"),
    ] {
        text = text.replace(spaced, close);
    }
    text
}
