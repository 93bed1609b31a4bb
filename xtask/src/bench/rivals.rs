//! Who takes part: how each fills a directory with what is in the image, and what it needs for that.

use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cmd::Cmd;
use common::hash::Sha256;

use super::disk;
use crate::paths::Paths;

/// What all of them start from.
pub(super) struct Setup {
    recstrap: PathBuf,
    floor: PathBuf,
    /// The image.
    pub(super) image: PathBuf,
    manifest: Option<PathBuf>,
    mount: PathBuf,
    squashfs: PathBuf,
    tar: PathBuf,
    /// Names in the image, without its root.
    pub(super) names: u64,
    /// Bytes of all files in the image, each once.
    pub(super) content: u64,
}

/// One who takes part.
pub(super) struct Rival {
    /// What it is called in the table.
    pub(super) name: &'static str,
    /// Whether the image is mounted for it.
    pub(super) mounted: bool,
    /// What it does.
    pub(super) action: Action,
    /// Where below the target all names of the image are afterwards; `None` for floors, and where they are checked by
    /// the rival itself.
    pub(super) fills: Option<&'static str>,
    /// Whether it is one of ours, a floor or a rival.
    pub(super) role: Role,
}

/// What is compared with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// recstrap.
    Ours,
    /// Somebody else's way to do the same.
    Rival,
    /// What cannot be undercut.
    Floor,
    /// What cannot be undercut by who reads back what he wrote.
    ReadFloor,
}

/// What is measured.
pub(super) enum Action {
    /// This command, for a target.
    Run(Box<dyn Fn(&Path) -> Cmd>),
    /// Writing the content's bytes to one file.
    Write,
    /// Writing them, and reading them back from the disk.
    WriteAndRead,
}

impl Setup {
    /// Builds what is ours, and makes the archives of the rivals that cannot read EROFS; they are kept for the next
    /// time in `target/bench`, under the image's digest.
    pub(super) fn prepare(
        paths: &Paths,
        recstrap: Option<&Path>,
        image: &Path,
        manifest: Option<PathBuf>,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let cargo = || crate::cargo::cargo(paths).args(["build", "--release", "--quiet", "--locked"]);
        cargo().args(["--workspace", "--example", "decompress"]).run()?;
        let recstrap = match recstrap {
            Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
            None => crate::cargo::release(paths, "recstrap")?,
        };
        let kept = paths.target.join("bench").join(Sha256::of_file(image)?.to_string());
        std::fs::create_dir_all(&kept).with_context(|| format!("failed to create {}", kept.display()))?;
        let mut setup = Self {
            recstrap,
            floor: paths.target.join("release/examples/decompress"),
            image: image.to_owned(),
            manifest,
            mount: dir.join("image"),
            squashfs: kept.join("squashfs"),
            tar: kept.join("tar.zst"),
            names: 0,
            content: 0,
        };
        std::fs::create_dir(&setup.mount)?;
        setup.mount()?;
        let prepared = setup.archives();
        setup.unmount()?;
        prepared.map(|()| setup)
    }

    fn archives(&mut self) -> anyhow::Result<()> {
        self.names = disk::names(&self.mount)?;
        made(&self.squashfs, |part| {
            // mksquashfs's own level for zstd is 15; the block size is its default.
            let cmd = Cmd::new("mksquashfs").args([&self.mount, part]);
            cmd.args(["-comp", "zstd", "-b", "131072", "-quiet", "-no-progress"])
        })?;
        made(&self.tar, |part| {
            let cmd = Cmd::new("tar").args(["--create", "--xattrs", "--acls", "--numeric-owner", "--sparse"]);
            let cmd = cmd.args(["--use-compress-program", "zstd -9 -T0", "--file"]).arg(part);
            cmd.arg("--directory").arg(&self.mount).arg(".")
        })?;
        let summary = Cmd::new(&self.floor).args(["--summary"]).arg(&self.image).read()?;
        self.content = summary.trim().parse().context("the example `decompress` printed no number")?;
        Ok(())
    }

    /// Mounts the image.
    pub(super) fn mount(&self) -> anyhow::Result<()> {
        Cmd::new("mount").args(["-t", "erofs", "-o", "ro,loop"]).args([&self.image, &self.mount]).run()
    }

    /// Unmounts it.
    pub(super) fn unmount(&self) -> anyhow::Result<()> {
        Cmd::new("umount").arg("-d").arg(&self.mount).run()
    }

    /// All who take part.
    pub(super) fn rivals(&self) -> Vec<Rival> {
        let ours = |name, args: &'static [&'static str]| {
            let (program, image, manifest) =
                (self.recstrap.clone(), self.image.clone(), self.manifest.clone());
            let run = move |target: &Path| {
                let cmd = Cmd::new(&program).arg("--quiet").args(args).arg("--image").arg(&image);
                let cmd = match &manifest {
                    Some(path) => cmd.arg("--manifest").arg(path),
                    None => cmd.arg("--no-manifest"),
                };
                cmd.arg(target)
            };
            Rival { name, mounted: false, action: Action::Run(Box::new(run)), fills: None, role: Role::Ours }
        };
        let rival = |name, mounted, fills, run: Box<dyn Fn(&Path) -> Cmd>| Rival {
            name,
            mounted,
            action: Action::Run(run),
            fills: Some(fills),
            role: Role::Rival,
        };
        let (mount, image) = (self.mount.clone(), self.image.clone());
        let from = mount.join(".");
        let (squashfs, tar, floor, floor_image) =
            (self.squashfs.clone(), self.tar.clone(), self.floor.clone(), self.image.clone());
        vec![
            ours("recstrap", &[]),
            ours("recstrap --no-verify", &["--no-verify"]),
            rival(
                "cp -a",
                true,
                "",
                Box::new(move |target| Cmd::new("cp").args(["-a"]).arg(&from).arg(target)),
            ),
            rival(
                "rsync -aHAX",
                true,
                "",
                Box::new(move |target| {
                    let mut from = mount.clone().into_os_string();
                    from.push("/");
                    Cmd::new("rsync").args(["-aHAX", "--numeric-ids"]).arg(from).arg(target)
                }),
            ),
            rival(
                "fsck.erofs --extract",
                false,
                "root",
                Box::new(move |target| {
                    let to = format!("--extract={}", target.join("root").display());
                    Cmd::new("fsck.erofs").args([&to, "--preserve"]).arg(&image)
                }),
            ),
            rival(
                "unsquashfs (zstd)",
                false,
                "",
                Box::new(move |target| {
                    Cmd::new("unsquashfs")
                        .args(["-quiet", "-no-progress", "-force", "-dest"])
                        .arg(target)
                        .arg(&squashfs)
                }),
            ),
            rival(
                "tar (zstd)",
                false,
                "",
                Box::new(move |target| {
                    let cmd = Cmd::new("tar").args(["--extract", "--zstd", "--xattrs", "--xattrs-include=*"]);
                    let cmd = cmd.args(["--acls", "--numeric-owner", "--preserve-permissions", "--file"]);
                    cmd.arg(&tar).arg("--directory").arg(target)
                }),
            ),
            Rival {
                name: "floor: write",
                mounted: false,
                action: Action::Write,
                fills: None,
                role: Role::Floor,
            },
            Rival {
                name: "write, read back",
                mounted: false,
                action: Action::WriteAndRead,
                fills: None,
                role: Role::ReadFloor,
            },
            Rival {
                name: "floor: decompress",
                mounted: false,
                action: Action::Run(Box::new(move |_| Cmd::new(&floor).arg(&floor_image))),
                fills: None,
                role: Role::Floor,
            },
        ]
    }

    /// Size of the image.
    pub(super) fn image_bytes(&self) -> anyhow::Result<u64> {
        Ok(self.image.metadata().with_context(|| self.image.display().to_string())?.len())
    }

    /// Whether recstrap has a manifest to check the image by.
    pub(super) fn has_manifest(&self) -> bool {
        self.manifest.is_some()
    }
}

/// Makes a file by a command unless it is there; half a file is never taken for one.
fn made(path: &Path, cmd: impl Fn(&PathBuf) -> Cmd) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    super::say(&format!("making {}", path.display()));
    let part = path.with_extension("part");
    // mksquashfs would add to what is there.
    let _ = std::fs::remove_file(&part);
    cmd(&part).read()?;
    std::fs::rename(&part, path).with_context(|| format!("failed to rename {}", part.display()))
}
