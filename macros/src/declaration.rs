//! Writes what the service declares about its methods.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::method::{Block, Method, ResultValues, about};

/// The value of the constant.
pub(crate) fn write(block: &Block) -> TokenStream {
    let (name, about) = (block.name.to_string(), &block.about);
    let methods = block
        .methods
        .iter()
        .filter(|method| method.name != "at")
        .map(method);
    quote! {
        ::skyring::typed::Declaration {
            name: #name,
            about: #about,
            methods: &[#(#methods),*],
        }
    }
}

fn method(method: &Method) -> TokenStream {
    if method.is_broken {
        return broken(method);
    }
    let (command, text, is_send) = (&method.command, about(&method.docs), method.is_send);
    let arguments = method.arguments().map(|argument| {
        let (name, text) = (argument.name.to_string(), &argument.text);
        let name = name.trim_start_matches("r#");
        let (is_optional, shape) = (argument.is_optional, argument.class.shape());
        quote! {
            ::skyring::typed::ArgumentDeclaration {
                name: #name,
                type_name: #text,
                is_optional: #is_optional,
                shape: #shape,
            }
        }
    });
    let results = match &method.result.values {
        ResultValues::Values { classes, .. } => {
            let shapes = classes.iter().map(|class| class.answer_shape());
            quote!(&[#(#shapes),*])
        }
        ResultValues::Payload(_) => quote!(&[|| ::skyring::typed::Shape::Any]),
    };
    let error = match &method.result.error {
        Some(error) => {
            let span = proc_macro2::Span::call_site().located_at(error.span());
            quote_spanned!(span=> ::core::option::Option::Some(<#error as ::skyring::typed::MethodError>::shape))
        }
        None => quote!(::core::option::Option::None),
    };
    let (conditions, result_type) = (&method.conditions, &method.result_type);
    quote! {
        #(#conditions)*
        ::skyring::typed::MethodDeclaration {
            name: #command,
            about: #text,
            is_send: #is_send,
            arguments: &[#(#arguments),*],
            result_type: #result_type,
            results: #results,
            error: #error,
        }
    }
}

/// Stands for a method whose mistake was reported: its types, which may not be what they should, are not looked at.
fn broken(method: &Method) -> TokenStream {
    let (conditions, command) = (&method.conditions, &method.command);
    quote! {
        #(#conditions)*
        ::skyring::typed::MethodDeclaration {
            name: #command,
            about: "",
            is_send: false,
            arguments: &[],
            result_type: "",
            results: &[],
            error: ::core::option::Option::None,
        }
    }
}
