//! What a profile must satisfy beyond its shape. Each finding names the path of the value it is about, so that the
//! error can show the line.

use std::collections::BTreeSet;

use super::{Image, Kernel, Os, Packages, Profile, Repo};

/// Path of the value (`repo.0.id`) and what is wrong with it.
pub(super) type Finding = (String, String);

type Checked = Result<(), Finding>;

/// The first thing wrong with the profile, if any.
pub(super) fn check(profile: &Profile) -> Checked {
    word("name", &profile.name, "a-z, 0-9 and -", |b| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
    })?;
    word("arch", &profile.arch, "a-z, 0-9 and _", |b| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'
    })?;
    os(&profile.os)?;
    if profile.repos.is_empty() {
        return Err(("repo".into(), "expected at least one [[repo]]".into()));
    }
    let mut ids = BTreeSet::new();
    for (i, repo) in profile.repos.iter().enumerate() {
        if !ids.insert(&repo.id) {
            return Err((format!("repo.{i}.id"), format!("there are two repositories {:?}", repo.id)));
        }
        check_repo(&format!("repo.{i}"), repo)?;
    }
    packages(&profile.packages)?;
    services(profile)?;
    let mut names = BTreeSet::new();
    for (i, user) in profile.users.iter().enumerate() {
        word(&format!("user.{i}.name"), &user.name, "a-z, 0-9, _ and -", |b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b)
        })?;
        if !names.insert(&user.name) {
            return Err((format!("user.{i}.name"), format!("there are two users {:?}", user.name)));
        }
    }
    for (link, target) in &profile.alternatives {
        if !link.starts_with('/') || !target.starts_with('/') {
            return Err((format!("alternatives.{link}"), "expected absolute paths on both sides".into()));
        }
    }
    kernel(&profile.kernel)?;
    if !profile.initramfs.busybox.starts_with('/') {
        return Err(("initramfs.busybox".into(), "expected an absolute path in the image".into()));
    }
    for (i, program) in profile.disk_initramfs.iter().flat_map(|d| &d.programs).enumerate() {
        if !program.trim_start_matches('?').starts_with('/') {
            let at = format!("disk-initramfs.programs.{i}");
            return Err((at, format!("expected an absolute path in the image, found {program:?}")));
        }
    }
    image(&profile.image)
}

fn os(os: &Os) -> Checked {
    let fields = [("name", &os.name), ("version-id", &os.version_id), ("hostname", &os.hostname)];
    for (key, value) in fields {
        if value.trim().is_empty() || value.contains(['\n', '\0']) {
            return Err((format!("os.{key}"), "expected one line of text".into()));
        }
    }
    word("os.id", &os.id, "a-z, 0-9, ., _ and -", |b| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b)
    })
}

fn check_repo(at: &str, repo: &Repo) -> Checked {
    word(&format!("{at}.id"), &repo.id, "letters, digits, ., _ and -", |b| {
        b.is_ascii_alphanumeric() || b"._-".contains(&b)
    })?;
    let lists = [("mirrorlist", &repo.mirrorlist), ("metalink", &repo.metalink)];
    let urls = repo.baseurl.iter().enumerate().map(|(i, url)| (format!("{at}.baseurl.{i}"), url));
    let lists = lists.iter().filter_map(|(key, url)| Some((format!("{at}.{key}"), url.as_ref()?)));
    let urls: Vec<_> = urls.chain(lists).collect();
    if urls.is_empty() {
        return Err((at.into(), format!("repository {:?} has no baseurl, mirrorlist or metalink", repo.id)));
    }
    for (at, url) in urls {
        let rest = ["https://", "http://", "file:///"].iter().find_map(|scheme| url.strip_prefix(scheme));
        if rest.is_none_or(str::is_empty) || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err((at, format!("expected a URL with https://, http:// or file:///, found {url:?}")));
        }
        if !repo.signed_metadata && url.starts_with("http://") && !is_loopback(url) {
            let why = "metadata without a signature may only come by https:// or file://";
            return Err((at, why.into()));
        }
    }
    if repo.fingerprints.is_empty() {
        return Err((format!("{at}.fingerprints"), "expected at least one fingerprint".into()));
    }
    for (i, print) in repo.fingerprints.iter().enumerate() {
        if !matches!(print.len(), 40 | 64) || !print.bytes().all(|b| b.is_ascii_hexdigit()) {
            let message =
                format!("expected a fingerprint of 40 or 64 hex digits, found {} characters", print.len());
            return Err((format!("{at}.fingerprints.{i}"), message));
        }
    }
    Ok(())
}

fn is_loopback(url: &str) -> bool {
    let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

fn packages(packages: &Packages) -> Checked {
    if packages.include.is_empty() {
        return Err(("packages.include".into(), "expected at least one package".into()));
    }
    for (i, name) in packages.include.iter().enumerate() {
        if name.is_empty() || name.contains(|c: char| c.is_control()) {
            return Err((format!("packages.include.{i}"), format!("{name:?} is not a package")));
        }
        if packages.exclude.contains(name) {
            return Err((format!("packages.include.{i}"), format!("{name:?} is included and excluded")));
        }
    }
    Ok(())
}

fn services(profile: &Profile) -> Checked {
    let services = &profile.services;
    let lists = [("enable", &services.enable), ("disable", &services.disable), ("mask", &services.mask)];
    let units = lists.iter().flat_map(|(key, list)| {
        list.iter().enumerate().map(move |(i, unit)| (format!("services.{key}.{i}"), unit))
    });
    let target = services.default_target.iter().map(|t| ("services.default-target".to_owned(), t));
    for (at, unit) in units.chain(target) {
        if !unit.contains('.') || unit.contains(|c: char| c == '/' || c.is_whitespace()) {
            return Err((at, format!("expected a unit name such as sshd.service, found {unit:?}")));
        }
    }
    Ok(())
}

fn kernel(kernel: &Kernel) -> Checked {
    let line = |at: &str, text: &str| {
        // The UKI's .cmdline is read as ASCII by some firmware tools, and the kernel takes 2048 bytes at most.
        let ok = text.bytes().all(|b| (b' '..=b'~').contains(&b)) && text.len() < 2048;
        if ok {
            Ok(())
        } else {
            Err((at.to_owned(), "expected one line of ASCII, under 2048 bytes".to_owned()))
        }
    };
    line("kernel.cmdline", &kernel.cmdline)?;
    if kernel.entries.is_empty() {
        return Err((
            "kernel".into(),
            "expected at least one [[kernel.entry]]; the first is the default".into(),
        ));
    }
    let mut ids = BTreeSet::new();
    for (i, entry) in kernel.entries.iter().enumerate() {
        let at = format!("kernel.entry.{i}");
        word(&format!("{at}.id"), &entry.id, "a-z, 0-9 and -", |b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
        })?;
        if !ids.insert(&entry.id) {
            return Err((format!("{at}.id"), format!("there are two boot entries {:?}", entry.id)));
        }
        if entry.title.trim().is_empty() || entry.title.contains(|c: char| c.is_control()) {
            return Err((format!("{at}.title"), "expected one line of text".into()));
        }
        line(&format!("{at}.cmdline"), &entry.cmdline)?;
    }
    Ok(())
}

fn image(image: &Image) -> Checked {
    // ISO 9660 d-characters: other characters read differently with and without Joliet or Rock Ridge.
    word("image.label", &image.label, "A-Z, 0-9 and _", |b| {
        b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'
    })?;
    if image.label.len() > 32 {
        return Err((
            "image.label".into(),
            format!("expected at most 32 characters, found {}", image.label.len()),
        ));
    }
    if !matches!(image.compression.as_str(), "lz4" | "lz4hc" | "none") {
        let message = format!("expected lz4, lz4hc or none, found {:?}", image.compression);
        return Err(("image.compression".into(), message));
    }
    if image.compression == "lz4hc" && !(1..=12).contains(&image.level) {
        return Err(("image.level".into(), format!("expected 1 to 12 for lz4hc, found {}", image.level)));
    }
    if !image.pcluster.is_power_of_two() || !(4096..=1 << 20).contains(&image.pcluster) {
        let message = format!("expected a power of two from 4096 to 1048576, found {}", image.pcluster);
        return Err(("image.pcluster".into(), message));
    }
    Ok(())
}

fn word(at: &str, text: &str, what: &str, allowed: impl Fn(u8) -> bool) -> Checked {
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err((at.to_owned(), format!("expected {what}, found {text:?}")));
    }
    Ok(())
}
