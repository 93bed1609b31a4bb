//! The scanner against Rhai itself: what Rhai takes for strings, numbers, variables and functions is that here too, in the same place.

use rhai::{Dynamic, Engine, Token};
use testkit::random::Random;

use super::literal::Value;
use super::scan::{Kind, Place, tokens};
use super::*;

/// Sources of values, each a literal for both.
const LITERALS: &[&str] = &[
    "()",
    "true",
    "false",
    "0",
    "-5",
    "- 5",
    "- 0x10",
    "1_000_000",
    "0xfF",
    "0XFF_ff",
    "0o17",
    "0O7",
    "0b1010",
    "0B1",
    "1.5",
    "-2.25",
    "1e5",
    "1.5e-3",
    "2.5E+10",
    "1e-5",
    "0.1_5",
    "\"\"",
    "\"a\\t\\n\\r\\\\\\\"'`b\"",
    "\"\\x41\\u00fc\\U0001f600\"",
    "\"\u{fc}\u{1f600} // no comment /* none */ ${no} `\"",
    "\"goes \\\n   \t on\"",
    "\"goes \\\r\n     on\"",
    "\"two \"\" are one\"",
    "\"\"\"\"",
    "\"goes\\\n\\tx \\\r\n                    y\"",
    "``",
    "`\\${x} \\\\${y} \\$ \\{`",
    "`a\r\nb\r`",
    "`\ra`",
    "`a\"b\\n'c'`",
    "`two `` are one`",
    "`\nnot in it\nbut this`",
    "`\r\nnot in it`",
    "`$ { and $} and $x`",
    "#\"raw \\ \"#",
    "##\"raw \"# goes on\"##",
    "#\"\"#",
    "[]",
    "[1]",
    "[1, \"a\", [true, ()], ]",
    "#{}",
    "#{ a: 1, \"b c\": `d`, e: #{ f: [] }, }",
    "#{ // said\n a /* so */ : /* nested /* twice */ */ 1 }",
];

/// Expressions that are no literals, for which nothing may be made up.
const OTHERS: &[&str] = &[
    "1 + 1",
    "(1)",
    "f()",
    "x",
    "`${1}`",
    "[x]",
    "[1 2]",
    "#{ a: x }",
    "#{ `a`: 1 }",
    "#{ a: 1, a: 2 }",
    "\"\\q\"",
    "\"\\'\"",
    "\"\\x4\"",
    "\"\\ud800\"",
    "'a'",
    "!true",
    "-true",
    "- -1",
    "[1].len",
    "\"a\".b",
    "#{ a 1 }",
    "0x",
    "1.x",
];

fn first(source: &str) -> Result<Option<Value>, SyntaxError> {
    Top::of(&format!("let x = {source};\n")).map(|top| top.get("x").and_then(|x| x.literal.clone()))
}

/// What Rhai says a literal is.
fn value(found: &Dynamic) -> Value {
    match found {
        _ if found.is_unit() => Value::Unit,
        _ if found.is_bool() => Value::Bool(found.as_bool().unwrap()),
        _ if found.is_int() => Value::Int(found.as_int().unwrap()),
        _ if found.is_float() => Value::Float(found.as_float().unwrap()),
        _ if found.is_string() => Value::Text(found.clone().into_string().unwrap()),
        _ if found.is_array() => {
            Value::Array(found.clone().into_array().unwrap().iter().map(value).collect())
        }
        _ => {
            let map = found.as_map_ref().expect("nothing else is a literal");
            Value::Map(map.iter().map(|(key, found)| (key.to_string(), value(found))).collect())
        }
    }
}

/// Maps of Rhai are sorted by their keys.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        Value::Map(mut fields) => {
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Map(fields.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        other => other,
    }
}

#[test]
fn literals_mean_what_rhai_says() {
    let rhai = Engine::new_raw();
    for source in LITERALS {
        let found = first(source).unwrap_or_else(|e| panic!("{source}: {e:?}"));
        let expected = rhai
            .eval::<Dynamic>(&format!("let x = {source};\nx"))
            .unwrap_or_else(|e| panic!("{source}: {e}"));
        assert_eq!(found.map(sorted), Some(value(&expected)), "{source}");
    }
    for source in OTHERS {
        assert_eq!(first(source), Ok(None), "{source}");
    }
}

/// Where a literal stands does not matter, nor what stands around it.
#[test]
fn tokens_are_where_rhai_has_them() {
    let rhai = Engine::new_raw();
    // A sign is part of the number for Rhai, `\$` one character, and a lone `\r` a line.
    let texts = LITERALS
        .iter()
        .filter(|source| !source.starts_with('-') && !source.contains("\\$") && !source.contains("\ra"))
        .map(|source| format!("u;\t{source}\n; {source} x;/* */{source}/** // */{source}//\n{source}"));
    for text in texts {
        let (stream, _) = rhai.lex([&text]);
        let stream = stream.take_while(|(token, _)| !matches!(token, Token::EOF | Token::LexError(_)));
        let stream = stream.filter_map(|(token, place)| {
            let kind = match token {
                Token::StringConstant(_) => "string",
                Token::IntegerConstant(_) | Token::FloatConstant(_) => "number",
                Token::MapStart => "map",
                Token::Identifier(_) => "name",
                Token::True | Token::False => "name",
                _ => return None,
            };
            Some((kind, place.line().unwrap(), place.position().unwrap()))
        });
        let ours = tokens(&text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        let is_keyword = |word: &str| matches!(word, "let" | "fn" | "if" | "else" | "const");
        let ours = ours.iter().filter_map(|token| {
            let kind = match token.kind {
                Kind::Text | Kind::Raw(_) | Kind::Template => "string",
                Kind::Number => "number",
                Kind::Map => "map",
                Kind::Word if !is_keyword(&text[token.span.clone()]) => "name",
                _ => return None,
            };
            let place = Place::of(&text, token.span.start);
            Some((kind, place.line, place.column))
        });
        assert_eq!(ours.collect::<Vec<_>>(), stream.collect::<Vec<_>>(), "{text}");
    }
}

/// Pieces of texts at random: where Rhai reads a program, we read the same variables and functions; and we read no literal otherwise than it.
#[test]
fn no_text_is_read_otherwise_than_by_rhai() {
    const PIECES: &[&str] = &[
        "\"",
        "\\",
        "\\\n",
        "\\\r\n",
        "`",
        "``",
        "${",
        "}",
        "{",
        "/*",
        "*/",
        "//",
        "\n",
        "\r\n",
        " ",
        "'a'",
        "'\\''",
        "#\"",
        "\"#",
        "##\"",
        "\"##",
        "#{",
        "[",
        "]",
        "(",
        ")",
        ",",
        ":",
        ";",
        "1",
        "0x1f",
        ".",
        "..",
        "e-5",
        "-",
        "+",
        "x",
        "_y",
        "\\x41",
        "\\n",
        "\u{fc}",
        "let a = ",
        "const b = ",
        "fn f() {",
        "true",
        "\"s\"",
        "`t`",
        "a: 1",
        "$",
    ];
    let mut rhai = Engine::new_raw();
    // What it computes when it compiles is no literal.
    rhai.set_optimization_level(rhai::OptimizationLevel::None);
    let mut random = Random::new(20_261_126);
    let mut random = |below: usize| usize::try_from(random.below(below as u64)).unwrap();
    let (mut read, mut literals) = (0, 0);
    for _ in 0..60_000 {
        let middle: String = (0..1 + random(7)).map(|_| PIECES[random(PIECES.len())]).collect();
        let text = match random(3) {
            0 => format!("let pkg = {middle};\nfn install() {{ 1 }}\nlet last = 2;"),
            1 => format!("fn install() {{ {middle} }}\nlet pkg = \"p\";"),
            _ => format!("let pkg = #{{ a: {middle} }}; // {middle}\nlet last = 2;"),
        };
        let Ok(ast) = rhai.compile(&text) else { continue };
        let top = match Top::of(&text) {
            Ok(top) => top,
            // Programs that recipes may not be.
            Err(e) if e.message.starts_with("only `let`") || e.message.ends_with("is there twice") => {
                continue;
            }
            // For Rhai the end of the text ends a comment too.
            Err(e) if e.message == "this comment has no end" => continue,
            // Rhai lets variables be without a value, and leave the last `;` out.
            Err(e) if e.message.starts_with("expected `let NAME") => continue,
            Err(e) => panic!("{text:?}: {e:?}"),
        };
        read += 1;
        let mut functions: Vec<_> = ast.iter_functions().map(|f| f.name.to_owned()).collect();
        let mut ours: Vec<_> = top.functions.iter().map(|f| f.name.clone()).collect();
        functions.sort();
        ours.sort();
        ours.dedup();
        functions.dedup();
        assert_eq!(ours, functions, "{text:?}");
        for (name, _, found) in ast.iter_literal_variables(true, true) {
            let ours = top.get(name).unwrap_or_else(|| panic!("{text:?}: {name} is not seen"));
            // A character has no literal here, nor have `1.` and `+1`.
            if found.is_char() || text[ours.value.clone()].contains(['\'', '.', '+']) {
                continue;
            }
            // What is in brackets is an expression here, whatever is in them.
            let tokens = tokens(&text[ours.value.clone()]).unwrap();
            let marks = tokens.windows(2).map(|two| (two[0].kind, two[1].kind));
            let mut brackets = marks.filter(|(one, _)| *one == Kind::Mark(b'('));
            let is_literal = brackets.all(|(_, next)| next == Kind::Mark(b')'));
            let expected = is_literal.then(|| value(&found));
            assert_eq!(ours.literal.clone().map(sorted), expected, "{text:?}");
            literals += usize::from(is_literal);
        }
    }
    // Else nothing was compared.
    assert!(read > 2_000 && literals > 2_000, "{read} texts, {literals} literals");
}

#[test]
fn mistakes_are_where_they_begin() {
    for (text, offset, says) in [
        ("let a = \"b\n\";", 8, "this string has no end"),
        ("let a = \"b", 8, "this string has no end"),
        ("let a = \"b\\\"", 8, "this string has no end"),
        ("let a = `b``;", 8, "this string has no end"),
        ("let a = `${b`;", 12, "this string has no end"),
        ("let a = `${ {b}`;", 15, "this string has no end"),
        ("let a = `${ b", 11, "this `${` has no end"),
        ("let a = #\"b\";", 8, "this string has no end"),
        ("let a = ##\"b\"#;", 8, "this string has no end"),
        ("let a = ##b;", 8, "expected `#{` or `#\"`"),
        ("let a = 1; /* /* */", 11, "this comment has no end"),
        ("let a = \u{e4};", 8, "unexpected character '\u{e4}'"),
        ("let a = (1];", 10, "nothing was opened that this could close"),
        ("let a = 1);", 9, "nothing was opened that this could close"),
        ("let a = [1;", 8, "this bracket is never closed"),
        ("let a = 1", 0, "this statement has no `;` at its end"),
        (" let a;", 1, "expected `let NAME = VALUE;`"),
        ("let a = ;", 0, "expected a value for `a`"),
        ("let a = 1; let a = 2;", 11, "`a` is there twice"),
        ("; fn ();", 2, "expected a function's name"),
        ("; fn f();", 2, "`f` has no body"),
        ("import \"x\" as y", 0, "this statement has no `;` at its end"),
        (
            ";; f();",
            3,
            "only `let`, `const`, `import` and functions may be at the top level: it runs before every phase",
        ),
        (
            "private x",
            0,
            "only `let`, `const`, `import` and functions may be at the top level: it runs before every phase",
        ),
    ] {
        assert_eq!(Top::of(text).unwrap_err(), SyntaxError::new(offset, says), "{text}");
    }
}

/// Nothing that Rhai reads is refused.
#[test]
fn texts_are_nested_no_deeper_than_rhai_reads_them() {
    let mut rhai = Engine::new();
    rhai.set_max_expr_depths(DEPTH, 32);
    let arrays = |deep| format!("let a = {}{};", "[".repeat(deep), "]".repeat(deep));
    let strings = |deep| format!("let a = {}1{};", "`${".repeat(deep), "}`".repeat(deep));
    for text in [arrays(DEPTH), strings(DEPTH)] {
        assert!(Top::of(&text).is_ok(), "{text}");
    }
    for (text, offset) in [(arrays(DEPTH + 1), 8 + DEPTH), (strings(DEPTH + 1), 8 + 3 * DEPTH)] {
        assert_eq!(Top::of(&text).unwrap_err(), SyntaxError::new(offset, "this is nested more than 64 deep"));
        assert!(rhai.compile(&text).is_err(), "{text}");
    }
}

#[test]
fn libraries_may_export() {
    let text = "export const A = 1;\nexport let b = A;\nexport b as c;\nfn f(a, b) { }";
    let top = Top::of_library(text).unwrap();
    assert_eq!(top.lets.iter().map(|l| &*l.name).collect::<Vec<_>>(), ["A", "b"]);
    assert_eq!(top.functions[0].parameters, 2);
    assert!(Top::of(text).is_err());
    for text in ["export f();x", "export;", "export fn f() { }", "f();"] {
        let error = Top::of_library(text);
        assert!(error.is_err() || Engine::new().compile(text).is_err(), "{text}: {error:?}");
    }
}

#[test]
fn the_top_level_is_read_with_its_places() {
    let text = "#!/usr/bin/recipe\nimport \"lib\" as l; private fn a(x) { `${x + \"}\"}` }\nconst B = [1,\n 2]; fn c() {}";
    let top = Top::of(text).unwrap();
    let functions = top.functions.iter().map(|f| (&*f.name, &text[f.span.clone()], f.parameters));
    let expected = [("a", "private fn a(x) { `${x + \"}\"}` }", 1), ("c", "fn c() {}", 0)];
    assert_eq!(functions.collect::<Vec<_>>(), expected);
    let b = top.get("B").unwrap();
    assert_eq!(
        (&text[b.span.clone()], &text[b.value.clone()], b.constant),
        ("const B = [1,\n 2];", "[1,\n 2]", true)
    );
    assert!(top.has_function("c") && !top.has_function("B") && top.get("c").is_none());
    assert_eq!(Top::of("#!/usr/bin/recipe").unwrap(), Top::default());
}

#[test]
fn places_count_characters_from_one() {
    let text = "a\n\u{fc}b\r\nc";
    let places = [(0, 1, 1), (1, 1, 2), (2, 2, 1), (3, 2, 1), (4, 2, 2), (7, 3, 1), (8, 3, 2), (99, 3, 2)];
    for (offset, line, column) in places {
        assert_eq!(Place::of(text, offset), Place { line, column }, "{offset}");
    }
    assert_eq!(Place { line: 3, column: 14 }.to_string(), "3:14");
}

#[test]
fn variables_are_left_out_with_their_lines() {
    for (text, expected) in [
        ("let a = 1;\nlet b = 2;\n", "let b = 2;\n"),
        ("let a = 1;  \t\nlet b = 2;\n", "let b = 2;\n"),
        ("let b = 2;\n  let a = 1;", "let b = 2;\n"),
        ("let b = 2; let a = 1;\n", "let b = 2; \n"),
        ("let a = 1; // mine\nlet b = 2;\n", " // mine\nlet b = 2;\n"),
        ("let c = 3;\n\nlet a = [\n1,\n];\nlet b = 2;", "let c = 3;\n\nlet b = 2;"),
    ] {
        assert_eq!(without(text, &["a"]).unwrap(), expected, "{text:?}");
    }
    let text = "let a = 1; let b = \"x\"; fn c() { a }";
    assert_eq!(words(text, &["a"]).unwrap().concat(), "letb=\"x\";fnc(){a}");
    assert_eq!(words(text, &[]).unwrap().concat(), text.replace(' ', ""));
}

/// Whatever stands in it: strings, comments and brackets that look like its end.
#[test]
fn what_is_put_into_strings_ends_where_it_ends_for_rhai() {
    let rhai = Engine::new_raw();
    for inner in [
        "1",
        "#{ a: 1 }.a",
        "{ { 1 } }",
        "if true { 1 } else { 2 }",
        "\"}\"",
        "\"a\\\"}\"",
        "'}'",
        "\"`\"",
        "'`'",
        "`}`",
        "`${ `}` }`",
        "1 // } ` \"\n",
        "1 /* } ` \" */",
        "/* /* } */ } */ 1",
        "1 / 1",
        "4 /* } *// 2",
        "{ 1 } // {\n",
    ] {
        for text in [
            format!("let a = `x${{{inner}}}y`; fn f() {{}}"),
            format!("fn f() {{ `${{{inner}}}${{{inner}}}`; }} let a = 1;"),
        ] {
            rhai.compile(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let top = Top::of(&text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            assert!(top.has_function("f") && top.get("a").is_some(), "{text}: {top:?}");
        }
    }
}

#[test]
fn numbers_end_before_what_is_none_of_them() {
    for (text, expected) in [
        ("1.to_string()", "1 . to_string ( )"),
        ("1..3", "1 . . 3"),
        ("1.5.floor()", "1.5 . floor ( )"),
        ("1e-5-2", "1e-5 - 2"),
        ("1E+5+2", "1E+5 + 2"),
        ("0x1e-5", "0x1e - 5"),
        ("1_000.5_0e2", "1_000.5_0e2"),
        ("12-3", "12 - 3"),
    ] {
        assert_eq!(words(text, &[]).unwrap().join(" "), expected, "{text}");
    }
}

/// Whatever stands around it and in it: behind each splice the statement has the one form, `grep` agrees with the state, Rhai reads
/// the text as before, and nothing grows.
#[test]
fn grep_is_right_behind_every_splice() {
    const SPACE: &[&str] = &[
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        " /* a */ ",
        "/* \n */",
        "//\n",
        " // b\r\n",
        "/**/ */",
        "/* /* */ */",
    ];
    const AROUND: &[&str] = &[
        "let a = 1;",
        "const b = `\n`;",
        "fn f() { let installed = 5; }",
        "fn installed() {}",
        "\n",
        "import \"x\" as x;",
    ];
    const STATE: &[(&str, &[&str])] = &[
        ("installed", &["true", "false"]),
        ("installed_version", &["()", "\"1\"", "`1`"]),
        ("installed_files", &["[]", "[ \"/a\" /* x */, // y\n]"]),
        ("pinned", &["\"< 2\""]),
    ];
    let mut rhai = Engine::new_raw();
    rhai.set_optimization_level(rhai::OptimizationLevel::None);
    let mut random = Random::new(20_261_127);
    let mut random = |below: usize| usize::try_from(random.below(below as u64)).unwrap();
    let mut compiled = 0;
    for round in 0..6_000 {
        let mut text = "fn install() {}".to_owned();
        let mut left = STATE.to_vec();
        left.insert(0, ("pkg", &["1"]));
        for _ in 0..2 + random(8) {
            let mut space = |least: usize| -> String {
                (0..least + random(3)).map(|_| SPACE[random(SPACE.len())]).collect()
            };
            let (one, some, more) = (space(1), space(0), space(0));
            let (end, behind) = (space(0), space(0));
            if left.is_empty() || random(3) == 0 {
                text.push_str(AROUND[random(AROUND.len())]);
                text.push_str(&behind);
            } else {
                let (name, values) = left.remove(random(left.len()));
                let value = values[random(values.len())];
                text.push_str(&format!("let{one}{name}{some}={more}{value}{end};{behind}"));
            }
        }
        if left.first().is_some_and(|(name, _)| *name == "pkg") {
            text.push_str("\nlet pkg = 1;");
        }
        let Ok(before) = Top::of(&text) else { continue };
        let was = rhai.compile(&text);
        let state = crate::state::State {
            installed: round % 2 == 0,
            version: (round % 3 == 0).then(|| "1".into()),
            files: (0..round % 4).map(|n| format!("/f{n}")).collect(),
            ..Default::default()
        };
        let new = state.splice(&text).unwrap_or_else(|e| panic!("{text:?}: {e:?}"));
        let top = Top::of(&new).unwrap();
        assert_eq!(crate::state::State::of(&top), Ok(state.clone()), "{text:?}");
        assert_eq!(new.contains("installed = true"), state.installed, "{text:?}: {new:?}");
        assert_eq!(crate::state::misleading(&new), Ok(vec![]), "{new:?}");
        // Where line ends are mixed, the first one may be another now.
        let again = state.splice(&new).unwrap();
        assert_eq!(again.replace('\r', ""), new.replace('\r', ""), "{text:?}");
        let names = crate::state::NAMES;
        assert_eq!(words(&text, &names), words(&new, &names), "{text:?}: {new:?}");
        assert_eq!(before.get("pinned").is_some(), top.get("pinned").is_some());
        if was.is_ok() {
            compiled += 1;
            rhai.compile(&new).unwrap_or_else(|e| panic!("{text:?}: {new:?}: {e}"));
        }
    }
    assert!(compiled > 1_000, "{compiled}");
}
