//! The attribute of `wpaas-sdk`. wstd's own attribute cannot be passed on: what it writes names the crate
//! `::wstd`, which an app would then have to depend on too.

use proc_macro::TokenStream;
use proc_macro2::{Span, TokenStream as Tokens};
use quote::{format_ident, quote};
use syn::{Error, ItemFn, spanned::Spanned};

/// Makes an `async fn(Request<Body>) -> Result<Response<…>>` the app's HTTP handler.
///
/// The name decides where it may stand: `main` in `src/main.rs`, any name in a library with
/// `crate-type = ["cdylib"]`. Exactly one function of an app carries the attribute.
#[proc_macro_attribute]
pub fn http(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand(attribute.into(), item.into()).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(attribute: Tokens, item: Tokens) -> Result<Tokens, Error> {
    if !attribute.is_empty() {
        return Err(Error::new(attribute.span(), "`#[http]` takes no arguments"));
    }
    let mut function: ItemFn = syn::parse2(item)?;
    check(&function)?;

    // rustc wants a plain `fn main` in `src/main.rs`, so that name is given away.
    let (name, main) = if function.sig.ident == "main" {
        function.sig.ident = format_ident!("handler", span = function.sig.ident.span());
        (function.sig.ident.clone(), quote! { fn main() { ::wpaas_sdk::__private::main() } })
    } else {
        (function.sig.ident.clone(), Tokens::new())
    };
    let unused = quote! {
        #[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "only a component has a caller"))]
    };

    Ok(quote! {
        #unused
        #function

        // Natively, as in the app's unit tests, there is no host to export to.
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Component;

            impl ::wpaas_sdk::__private::Guest for Component {
                fn handle(
                    request: ::wpaas_sdk::__private::IncomingRequest,
                    response: ::wpaas_sdk::__private::ResponseOutparam,
                ) {
                    ::wpaas_sdk::__private::serve(request, response, #name);
                }
            }

            ::wpaas_sdk::__private::export!(
                Component with_types_in ::wpaas_sdk::__private::wasip2
            );
        };

        #main
    })
}

fn check(function: &ItemFn) -> Result<(), Error> {
    let signature = &function.sig;
    let refuse = |span: Span, message: &str| Err(Error::new(span, message));
    if signature.asyncness.is_none() {
        return refuse(signature.fn_token.span(), "the handler must be an `async fn`");
    }
    if !signature.generics.params.is_empty() {
        return refuse(signature.generics.span(), "the handler cannot be generic");
    }
    if signature.inputs.len() != 1 {
        return refuse(signature.ident.span(), "the handler takes one argument: `Request<Body>`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(attribute: Tokens, item: Tokens) -> String {
        expand(attribute, item).expect_err("must be refused").to_string()
    }

    #[test]
    fn says_what_is_wrong_with_a_handler() {
        let none = Tokens::new;
        let one = quote! { request: Request<Body> };
        assert_eq!(
            refusal(none(), quote! { fn main(#one) {} }),
            "the handler must be an `async fn`"
        );
        assert_eq!(
            refusal(none(), quote! { async fn main() {} }),
            "the handler takes one argument: `Request<Body>`"
        );
        assert_eq!(
            refusal(none(), quote! { async fn main<T>(#one) {} }),
            "the handler cannot be generic"
        );
        assert_eq!(
            refusal(quote! { port = 1 }, quote! { async fn main(#one) {} }),
            "`#[http]` takes no arguments"
        );
    }

    #[test]
    fn gives_a_program_its_main_and_a_library_none() {
        let functions = |item| {
            let file: syn::File = syn::parse2(expand(Tokens::new(), item).unwrap()).unwrap();
            file.items
                .iter()
                .filter_map(|item| match item {
                    syn::Item::Fn(function) => Some(function.sig.ident.to_string()),
                    _ => None,
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(functions(quote! { async fn main(r: R) -> T { t } }), ["handler", "main"]);
        assert_eq!(functions(quote! { async fn hello(r: R) -> T { t } }), ["hello"]);
    }
}
