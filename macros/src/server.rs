//! Writes the service: how a message becomes the call of a method, and its result an answer.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::declaration;
use crate::method::{Argument, Block, HookKind, Method, Parameter, ResultValues};
use crate::types::{Class, Way};

/// The implementations of `Service` and `TypedService`.
pub(crate) fn write(block: &Block) -> TokenStream {
    let (ty, declaration) = (&block.item.self_ty, declaration::write(block));
    let arms = block.methods.iter().filter(|method| !method.is_broken).map(arm);
    let otherwise = match block.hooks.iter().find(|hook| hook.kind == HookKind::Fallback) {
        Some(hook) => {
            let name = &hook.name;
            quote! {
                match ::skyring::typed::generated::described(command, <Self as ::skyring::typed::TypedService>::DECLARATION) {
                    ::core::option::Option::Some(answer) => answer,
                    ::core::option::Option::None => {
                        self.#name(context, ::skyring::typed::generated::keep(message))
                    }
                }
            }
        }
        None => quote!(::skyring::typed::generated::unknown(
            command,
            arguments,
            <Self as ::skyring::typed::TypedService>::DECLARATION
        )),
    };
    let hooks = block.hooks.iter().map(|hook| {
        let name = &hook.name;
        match hook.kind {
            HookKind::Fallback => quote!(),
            HookKind::Start => quote! {
                fn start(&mut self, context: &::skyring::Context<Self>) -> ::core::result::Result<(), ::skyring::Error> {
                    self.#name(context)
                }
            },
            HookKind::Answered => quote! {
                fn answered(
                    &mut self,
                    context: &::skyring::Context<Self>,
                    session: u32,
                    result: ::core::result::Result<::skyring::Payload, ::skyring::Error>,
                ) {
                    self.#name(context, session, result)
                }
            },
            HookKind::Socket => quote! {
                fn socket(&mut self, context: &::skyring::Context<Self>, event: ::skyring::SocketEvent) {
                    self.#name(context, event)
                }
            },
        }
    });
    quote! {
        impl ::skyring::Service for #ty {
            fn handle(&mut self, context: &::skyring::Context<Self>, message: ::skyring::Message) -> ::skyring::Answer {
                ::skyring::typed::handle(self, context, message)
            }
            #(#hooks)*
        }

        impl ::skyring::typed::TypedService for #ty {
            const DECLARATION: &'static ::skyring::typed::Declaration = &#declaration;

            #[inline]
            fn dispatch(
                &mut self,
                context: &::skyring::Context<Self>,
                message: &::skyring::Message,
                command: ::core::option::Option<&[u8]>,
                arguments: &mut ::skyring::typed::Arguments<'_>,
            ) -> ::skyring::Answer {
                match command {
                    #(#arms)*
                    _ => #otherwise,
                }
            }
        }
    }
}

/// The arm of a command.
fn arm(method: &Method) -> TokenStream {
    let command = Literal::byte_string(method.command.as_bytes());
    let (name, conditions) = (&method.name, &method.conditions);
    let passed = passed(method);
    let body = if method.is_async {
        let reads = method.arguments().enumerate().map(|(at, argument)| {
            let (name, read) = (variable(at), read(argument));
            quote!(let #name = #read?;)
        });
        let answered = answered(
            method,
            quote!(Self::#name(#(#passed),*).await),
            |value| quote!(#value?),
        );
        quote! {
            let context = ::core::clone::Clone::clone(context);
            let message = ::skyring::typed::generated::keep(message);
            ::skyring::Answer::later(async move {
                let context = context;
                let arguments = &mut ::skyring::typed::generated::arguments::<Self>(&message);
                #(#reads)*
                arguments.end()?;
                #answered
            })
        }
    } else {
        // Not a function with a result for `?`: an answer would be moved once more.
        let or_answer = |value: TokenStream| {
            quote! {
                match #value {
                    ::core::result::Result::Ok(value) => value,
                    ::core::result::Result::Err(error) => return ::skyring::Answer::error(error),
                }
            }
        };
        let reads = method.arguments().enumerate().map(|(at, argument)| {
            let (name, read) = (variable(at), or_answer(read(argument)));
            quote!(let #name = #read;)
        });
        let answered = answered(method, quote!(self.#name(#(#passed),*)), or_answer);
        quote! {
            #(#reads)*
            if let ::core::result::Result::Err(error) = arguments.end() {
                return ::skyring::Answer::error(error);
            }
            ::skyring::Answer::from(#answered)
        }
    };
    quote! {
        #(#conditions)*
        ::core::option::Option::Some(#command) => { #body }
    }
}

/// The variable of an argument. Not its own name, which could be that of another variable here.
fn variable(at: usize) -> Ident {
    format_ident!("argument_{at}")
}

/// What the method is called with.
fn passed(method: &Method) -> Vec<TokenStream> {
    let mut at = 0;
    let passed = method.parameters.iter().map(|parameter| match parameter {
        Parameter::Context => quote!(&context),
        Parameter::Argument(_) => {
            let name = variable(at);
            at += 1;
            quote!(#name)
        }
    });
    passed.collect()
}

/// Reads an argument: a result.
fn read(argument: &Argument) -> TokenStream {
    let class = &argument.class;
    let (ty, span) = (&class.ty, class.span());
    match class.way {
        Way::Plain | Way::Bytes => quote_spanned!(span=> arguments.plain::<#ty>()),
        Way::Serde => {
            quote_spanned!(span=> <#ty as ::skyring::typed::ArgumentValue<'_>>::read(arguments))
        }
    }
}

/// The `Result<Payload, Error>` of a method's result. `or_end` gives the value of a result, or ends with its error.
fn answered(method: &Method, call: TokenStream, or_end: impl Fn(TokenStream) -> TokenStream) -> TokenStream {
    let value = match &method.result.error {
        Some(error) => {
            let span = Span::call_site().located_at(error.span());
            or_end(quote_spanned!(span=> ::skyring::typed::generated::succeed::<_, #error>(#call)))
        }
        None => call,
    };
    match &method.result.values {
        ResultValues::Payload(_) => quote! {{
            let payload: ::skyring::Payload = #value;
            ::core::result::Result::<_, ::skyring::Error>::Ok(payload)
        }},
        ResultValues::Values { classes, .. } if classes.is_empty() => quote! {{
            let () = #value;
            ::core::result::Result::<_, ::skyring::Error>::Ok(::skyring::Payload::default())
        }},
        ResultValues::Values { classes, is_tuple } => {
            let names: Vec<_> = (0..classes.len()).map(|at| format_ident!("value_{at}")).collect();
            let pattern = if *is_tuple {
                quote!((#(#names,)*))
            } else {
                quote!(#(#names)*)
            };
            let writes = classes
                .iter()
                .zip(&names)
                .map(|(class, name)| write_value(class, &quote!(&#name)));
            quote! {{
                let #pattern = #value;
                ::skyring::Payload::build(|packer| -> ::core::result::Result<(), ::skyring::seri::SerdeError> {
                    #(#writes)*
                    ::core::result::Result::Ok(())
                })
            }}
        }
    }
}

/// Writes one value of an answer.
fn write_value(class: &Class, value: &TokenStream) -> TokenStream {
    let span = class.span();
    match class.way {
        Way::Plain | Way::Bytes => quote!(::skyring::typed::generated::put_plain(packer, #value)?;),
        // The client has the same error about the same type.
        Way::Serde if !class.is_borrowed => {
            let ty = &class.ty;
            quote_spanned!(span=> <#ty as ::skyring::typed::AnswerValue>::write(#value, packer)?;)
        }
        Way::Serde => quote_spanned!(span=> packer.serialize(#value)?;),
    }
}
