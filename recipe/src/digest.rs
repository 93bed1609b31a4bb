//! A recipe's text -> a digest of what it says, whatever its state is.
//!
//! The tokens count, and nothing between them: comments, blanks and the state block may change. Libraries that it imports count too,
//! with theirs; where the name of one is computed, all of the directory do.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use common::hash::Sha256;
use sha2::{Digest, Sha512};

use crate::dir::read_text;
use crate::recipe::check_name;
use crate::shelf;
use crate::state;
use crate::text::{self, SyntaxError};

/// Everything that comes, piece by piece.
///
/// # Errors
/// It cannot be read.
pub fn pieces(mut reader: impl Read, mut work: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(()),
            len => work(&buffer[..len]),
        }
    }
}

/// The SHA-512 of everything that comes, in hex.
///
/// # Errors
/// It cannot be read.
pub fn sha512(reader: impl Read) -> std::io::Result<String> {
    let mut hasher = Sha512::new();
    pieces(reader, |bytes| hasher.update(bytes))?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Libraries of a recipe: name -> text.
pub type Libraries = BTreeMap<String, String>;

/// The digest of a recipe with the libraries that it may import.
///
/// # Errors
/// The text, or that of a library, is not Rhai.
pub fn of(text: &str, libraries: &Libraries) -> anyhow::Result<Sha256> {
    let mut all = canonical(text, &state::NAMES).map_err(|e| anyhow::anyhow!("{}", e.message))?;
    for (name, text) in libraries {
        let tokens = canonical(text, &[]).map_err(|e| anyhow::anyhow!("{}", e.message));
        let tokens = tokens.with_context(|| format!("cannot read the library {name}"))?;
        all.push_str(&format!("{name} {}\n", Sha256::of(tokens.as_bytes())));
    }
    Ok(Sha256::of(all.as_bytes()))
}

/// The libraries of the directory `lib` that a text may import, with those that they may. What is not there is left out: to import
/// it fails.
///
/// # Errors
/// A text is not Rhai, or a library cannot be read.
pub fn libraries(text: &str, lib: &Path) -> anyhow::Result<Libraries> {
    let mut found = Libraries::new();
    imports(text, lib, &mut found)?;
    Ok(found)
}

/// The tokens, each with its length before it: `a b` is not `ab`. Operators count by their characters: where a blank between two of these
/// makes a difference (`- -1` and `--1`), one of both is no Rhai. Variables of the top level with these names are left out.
fn canonical(text: &str, without: &[&str]) -> Result<String, SyntaxError> {
    let mut out = String::with_capacity(text.len());
    for token in text::words(text, without)? {
        out.push_str(&format!("{}:{token}\n", token.len()));
    }
    Ok(out)
}

/// Adds each library that a text may import.
fn imports(text: &str, lib: &Path, found: &mut Libraries) -> anyhow::Result<()> {
    let tokens = text::words(text, &[]).map_err(|e| anyhow::anyhow!("{}", e.message))?;
    for (at, token) in tokens.iter().enumerate() {
        // `${...}` in a string is code, and one token.
        let in_text = token.starts_with('`') && token.contains("${") && token.contains("import");
        if *token != "import" && !in_text {
            continue;
        }
        // A literal, and nothing that is added to it.
        let whole = matches!(tokens.get(at + 2), None | Some(&("as" | ";")));
        let name = tokens.get(at + 1).filter(|_| whole && !in_text);
        let literal = name.and_then(|name| name.strip_prefix('"')?.strip_suffix('"'));
        let names = match literal.filter(|name| check_name(name).is_ok()) {
            Some(name) => vec![name.to_owned()],
            // Whatever it may turn out to be.
            None => {
                let files = if lib.is_dir() { shelf::files(lib)? } else { Vec::new() };
                let stem = |path: &std::path::PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
                files.iter().filter_map(stem).collect()
            }
        };
        for name in names.into_iter().filter(|name| check_name(name).is_ok()) {
            let path = lib.join(format!("{name}.rhai"));
            if found.contains_key(&name) || !path.exists() {
                continue;
            }
            let text = read_text(&path)?;
            found.insert(name, text.clone());
            imports(&text, lib, found).with_context(|| format!("cannot read {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    fn of(text: &str, lib: &Path) -> anyhow::Result<Sha256> {
        super::of(text, &libraries(text, lib)?)
    }

    const TEXT: &str = "//! A package.\nimport \"a\" as a;\nlet pkg = #{ name: \"p\", version: \"1\" }; // one\n\
                        fn install() { let installed = 1; if installed - -1 > 0 { a::go(`x ${pkg.version}`) } }\n";

    fn lib() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.rhai"), "import \"b\" as b;\nfn go(x) { b::go(x) }").unwrap();
        std::fs::write(dir.path().join("b.rhai"), "fn go(x) { print(x) }").unwrap();
        std::fs::write(dir.path().join("c.rhai"), "fn other() { }").unwrap();
        dir
    }

    #[test]
    fn state_comments_and_blanks_do_not_count() {
        let lib = lib();
        let digest = of(TEXT, lib.path()).unwrap();
        let mut state = State { installed: true, version: Some("1".into()), ..State::default() };
        state.files = vec!["/a".into(), "/b".into()];
        let spliced = state.splice(TEXT).unwrap();
        assert_ne!(spliced, TEXT);
        assert_eq!(of(&spliced, lib.path()).unwrap(), digest);
        let other = TEXT.replace("// one", "/* two */").replace("{ let", "{\n    let");
        assert_eq!(of(&other, lib.path()).unwrap(), digest);
    }

    #[test]
    fn everything_else_counts() {
        let lib = lib();
        let digest = of(TEXT, lib.path()).unwrap();
        for (from, to) in [
            ("\"1\"", "\"2\""),
            ("- -1", "- 1"),
            ("installed = 1", "installed = 2"),
            ("`x $", "`x  $"),
            ("a::go", "b::go"),
            ("fn install()", "fn install( a )"),
        ] {
            let changed = TEXT.replace(from, to);
            assert_ne!(changed, TEXT);
            assert_ne!(of(&changed, lib.path()).unwrap(), digest, "{from} -> {to}");
        }
        std::fs::write(lib.path().join("c.rhai"), "fn other() { 1 }").unwrap();
        assert_eq!(of(TEXT, lib.path()).unwrap(), digest, "it does not import c");
        let any = TEXT.replace("import \"a\"", "import \"\" + \"c\"");
        let before = of(&any, lib.path()).unwrap();
        std::fs::write(lib.path().join("c.rhai"), "fn other() { 2 }").unwrap();
        assert_ne!(of(&any, lib.path()).unwrap(), before, "nobody knows which library it is");
        let hidden = TEXT.replace("import \"a\" as a;", "").replace("`x $", "`x ${import \"c\" as c; 1} $");
        assert!(libraries(&hidden, lib.path()).unwrap().contains_key("c"), "code in a string");
        std::fs::write(lib.path().join("b.rhai"), "fn go(x) { print(1) }").unwrap();
        assert_ne!(of(TEXT, lib.path()).unwrap(), digest, "a library of a library");
    }
}
