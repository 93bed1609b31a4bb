//! A guide as it is read on a terminal: Markdown -> plain text.
//!
//! Commands keep their own lines, indented; headings are underlined; marks of emphasis, code and links go, the address
//! of a link stays when it leads to the outside.

/// Markdown -> text.
pub(crate) fn plain(markdown: &str) -> String {
    let mut out = String::new();
    let mut code = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            code = !code;
        } else if code || line.starts_with("    ") {
            out.push_str(&format!("    {}\n", line.strip_prefix("    ").unwrap_or(line)));
        } else if let Some(title) = line.strip_prefix("# ") {
            out.push_str(&under(title, '='));
        } else if let Some(title) = line.strip_prefix("## ") {
            out.push_str(&under(title, '-'));
        } else if let Some(title) = line.strip_prefix("### ") {
            out.push_str(&format!("{}\n", spans(title)));
        } else {
            out.push_str(&format!("{}\n", spans(line)));
        }
    }
    out
}

fn under(title: &str, with: char) -> String {
    let title = spans(title);
    format!("{title}\n{}\n", String::from(with).repeat(title.chars().count()))
}

/// A line of prose without `**`, backticks and the brackets of links.
fn spans(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['`', '*', '[']) {
        out.push_str(&rest[..at]);
        let mark = &rest[at..];
        if let Some((inner, after)) = between(mark, "**", "**").or_else(|| between(mark, "`", "`")) {
            out.push_str(inner);
            rest = after;
        } else if let Some((label, after)) = between(mark, "[", "](")
            && let Some((address, after)) = after.split_once(')')
        {
            out.push_str(&spans(label));
            if address.contains("://") {
                out.push_str(&format!(" ({address})"));
            }
            rest = after;
        } else {
            out.push_str(&mark[..1]);
            rest = &mark[1..];
        }
    }
    out.push_str(rest);
    out
}

fn between<'t>(text: &'t str, open: &str, close: &str) -> Option<(&'t str, &'t str)> {
    text.strip_prefix(open)?.split_once(close)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stay_as_they_are_and_marks_go() {
        let markdown = "# The `disk`\n\n**All** of `a*b` [here](x.md), [there](https://e.org/).\n\n\
            ```sh step=a\necho `x` [ 1 ]\n  y\n```\n* one\n";
        let text = "The disk\n========\n\nAll of a*b here, there (https://e.org/).\n\n    echo `x` [ 1 ]\n      y\n* one\n";
        assert_eq!(plain(markdown), text);
    }
}
