//! The installation guide as something to execute: docs/guide/install.md -> steps of shell commands.
//!
//! A fenced block of the guide whose info string begins with `sh step=NAME` is a step. More words may follow:
//!
//! - `in=chroot`: typed in the shell that `recchroot` opens
//! - `asks`: its commands ask something; whoever runs the guide knows the answers
//! - `layout=NAME`: for another layout than the guide's main line, where it takes the place of the step of the same name
//! - `after=STEP`: a step of a layout that the main line does not have, and behind which step it belongs
//!
//! Commands are executed as they stand in the document. Other blocks are for reading.

use anyhow::{Context, bail, ensure};
use common::cmd::Cmd;

/// A block of the guide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does, in one word.
    pub name: String,
    /// Whether it is typed inside the new system.
    pub in_chroot: bool,
    /// Whether its commands ask something.
    pub asks: bool,
    layout: Option<String>,
    after: Option<String>,
    /// The block's text.
    pub text: String,
    /// Its first line in the document, from 1.
    pub line: usize,
}

/// All steps of a document.
#[derive(Debug, Clone)]
pub struct Guide {
    steps: Vec<Step>,
}

impl Guide {
    /// Reads a document.
    ///
    /// # Errors
    /// A step has words we do not know, no text or no end, or there is none.
    pub fn parse(document: &str) -> anyhow::Result<Self> {
        let mut steps = Vec::new();
        let mut lines = document.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let Some(info) = line.strip_prefix("```") else { continue };
            let mut text = String::new();
            let mut closed = false;
            for (_, line) in lines.by_ref() {
                closed = line == "```";
                if closed {
                    break;
                }
                text.push_str(line);
                text.push('\n');
            }
            ensure!(closed, "line {}: this block has no end", number + 1);
            if let Some(words) = info.strip_prefix("sh step=") {
                let step = step(words, text, number + 2);
                steps.push(step.with_context(|| format!("line {}: ```{info}", number + 1))?);
            }
        }
        ensure!(!steps.is_empty(), "the document has no block that begins with ```sh step=NAME");
        Ok(Self { steps })
    }

    /// The steps of a layout in order; `None` is the main line.
    ///
    /// # Errors
    /// The guide has nothing for this layout, or a step of it that has no place.
    pub fn steps(&self, layout: Option<&str>) -> anyhow::Result<Vec<Step>> {
        let mut steps: Vec<Step> = self.steps.iter().filter(|s| s.layout.is_none()).cloned().collect();
        let Some(layout) = layout else { return Ok(steps) };
        let own: Vec<_> = self.steps.iter().filter(|s| s.layout.as_deref() == Some(layout)).collect();
        ensure!(!own.is_empty(), "the guide has no step with layout={layout}");
        for step in own {
            let place = step.after.as_ref().unwrap_or(&step.name);
            let at = steps.iter().position(|s| s.name == *place).with_context(|| {
                format!(
                    "line {}: step={} layout={layout} has no place: there is no step {place}",
                    step.line, step.name
                )
            })?;
            if step.after.is_some() {
                steps.insert(at + 1, step.clone());
            } else {
                steps[at] = step.clone();
            }
        }
        Ok(steps)
    }
}

impl Step {
    /// The commands of the block one by one, as a shell would read them.
    ///
    /// # Errors
    /// The block is no shell text, or there is no bash.
    pub fn commands(&self) -> anyhow::Result<Vec<String>> {
        let mut commands = Vec::new();
        let mut command = String::new();
        for line in self.text.lines() {
            if command.is_empty() && (line.trim().is_empty() || line.starts_with('#')) {
                continue;
            }
            command.push_str(line);
            command.push('\n');
            if !line.ends_with('\\') && is_whole(&command)? {
                commands.push(std::mem::take(&mut command).trim_end().to_owned());
            }
        }
        ensure!(
            command.is_empty(),
            "step {} at line {} of the guide is no shell text:\n{command}",
            self.name,
            self.line
        );
        Ok(commands)
    }
}

fn step(words: &str, text: String, line: usize) -> anyhow::Result<Step> {
    let mut words = words.split_whitespace();
    let name = words.next().filter(|n| !n.is_empty()).context("a step has a name")?.to_owned();
    let mut step = Step { name, in_chroot: false, asks: false, layout: None, after: None, text, line };
    for word in words {
        match word.split_once('=') {
            Some(("in", "chroot")) => step.in_chroot = true,
            Some(("layout", layout)) => step.layout = Some(layout.to_owned()),
            Some(("after", name)) => step.after = Some(name.to_owned()),
            None if word == "asks" => step.asks = true,
            _ => bail!("{word:?} is no word we know (in=chroot, asks, layout=NAME, after=STEP)"),
        }
    }
    ensure!(step.after.is_none() || step.layout.is_some(), "after=STEP is for steps of a layout");
    ensure!(!step.text.trim().is_empty(), "it has no commands");
    Ok(step)
}

/// Whether bash would execute this now instead of asking for more: it says so, in errors or (for here-documents)
/// warnings.
fn is_whole(text: &str) -> anyhow::Result<bool> {
    let output = Cmd::new("bash").args(["--norc", "-n", "-c", text]).output()?;
    Ok(output.status.success() && output.stderr.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = "# Guide\n\n```sh step=disk\nDISK=/dev/vda\n# a comment\n\ncase $DISK in\n  *) X=1 ;;\nesac\n\
        ```\n\n```sh\nnot a step\n```\n\n```sh step=format\nsfdisk $DISK <<END\nlabel: gpt\n\nEND\nmkfs \\\n  -q x\n```\n\n\
        ```sh step=boot in=chroot asks\nbootctl install\n```\n\n```sh step=format layout=xfs\nmkfs.xfs x\n```\n\n\
        ```sh step=cmdline layout=xfs after=format in=chroot\necho a\n```\n";

    #[test]
    fn commands_are_split_as_a_shell_reads_them() {
        let steps = Guide::parse(GUIDE).unwrap().steps(None).unwrap();
        let names: Vec<_> = steps.iter().map(|s| (s.name.as_str(), s.in_chroot, s.asks, s.line)).collect();
        assert_eq!(
            names,
            [("disk", false, false, 4), ("format", false, false, 17), ("boot", true, true, 26)]
        );
        assert_eq!(steps[0].commands().unwrap(), ["DISK=/dev/vda", "case $DISK in\n  *) X=1 ;;\nesac"]);
        assert_eq!(
            steps[1].commands().unwrap(),
            ["sfdisk $DISK <<END\nlabel: gpt\n\nEND", "mkfs \\\n  -q x"]
        );
    }

    #[test]
    fn a_layout_replaces_and_adds_steps() {
        let guide = Guide::parse(GUIDE).unwrap();
        let names: Vec<_> = guide.steps(Some("xfs")).unwrap().into_iter().map(|s| (s.name, s.text)).collect();
        assert_eq!(names[1], ("format".into(), "mkfs.xfs x\n".into()));
        assert_eq!(names[2], ("cmdline".into(), "echo a\n".into()));
        assert_eq!(names.len(), 4);
        assert!(guide.steps(Some("zfs")).unwrap_err().to_string().contains("layout=zfs"));
    }

    #[test]
    fn what_could_be_skipped_by_mistake_is_refused() {
        for (document, says) in [
            ("```sh step=a\nls\n", "has no end"),
            ("```sh step=a in=chrot\nls\n```\n", "in=chrot"),
            ("```sh step=a\n\n```\n", "no commands"),
            ("nothing", "no block"),
            ("```sh step=a after=b\nls\n```\n", "steps of a layout"),
        ] {
            let err = Guide::parse(document).unwrap_err();
            assert!(format!("{err:#}").contains(says), "{document:?}: {err:#}");
        }
        let guide = Guide::parse("```sh step=a\nif true\n```\n").unwrap();
        assert!(guide.steps(None).unwrap()[0].commands().unwrap_err().to_string().contains("no shell text"));
    }
}
