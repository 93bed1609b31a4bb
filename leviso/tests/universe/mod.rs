//! Small repositories written as text, for resolver tests: rendered to primary.xml and read back by the real parser.
//!
//! ```text
//! bash 5.2-1 | requires libc; (nano if vim) | provides sh = 5 | files /usr/bin/bash
//! ```
#![allow(dead_code, reason = "each test file uses a part of it")]

use leviso::profile::Profile;
use leviso::repodata::{RepoMetadata, Repomd, read_primary};

/// A profile over these repositories (id, priority) that asks for `include`.
pub(crate) fn profile(repos: &[(&str, u32)], include: &[&str]) -> Profile {
    let mut text = String::from(
        "name = \"test\"\narch = \"x86_64\"\n[os]\nname = \"T\"\nid = \"t\"\nid-like = \"t\"\nversion-id = \"1\"\n\
         home-url = \"\"\nhostname = \"t\"\n[kernel]\ncmdline = \"\"\nentry = []\n[initramfs]\nfiles = [\"i\"]\n\
         busybox = \"/b\"\nmodule-lists = []\n[image]\nlabel = \"T\"\ncompression = \"none\"\n[packages]\n",
    );
    text += &format!("include = {include:?}\n");
    for (id, priority) in repos {
        text += &format!(
            "[[repo]]\nid = {id:?}\nkey = \"k\"\nfingerprints = [\"{}\"]\npriority = {priority}\n",
            "A".repeat(40)
        );
    }
    toml::from_str(&text).unwrap()
}

/// One repository.
pub(crate) fn repo(id: &str, packages: &str) -> RepoMetadata {
    let xml = primary(packages);
    let parsed = Repomd { revision: "1700000000".into(), data: Default::default() };
    let mut repo = RepoMetadata::new(id, common::hash::Sha256::of(xml.as_bytes()), &parsed);
    read_primary(&mut repo, xml.as_bytes()).unwrap();
    repo
}

/// primary.xml of packages, one a line.
pub(crate) fn primary(packages: &str) -> String {
    let lines: Vec<&str> = packages.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let all: String = lines.iter().map(|line| package(line)).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" \
         xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" packages=\"{}\">\n{all}</metadata>\n",
        lines.len()
    )
}

fn package(line: &str) -> String {
    let mut fields = line.split(" | ");
    let mut head = fields.next().unwrap().split(' ');
    let (name, evr) = (head.next().unwrap(), head.next().unwrap());
    let arch = head.next().unwrap_or("noarch");
    let (epoch, version, release) = evr_of(evr);
    let digest = common::hash::Sha256::of(line.as_bytes());
    let mut lists = String::new();
    let mut files = String::new();
    for field in fields {
        let (kind, items) = field.split_once(' ').unwrap();
        let items = items.split("; ").map(str::trim);
        if kind == "files" {
            files.extend(items.map(|path| format!("<file>{path}</file>\n")));
        } else {
            let entries: String = items.map(entry).collect();
            lists += &format!("<rpm:{kind}>{entries}</rpm:{kind}>\n");
        }
    }
    format!(
        "<package type=\"rpm\"><name>{name}</name><arch>{arch}</arch>\n\
         <version epoch=\"{epoch}\" ver=\"{version}\" rel=\"{release}\"/>\n\
         <checksum type=\"sha256\" pkgid=\"YES\">{digest}</checksum><summary>s</summary><description>d</description>\n\
         <packager/><url/><time file=\"1\" build=\"1\"/><size package=\"1\" installed=\"1\" archive=\"1\"/>\n\
         <location href=\"Packages/{name}-{version}-{release}.{arch}.rpm\"/>\n<format><rpm:license>l</rpm:license>\n\
         <rpm:provides><rpm:entry name=\"{name}\" flags=\"EQ\" epoch=\"{epoch}\" ver=\"{version}\" rel=\"{release}\"/>\
         </rpm:provides>\n{lists}{files}</format></package>\n"
    )
}

fn entry(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if text.starts_with('(') {
        return format!("<rpm:entry name=\"{escaped}\"/>");
    }
    let words: Vec<&str> = text.split(' ').collect();
    let [name, op, evr] = words[..] else { return format!("<rpm:entry name=\"{escaped}\"/>") };
    let flags = match op {
        "<" => "LT",
        "<=" => "LE",
        "=" => "EQ",
        ">=" => "GE",
        ">" => "GT",
        other => panic!("no operator: {other}"),
    };
    let (epoch, version, release) = evr_of(evr);
    let release = if release.is_empty() { String::new() } else { format!(" rel=\"{release}\"") };
    format!("<rpm:entry name=\"{name}\" flags=\"{flags}\" epoch=\"{epoch}\" ver=\"{version}\"{release}/>")
}

fn evr_of(evr: &str) -> (&str, &str, &str) {
    let (epoch, rest) = evr.split_once(':').unwrap_or(("0", evr));
    let (version, release) = rest.split_once('-').unwrap_or((rest, ""));
    (epoch, version, release)
}
