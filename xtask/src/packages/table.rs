//! The packages we make of our own tools, one row each.
//!
//! What no row says: each program's manual page, completions of bash, zsh and fish, the licences, and whatever is below
//! `xtask/packages/NAME` (laid out as it is installed) are part of the package.

/// A package.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: &'static str,
    /// The Cargo package that has the programs.
    pub(crate) cargo: &'static str,
    /// Its programs, in /usr/bin.
    pub(crate) programs: &'static [&'static str],
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    /// Files and directories of the workspace, and where they are installed.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// Guides of the workspace, and where their text for terminals is installed.
    pub(crate) guides: &'static [(&'static str, &'static str)],
    /// Directories that belong to the package besides those of its licences.
    pub(crate) dirs: &'static [&'static str],
    /// What it cannot work without. Paths, because the bases call their packages differently.
    pub(crate) requires: &'static [&'static str],
    /// What it makes use of.
    pub(crate) recommends: &'static [&'static str],
    /// What it is made from besides its own files: the date of their last commit is the package's.
    pub(crate) sources: &'static [&'static str],
}

/// All of them.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "recstrap",
        cargo: "recstrap",
        programs: &["recstrap", "recfstab", "recchroot"],
        summary: "Installs LevitateOS from the live system to a disk",
        description: "\
recstrap copies the live system to a mounted target and verifies what it wrote, recfstab prints the
fstab of what is mounted there, recchroot runs a shell or a command in it. installation-guide shows
how they work together.",
        files: &[],
        guides: &[("docs/guide/install.md", "/usr/share/doc/levitateos/install.txt")],
        dirs: &["/usr/share/doc/levitateos"],
        requires: &["/usr/bin/findmnt", "/usr/bin/less", "/usr/bin/lsblk", "/usr/bin/sh"],
        recommends: &["/usr/bin/newgidmap", "/usr/bin/newuidmap", "/usr/sbin/blkid"],
        sources: &["common", "recstrap"],
    },
    Row {
        name: "recuki",
        cargo: "leviso",
        programs: &["recuki"],
        summary: "Puts the kernel of an installed LevitateOS on the EFI system partition",
        description: "\
recuki makes a unified kernel image of an installed system (its kernel, an initramfs that finds the
root file system, the command line) and puts it where systemd-boot finds it, with boot counting.",
        files: &[],
        guides: &[],
        dirs: &[],
        requires: &[],
        recommends: &[],
        sources: &["common", "leviso"],
    },
    Row {
        name: "recipe",
        cargo: "recipe",
        programs: &["recipe"],
        summary: "Package manager whose packages are Rhai scripts and whose state is the recipe file",
        description: "\
recipe installs, upgrades and removes programs below /usr/local, or below ~/.local for who is not root, in
transactions that survive a power cut. Recipes are in /usr/local/share/recipes; the first ones are put
there when the system starts.",
        files: &[("recipes", "/usr/share/recipe/recipes")],
        guides: &[("docs/guide/recipe.md", "/usr/share/doc/recipe/recipe.txt")],
        dirs: &["/usr/share/doc/recipe", "/usr/share/recipe"],
        requires: &[],
        recommends: &[],
        sources: &["common", "recipe", "recipes"],
    },
];
