//! Requests + existing accounts -> accounts, with the ids systemd-sysusers would choose.
//!
//! All groups first, then all users, each in request order. A free id is searched downwards from the top of the range,
//! one search position for uids and gids together, so that a user and the group of its name get the same number. What
//! is given must not collide with what exists; where it would, a free one is taken, unless it was strict (`u x 5:6`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use anyhow::{Context, bail};

use super::database::{Database, Group, Passwd, gshadow_line, list, shadow_line};
use super::sysusers::{GroupItem, Primary, Requests, UserItem, Wanted};
use crate::tree::{Owner, Tree};

/// Who may not log in gets this shell.
const NOLOGIN: &str = "/usr/sbin/nologin";

/// Adds everything requested to the database.
///
/// # Errors
/// A primary group does not exist, or no id is free.
pub(super) fn allocate(
    db: &mut Database,
    requests: &Requests,
    default_range: RangeInclusive<u32>,
    tree: &Tree,
    day: i64,
) -> anyhow::Result<()> {
    let mut ranges = requests.ranges.clone();
    if ranges.is_empty() {
        ranges.push(default_range);
    }
    let mut work = Work::new(db, ranges, tree);
    let mut new_groups = BTreeSet::new();
    for item in &requests.groups {
        if work.add_group(item, None)? {
            new_groups.insert(item.name.clone());
        }
    }
    for item in &requests.users {
        let context = || format!("failed to make the user {}", item.name);
        let gid = work.primary_group(item, requests, &new_groups).with_context(context)?;
        work.add_user(item, gid, day).with_context(context)?;
    }
    for (group, users) in &requests.members {
        add_members(db, group, users);
    }
    Ok(())
}

/// What is taken, and where the search for free ids stands.
struct Work<'a> {
    db: &'a mut Database,
    tree: &'a Tree,
    ranges: Vec<RangeInclusive<u32>>,
    /// The last id the search offered; starts above all.
    search: u32,
    uids: BTreeMap<u32, String>,
    gids: BTreeMap<u32, String>,
}

/// A user's primary group, and whether its number was prescribed.
struct PrimaryGid {
    gid: u32,
    strict: bool,
}

impl<'a> Work<'a> {
    fn new(db: &'a mut Database, mut ranges: Vec<RangeInclusive<u32>>, tree: &'a Tree) -> Self {
        ranges.sort_by_key(|r| *r.start());
        let uids = db.users.iter().map(|u| (u.uid, u.name.clone())).collect();
        let gids = db.groups.iter().map(|g| (g.gid, g.name.clone())).collect();
        Self { db, tree, ranges, search: u32::MAX, uids, gids }
    }

    /// The group a user starts in; makes the one of its own name if that is what it takes.
    fn primary_group(
        &mut self,
        item: &UserItem,
        requests: &Requests,
        new_groups: &BTreeSet<String>,
    ) -> anyhow::Result<PrimaryGid> {
        let name = match &item.primary {
            Primary::Id(gid) => {
                // A group of the user's name that was there before wins over the number, as in systemd-sysusers.
                let own = self.group_gid(&item.name).filter(|_| !new_groups.contains(&item.name));
                if own.is_none() && !self.gids.contains_key(gid) {
                    bail!("its primary group has gid {gid}, which no group has");
                }
                return Ok(PrimaryGid { gid: own.unwrap_or(*gid), strict: true });
            }
            Primary::Name(name) => name,
            Primary::Own => &item.name,
        };
        if requests.group_position(name).is_some() && new_groups.contains(name) {
            let gid = self.group_gid(name).unwrap_or_else(|| unreachable!("{name} was just made"));
            return Ok(PrimaryGid { gid, strict: true });
        }
        if let Primary::Name(name) = &item.primary {
            let gid =
                self.group_gid(name).with_context(|| format!("its primary group {name} does not exist"))?;
            return Ok(PrimaryGid { gid, strict: true });
        }
        let group = GroupItem { name: item.name.clone(), gid: Wanted::Any };
        self.add_group(&group, Some(&item.uid))?;
        let gid = self.group_gid(name).unwrap_or_else(|| unreachable!("{name} was just made"));
        Ok(PrimaryGid { gid, strict: false })
    }

    /// Makes a group unless it exists; `uid` is what the user of this name asks for. Returns whether it was made.
    fn add_group(&mut self, item: &GroupItem, uid: Option<&Wanted>) -> anyhow::Result<bool> {
        if self.group_gid(&item.name).is_some() {
            return Ok(false);
        }
        let mut gid = match item.gid {
            // A number that a user of another name has is taken all the same, as its writer wants it.
            Wanted::Id(id) if !self.gids.contains_key(&id) => Some(id),
            _ => None,
        };
        if let (None, Some(Wanted::Id(id))) = (gid, uid) {
            gid = self.gid_is_free(*id, &item.name).then_some(*id);
        }
        if gid.is_none()
            && let (Wanted::OwnerOf(path), _) | (_, Some(Wanted::OwnerOf(path))) = (&item.gid, uid)
        {
            gid = self
                .owner_of(path, false)
                .filter(|&id| self.in_range(id) && self.gid_is_free(id, &item.name));
        }
        let gid = match gid {
            Some(gid) => gid,
            None => self
                .next_free(|work, id| work.gid_is_free(id, &item.name))
                .with_context(|| format!("failed to make the group {}: no id is free", item.name))?,
        };
        self.insert_group(&item.name, gid);
        Ok(true)
    }

    fn add_user(&mut self, item: &UserItem, group: PrimaryGid, day: i64) -> anyhow::Result<()> {
        if self.db.users.iter().any(|u| u.name == item.name) {
            return Ok(());
        }
        let mut uid = match item.uid {
            Wanted::Id(id) if group.strict => (!self.uids.contains_key(&id)).then_some(id),
            Wanted::Id(id) => self.uid_is_free(id, &item.name).then_some(id),
            _ => None,
        };
        if let (None, Wanted::OwnerOf(path)) = (uid, &item.uid) {
            uid =
                self.owner_of(path, true).filter(|&id| self.in_range(id) && self.uid_is_free(id, &item.name));
        }
        if uid.is_none() && self.uid_is_free(group.gid, &item.name) {
            uid = Some(group.gid);
        }
        let uid = match uid {
            Some(uid) => uid,
            None => self.next_free(|work, id| work.uid_is_free(id, &item.name)).context("no id is free")?,
        };
        self.uids.insert(uid, item.name.clone());
        let shell = item.shell.clone().unwrap_or_else(|| self.default_shell(uid).to_owned());
        self.db.users.push(Passwd {
            name: item.name.clone(),
            uid,
            gid: group.gid,
            gecos: item.gecos.clone(),
            home: item.home.clone().unwrap_or_else(|| "/".to_owned()),
            shell,
        });
        match self.db.shadow.iter_mut().find(|line| line[0] == item.name) {
            Some(line) => line[2] = day.to_string(),
            None => self.db.shadow.push(shadow_line(&item.name, day, item.locked)),
        }
        Ok(())
    }

    fn default_shell(&self, uid: u32) -> &'static str {
        match uid {
            0 if self.tree.exists("/bin/bash") => "/bin/bash",
            0 => "/bin/sh",
            _ => NOLOGIN,
        }
    }

    fn insert_group(&mut self, name: &str, gid: u32) {
        self.gids.insert(gid, name.to_owned());
        self.db.groups.push(Group { name: name.to_owned(), gid, members: Vec::new() });
        if !self.db.gshadow.iter().any(|line| line[0] == name) {
            self.db.gshadow.push(gshadow_line(name, &[]));
        }
    }

    fn group_gid(&self, name: &str) -> Option<u32> {
        self.db.groups.iter().find(|g| g.name == name).map(|g| g.gid)
    }

    /// No group has it, and no user of another name.
    fn gid_is_free(&self, id: u32, name: &str) -> bool {
        id != 0 && !self.gids.contains_key(&id) && self.uids.get(&id).is_none_or(|user| user == name)
            || id == 0 && name == "root" && !self.gids.contains_key(&0)
    }

    /// No user has it, and no group of another name.
    fn uid_is_free(&self, id: u32, name: &str) -> bool {
        (id != 0 || name == "root")
            && !self.uids.contains_key(&id)
            && self.gids.get(&id).is_none_or(|group| group == name)
    }

    fn in_range(&self, id: u32) -> bool {
        id > 0 && self.ranges.iter().any(|r| r.contains(&id))
    }

    /// The owner of a file as a number: already one, or the name of an account that exists by now.
    fn owner_of(&self, path: &str, user: bool) -> Option<u32> {
        let meta = &self.tree.inode(self.tree.stat(path).ok()?).meta;
        match if user { &meta.user } else { &meta.group } {
            Owner::Id(id) => Some(*id),
            Owner::Name(name) if user => self.db.users.iter().find(|u| *u.name == **name).map(|u| u.uid),
            Owner::Name(name) => self.group_gid(name),
        }
    }

    /// The next id downwards that suits.
    fn next_free(&mut self, suits: impl Fn(&Self, u32) -> bool) -> Option<u32> {
        loop {
            let below = self.search.checked_sub(1)?;
            // The highest id that is in a range and not above `below`.
            self.search =
                self.ranges.iter().filter(|r| *r.start() <= below).map(|r| below.min(*r.end())).max()?;
            if suits(self, self.search) {
                return Some(self.search);
            }
        }
    }
}

/// Adds members to a group and its gshadow line; lists that grow are sorted, as systemd-sysusers leaves them.
fn add_members(db: &mut Database, group: &str, users: &[String]) {
    let grow = |members: &mut Vec<String>| {
        let before = members.len();
        members.extend(users.iter().cloned());
        members.sort();
        members.dedup();
        members.len() > before
    };
    if let Some(line) = db.groups.iter_mut().find(|g| g.name == group) {
        let mut members = line.members.clone();
        if grow(&mut members) {
            line.members = members;
        }
    }
    if let Some(line) = db.gshadow.iter_mut().find(|l| l[0] == group) {
        let mut members = list(&line[3]);
        if grow(&mut members) {
            line[3] = members.join(",");
        }
    }
}
