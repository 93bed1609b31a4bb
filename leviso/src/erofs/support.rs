//! What the image's own kernel can read, from its build configuration (`/lib/modules/VERSION/config`).
//!
//! Kernels differ: EL10's reads LZ4 and LZMA but neither zstd nor deflate. An image its own kernel cannot mount must
//! not leave the build.

use std::collections::BTreeMap;

use anyhow::{anyhow, ensure};
use common::cli::Mark;

use super::{Algorithm, Options};
use crate::exit;

/// What a kernel's EROFS can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Support {
    /// Built in or as a module.
    pub erofs: bool,
    /// Compressed data; LZ4 always comes with it.
    pub lz4: bool,
    /// Compressed data with LZMA.
    pub lzma: bool,
    /// Extended attributes.
    pub xattrs: bool,
    /// POSIX ACLs.
    pub acls: bool,
    /// `security.*` attributes, thus file capabilities.
    pub security: bool,
    /// Version from the configuration's heading (major, minor), if it has one.
    pub version: Option<(u32, u32)>,
}

impl Support {
    /// Reads a kernel's `.config`: `CONFIG_X=y` lines; what is absent or commented out is off.
    #[must_use]
    pub fn from_kernel_config(config: &[u8]) -> Self {
        let text = String::from_utf8_lossy(config);
        let on: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.trim().split_once('=')).collect();
        let has = |key: &str| matches!(on.get(key), Some(&("y" | "m")));
        let zip = has("CONFIG_EROFS_FS_ZIP");
        Self {
            erofs: has("CONFIG_EROFS_FS"),
            lz4: zip,
            lzma: zip && has("CONFIG_EROFS_FS_ZIP_LZMA"),
            xattrs: has("CONFIG_EROFS_FS_XATTR"),
            acls: has("CONFIG_EROFS_FS_POSIX_ACL"),
            security: has("CONFIG_EROFS_FS_SECURITY"),
            version: text.lines().find_map(version),
        }
    }

    /// Whether that kernel can mount an image written so.
    ///
    /// # Errors
    /// It cannot; says which setting of the kernel is missing (`exit::SYSTEM`).
    pub fn check(&self, options: &Options) -> anyhow::Result<()> {
        self.lacks(options).exit(exit::SYSTEM)
    }

    fn lacks(&self, options: &Options) -> anyhow::Result<()> {
        ensure!(self.erofs, "the image's kernel cannot mount EROFS (CONFIG_EROFS_FS is not set)");
        ensure!(
            self.xattrs && self.security,
            "the image's kernel cannot read file capabilities from EROFS (CONFIG_EROFS_FS_XATTR or \
             CONFIG_EROFS_FS_SECURITY is not set)"
        );
        if options.algorithm == Algorithm::None {
            return Ok(());
        }
        if !self.lz4 {
            return Err(anyhow!(
                "the image's kernel cannot read LZ4 from EROFS (CONFIG_EROFS_FS_ZIP is not set)"
            ))
            .hint("set image.compression = \"none\" in the profile, or use another kernel");
        }
        if let Some(version) = self.version {
            ensure!(
                version >= (5, 15),
                "the image's kernel is {}.{}; EROFS images need 5.15",
                version.0,
                version.1
            );
            ensure!(
                !options.tail_packing || version >= (5, 17),
                "the image's kernel is {}.{}; EROFS images with packed tails need 5.17",
                version.0,
                version.1
            );
        }
        Ok(())
    }
}

/// `# Linux/x86 6.12.0-55.el10 Kernel Configuration` -> (6, 12).
fn version(line: &str) -> Option<(u32, u32)> {
    let text = line.strip_prefix("# Linux/")?.strip_suffix(" Kernel Configuration")?.split_once(' ')?.1;
    let mut numbers = text.split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EL10: &str = "#\n# Linux/x86 6.12.0-55.24.1.el10_0.x86_64 Kernel Configuration\n#\nCONFIG_EROFS_FS=m\n\
        CONFIG_EROFS_FS_XATTR=y\nCONFIG_EROFS_FS_POSIX_ACL=y\nCONFIG_EROFS_FS_SECURITY=y\nCONFIG_EROFS_FS_ZIP=y\n\
        CONFIG_EROFS_FS_ZIP_LZMA=y\n# CONFIG_EROFS_FS_ZIP_ZSTD is not set\n";

    fn lz4() -> Options {
        Options {
            algorithm: Algorithm::Lz4,
            pcluster: 65536,
            tail_packing: true,
            uuid: None,
            label: String::new(),
            build_time: 0,
        }
    }

    #[test]
    fn an_el10_kernel_reads_lz4() {
        let support = Support::from_kernel_config(EL10.as_bytes());
        assert_eq!((support.lz4, support.lzma, support.version), (true, true, Some((6, 12))));
        support.check(&lz4()).unwrap();
    }

    #[test]
    fn what_the_kernel_lacks_is_refused_by_name() {
        let refuses = |from: &str, to: &str, options: &Options, expected: &str| {
            let err =
                Support::from_kernel_config(EL10.replace(from, to).as_bytes()).check(options).unwrap_err();
            assert!(err.to_string().contains(expected), "{err}");
            assert_eq!(common::cli::exit_code(&err), exit::SYSTEM);
        };
        refuses("CONFIG_EROFS_FS_ZIP=y", "# CONFIG_EROFS_FS_ZIP is not set", &lz4(), "CONFIG_EROFS_FS_ZIP ");
        refuses(
            "CONFIG_EROFS_FS=m",
            "",
            &Options { algorithm: Algorithm::None, ..lz4() },
            "CONFIG_EROFS_FS ",
        );
        refuses("6.12.0", "5.16.0", &lz4(), "5.16; EROFS images with packed tails");
        refuses("CONFIG_EROFS_FS_SECURITY=y", "", &lz4(), "file capabilities");
    }
}
