//! Writes the client: a method for each command.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Attribute;
use syn::spanned::Spanned;

use crate::method::{Argument, Block, Method, ResultValues};
use crate::types::{Class, Way};

/// The struct and its methods.
pub(crate) fn write(block: &Block) -> TokenStream {
    let (client, visibility) = (block.client(), &block.visibility);
    let name = &block.name;
    let about = format!("Calls a service [`{name}`].");
    let at_about = format!(
        "A client of the `{name}` at an address. `place` says where calls begin and which node they go to."
    );
    let mut methods = TokenStream::new();
    // Where the declaration of the next method stands in the list. One that is left out has no place there.
    let (mut certain, mut conditional) = (0_usize, TokenStream::new());
    // `at` is the one mistake that the client would repeat.
    for method in block.methods.iter().filter(|method| method.name != "at") {
        let place = Literal::usize_unsuffixed(certain);
        methods.extend(write_method(method, &block.name, &quote!(#place #conditional)));
        let conditions = method
            .conditions
            .iter()
            .filter_map(|condition| condition.meta.require_list().ok());
        let conditions: Vec<&TokenStream> = conditions.map(|list| &list.tokens).collect();
        if conditions.is_empty() {
            certain += 1;
        } else {
            conditional.extend(quote!(+ ::core::cfg!(all(#(#conditions),*)) as usize));
        }
    }
    // A program may call only some of its services' commands.
    let unused = allow("dead_code");
    quote! {
        #[doc = #about]
        #unused
        #[derive(Clone)]
        #visibility struct #client<P = ::skyring::NodeRef> {
            place: P,
            address: ::skyring::Address,
        }

        #unused
        impl<P: ::skyring::typed::Place> #client<P> {
            #[doc = #at_about]
            #visibility fn at(place: P, address: impl ::core::convert::Into<::skyring::Address>) -> Self {
                Self {
                    place,
                    address: address.into(),
                }
            }

            #methods
        }
    }
}

/// The attribute that silences a lint in the program of the user.
fn allow(lint: &str) -> TokenStream {
    let (attribute, lint) = (format_ident!("allow"), format_ident!("{lint}"));
    quote!(#[#attribute(#lint)])
}

fn write_method(method: &Method, service: &Ident, place: &TokenStream) -> TokenStream {
    let (name, visibility) = (&method.name, &method.visibility);
    let (docs, conditions) = (documentation(method), &method.conditions);
    let parameters = method.arguments().map(|argument| {
        let (name, ty) = (&argument.name, &argument.class.ty);
        quote!(#name: #ty)
    });
    let writes = method.arguments().map(write_argument);
    let command = &method.command;
    let packed = quote! {
        ::skyring::Payload::build(|__packer| -> ::core::result::Result<(), ::skyring::seri::SerdeError> {
            __packer.string(#command.as_bytes())?;
            #(#writes)*
            ::core::result::Result::Ok(())
        })
    };
    if method.is_send {
        return quote! {
            #(#docs)*
            #(#conditions)*
            #visibility fn #name(&self, #(#parameters),*) -> ::core::result::Result<(), ::skyring::Error> {
                self.place.send_at(&self.address, #packed?)
            }
        };
    }
    let (value, read) = result(method);
    let outcome = quote! {
        ::skyring::typed::generated::read_answer(
            outcome,
            &<#service as ::skyring::typed::TypedService>::DECLARATION.methods[#place],
            |values| -> ::core::result::Result<#value, ::skyring::seri::SerdeError> { #read },
        )
    };
    let outcome = match &method.result.values {
        ResultValues::Payload(_) => quote!(outcome),
        ResultValues::Values { .. } => outcome,
    };
    let (error, outcome) = match &method.result.error {
        Some(error) => {
            let span = Span::call_site().located_at(error.span());
            (
                quote_spanned!(span=> <#error as ::skyring::typed::MethodError>::AtCaller),
                quote_spanned!(span=> #outcome.map_err(<#error as ::skyring::typed::MethodError>::at_caller)),
            )
        }
        None => (quote!(::skyring::Error), outcome),
    };
    // A type that cannot be the error of a method is reported where it stands, also by what is written about it here.
    let span = match &method.result.error {
        Some(error) => Span::call_site().located_at(error.span()),
        None => Span::call_site(),
    };
    let call_type = quote_spanned! {span=>
        ::skyring::typed::TypedCall<
            <P as ::skyring::typed::Place>::Call,
            impl ::core::ops::Fn(
                ::core::result::Result<::skyring::Payload, ::skyring::Error>,
            ) -> ::core::result::Result<#value, #error> + use<P>,
        >
    };
    // The mistake of a method was reported: what would follow from it is not.
    let call = match method.is_broken {
        true => quote!(::skyring::typed::TypedCall::new(
            ::core::unreachable!(),
            |_| ::core::unreachable!()
        )),
        false => quote_spanned! {span=>
            ::skyring::typed::TypedCall::new(self.place.call_at(&self.address, #packed), |outcome| #outcome)
        },
    };
    quote! {
        #(#docs)*
        #(#conditions)*
        #[inline]
        #visibility fn #name(
            &self,
            #(#parameters),*
        ) -> #call_type {
            #call
        }
    }
}

fn documentation(method: &Method) -> Vec<Attribute> {
    if !method.docs.is_empty() {
        return method.docs.clone();
    }
    let about = format!("Calls the command `{}`.", method.command);
    vec![syn::parse_quote!(#[doc = #about])]
}

fn write_argument(argument: &Argument) -> TokenStream {
    let (name, class) = (&argument.name, &argument.class);
    let (ty, span) = (&class.ty, class.span());
    match class.way {
        Way::Plain | Way::Bytes => quote!(::skyring::typed::generated::put_plain(__packer, &#name)?;),
        Way::Serde => {
            quote_spanned!(span=> <#ty as ::skyring::typed::ArgumentValue<'_>>::write(&#name, __packer)?;)
        }
    }
}

/// The type that a caller gets, and how it is read from `values`.
fn result(method: &Method) -> (TokenStream, TokenStream) {
    let (classes, is_tuple) = match &method.result.values {
        ResultValues::Payload(ty) => return (quote!(#ty), quote!()),
        ResultValues::Values { classes, is_tuple } => (classes, is_tuple),
    };
    let types = classes.iter().map(|class| &class.owned);
    let reads = classes.iter().map(read);
    if *is_tuple {
        (
            quote!((#(#types,)*)),
            quote!(let _ = &values; ::core::result::Result::Ok((#(#reads?,)*))),
        )
    } else {
        (quote!(#(#types)*), quote!(#(#reads)*))
    }
}

fn read(class: &Class) -> TokenStream {
    let (ty, span) = (&class.owned, class.span());
    match class.way {
        Way::Plain | Way::Bytes => quote!(::skyring::typed::generated::take_plain(values)),
        Way::Serde => quote_spanned!(span=> <#ty as ::skyring::typed::AnswerValue>::read(values)),
    }
}
