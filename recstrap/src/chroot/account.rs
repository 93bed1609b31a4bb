//! Whom the command runs as: `USER[:GROUP]` and the target's passwd(5) and group(5) -> ids, groups, home, shell.
//!
//! Only these two files are asked: accounts of LDAP or systemd-homed need a running system. Pure functions of their text.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// A user of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Login name; the number when the target has none for it.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All groups, the primary one first.
    pub groups: Vec<u32>,
    /// Home directory, if passwd(5) names one.
    pub home: Option<String>,
    /// Login shell, if passwd(5) names one that is for people.
    pub shell: Option<String>,
}

/// One line of passwd(5).
struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
    shell: &'a str,
}

/// Looks up `spec` (`USER`, `USER:GROUP`, by name or number). root is always known.
///
/// # Errors
/// The target has no such user or group.
pub fn resolve(spec: &str, passwd: &str, group: &str) -> anyhow::Result<Account> {
    let (user, wanted_group) = match spec.split_once(':') {
        Some((user, group)) => (user, (!group.is_empty()).then_some(group)),
        None => (spec, None),
    };
    let number = user.parse::<u32>().ok();
    let entry = entries(passwd).find(|e| e.name == user);
    let entry = entry.or_else(|| entries(passwd).find(|e| Some(e.uid) == number));
    let root = (user == "root").then_some(0);
    let Some(uid) = entry.as_ref().map(|e| e.uid).or(number).or(root) else {
        bail!("the target has no user `{user}` in its /etc/passwd");
    };
    let gid = match (wanted_group, entry.as_ref().map(|e| e.gid).or((uid == 0).then_some(0))) {
        (Some(name), _) => group_id(name, group)
            .with_context(|| format!("the target has no group `{name}` in its /etc/group"))?,
        (None, Some(gid)) => gid,
        (None, None) => {
            bail!("the target's /etc/passwd does not say which group user {uid} is in; say {uid}:GROUP")
        }
    };
    let name = entry.as_ref().map_or(user, |e| e.name);
    let mut groups = vec![gid];
    groups.extend(groups_of(name, group).filter(|g| *g != gid));
    groups.dedup();
    let text = |s: &str| (!s.is_empty()).then(|| s.to_owned());
    let shell = entry.as_ref().and_then(|e| text(e.shell)).filter(|s| is_for_people(s));
    let home = entry.as_ref().and_then(|e| text(e.home)).or((uid == 0).then(|| "/root".to_owned()));
    Ok(Account { name: name.to_owned(), uid, gid, groups, home, shell })
}

fn entries(passwd: &str) -> impl Iterator<Item = Entry<'_>> {
    passwd.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
        Some(Entry { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home, shell })
    })
}

/// Name, id and members of each line of group(5).
fn group_entries(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [name, _, gid, members] = fields[..] else { return None };
        Some((name, gid.parse().ok()?, members))
    })
}

fn group_id(wanted: &str, group: &str) -> Option<u32> {
    let known = group_entries(group).find(|(name, ..)| *name == wanted).map(|(_, gid, _)| gid);
    known.or_else(|| wanted.parse().ok())
}

fn groups_of<'a>(user: &'a str, group: &'a str) -> impl Iterator<Item = u32> + 'a {
    let member = move |members: &str| members.split(',').any(|m| m == user);
    group_entries(group).filter(move |(_, _, members)| member(members)).map(|(_, gid, _)| gid)
}

/// Service accounts have a shell that only says no.
fn is_for_people(shell: &str) -> bool {
    let name = shell.rsplit('/').next().unwrap_or(shell);
    shell.starts_with('/') && !["nologin", "false"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "# comment\nroot:x:0:0:root:/root:/bin/zsh\nann:x:1000:1000::/home/ann:/bin/bash\n\
        broken:x:x\nhttp:x:33:33::/srv:/usr/sbin/nologin\n";
    const GROUP: &str = "root:x:0:\nann:x:1000:\nwheel:x:10:root,ann\nvideo:x:39:annie,ann\n";

    #[test]
    fn a_name_brings_its_groups_home_and_shell() {
        let ann = resolve("ann", PASSWD, GROUP).unwrap();
        assert_eq!((ann.uid, ann.gid, ann.groups.as_slice()), (1000, 1000, [1000, 10, 39].as_slice()));
        assert_eq!((ann.home.as_deref(), ann.shell.as_deref()), (Some("/home/ann"), Some("/bin/bash")));
        assert_eq!(resolve("1000", PASSWD, GROUP).unwrap(), ann, "by number it is the same user");
        assert_eq!(resolve("ann:", PASSWD, GROUP).unwrap(), ann);
    }

    #[test]
    fn a_group_replaces_the_primary_one() {
        let ann = resolve("ann:video", PASSWD, GROUP).unwrap();
        assert_eq!((ann.gid, ann.groups.as_slice()), (39, [39, 10].as_slice()));
        assert_eq!(resolve("ann:77", PASSWD, GROUP).unwrap().gid, 77);
        assert!(resolve("ann:nobody", PASSWD, GROUP).is_err());
    }

    #[test]
    fn strangers_need_a_group_and_root_is_always_known() {
        assert!(resolve("bob", PASSWD, GROUP).is_err());
        assert!(resolve("5000", PASSWD, GROUP).is_err());
        let stranger = resolve("5000:10", PASSWD, GROUP).unwrap();
        assert_eq!((stranger.uid, stranger.gid, stranger.home), (5000, 10, None));
        let root = resolve("root", "", "").unwrap();
        assert_eq!((root.uid, root.gid, root.home.as_deref()), (0, 0, Some("/root")));
    }

    #[test]
    fn a_shell_that_says_no_is_none() {
        assert_eq!(resolve("http", PASSWD, GROUP).unwrap().shell, None);
    }
}
