//! Names of the image, one after the other -> a [`Plan`].
//!
//! In: names in listing order, then decisions ([`Fate`]), then [`Builder::seal`]. Out: the plan, in which it is settled which
//! file system each name lands on, which names become hard links, and which files one worker takes at a time.

use std::collections::{HashMap, HashSet};

use super::plan::{Fate, Node, Paths, Place, Plan, Unit, What};

/// How much a unit holds at most, unless it is one file: few enough that workers end at the same time, enough
/// that opening the directory costs nothing.
const UNIT_BYTES: u64 = 4 << 20;
const UNIT_NODES: usize = 128;

/// Nodes being collected.
#[derive(Debug, Default)]
pub struct Builder {
    /// In listing order; the root first.
    pub nodes: Vec<Node>,
}

impl Builder {
    /// Decides `fate` for every name (but the root) for which `decide` gives one; what is in a directory that is left
    /// out is left out too.
    pub fn decide(&mut self, mut decide: impl FnMut(&[u8], &Node) -> Option<Fate>) {
        let mut paths = Paths::default();
        for at in 1..self.nodes.len() {
            let path = paths.of(&self.nodes, at as u32);
            let node = &self.nodes[at];
            let inherited = self.nodes[node.parent as usize].fate;
            let own = node.fate;
            let fate = match (inherited, own) {
                (Fate::Left(_), _) => Some(inherited),
                (_, Fate::Install) => decide(path, node),
                _ => None,
            };
            if let Some(fate) = fate {
                self.nodes[at].fate = fate;
            }
        }
    }

    /// Settles which file system each name lands on, which names become hard links, and the units.
    #[must_use]
    pub fn seal(mut self, places: Vec<Place>) -> Plan {
        self.place(&places);
        self.link();
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            children[node.parent as usize].push(at as u32);
        }
        let mut units = Vec::new();
        for (dir, names) in children.iter().enumerate() {
            let mut unit = Unit { dir: dir as u32, nodes: Vec::new() };
            let mut bytes = 0;
            for &at in names.iter().filter(|&&at| self.nodes[at as usize].what != What::Dir) {
                let size = self.nodes[at as usize].content_size();
                if !unit.nodes.is_empty() && (bytes + size > UNIT_BYTES || unit.nodes.len() == UNIT_NODES) {
                    units.push(std::mem::replace(&mut unit, Unit { dir: dir as u32, nodes: Vec::new() }));
                    bytes = 0;
                }
                unit.nodes.push(at);
                bytes += size;
            }
            if !unit.nodes.is_empty() {
                units.push(unit);
            }
        }
        Plan { nodes: self.nodes, children, units, places }
    }

    fn place(&mut self, places: &[Place]) {
        let mut paths = Paths::default();
        for at in 1..self.nodes.len() {
            let inherited = self.nodes[self.nodes[at].parent as usize].place;
            let mut place = inherited;
            if self.nodes[at].what == What::Dir {
                let path = paths.of(&self.nodes, at as u32);
                if let Some(own) = places.iter().position(|p| p.path == path) {
                    place = own as u16 + 1;
                }
            }
            self.nodes[at].place = place;
        }
    }

    /// The first name of an inode that is installed on a file system is created there, the others are links to it.
    fn link(&mut self) {
        let mut made = HashMap::new();
        let linked: HashSet<u32> = self.nodes.iter().filter_map(|n| n.first).collect();
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            let group = node.first.unwrap_or(at as u32);
            if node.fate != Fate::Install || !linked.contains(&group) {
                continue;
            }
            let source = *made.entry((group, node.place)).or_insert(at as u32);
            self.nodes[at].link_to = (source != at as u32).then_some(source);
        }
    }
}
