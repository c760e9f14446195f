//! Each rule is broken here; where the errors stand is in `tests/errors`.

use syn::{DeriveInput, parse_str};

/// The messages of all errors in `source`.
fn errors(source: &str) -> Vec<String> {
    let input: DeriveInput = parse_str(source).unwrap();
    match super::derive(&input) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| error.to_string()).collect(),
    }
}

#[track_caller]
fn refused(source: &str, parts: &[&str]) {
    let errors = errors(source);
    let as_expected = errors.len() == parts.len()
        && errors.iter().zip(parts).all(|(error, part)| error.contains(part));
    assert!(as_expected, "{source}: {errors:#?}");
}

#[track_caller]
fn accepted(source: &str) {
    refused(source, &[]);
}

#[test]
fn what_is_right_has_no_errors() {
    accepted("enum Status { Success, Error }");
    accepted("enum Status { Success = 3, #[label(\"x\")] Error }");
    accepted("#[label(rename_all = \"kebab-case\", name = \"s\", crate = a::b)] enum Status { A }");
    accepted("#[label(rename_all = \"kebab-case\")] #[label(name = \"s\")] enum Status { A }");
    accepted("struct Call<'a, T> where T: Copy { tool: &'a str, #[label(name = \"s\")] st: T }");
    accepted("#[label(open, crate = crate::vitals)] struct Call { status: Status }");
    accepted("struct Call { r#type: Kind, }");
    // Not ours.
    accepted("#[doc = \"x\"] #[serde(tag = 1)] enum Status { #[default] A }");
}

#[test]
fn what_is_no_set_of_labels_is_refused() {
    refused("union U { a: u8 }", &["a union has neither"]);
    refused("enum Never {}", &["without variants"]);
    refused("struct Unit;", &["without fields"]);
    refused("struct Empty {}", &["without fields"]);
    refused("struct Tuple(Status, Status);", &["give each field a name"]);
    refused("enum E { A(u8), B { b: u8 }, C }", &["make `A` a unit", "make `B` a unit"]);
}

#[test]
fn label_names_follow_the_rules() {
    let rules = [
        ("", "must match"),
        ("9a", "must match"),
        ("a-b", "must match"),
        ("a:b", "must match"),
        ("ä", "must match"),
        ("le", "histogram's buckets"),
        ("__name__", "Prometheus's own"),
        ("vitals_copy", "textfiles"),
    ];
    for (name, rule) in rules {
        refused(&format!("struct S {{ #[label(name = \"{name}\")] a: A }}"), &[rule]);
        refused(&format!("#[label(name = \"{name}\")] enum E {{ A }}"), &[rule]);
    }
    refused("struct S { le: A, __x: A, größe: A }", &["buckets", "Prometheus's own", "must match"]);
    refused("enum Le { A }", &["buckets"]);
    for name in ["_a", "a9_", "Le", "LE", "_"] {
        accepted(&format!("struct S {{ #[label(name = \"{name}\")] a: A }}"));
    }
}

#[test]
fn labels_are_sixteen_at_most_and_each_is_another() {
    let fields = |n: u32| (0..n).map(|n| format!("f{n}: A,")).collect::<String>();
    accepted(&format!("struct S {{ {} }}", fields(16)));
    refused(&format!("struct S {{ {} }}", fields(17)), &["at most 16"]);
    refused("struct S { a: A, #[label(name = \"a\")] b: A }", &["label is `a` already"]);
    refused("struct S { r#type: A, #[label(name = \"type\")] b: A }", &["label is `type` already"]);
}

#[test]
fn values_are_told_apart() {
    refused("enum E { A, #[label(\"a\")] B }", &["value is `a` already"]);
    // By their case alone.
    refused("enum E { HTTPError, HttpError }", &["value is `http_error` already"]);
    refused("enum E { #[label(\"\")] A, #[label(\"_other\")] B }", &["no label", "past a limit"]);
    refused("enum E { __ }", &["no label"]);
    // Any other text will do.
    accepted("enum E { #[label(\"ä \\\"\\n\")] A, #[label(\"other\")] B, #[label(\"A\")] C }");
}

#[test]
fn attributes_say_where_they_belong() {
    refused("#[label] enum E { A }", &["with parentheses"]);
    refused("#[label = \"x\"] struct S { a: A }", &["with parentheses"]);
    refused("#[label(nam = \"x\")] enum E { A }", &["takes \"…\", name"]);
    refused("#[label(7)] enum E { A }", &["takes \"…\", name"]);
    refused("#[label(name)] enum E { A }", &["expected `=`"]);
    refused("#[label(name = x)] enum E { A }", &["string literal"]);
    refused("#[label(rename_all = \"snake\")] enum E { A }", &["snake_case"]);
    refused("#[label(\"x\")] enum E { A }", &["`name = \"…\"` is the label's name"]);
    refused("#[label(open)] enum E { A }", &["for a struct"]);
    refused("#[label(name = \"x\")] struct S { a: A }", &["on a field"]);
    refused("#[label(rename_all = \"kebab-case\")] struct S { a: A }", &["on a field"]);
    refused("#[label(\"x\")] struct S { a: A }", &["a variant's value"]);
    refused("enum E { #[label(name = \"x\")] A }", &["write `#[label(\"…\")]`"]);
    refused("enum E { #[label(open)] A }", &["for the whole type"]);
    refused("struct S { #[label(\"x\")] a: A }", &["write `#[label(name = \"…\")]`"]);
    refused("struct S { #[label(crate = x)] a: A }", &["for the whole type"]);
    refused("#[label(name = \"x\", name = \"y\")] enum E { A }", &["said twice"]);
    refused("enum E { #[label(\"x\")] #[label(\"y\")] A }", &["said twice"]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let source = "#[label(open)] enum Le { A(u8), #[label(\"\")] B, #[label(x)] C, C }";
    assert_eq!(errors(source).len(), 6, "{:#?}", errors(source));
}
