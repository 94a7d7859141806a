//! Reads the block, and finds what is wrong with it.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    Attribute, Error, FnArg, GenericArgument, GenericParam, Generics, Ident, ImplItem, ImplItemFn, ItemImpl,
    LitStr, Pat, PathArguments, ReturnType, Type, Visibility,
};

use crate::method::{Argument, Block, Hook, HookKind, Method, MethodResult, Parameter, ResultValues, about};
use crate::types::{Class, option, text};

/// The marks that this attribute takes from a method.
const MARKS: [&str; 6] = ["send", "command", "start", "answered", "socket", "fallback"];

/// All mistakes of a block, and how many there are.
#[derive(Default)]
struct Mistakes(Option<Error>, usize);

impl Mistakes {
    fn add(&mut self, place: impl ToTokens, text: &str) {
        self.push(Error::new_spanned(place, text));
    }

    fn push(&mut self, error: Error) {
        self.1 += 1;
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }
}

/// Reads a block. A mistake in a method is in the block, so that the rest is written as if it were right, and the
/// program has no further errors; an error is about the whole block.
pub(crate) fn block(arguments: TokenStream, item: TokenStream) -> Result<Block, Error> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`service` takes no arguments"));
    }
    let mut item: ItemImpl = syn::parse2(item).map_err(|error| {
        Error::new(
            error.span(),
            format!("`service` belongs on the `impl` block of a service: {error}"),
        )
    })?;
    if let Some((_, path, _)) = &item.trait_ {
        return Err(Error::new_spanned(
            path,
            "a typed service is an `impl` block of its own, not that of a trait",
        ));
    }
    let mut mistakes = Mistakes::default();
    has_no_generics(&item.generics, "a typed service", &mut mistakes);
    let Some(name) = type_name(&item.self_ty) else {
        return Err(Error::new_spanned(
            &item.self_ty,
            "a typed service is a struct or an enum without parameters",
        ));
    };
    let (mut methods, mut hooks) = (Vec::new(), Vec::new());
    for inner in &mut item.items {
        let ImplItem::Fn(function) = inner else {
            mistakes.add(
                inner,
                "only methods stand in the block of a typed service: move this to another `impl` block",
            );
            continue;
        };
        match read_function(function, &mut mistakes) {
            Some(Read::Method(method)) => methods.push(*method),
            Some(Read::Hook(hook)) => hooks.push(hook),
            None => {}
        }
        function.attrs.retain(|attribute| mark(attribute).is_none());
    }
    check_names(&mut methods, &hooks, &mut mistakes);
    Ok(Block {
        mistakes: mistakes.0,
        about: about(&item.attrs),
        visibility: most_visible(&methods),
        item,
        name,
        methods,
        hooks,
    })
}

/// The block without the marks, which no other attribute knows.
pub(crate) fn without_marks(item: TokenStream) -> TokenStream {
    let Ok(mut block) = syn::parse2::<ItemImpl>(item.clone()) else {
        return item;
    };
    for inner in &mut block.items {
        if let ImplItem::Fn(function) = inner {
            function.attrs.retain(|attribute| mark(attribute).is_none());
        }
    }
    block.into_token_stream()
}

fn mark(attribute: &Attribute) -> Option<&'static str> {
    MARKS.into_iter().find(|mark| attribute.path().is_ident(mark))
}

fn type_name(ty: &Type) -> Option<Ident> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    last.arguments.is_none().then(|| last.ident.clone())
}

fn has_no_generics(generics: &Generics, whose: &str, mistakes: &mut Mistakes) {
    let mut parameters = generics.params.iter();
    // A lifetime only says what borrows from what.
    if let Some(parameter) = parameters.find(|parameter| !matches!(parameter, GenericParam::Lifetime(_))) {
        mistakes.add(
            parameter,
            &format!("{whose} has no parameters: its callers could not know them"),
        );
    }
}

enum Read {
    Method(Box<Method>),
    Hook(Hook),
}

fn read_function(function: &ImplItemFn, mistakes: &mut Mistakes) -> Option<Read> {
    let signature = &function.sig;
    let mut is_send = None;
    let mut command = None;
    for attribute in &function.attrs {
        let kind = match mark(attribute) {
            Some("send") => {
                is_send = Some(attribute);
                continue;
            }
            Some("command") => {
                match attribute.parse_args::<LitStr>() {
                    Ok(name) => command = Some(name),
                    Err(_) => mistakes.add(
                        attribute,
                        "expected the name of the command: `#[command(\"GET\")]`",
                    ),
                }
                continue;
            }
            Some("start") => HookKind::Start,
            Some("answered") => HookKind::Answered,
            Some("socket") => HookKind::Socket,
            Some("fallback") => HookKind::Fallback,
            _ => continue,
        };
        return Some(Read::Hook(Hook {
            kind,
            name: signature.ident.clone(),
        }));
    }
    let is_async = signature.asyncness.is_some();
    let mistakes_before = mistakes.1;
    has_no_generics(&signature.generics, "a method of a typed service", mistakes);
    check_receiver(function, is_async, mistakes);
    let mut parameters = Vec::new();
    for input in &signature.inputs {
        let FnArg::Typed(input) = input else { continue };
        if is_context(&input.ty) {
            parameters.push(Parameter::Context);
            continue;
        }
        let Pat::Ident(name) = &*input.pat else {
            mistakes.add(&input.pat, "an argument has a name, which its callers see");
            continue;
        };
        if matches!(&*input.ty, Type::ImplTrait(_)) {
            mistakes.add(&input.ty, "an argument has a type that its callers can know");
            continue;
        }
        parameters.push(Parameter::Argument(Box::new(Argument {
            name: name.ident.clone(),
            class: Class::of(&input.ty),
            is_optional: option(&input.ty).is_some(),
            text: text(&input.ty),
        })));
    }
    let result_type = match &signature.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(&**ty),
    };
    if let (Some(_), Some(ty)) = (is_send, result_type) {
        mistakes.add(ty, "a `#[send]` method has no result: nobody waits for it");
    }
    let result = read_result(result_type, mistakes)?;
    let keep = |name: &'static str| {
        let attributes = function.attrs.iter();
        attributes
            .filter(move |attribute| attribute.path().is_ident(name))
            .cloned()
            .collect()
    };
    let name = signature.ident.clone();
    Some(Read::Method(Box::new(Method {
        is_broken: mistakes.1 > mistakes_before,
        command: match command {
            Some(command) => command.value(),
            None => name.to_string().trim_start_matches("r#").to_owned(),
        },
        name,
        visibility: function.vis.clone(),
        docs: keep("doc"),
        conditions: keep("cfg"),
        is_async,
        is_send: is_send.is_some(),
        parameters,
        result,
        result_type: result_type.map(text).unwrap_or_default(),
    })))
}

fn check_receiver(function: &ImplItemFn, is_async: bool, mistakes: &mut Mistakes) {
    match (function.sig.receiver(), is_async) {
        (Some(receiver), true) => mistakes.add(
            receiver,
            "an `async` method has no `self`, because other messages change the state between its awaits: take \
             `context: &Context<Self>`, and read or change the state with `context.update(|state| …)`",
        ),
        (Some(receiver), false) if receiver.reference.is_none() => {
            mistakes.add(receiver, "a method takes `&self` or `&mut self`: the service lives on after it");
        }
        (None, false) => mistakes.add(
            &function.sig.ident,
            "a method takes `&self` or `&mut self`: move a function that is no command to another `impl` block",
        ),
        _ => {}
    }
}

/// Whether a type is `&Context<…>`.
fn is_context(ty: &Type) -> bool {
    let Type::Reference(reference) = ty else {
        return false;
    };
    matches!(&*reference.elem, Type::Path(path)
        if path.path.segments.last().is_some_and(|last| last.ident == "Context" && !last.arguments.is_none()))
}

fn read_result(ty: Option<&Type>, mistakes: &mut Mistakes) -> Option<MethodResult> {
    let Some(ty) = ty else {
        return Some(MethodResult {
            values: result_values(None),
            error: None,
        });
    };
    if matches!(ty, Type::ImplTrait(_)) {
        mistakes.add(ty, "a method answers with a type that its callers can know");
        return None;
    }
    let Some(last) = last_segment(ty).filter(|last| last.ident == "Result") else {
        return Some(MethodResult {
            values: result_values(Some(ty)),
            error: None,
        });
    };
    let PathArguments::AngleBracketed(generics) = &last.arguments else {
        mistakes.add(ty, "write the types of the result: `Result<T, E>`");
        return None;
    };
    let types: Vec<&Type> = generics
        .args
        .iter()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
        .collect();
    match types.as_slice() {
        [value, error] => Some(MethodResult {
            values: result_values(Some(value)),
            error: Some((*error).clone()),
        }),
        _ => {
            mistakes.add(
                ty,
                "write the error of the result as well, which its callers get: `Result<T, E>`",
            );
            None
        }
    }
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

fn result_values(ty: Option<&Type>) -> ResultValues {
    match ty {
        None => ResultValues::Values {
            classes: Vec::new(),
            is_tuple: true,
        },
        Some(Type::Tuple(tuple)) => ResultValues::Values {
            classes: tuple.elems.iter().map(Class::of).collect(),
            is_tuple: true,
        },
        Some(ty) if last_segment(ty).is_some_and(|last| last.ident == "Payload") => {
            ResultValues::Payload(ty.clone())
        }
        Some(ty) => ResultValues::Values {
            classes: vec![Class::of(ty)],
            is_tuple: false,
        },
    }
}

fn check_names(methods: &mut [Method], hooks: &[Hook], mistakes: &mut Mistakes) {
    for at in 0..methods.len() {
        let method = &methods[at];
        let mistakes_before = mistakes.1;
        if method.name == "at" {
            mistakes.add(
                &method.name,
                "`at` makes a client: give the method another name, and the command this one with `#[command(\"at\")]`",
            );
        }
        let is_same = |other: &&Method| other.command == method.command && other.conditions.is_empty();
        if let Some(other) = methods[..at].iter().find(is_same)
            && method.conditions.is_empty()
        {
            mistakes.add(
                &method.name,
                &format!(
                    "the command `{}` is that of `{}` already",
                    method.command, other.name
                ),
            );
        }
        methods[at].is_broken |= mistakes.1 > mistakes_before;
    }
    for (at, hook) in hooks.iter().enumerate() {
        if hooks[..at].iter().any(|other| other.kind == hook.kind) {
            mistakes.add(&hook.name, "this mark is on another method already");
        }
    }
}

/// The visibility of the client: that of the most visible method.
fn most_visible(methods: &[Method]) -> Visibility {
    let rank = |visibility: &Visibility| match visibility {
        Visibility::Public(_) => 2,
        Visibility::Restricted(_) => 1,
        Visibility::Inherited => 0,
    };
    let visible = methods.iter().map(|method| &method.visibility);
    let most = visible.max_by_key(|visibility| rank(visibility));
    most.cloned().unwrap_or(Visibility::Inherited)
}
