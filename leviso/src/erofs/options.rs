//! What to write: algorithm, cluster size, name and identity of the volume.

use anyhow::{bail, ensure};
use common::cli::Mark;

use crate::epoch::Epoch;
use crate::{exit, profile};

/// How file contents are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Not at all.
    None,
    /// LZ4, fast to write.
    Lz4,
    /// LZ4 with an exhaustive search: slow to write, as fast to read, a tenth smaller.
    Lz4Hc {
        /// 1 (fast) to 12 (small).
        level: u8,
    },
}

/// How an image is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Compression.
    pub algorithm: Algorithm,
    /// Largest compressed cluster in bytes: a power of two, 4096 to 1 MiB. Larger is smaller on disk and slower for
    /// random reads.
    pub pcluster: u32,
    /// Whether the compressed end of a file may lie behind its inode rather than in a block of its own: a tenth
    /// smaller; needs Linux 5.17.
    pub tail_packing: bool,
    /// Volume UUID; `None` derives one from the content, so that the same content has the same one.
    pub uuid: Option<[u8; 16]>,
    /// Volume name, at most 16 bytes.
    pub label: String,
    /// Build time in seconds since 1970: also the time of inodes that are stored without one.
    pub build_time: i64,
}

impl Options {
    /// What a profile asks for.
    ///
    /// # Errors
    /// The algorithm is unknown, or level or cluster size are out of range (`exit::PROFILE`).
    pub fn from_profile(image: &profile::Image, epoch: Epoch) -> anyhow::Result<Self> {
        let algorithm = match (&*image.compression, u8::try_from(image.level)) {
            ("none", _) => Algorithm::None,
            ("lz4", _) => Algorithm::Lz4,
            ("lz4hc", Ok(level)) => Algorithm::Lz4Hc { level },
            ("lz4hc", Err(_)) => {
                return Err(anyhow::anyhow!("image.level {} is not 1 to 12", image.level))
                    .exit(exit::PROFILE);
            }
            (other, _) => {
                return Err(anyhow::anyhow!("image.compression {other:?} is unknown"))
                    .hint("use \"lz4hc\", \"lz4\" or \"none\"")
                    .exit(exit::PROFILE);
            }
        };
        // The disc's label may have 32 characters, the volume's 16; nothing looks for the latter.
        let label = image.label.chars().take(16).filter(char::is_ascii).collect();
        let (pcluster, build_time) = (image.pcluster, epoch.0);
        let options = Self { algorithm, pcluster, tail_packing: true, uuid: None, label, build_time };
        options.check()?;
        Ok(options)
    }

    /// Whether the values are in range.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.out_of_range().exit(exit::PROFILE)
    }

    /// The volume name as the superblock holds it.
    pub(super) fn label_bytes(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..self.label.len()].copy_from_slice(self.label.as_bytes());
        out
    }

    fn out_of_range(&self) -> anyhow::Result<()> {
        if let Algorithm::Lz4Hc { level } = self.algorithm
            && !(1..=12).contains(&level)
        {
            bail!("image.level {level} is not 1 to 12");
        }
        ensure!(
            self.pcluster.is_power_of_two() && (4096..=1 << 20).contains(&self.pcluster),
            "image.pcluster {} is not a power of two from 4096 to 1048576",
            self.pcluster
        );
        ensure!(self.label.len() <= 16, "volume name {:?} is longer than 16 bytes", self.label);
        Ok(())
    }
}
