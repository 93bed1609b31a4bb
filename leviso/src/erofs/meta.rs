//! Directories, inodes, indexes and tails to the image, after the file data; returns the superblock.

use std::io::Write;

use anyhow::Context;
use common::cli::Mark;
use sha2::Digest;

use super::data::{Data, Stored};
use super::format::{self, BLOCK, Inode, Layout, SLOT, SuperBlock};
use super::inventory::{Entry, Inventory, Node};
use super::options::{Algorithm, Options};
use super::pack::Tail;
use super::place::Places;
use super::{dir, index, xattr};
use crate::exit;

/// How one inode is stored.
struct Plan {
    inode: Inode,
    compact: bool,
    /// Bytes up to the tail: inode, attributes, index.
    head: usize,
    tail: usize,
    /// Blocks of its own that are written before the metadata (directories, symlinks).
    blocks: u32,
    /// For directories: the cut.
    dir: Option<dir::Blocks>,
    /// Offset in the metadata area.
    at: usize,
}

/// Writes what is not file data.
///
/// # Errors
/// `out` cannot be written, or the image would exceed 16 TiB.
pub(super) fn write(
    inventory: &Inventory<'_>,
    data: &Data,
    options: &Options,
    out: &mut impl Write,
) -> anyhow::Result<SuperBlock> {
    let too_large = || anyhow::anyhow!("the EROFS image exceeds 16 TiB");
    let (mut plans, mut next) = (Vec::with_capacity(inventory.inodes.len()), data.end);
    for (number, entry) in inventory.inodes.iter().enumerate() {
        let mut plan = plan(number, entry, data.files[number].as_ref(), options);
        if plan.blocks > 0 {
            plan.inode.union = next;
            next = next.checked_add(plan.blocks).ok_or_else(too_large).exit(exit::IMAGE)?;
        }
        plans.push(plan);
    }
    let mut places = Places::new();
    for plan in &mut plans {
        plan.at = places.take(plan.head, plan.tail);
    }
    let meta_block = next;
    // fsck.erofs 1.5 reads an attribute header behind every inode, also where there is none: never past the end.
    let area = (places.end() + xattr::HEADER).next_multiple_of(BLOCK);
    let meta_blocks = u32::try_from(area / BLOCK).ok();
    let blocks =
        meta_blocks.and_then(|n| meta_block.checked_add(n)).ok_or_else(too_large).exit(exit::IMAGE)?;

    let mut digest = data.digest.clone();
    write_all(inventory, data, &plans, area, &mut Hashed { out, digest: &mut digest })
        .context("failed to write the EROFS image")
        .exit(exit::IMAGE)?;
    let root_nid =
        u16::try_from(nid(&plans[0])).context("the root directory is not first").exit(exit::IMAGE)?;
    let compresses = options.algorithm != Algorithm::None;
    Ok(SuperBlock {
        root_nid,
        inodes: plans.len() as u64,
        build_time: options.build_time,
        blocks,
        meta_block,
        uuid: options.uuid.unwrap_or_else(|| uuid(digest, options)),
        label: options.label_bytes(),
        max_cluster: compresses.then_some((options.pcluster as usize / BLOCK) as u16),
        tail_packing: options.tail_packing,
    })
}

fn plan(number: usize, entry: &Entry<'_>, stored: Option<&Stored>, options: &Options) -> Plan {
    let mut inode = Inode {
        layout: Layout::FlatPlain,
        xattr_count: entry.xattrs.1,
        mode: entry.mode,
        size: 0,
        union: 0,
        ino: (number + 1) as u32,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        mtime_nsec: entry.mtime_nsec,
        nlink: entry.nlink,
    };
    let mut cut = None;
    match &entry.node {
        Node::Dir(names) => {
            let blocks = dir::Blocks::cut(names.iter().map(|(name, _)| *name));
            inode.size = blocks.size();
            cut = Some(blocks);
        }
        Node::File(content) => inode.size = content.len(),
        Node::Symlink(target) => inode.size = target.len() as u64,
        Node::Special(device) => inode.union = *device,
    }
    let compact = inode.is_compact(options.build_time);
    let mut head = entry.xattrs.0.len() + if compact { format::COMPACT_SIZE } else { format::EXTENDED_SIZE };
    let (mut tail, mut blocks) = (0, 0);
    match (&entry.node, stored) {
        (Node::File(_), Some(stored)) => {
            tail = match &stored.tail {
                Some(Tail::Plain(len)) => *len,
                Some(Tail::Packed { bytes, .. }) => bytes.len(),
                None => 0,
            };
            if !stored.is_flat() {
                inode.layout = Layout::CompressedFull;
                inode.union = stored.blocks;
                head = head.next_multiple_of(8)
                    + format::MAP_HEADER_SIZE
                    + index::entries(inode.size) as usize * format::INDEX_SIZE;
            } else {
                inode.union = stored.first_block;
                if tail > 0 {
                    inode.layout = Layout::FlatInline;
                }
            }
        }
        (Node::Dir(_) | Node::Symlink(_), _) => {
            // The last block goes behind the inode if both fit one block.
            let short = (inode.size - 1) as usize % BLOCK + 1;
            blocks = inode.size.div_ceil(BLOCK as u64) as u32;
            if head + short <= BLOCK {
                inode.layout = Layout::FlatInline;
                tail = short;
                blocks -= 1;
            }
        }
        _ => {}
    }
    Plan { inode, compact, head, tail, blocks, dir: cut, at: 0 }
}

fn write_all(
    inventory: &Inventory<'_>,
    data: &Data,
    plans: &[Plan],
    area: usize,
    out: &mut impl Write,
) -> std::io::Result<()> {
    for (entry, plan) in inventory.inodes.iter().zip(plans) {
        for block in 0..plan.blocks as usize {
            let bytes = content_block(inventory, plans, entry, plan, block);
            out.write_all(&bytes)?;
            out.write_all(&[0; BLOCK][bytes.len()..])?;
        }
    }
    let mut order: Vec<usize> = (0..plans.len()).collect();
    order.sort_unstable_by_key(|&number| plans[number].at);
    let mut at = 0;
    for number in order {
        let plan = &plans[number];
        let bytes = record(inventory, data, plans, number);
        debug_assert_eq!(bytes.len(), plan.head + plan.tail);
        pad(out, plan.at - at)?;
        out.write_all(&bytes)?;
        at = plan.at + bytes.len();
    }
    pad(out, area - at)
}

/// An inode with attributes, index and tail.
fn record(inventory: &Inventory<'_>, data: &Data, plans: &[Plan], number: usize) -> Vec<u8> {
    let (entry, plan) = (&inventory.inodes[number], &plans[number]);
    let mut out = plan.inode.encode(plan.compact);
    out.extend_from_slice(&entry.xattrs.0);
    match (&entry.node, data.files[number].as_ref()) {
        (Node::File(content), Some(stored)) => {
            let content = content.as_slice();
            if plan.inode.layout == Layout::CompressedFull {
                out.resize(out.len().next_multiple_of(8), 0);
                let tail = stored.tail.is_some().then_some(plan.tail as u16);
                out.extend_from_slice(&format::map_header(tail));
                let clusters = &stored.clusters;
                out.extend(index::encode(
                    plan.inode.size,
                    stored.first_block,
                    clusters,
                    stored.tail.as_ref(),
                ));
            }
            match &stored.tail {
                Some(Tail::Plain(len)) => out.extend_from_slice(&content[content.len() - len..]),
                Some(Tail::Packed { bytes, .. }) => out.extend_from_slice(bytes),
                None => {}
            }
        }
        _ if plan.tail > 0 => {
            out.extend(content_block(inventory, plans, entry, plan, plan.blocks as usize));
        }
        _ => {}
    }
    out
}

/// One block, maybe short, of a directory or symlink.
fn content_block(
    inventory: &Inventory<'_>,
    plans: &[Plan],
    entry: &Entry<'_>,
    plan: &Plan,
    block: usize,
) -> Vec<u8> {
    match (&entry.node, &plan.dir) {
        (Node::Dir(names), Some(cut)) => {
            let names = &names[cut.ranges[block].clone()];
            dir::encode(names.iter().map(|(name, number)| {
                (*name, nid(&plans[*number]), dir::file_type(inventory.inodes[*number].mode))
            }))
        }
        (Node::Symlink(target), _) => target.to_vec(),
        _ => Vec::new(),
    }
}

fn nid(plan: &Plan) -> u64 {
    (plan.at / SLOT) as u64
}

/// A version 8 (custom, RFC 9562) UUID from all that was written and all the superblock adds to it.
fn uuid(mut digest: sha2::Sha256, options: &Options) -> [u8; 16] {
    digest.update(options.label_bytes());
    digest.update(options.build_time.to_le_bytes());
    let mut out = [0; 16];
    out.copy_from_slice(&digest.finalize()[..16]);
    out[6] = out[6] & 0x0f | 0x80;
    out[8] = out[8] & 0x3f | 0x80;
    out
}

fn pad(out: &mut impl Write, mut len: usize) -> std::io::Result<()> {
    while len > 0 {
        let part = len.min(BLOCK);
        out.write_all(&[0; BLOCK][..part])?;
        len -= part;
    }
    Ok(())
}

/// Hashes what passes through.
struct Hashed<'h, W> {
    out: &'h mut W,
    digest: &'h mut sha2::Sha256,
}

impl<W: Write> Write for Hashed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
