//! Where the derive's errors stand, and what a user reads. Only errors of our own: how the compiler
//! words its own changes with its version.

#[test]
fn errors_stand_where_the_mistake_is() {
    trybuild::TestCases::new().compile_fail("tests/errors/*.rs");
}
