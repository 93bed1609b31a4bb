//! What is known of a package -> the text of its recipe.

use crate::state::quote;

/// A recipe that is to be written.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// `pkg.name`.
    pub(super) name: String,
    /// `pkg.version`.
    pub(super) version: String,
    /// What it is, in one line.
    pub(super) description: Option<String>,
    /// Its page.
    pub(super) homepage: Option<String>,
    /// As SPDX calls it.
    pub(super) license: Option<String>,
    /// Where it is from, for the first line.
    pub(super) from: Option<String>,
    /// Functions with their statements, in order; those without any are left out.
    pub(super) functions: Vec<(&'static str, Vec<String>)>,
}

impl Script {
    /// The text.
    pub(super) fn text(&self) -> String {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let description = self.description.as_deref().map(one_line).filter(|text| !text.is_empty());
        let what = match (&description, &self.from) {
            (Some(text), _) => format!(": {text}"),
            (None, Some(from)) => format!(", from {}", one_line(from)),
            (None, None) => String::new(),
        };
        let description = description.or_else(|| {
            let from = self.from.as_deref()?;
            let host = from.split_once("://").and_then(|(_, rest)| rest.split('/').next());
            Some(format!("{}, from {}", self.name, host.unwrap_or("a file of this machine")))
        });
        let mut out = format!("//! {}{what}\n\nlet pkg = #{{\n", self.name);
        let fields = [
            ("name", Some(&self.name)),
            ("version", Some(&self.version)),
            ("description", description.as_ref()),
            ("homepage", self.homepage.as_ref().filter(|text| !text.is_empty())),
            ("license", self.license.as_ref().filter(|text| !text.is_empty())),
        ];
        for (key, value) in fields {
            out.extend(value.map(|value| format!("    {key}: {},\n", quote(value))));
        }
        out.push_str("};\n");
        for (name, lines) in self.functions.iter().filter(|(_, lines)| !lines.is_empty()) {
            out.push_str(&format!("\nfn {name}() {{\n"));
            // A statement may have several lines.
            lines
                .iter()
                .flat_map(|line| line.lines())
                .for_each(|line| out.push_str(&format!("    {line}\n")));
            out.push_str("}\n");
        }
        out
    }
}

/// A recipe to be filled in, which does something at once.
pub(super) fn empty(name: &str, version: &str) -> String {
    let text = quote(format!(
        "#!/bin/sh\necho \"{name}: this is what the new recipe installs until you change it\"\n"
    ));
    format!(
        "//! {name}: what it is, in a line.\n\n\
         let pkg = #{{\n    name: {0},\n    version: {1},\n    description: \"\",\n    homepage: \"\",\n    license: \"\",\n    \
         deps: [],\n}};\n\n\
         // `recipe helpers` shows the functions that can be called; `recipe new --from URL` writes a whole recipe.\n\
         fn install() {{\n    \
         // download(`https://.../{name}-${{pkg.version}}.tar.gz`, \"SHA-256\");\n    \
         // extract();\n    \
         // install_bin({0});\n    \
         write_file({0}, {text});\n    \
         install_bin({0});\n}}\n\n\
         // The newest version there is, for `recipe update`; () is none that is known.\n\
         fn check_update() {{\n    \
         // github_latest(\"owner/{name}\")\n}}\n",
        quote(name),
        quote(version),
    )
}
