//! Other programs that install what is not the distribution's, where they are on this machine: uv and mise.

use std::path::{Path, PathBuf};

use common::cmd::{Cmd, which};

/// What brings back what was before.
pub(super) type Reset = Box<dyn Fn() -> anyhow::Result<()>>;

/// Nothing there.
pub(super) fn without(dir: PathBuf) -> Reset {
    Box::new(move || if dir.exists() { Ok(std::fs::remove_dir_all(&dir)?) } else { Ok(()) })
}

/// A wheel with the same files and a program, if uv and a Python are there.
pub(super) fn uv(dir: &Path) -> anyhow::Result<Option<Cmd>> {
    let (Some(uv), Some(python)) = (which("uv"), which("python3")) else {
        return Ok(None);
    };
    let wheel = dir.join("big-1-py3-none-any.whl");
    let build = "import sys, zipfile, pathlib\nout, src = sys.argv[1:]\nz = zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED)\n\
                 for f in pathlib.Path(src).iterdir(): z.write(f, 'big/' + f.name)\n\
                 z.writestr('big/__init__.py', 'def main(): pass\\n')\n\
                 z.writestr('big-1.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: big\\nVersion: 1\\n')\n\
                 z.writestr('big-1.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: bench\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
                 z.writestr('big-1.dist-info/entry_points.txt', '[console_scripts]\\nbig = big:main\\n')\n\
                 names = z.namelist()\n\
                 z.writestr('big-1.dist-info/RECORD', ''.join(n + ',,\\n' for n in names) + 'big-1.dist-info/RECORD,,\\n')\nz.close()\n";
    if !wheel.exists() {
        Cmd::new(python).args(["-c", build]).arg(&wheel).arg(dir.join("src/usr/share/big")).run()?;
    }
    let cmd = Cmd::new(uv).args(["tool", "install", "--offline", "--quiet"]).arg(wheel);
    let at = |name: &str| dir.join("uv").join(name);
    let cmd = cmd.env("UV_TOOL_DIR", at("tools")).env("UV_TOOL_BIN_DIR", at("bin"));
    Ok(Some(cmd.env("UV_CACHE_DIR", dir.join("uv-cache")).env("UV_PYTHON_DOWNLOADS", "never")))
}

/// mise's backend for archives from anywhere; everything of it is in `mise`.
pub(super) fn mise(dir: &Path, url: &str) -> anyhow::Result<Option<Cmd>> {
    let Some(mise) = which("mise") else { return Ok(None) };
    let project = dir.join("mise-project");
    if !project.exists() {
        std::fs::create_dir(&project)?;
        let text = format!("[tools.\"http:big\"]\nversion = \"1\"\nurl = \"{url}\"\n");
        std::fs::write(project.join("mise.toml"), text)?;
    }
    let cmd = Cmd::new(mise).arg("-C").arg(&project).args(["--quiet", "--yes", "install"]);
    let own =
        ["DATA", "CACHE", "CONFIG", "STATE"].map(|name| (name, dir.join("mise").join(name.to_lowercase())));
    let cmd = own.into_iter().fold(cmd, |cmd, (name, path)| cmd.env(format!("MISE_{name}_DIR"), path));
    Ok(Some(cmd.env("MISE_TRUSTED_CONFIG_PATHS", &project)))
}
