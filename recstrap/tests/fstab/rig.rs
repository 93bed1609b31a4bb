//! A system on loop devices, mounted as a person would who installs to it, and undone when dropped.

use std::path::{Path, PathBuf};

use common::cmd::Cmd;

/// Mounts, loop devices and swap areas of one test.
#[derive(Debug)]
pub(crate) struct Rig {
    dir: tempfile::TempDir,
    loops: Vec<String>,
    swaps: Vec<PathBuf>,
    zram: Option<String>,
}

impl Rig {
    /// Nothing yet but an empty directory to mount at.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("root")).expect("made");
        Self { dir, loops: Vec::new(), swaps: Vec::new(), zram: None }
    }

    /// Where the new system is mounted, as programs print it.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().expect("it exists").join("root")
    }

    /// A directory beside the root: the host's.
    pub(crate) fn host(&self) -> &Path {
        self.dir.path()
    }

    /// A loop device of `mib` MiB.
    pub(crate) fn device(&mut self, mib: u64) -> String {
        let file = self.dir.path().join(format!("image{}", self.loops.len()));
        std::fs::File::create(&file).and_then(|f| f.set_len(mib << 20)).expect("made");
        let device = Cmd::new("losetup").args(["--find", "--show"]).arg(file).read().expect("a loop device");
        self.loops.push(device.trim().to_owned());
        device.trim().to_owned()
    }

    /// A loop device with a file system made by `mkfs` (a command), mounted at `at` (from the root).
    pub(crate) fn filesystem(&mut self, mib: u64, mkfs: &[&str], at: &str, options: &str) -> String {
        let device = self.device(mib);
        let make = Cmd::new(testkit::oracle(mkfs[0])).args(mkfs[1..].iter().copied()).arg(&device);
        make.output().map(|o| assert!(o.status.success(), "{o:?}")).expect("it starts");
        if mkfs[0] == "mkfs.ntfs" {
            // It draws the UUID from the clock: two tests in one second would have the same.
            let random =
                std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("read").replace('-', "");
            let serial = format!("--new-serial={}", &random[..16]);
            Cmd::new("ntfslabel").args([&serial, &device]).run().expect("set");
        }
        self.mount(&["-o", options, &device], at);
        device
    }

    /// Mounts at a directory of the new system, which is made.
    pub(crate) fn mount(&self, args: &[&str], at: &str) {
        let at = self.path(at);
        if !at.exists() {
            std::fs::create_dir_all(&at).expect("made");
        }
        Cmd::new("mount").args(args).arg(at).run().expect("mounted");
    }

    /// Makes a swap area and uses it.
    pub(crate) fn swap(&mut self, path: &Path, args: &[&str]) {
        Cmd::new("mkswap")
            .arg(path)
            .output()
            .map(|o| assert!(o.status.success(), "{o:?}"))
            .expect("it starts");
        Cmd::new("swapon").args(args).arg(path).run().expect("used");
        self.swaps.push(path.to_owned());
    }

    /// A swap file in the new system.
    pub(crate) fn swap_file(&mut self, at: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(at);
        std::fs::write(&path, vec![0; 4 << 20]).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
        self.swap(&path, &[]);
    }

    /// Swap on a compressed RAM disk of our own; `false` where the kernel makes none.
    pub(crate) fn zram(&mut self) -> bool {
        let Ok(number) = std::fs::read_to_string("/sys/class/zram-control/hot_add") else { return false };
        let name = format!("zram{}", number.trim());
        self.zram = Some(number.trim().to_owned());
        std::fs::write(format!("/sys/block/{name}/disksize"), "4M").expect("set");
        self.swap(&Path::new("/dev").join(name), &[]);
        true
    }

    /// Whether a line of swap (source, comment above it) is ours; the machine may have more.
    pub(crate) fn is_our_swap(&self, source: &str, comment: &str) -> bool {
        let zram = self.zram.as_ref().map(|number| format!("/dev/zram{number}"));
        let mut ours = self.loops.iter().chain(&zram);
        source == "/swapfile"
            || Path::new(source) == self.path("/swapfile")
            // genfstab has no comment above what has no tag, as a RAM disk may.
            || ours.any(|d| source == d || comment.split(' ').next() == Some(d))
    }

    /// A path of the new system, as it is here.
    pub(crate) fn path(&self, at: &str) -> PathBuf {
        self.root().join(at.trim_start_matches('/'))
    }

    /// Unmounts everything and stops using swap.
    pub(crate) fn unmount(&self) {
        for swap in &self.swaps {
            let _ = Cmd::new("swapoff").arg(swap).output();
        }
        let _ = Cmd::new("umount").arg("--recursive").arg(self.root()).output();
    }

    /// Unmounts everything, mounts it by its own /etc/fstab, runs `cmd` on that; then nothing is mounted. Returns what
    /// findmnt says about the file, and what `cmd` prints.
    pub(crate) fn again(&self, cmd: &Cmd) -> (String, String) {
        let root = Cmd::new("findmnt").args(["-nvo", "SOURCE"]).arg(self.root()).read().expect("mounted");
        self.unmount();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fstab/again.sh");
        let verdict = self.dir.path().join("verdict");
        let [script, at, to] =
            [&script, &self.root(), &verdict].map(|p| p.to_str().expect("UTF-8").to_owned());
        let namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let args = [&namespaces[..], &["sh", &script, &at, root.trim(), &to]].concat();
        let printed = cmd.clone().under("unshare", &args).read().expect("it can be mounted again");
        (std::fs::read_to_string(verdict).expect("read"), printed)
    }

    /// A command that sees a database of udev with what blkid finds on our devices: this machine may have none, and
    /// genfstab knows no other source.
    pub(crate) fn with_udev(&self, cmd: &Cmd) -> Cmd {
        let data = self.dir.path().join("udev");
        std::fs::create_dir_all(&data).expect("made");
        for device in &self.loops {
            let out =
                Cmd::new("blkid").args(["--probe", "--output", "udev"]).arg(device).read().expect("known");
            let properties: String = out.lines().map(|l| format!("E:{l}\n")).collect();
            let minor = device.trim_start_matches("/dev/loop");
            std::fs::write(data.join(format!("b7:{minor}")), format!("I:1\n{properties}")).expect("written");
        }
        let script = "mkdir -p /run/udev && mount -t tmpfs tmpfs /run/udev && cp -r \"$0\" /run/udev/data && exec \"$@\"";
        let words = ["unshare", "--mount", "sh", "-c", script];
        cmd.clone().under(words[0], &[&words[1..], &[data.to_str().expect("UTF-8")]].concat())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.unmount();
        for device in &self.loops {
            let _ = Cmd::new("losetup").args(["--detach", device]).run();
        }
        if let Some(number) = &self.zram {
            let _ = std::fs::write(format!("/sys/block/zram{number}/reset"), "1");
            let _ = std::fs::write("/sys/class/zram-control/hot_remove", number);
        }
        // Removing the directory would remove what is in anything still mounted there.
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("read");
        if mounts.contains(&format!(" {}", self.root().display())) {
            self.dir.disable_cleanup(true);
            assert!(std::thread::panicking(), "{} is still mounted", self.root().display());
        }
    }
}
