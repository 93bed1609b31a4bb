//! The four account files as lists of fields: passwd(5), group(5), shadow(5), gshadow(5).
//!
//! Tree -> [`Database`] -> Tree. Lines keep their order. Names and ids occur once, only root has id 0, and no account
//! ever leaves here with a password that a package brought along.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};

use super::super::conf;
use super::sysusers::parse_id;
use crate::tree::{Content, Inode, Kind, Meta, Origin, Owner, Tree};

/// No password matches it, and it does not look like one that was merely locked (systemd's choice too).
pub(super) const NO_PASSWORD: &str = "!*";

/// A line of /etc/passwd; its password field is always `x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passwd {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) gecos: String,
    pub(super) home: String,
    pub(super) shell: String,
}

/// A line of /etc/group; its password field is always `x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) gid: u32,
    pub(super) members: Vec<String>,
}

/// The account files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) users: Vec<Passwd>,
    pub(super) groups: Vec<Group>,
    /// name, password, and seven fields about ageing.
    pub(super) shadow: Vec<[String; 9]>,
    /// name, password, administrators, members.
    pub(super) gshadow: Vec<[String; 4]>,
}

impl Database {
    /// What the packages ship; missing files are empty.
    ///
    /// # Errors
    /// A line is malformed, or a name or id occurs twice.
    pub(super) fn read(tree: &Tree) -> anyhow::Result<Self> {
        let mut db = Self {
            shadow: lines(tree, "/etc/shadow")?,
            gshadow: lines(tree, "/etc/gshadow")?,
            ..Self::default()
        };
        for [name, _, uid, gid, gecos, home, shell] in lines::<7>(tree, "/etc/passwd")? {
            let context = || format!("failed to parse the line of {name} in /etc/passwd");
            let (uid, gid) = (parse_id(&uid).with_context(context)?, parse_id(&gid).with_context(context)?);
            db.users.push(Passwd { name, uid, gid, gecos, home, shell });
        }
        for [name, _, gid, members] in lines::<4>(tree, "/etc/group")? {
            let gid = parse_id(&gid)
                .with_context(|| format!("failed to parse the line of {name} in /etc/group"))?;
            db.groups.push(Group { name, gid, members: list(&members) });
        }
        Ok(db)
    }

    /// Fails unless names and ids are unique and 0 is root's alone.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        unique("/etc/passwd", self.users.iter().map(|u| (u.name.as_str(), Some(u.uid))))?;
        unique("/etc/group", self.groups.iter().map(|g| (g.name.as_str(), Some(g.gid))))?;
        unique("/etc/shadow", self.shadow.iter().map(|s| (s[0].as_str(), None)))?;
        unique("/etc/gshadow", self.gshadow.iter().map(|s| (s[0].as_str(), None)))
    }

    /// Gives every account its shadow line, and takes away every password: nobody logs in with one that came in a
    /// package. PAM refuses accounts without a shadow line, also for autologin.
    pub(super) fn complete_shadow(&mut self, day: i64) {
        for line in &mut self.shadow {
            if !line[1].starts_with(['!', '*']) {
                line[1] = NO_PASSWORD.to_owned();
            }
        }
        let known: BTreeSet<String> = self.shadow.iter().map(|s| s[0].clone()).collect();
        for user in self.users.iter().filter(|u| !known.contains(&u.name)) {
            self.shadow.push(shadow_line(&user.name, day, false));
        }
        let known: BTreeSet<String> = self.gshadow.iter().map(|s| s[0].clone()).collect();
        for line in &mut self.gshadow {
            if !line[1].is_empty() && !line[1].starts_with(['!', '*']) {
                line[1] = NO_PASSWORD.to_owned();
            }
        }
        for group in self.groups.iter().filter(|g| !known.contains(&g.name)) {
            self.gshadow.push(gshadow_line(&group.name, &group.members));
        }
    }

    /// Writes the four files.
    ///
    /// # Errors
    /// /etc cannot hold them.
    pub(super) fn write(&self, tree: &mut Tree) -> anyhow::Result<()> {
        let mut text = String::new();
        for u in &self.users {
            text += &format!("{}:x:{}:{}:{}:{}:{}\n", u.name, u.uid, u.gid, u.gecos, u.home, u.shell);
        }
        put(tree, "/etc/passwd", text, 0o644, 0)?;
        let groups: String =
            self.groups.iter().map(|g| format!("{}:x:{}:{}\n", g.name, g.gid, g.members.join(","))).collect();
        put(tree, "/etc/group", groups, 0o644, 0)?;
        // Debian's way where there is a group for it; else Fedora's, where only CAP_DAC_OVERRIDE reads them.
        let (mode, gid) = match self.groups.iter().find(|g| g.name == "shadow") {
            Some(group) => (0o640, group.gid),
            None => (0, 0),
        };
        put(tree, "/etc/shadow", self.shadow.iter().map(|l| l.join(":") + "\n").collect(), mode, gid)?;
        put(tree, "/etc/gshadow", self.gshadow.iter().map(|l| l.join(":") + "\n").collect(), mode, gid)
    }
}

/// The shadow line of an account nobody can log in to with a password.
pub(super) fn shadow_line(name: &str, day: i64, locked: bool) -> [String; 9] {
    let expire = if locked { "1" } else { "" };
    [name, NO_PASSWORD, &day.to_string(), "", "", "", "", expire, ""].map(str::to_owned)
}

/// The gshadow line of a group without a password.
pub(super) fn gshadow_line(name: &str, members: &[String]) -> [String; 4] {
    [name.to_owned(), NO_PASSWORD.to_owned(), String::new(), members.join(",")]
}

/// The words of a comma-separated list.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect()
}

fn lines<const N: usize>(tree: &Tree, path: &str) -> anyhow::Result<Vec<[String; N]>> {
    let text = conf::text_of(tree, path.as_bytes()).unwrap_or(Ok(String::new()));
    let text = text.with_context(|| format!("failed to parse {path}"))?;
    let mut out = Vec::new();
    for line in text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        let fields: Vec<String> = line.split(':').map(str::to_owned).collect();
        let found = fields.len();
        let fields: [String; N] = fields
            .try_into()
            .map_err(|_| anyhow::anyhow!("expected {N} fields in {path}, found {found} in {line:?}"))?;
        let plain =
            !fields[0].is_empty() && !line.chars().any(char::is_control) && !line.starts_with(['+', '-']);
        ensure!(plain, "expected an account in {path}, found {line:?}");
        out.push(fields);
    }
    Ok(out)
}

fn unique<'a>(path: &str, entries: impl Iterator<Item = (&'a str, Option<u32>)>) -> anyhow::Result<()> {
    let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for (name, id) in entries {
        ensure!(names.insert(name), "expected {name} once in {path}, found it twice");
        let Some(id) = id else { continue };
        ensure!(id != 0 || name == "root", "only root may have id 0, but {path} gives it to {name}");
        ensure!(ids.insert(id), "expected id {id} once in {path}, found it again for {name}");
    }
    Ok(())
}

/// Writes an account file; nothing of a package's own mode or owner stays, so it cannot open the file to others.
fn put(tree: &mut Tree, path: &str, text: String, mode: u16, gid: u32) -> anyhow::Result<()> {
    let mut meta = Meta::root(mode, tree.epoch(), Origin::Generated("accounts"));
    meta.group = Owner::Id(gid);
    let kind = Kind::File(Content::from(text.into_bytes()));
    tree.mkdir_p("/etc", &Origin::Generated("layout"))?;
    tree.insert(path, Inode { meta, kind }).with_context(|| format!("failed to write {path}"))?;
    Ok(())
}
