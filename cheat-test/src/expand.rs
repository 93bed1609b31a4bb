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
    guarded(args, function)?;
    let ItemFn { attrs, vis, sig, block } = function;
    let name = sig.ident.to_string();
    let message = message(args, &name);
    let output = &sig.output;
    let severity = &args.severity;
    // A panic is noticed by a guard that is dropped while the thread unwinds, an `Err` by looking at the result.
    let on_error = returns_result(output).then(|| {
        quote! { __cheat_guard.failed = ::core::result::Result::is_err(&__cheat_result); }
    });
    // Not every test returns a `Result`.
    let is_mut = on_error.is_some().then(|| quote! { mut });
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            const __CHEAT_MESSAGE: &str = #message;
            struct __CheatGuard {
                failed: bool,
            }
            impl ::core::ops::Drop for __CheatGuard {
                fn drop(&mut self) {
                    let failed = self.failed || ::std::thread::panicking();
                    if failed {
                        ::std::eprintln!("{}", __CHEAT_MESSAGE);
                    }
                    // One line for each test that ran, for whoever counts them.
                    let Some(ledger) = ::std::env::var_os("CHEAT_TEST_LEDGER") else { return };
                    let line = ::std::format!(
                        "{{\"test\":\"{}::{}\",\"severity\":\"{}\",\"passed\":{}}}\n",
                        ::core::module_path!(), #name, #severity, !failed,
                    );
                    let written = ::std::fs::OpenOptions::new()
                        .create(true)
                        .append(true)
                        .open(&ledger)
                        .and_then(|mut file| ::std::io::Write::write_all(&mut file, line.as_bytes()));
                    if let ::core::result::Result::Err(error) = written {
                        ::std::eprintln!("failed to write {}: {error}", ledger.display());
                        ::std::process::abort();
                    }
                }
            }
            let #is_mut __cheat_guard = __CheatGuard { failed: false };
            let __cheat_result = (move || #output #block)();
            #on_error
            __cheat_result
        }
    })
}

/// A promise whose breach is critical is tested always, and its test is known to notice.
fn guarded(args: &Args, function: &ItemFn) -> Result<()> {
    for attr in &function.attrs {
        let name = attr.path().get_ident().map(ToString::to_string).unwrap_or_default();
        let is_critical = args.severity == "CRITICAL";
        if is_critical && matches!(name.as_str(), "ignore" | "cfg" | "cfg_attr") {
            return Err(Error::new_spanned(attr, format!("a CRITICAL test runs always: no `#[{name}]`")));
        }
        if name == "should_panic" {
            return Err(Error::new_spanned(
                attr,
                "a test that should panic cannot tell a breach from a pass",
            ));
        }
    }
    if args.severity == "CRITICAL" && args.sabotage.is_empty() {
        return Err(Error::new(
            args.severity_at,
            "a CRITICAL test needs `sabotage = [\"NAME\", ...]`: patches in sabotage/ that it is seen to notice",
        ));
    }
    Ok(())
}

fn message(args: &Args, name: &str) -> String {
    let Args { protects, severity, cheats, consequence, .. } = args;
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
