//! Every path of one build, from one root. Nobody else joins strings.
//!
//! ```text
//! WORK/
//!   cache/            content-addressed downloads, shared by all profiles (fetch)
//!   payloads/         decompressed package payloads, memory-mapped by extract
//!   NAME.lock         the lock, unless --lock says otherwise
//!   NAME/             intermediate images of the last build of profile NAME
//!     rootfs.erofs  rootfs.mtree  initramfs.cpio.zst  levitateos.efi  esp.img
//! OUT/
//!   levitateos-NAME-VERSION-ARCH.iso  .iso.sha256  .iso.json
//! ```

use std::path::{Path, PathBuf};

use crate::profile::Profile;

/// The work directory.
#[derive(Debug, Clone)]
pub struct Workdir {
    root: PathBuf,
}

impl Workdir {
    /// A work directory; nothing is made yet.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Downloads by digest.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Decompressed payloads.
    #[must_use]
    pub fn payloads(&self) -> PathBuf {
        self.root.join("payloads")
    }

    /// The lock of a profile.
    #[must_use]
    pub fn lock(&self, profile: &Profile) -> PathBuf {
        self.root.join(format!("{}.lock", profile.name))
    }

    /// An intermediate image of a profile.
    #[must_use]
    pub fn image(&self, profile: &Profile, name: &str) -> PathBuf {
        self.root.join(&profile.name).join(name)
    }
}

/// File name of the finished ISO.
#[must_use]
pub fn iso_name(profile: &Profile) -> String {
    format!("{}-{}-{}-{}.iso", profile.os.id, profile.name, profile.os.version_id, profile.arch)
}
