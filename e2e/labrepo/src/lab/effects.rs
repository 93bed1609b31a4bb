//! Applies one table of data/effects.toml to a converted package: its maintainer script's results become its contents.

use anyhow::{Context, bail};

use super::plan::{Effect, attributes};
use crate::debian::deb::bytes_of;
use crate::rpm::{Content, File, Kind, Package};

/// Applies `effect` to `package`; times of new files are the package's.
///
/// # Errors
/// A file the effect names is not in the package, or one it makes is there already.
pub fn apply(package: &mut Package, effect: &Effect) -> anyhow::Result<()> {
    let name = package.name.clone();
    apply_all(package, effect).with_context(|| format!("data/effects.toml does not fit the package {name}"))
}

fn apply_all(package: &mut Package, effect: &Effect) -> anyhow::Result<()> {
    for (to, from) in &effect.copy {
        let source = find(package, from)?;
        let bytes = bytes_of(source).with_context(|| format!("{from} is not a regular file"))?;
        let mode = source.mode;
        add(package, File::new(to, Kind::File(Content::Bytes(bytes)), mode))?;
    }
    for (to, dir) in &effect.concat {
        let joined = concat(package, dir)?;
        add(package, File::regular(to, &joined, 0o644))?;
    }
    for (path, content) in &effect.file {
        add(package, File::regular(path, content.as_bytes(), 0o644))?;
    }
    for (path, to) in &effect.link {
        // base-files ships /var/run as a directory and turns it into a link.
        package.files.retain(|f| !(f.path == path.as_bytes() && matches!(f.kind, Kind::Dir)));
        add(package, File::new(path, Kind::Symlink(to.clone().into_bytes()), 0o777))?;
    }
    for (path, text) in &effect.dir {
        let (mode, user, group) = attributes(text)?;
        package.files.retain(|f| f.path != path.as_bytes());
        add(package, File::new(path, Kind::Dir, mode).owner(user, group))?;
    }
    if effect.shadow {
        shadow(package)?;
    }
    for (path, text) in &effect.attr {
        let (mode, user, group) = attributes(text)?;
        let file = find_mut(package, path)?;
        (file.mode, file.user, file.group) = (mode, user.to_owned(), group.to_owned());
    }
    for (path, caps) in &effect.caps {
        find_mut(package, path)?.caps.clone_from(caps);
    }
    Ok(())
}

fn add(package: &mut Package, mut file: File) -> anyhow::Result<()> {
    if package.files.iter().any(|f| f.path == file.path) {
        bail!("{} is in the package already", String::from_utf8_lossy(&file.path));
    }
    file.mtime = package.build_time;
    if file.path.starts_with(b"/etc/") && matches!(file.kind, Kind::File(_)) {
        file.flags |= File::CONFIG | File::NO_REPLACE;
    }
    package.files.push(file);
    Ok(())
}

fn find<'a>(package: &'a Package, path: &str) -> anyhow::Result<&'a File> {
    let found = package.files.iter().find(|f| f.path == path.as_bytes());
    found.with_context(|| format!("no file {path} in the package"))
}

fn find_mut<'a>(package: &'a mut Package, path: &str) -> anyhow::Result<&'a mut File> {
    let found = package.files.iter_mut().find(|f| f.path == path.as_bytes());
    found.with_context(|| format!("no file {path} in the package"))
}

/// The `.crt` files below `dir`, each ending in a newline.
fn concat(package: &Package, dir: &str) -> anyhow::Result<Vec<u8>> {
    let prefix = format!("{dir}/").into_bytes();
    let mut files: Vec<&File> = package.files.iter().collect();
    files.retain(|f| f.path.starts_with(&prefix) && f.path.ends_with(b".crt"));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut joined = Vec::new();
    for file in files {
        joined.extend(bytes_of(file).as_deref().unwrap_or_default());
        if joined.last() != Some(&b'\n') {
            joined.push(b'\n');
        }
    }
    if joined.is_empty() {
        bail!("no certificates below {dir}");
    }
    Ok(joined)
}

/// Moves the password fields of /etc/passwd and /etc/group into shadow files: no account of the masters has one, so all
/// become `*`, locked.
fn shadow(package: &mut Package) -> anyhow::Result<()> {
    let day = package.build_time / 86400;
    for (path, shadow, tail) in [
        ("/etc/passwd", "/etc/shadow", format!(":{day}:0:99999:7:::")),
        ("/etc/group", "/etc/gshadow", "::".to_owned()),
    ] {
        let master =
            bytes_of(find(package, path)?).with_context(|| format!("{path} is not a regular file"))?;
        let (mut public, mut secret) = (String::new(), String::new());
        for line in String::from_utf8_lossy(&master).lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(name), Some(_), Some(rest)) = (fields.next(), fields.next(), fields.next()) else {
                bail!("{path} has the line {line:?}");
            };
            public.push_str(&format!("{name}:x:{rest}\n"));
            secret.push_str(&format!("{name}:*{tail}\n"));
        }
        find_mut(package, path)?.kind = Kind::File(Content::Bytes(public.into_bytes().into()));
        add(package, File::regular(shadow, secret.as_bytes(), 0o640).owner("root", "shadow"))?;
    }
    Ok(())
}
