//! The function with a guard around its body. Pure token work.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result, ReturnType, Type};

use crate::args::Args;

/// `function`, but its failure prints what `args` says.
pub(crate) fn expand(args: &Args, function: &ItemFn) -> Result<TokenStream> {
    if let Some(asyncness) = function.sig.asyncness {
        return Err(Error::new_spanned(asyncness, "async tests are not supported"));
    }
    let ItemFn { attrs, vis, sig, block } = function;
    let message = message(args, &sig.ident.to_string());
    let output = &sig.output;
    // A panic is noticed by a guard that is dropped while the thread unwinds, an `Err` by looking at the result.
    let on_error = returns_result(output).then(|| {
        quote! {
            if ::core::result::Result::is_err(&__cheat_result) {
                ::std::eprintln!("{}", __CHEAT_MESSAGE);
            }
        }
    });
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            const __CHEAT_MESSAGE: &str = #message;
            struct __CheatGuard;
            impl ::core::ops::Drop for __CheatGuard {
                fn drop(&mut self) {
                    if ::std::thread::panicking() {
                        ::std::eprintln!("{}", __CHEAT_MESSAGE);
                    }
                }
            }
            let __cheat_guard = __CheatGuard;
            let __cheat_result = (move || #output #block)();
            #on_error
            __cheat_result
        }
    })
}

fn message(args: &Args, name: &str) -> String {
    let Args { protects, severity, cheats, consequence } = args;
    let cheats = cheats.iter().map(|c| format!("\n  cheat:       {c}")).collect::<String>();
    format!(
        "\n{severity} promise broken, noticed by {name}\
         \n  protects:    {protects}\
         \n  users lose:  {consequence}{cheats}\
         \nMending the test instead of the product by one of these cheats breaks the promise unseen.\n"
    )
}

/// Whether the return type is written as some `...::Result<...>`.
fn returns_result(output: &ReturnType) -> bool {
    let ReturnType::Type(_, ty) = output else { return false };
    let Type::Path(path) = &**ty else { return false };
    path.path.segments.last().is_some_and(|s| s.ident == "Result")
}
