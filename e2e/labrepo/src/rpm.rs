//! RPM v4 files from a description in memory.
//!
//! [`Package`] -> [`Package::build`] -> [`Rpm`]: lead, signature header, main header, payload. Written here rather than
//! by the `rpm` crate's builder, which takes files from the host's disk and can make neither hard links, devices, nor
//! files of 4 GiB without one; and leviso's reader then meets packages its own library did not write. Nothing is
//! checked: hostile names and wrong claims are what fixtures are for.
//!
//! Layout: rpm's docs/manual/format_v4.md and tags.md.

mod build;
mod deps;
mod header;
mod payload;

use std::sync::Arc;

pub use build::Rpm;
pub use deps::{Dep, EQUAL, GREATER, LESS, PREREQ, RPMLIB};

/// The time of everything that says nothing else, seconds since 1970 UTC.
pub const DEFAULT_TIME: u32 = 1_700_000_000;

/// How the payload is stored, with the compressor's own level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// zstd, 1 to 22
    Zstd(i32),
    /// xz, 0 to 9
    Xz(u32),
    /// gzip, 0 to 9
    Gzip(u32),
}

/// Content of a regular file.
#[derive(Debug, Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// One byte repeated: files larger than memory.
    Fill {
        /// The byte.
        byte: u8,
        /// How many.
        len: u64,
    },
}

/// What a file is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A regular file.
    File(Content),
    /// A directory.
    Dir,
    /// A symbolic link to these bytes.
    Symlink(Vec<u8>),
    /// Another name of the regular file at this path of the same package.
    HardLink(Vec<u8>),
    /// A character device, major and minor.
    Char(u32, u32),
    /// A block device, major and minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One path of a package.
#[derive(Debug, Clone)]
pub struct File {
    /// Absolute path, any bytes.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777.
    pub mode: u16,
    /// Owner by name.
    pub user: String,
    /// Group by name.
    pub group: String,
    /// Modification time, seconds since 1970 UTC.
    pub mtime: u32,
    /// Capabilities as cap_to_text(3) writes them, such as `cap_net_raw=ep`; empty for none.
    pub caps: String,
    /// The bits of `RPMFILE_*`: see the constants of this type.
    pub flags: u32,
}

impl File {
    /// %config
    pub const CONFIG: u32 = 1;
    /// %doc
    pub const DOC: u32 = 1 << 1;
    /// %config(missingok)
    pub const MISSING_OK: u32 = 1 << 3;
    /// %config(noreplace), with CONFIG
    pub const NO_REPLACE: u32 = 1 << 4;
    /// %ghost: owned, not shipped
    pub const GHOST: u32 = 1 << 6;
    /// %license
    pub const LICENSE: u32 = 1 << 7;

    /// A file of root's, made at [`DEFAULT_TIME`].
    pub fn new(path: impl AsRef<[u8]>, kind: Kind, mode: u16) -> Self {
        Self {
            path: path.as_ref().to_vec(),
            kind,
            mode,
            user: "root".into(),
            group: "root".into(),
            mtime: DEFAULT_TIME,
            caps: String::new(),
            flags: 0,
        }
    }

    /// A regular file.
    pub fn regular(path: impl AsRef<[u8]>, content: &[u8], mode: u16) -> Self {
        Self::new(path, Kind::File(Content::Bytes(content.into())), mode)
    }

    /// Sets the owner and the group.
    #[must_use]
    pub fn owner(mut self, user: &str, group: &str) -> Self {
        (self.user, self.group) = (user.into(), group.into());
        self
    }

    /// Sets the modification time.
    #[must_use]
    pub fn mtime(mut self, mtime: u32) -> Self {
        self.mtime = mtime;
        self
    }

    /// Sets the capabilities.
    #[must_use]
    pub fn caps(mut self, caps: &str) -> Self {
        self.caps = caps.into();
        self
    }

    /// Adds flags.
    #[must_use]
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags |= flags;
        self
    }
}

/// A package before it is built.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the tags of the same name")]
pub struct Package {
    pub name: String,
    pub epoch: Option<u32>,
    pub version: String,
    pub release: String,
    pub arch: String,
    pub summary: String,
    pub description: String,
    pub license: String,
    pub vendor: String,
    pub url: String,
    pub source_rpm: String,
    pub build_time: u32,
    pub compression: Compression,
    pub files: Vec<File>,
    pub requires: Vec<Dep>,
    pub provides: Vec<Dep>,
    pub conflicts: Vec<Dep>,
    pub obsoletes: Vec<Dep>,
    pub recommends: Vec<Dep>,
    pub suggests: Vec<Dep>,
    pub supplements: Vec<Dep>,
    pub enhances: Vec<Dep>,
}

impl Package {
    /// An empty package; `arch` is `x86_64` or `noarch`.
    #[must_use]
    pub fn new(name: &str, version: &str, release: &str, arch: &str) -> Self {
        Self {
            name: name.into(),
            epoch: None,
            version: version.into(),
            release: release.into(),
            arch: arch.into(),
            summary: format!("The {name} package"),
            description: format!("The {name} package."),
            license: "MIT".into(),
            vendor: "LevitateOS lab".into(),
            url: String::new(),
            source_rpm: format!("{name}-{version}-{release}.src.rpm"),
            build_time: DEFAULT_TIME,
            compression: Compression::Zstd(3),
            files: Vec::new(),
            requires: Vec::new(),
            provides: Vec::new(),
            conflicts: Vec::new(),
            obsoletes: Vec::new(),
            recommends: Vec::new(),
            suggests: Vec::new(),
            supplements: Vec::new(),
            enhances: Vec::new(),
        }
    }

    /// Adds any file.
    #[must_use]
    pub fn with(mut self, file: File) -> Self {
        self.files.push(file);
        self
    }

    /// Adds a regular file of root's.
    #[must_use]
    pub fn file(self, path: impl AsRef<[u8]>, content: &[u8], mode: u16) -> Self {
        self.with(File::regular(path, content, mode))
    }

    /// Adds a configuration file, %config(noreplace).
    #[must_use]
    pub fn config(self, path: impl AsRef<[u8]>, content: &[u8], mode: u16) -> Self {
        self.with(File::regular(path, content, mode).flags(File::CONFIG | File::NO_REPLACE))
    }

    /// Adds a directory.
    #[must_use]
    pub fn dir(self, path: impl AsRef<[u8]>, mode: u16) -> Self {
        self.with(File::new(path, Kind::Dir, mode))
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.with(File::new(path, Kind::Symlink(target.as_ref().to_vec()), 0o777))
    }

    /// Adds another name of the regular file at `to`.
    #[must_use]
    pub fn hard_link(self, path: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        self.with(File::new(path, Kind::HardLink(to.as_ref().to_vec()), 0))
    }

    /// Adds an empty regular file that is owned but not shipped, %ghost.
    #[must_use]
    pub fn ghost(self, path: impl AsRef<[u8]>, mode: u16) -> Self {
        self.with(File::regular(path, b"", mode).flags(File::GHOST))
    }

    /// Sets the epoch.
    #[must_use]
    pub fn epoch(mut self, epoch: u32) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Sets how the payload is compressed; zstd level 3 otherwise.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Adds a Requires: `bar`, `bar >= 1:2-3`, `/usr/bin/sh`, `(a or b)`.
    #[must_use]
    pub fn requires(mut self, dep: &str) -> Self {
        self.requires.push(dep.into());
        self
    }

    /// Adds a Provides. The package's own name is provided without saying.
    #[must_use]
    pub fn provides(mut self, dep: &str) -> Self {
        self.provides.push(dep.into());
        self
    }

    /// Adds a Conflicts.
    #[must_use]
    pub fn conflicts(mut self, dep: &str) -> Self {
        self.conflicts.push(dep.into());
        self
    }

    /// Adds an Obsoletes.
    #[must_use]
    pub fn obsoletes(mut self, dep: &str) -> Self {
        self.obsoletes.push(dep.into());
        self
    }

    /// Adds a Recommends.
    #[must_use]
    pub fn recommends(mut self, dep: &str) -> Self {
        self.recommends.push(dep.into());
        self
    }

    /// `[epoch:]version-release`.
    #[must_use]
    pub fn evr(&self) -> String {
        let epoch = self.epoch.map(|e| format!("{e}:")).unwrap_or_default();
        format!("{epoch}{}-{}", self.version, self.release)
    }

    /// `name-version-release.arch.rpm`, the file's usual name (the epoch is not in it).
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.{}.rpm", self.name, self.version, self.release, self.arch)
    }

    /// All Provides, with the two that rpm adds for the package itself.
    #[must_use]
    pub fn all_provides(&self) -> Vec<Dep> {
        let own = |name: String| Dep { name, flags: EQUAL, version: self.evr() };
        let mut all = self.provides.clone();
        all.push(own(self.name.clone()));
        if self.arch == "x86_64" {
            all.push(own(format!("{}(x86-64)", self.name)));
        }
        all.sort();
        all.dedup();
        all
    }
}

impl Content {
    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Fill { len, .. } => *len,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
