//! Mistakes in the attribute are compile errors that point at the mistake.

#[test]
fn mistakes_are_compile_errors() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
