//! The XML of repodata, element by element as createrepo_c writes it.

use std::fmt::Write;

use common::hash::Sha256;
use quick_xml::escape::escape;

use crate::rpm::{Dep, File, Kind, Package, RPMLIB, Rpm};

pub(super) const REPOMD_TAIL: &str = "</repomd>\n";

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

pub(super) fn repomd_head(time: u32) -> String {
    format!(
        "{HEAD}<repomd xmlns=\"http://linux.duke.edu/metadata/repo\" \
         xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\">\n  <revision>{time}</revision>\n"
    )
}

pub(super) fn repomd_data(kind: &str, name: &str, bytes: &[u8], open: &[u8], time: u32) -> String {
    format!(
        "  <data type=\"{kind}\">\n    <checksum type=\"sha256\">{}</checksum>\n    \
         <open-checksum type=\"sha256\">{}</open-checksum>\n    <location href=\"repodata/{name}\"/>\n    \
         <timestamp>{time}</timestamp>\n    <size>{}</size>\n    <open-size>{}</open-size>\n  </data>\n",
        Sha256::of(bytes),
        Sha256::of(open),
        bytes.len(),
        open.len()
    )
}

pub(super) fn list_head(kind: &str, count: usize) -> String {
    let (element, space) = match kind {
        "primary" => ("metadata", "common"),
        "filelists" => ("filelists", "filelists"),
        _ => ("otherdata", "other"),
    };
    let rpm = if kind == "primary" { " xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\"" } else { "" };
    format!("{HEAD}<{element} xmlns=\"http://linux.duke.edu/metadata/{space}\"{rpm} packages=\"{count}\">\n")
}

pub(super) fn list_tail(kind: &str) -> &'static str {
    match kind {
        "primary" => "</metadata>\n",
        "filelists" => "</filelists>\n",
        _ => "</otherdata>\n",
    }
}

pub(super) fn primary(rpm: &Rpm, href: &str, sha256: Sha256, size: usize) -> String {
    let p = &rpm.package;
    let mut out = String::from("<package type=\"rpm\">\n");
    element(&mut out, "name", &p.name);
    element(&mut out, "arch", &p.arch);
    line(&mut out, &version(p));
    line(&mut out, &format!("<checksum type=\"sha256\" pkgid=\"YES\">{sha256}</checksum>"));
    element(&mut out, "summary", &p.summary);
    element(&mut out, "description", &p.description);
    element(&mut out, "packager", "");
    element(&mut out, "url", &p.url);
    line(&mut out, &format!("<time file=\"{0}\" build=\"{0}\"/>", p.build_time));
    let (installed, archive) = (rpm.installed_size, rpm.archive_size);
    line(&mut out, &format!("<size package=\"{size}\" installed=\"{installed}\" archive=\"{archive}\"/>"));
    line(&mut out, &format!("<location href=\"{}\"/>", clean(href)));
    line(&mut out, "<format>");
    element(&mut out, "rpm:license", &p.license);
    element(&mut out, "rpm:vendor", &p.vendor);
    element(&mut out, "rpm:group", "Unspecified");
    element(&mut out, "rpm:buildhost", "localhost");
    element(&mut out, "rpm:sourcerpm", &p.source_rpm);
    let (start, end) = rpm.header_range;
    line(&mut out, &format!("<rpm:header-range start=\"{start}\" end=\"{end}\"/>"));
    deps(&mut out, "provides", &p.all_provides());
    deps(&mut out, "requires", &p.requires);
    deps(&mut out, "conflicts", &p.conflicts);
    deps(&mut out, "obsoletes", &p.obsoletes);
    deps(&mut out, "suggests", &p.suggests);
    deps(&mut out, "enhances", &p.enhances);
    deps(&mut out, "recommends", &p.recommends);
    deps(&mut out, "supplements", &p.supplements);
    files(&mut out, p, is_primary);
    out.push_str("  </format>\n</package>\n");
    out
}

pub(super) fn filelists(package: &Package, sha256: Sha256) -> String {
    let mut out = package_head(package, sha256);
    files(&mut out, package, |_| true);
    out.push_str("</package>\n");
    out
}

pub(super) fn other(package: &Package, sha256: Sha256) -> String {
    package_head(package, sha256) + "</package>\n"
}

fn package_head(p: &Package, sha256: Sha256) -> String {
    let (name, arch) = (clean(&p.name), clean(&p.arch));
    format!("<package pkgid=\"{sha256}\" name=\"{name}\" arch=\"{arch}\">\n  {}\n", version(p))
}

fn version(p: &Package) -> String {
    let (epoch, ver, rel) = (p.epoch.unwrap_or(0), clean(&p.version), clean(&p.release));
    format!("<version epoch=\"{epoch}\" ver=\"{ver}\" rel=\"{rel}\"/>")
}

/// The paths createrepo_c puts into primary: those that other packages commonly require.
fn is_primary(path: &str) -> bool {
    path.starts_with("/etc/") || path == "/usr/lib/sendmail" || path.contains("bin/")
}

fn files(out: &mut String, package: &Package, wanted: fn(&str) -> bool) {
    let mut files: Vec<&File> = package.files.iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in files {
        let path = String::from_utf8_lossy(&file.path);
        if !wanted(&path) {
            continue;
        }
        let kind = match file.kind {
            Kind::Dir => " type=\"dir\"",
            _ if file.flags & File::GHOST != 0 => " type=\"ghost\"",
            _ => "",
        };
        line(out, &format!("<file{kind}>{}</file>", clean(&path)));
    }
}

fn deps(out: &mut String, kind: &str, list: &[Dep]) {
    let mut list: Vec<&Dep> = list.iter().filter(|d| d.flags & RPMLIB == 0).collect();
    list.sort();
    list.dedup();
    if list.is_empty() {
        return;
    }
    line(out, &format!("<rpm:{kind}>"));
    for dep in list {
        let mut attributes = format!("name=\"{}\"", clean(&dep.name));
        let flags = match dep.operator() {
            "<" => "LT",
            "<=" => "LE",
            "=" => "EQ",
            ">=" => "GE",
            ">" => "GT",
            _ => "",
        };
        if !flags.is_empty() {
            let (epoch, rest) = dep.version.split_once(':').unwrap_or(("0", &dep.version));
            let (ver, rel) = rest.rsplit_once('-').map_or((rest, None), |(v, r)| (v, Some(r)));
            let _ =
                write!(attributes, " flags=\"{flags}\" epoch=\"{}\" ver=\"{}\"", clean(epoch), clean(ver));
            if let Some(rel) = rel {
                let _ = write!(attributes, " rel=\"{}\"", clean(rel));
            }
        }
        if kind == "requires" && dep.flags & crate::rpm::PREREQ != 0 {
            attributes.push_str(" pre=\"1\"");
        }
        line(out, &format!("  <rpm:entry {attributes}/>"));
    }
    line(out, &format!("</rpm:{kind}>"));
}

fn element(out: &mut String, name: &str, text: &str) {
    line(out, &format!("<{name}>{}</{name}>", clean(text)));
}

fn line(out: &mut String, text: &str) {
    out.push_str("  ");
    out.push_str(text);
    out.push('\n');
}

/// Escaped, without the control characters XML 1.0 has no way to write.
fn clean(text: &str) -> String {
    let allowed: String =
        text.chars().filter(|&c| matches!(c, '\t' | '\n' | '\r') || !c.is_control()).collect();
    escape(allowed).into_owned()
}
