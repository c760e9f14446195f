use quote::quote;

use super::item::{Body, Function, Output};
use super::*;

fn body(body: &Body) -> String {
    match body {
        Body::Whole(whole) => format!("whole {whole}"),
        Body::Future { before, block, by_move, .. } => {
            format!("{before} | {by_move} | {block}")
        }
    }
}

#[test]
fn a_function_is_read_by_its_tokens() {
    for (item, name, output, expected) in [
        (
            quote!(
                fn f() {
                    1
                }
            ),
            "f",
            "",
            "whole 1",
        ),
        (
            quote!(
                pub(crate) async fn f() -> u8 {
                    1
                }
            ),
            "f",
            "-> u8",
            "whole 1",
        ),
        (
            quote!(
                #[doc = "x"]
                pub fn f<F: Fn(u8) -> Vec<u8>, const N: usize>(f: F) -> [u8; N]
                where
                    F: Send,
                {
                    f
                }
            ),
            "f",
            "-> [u8 ; N]",
            "whole f",
        ),
        (
            quote!(
                fn f<'a, T>(&'a mut self) -> Result<impl Iterator<Item = u8> + 'a, T> {
                    x
                }
            ),
            "f",
            "-> Result < _ , T >",
            "whole x",
        ),
        (
            quote!(
                fn f() -> impl Sized {
                    x
                }
            ),
            "f",
            "",
            "whole x",
        ),
        (
            quote!(
                extern "C" fn f() -> ! {
                    x
                }
            ),
            "f",
            "-> !",
            "whole x",
        ),
        (
            quote!(
                fn f() -> Foo<{ 1 }> {
                    x
                }
            ),
            "f",
            "-> Foo < { 1 } >",
            "whole x",
        ),
        (
            quote!(
                fn f<'a>() -> Pin<Box<dyn Future<Output = Result<u8, E>> + Send + 'a>> {
                    x;
                    Box::pin(async move { y })
                }
            ),
            "f",
            "-> Result < u8 , E >",
            "x ; Box :: pin | move | y",
        ),
        (
            quote!(
                fn f() -> impl Future<Output = ()> {
                    async { y }
                }
            ),
            "f",
            "-> ()",
            " |  | y",
        ),
        (
            quote!(
                fn f() -> BoxFuture<'static, u8> {
                    ::std::boxed::Box::pin(async move { y })
                }
            ),
            "f",
            "",
            ":: std :: boxed :: Box :: pin | move | y",
        ),
    ] {
        let function = Function::parse("traced", item).unwrap();
        assert_eq!(function.name, name);
        assert_eq!(function.output.arrow().to_string(), output, "{expected}");
        assert_eq!(body(&function.body), expected);
    }
}

#[test]
fn what_is_no_function_is_refused_and_left_as_it_is() {
    for item in [
        quote!(
            struct S;
        ),
        quote!(
            const X: u8 = 1;
        ),
        quote!(let x = 1;),
        quote!(impl S { fn f() {} }),
        quote!(
            const fn f() {}
        ),
        quote!(
            pub unsafe fn f() {}
        ),
        quote!(
            fn f(&self);
        ),
        quote!(
            fn f() -> impl Future {
                g()
            }
        ),
        quote!(),
    ] {
        let wrapped = wrap(&TRACED, quote!(), item.clone()).to_string();
        assert!(wrapped.contains("compile_error"), "{wrapped}");
        assert!(wrapped.ends_with(&item.to_string()), "{wrapped}");
    }
}

#[test]
fn a_wrapper_is_around_another() {
    let item = quote!(
        async fn f(n: u8) -> u8 {
            n
        }
    );
    let keys = || quote!(tool = "t", operation = "o");
    let once = wrap(&TRACK_REQUEST_METRICS, keys(), item);
    let twice = wrap(&LOG_OPERATION, keys(), once.clone());
    let function = Function::parse("traced", twice.clone()).unwrap();
    assert!(function.is_async && matches!(function.output, Output::Type(_)));
    let watches = |code: &TokenStream| code.to_string().matches(":: watch").count();
    assert_eq!((watches(&once), watches(&twice)), (1, 2));
}
