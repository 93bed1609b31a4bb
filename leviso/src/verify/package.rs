//! One package file: lead, signature header, main header, payload, each checked before the next is believed.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use common::hash::Sha256;

use super::header::{Header, Part};
use super::keyring::{Keyring, normalise};
use super::tags;
use crate::base64;
use crate::lock::LockedPackage;
use crate::tree::Mapped;

/// The lead is obsolete but for its magic and type (format_v4: "The Lead").
const LEAD: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];

/// A package whose every byte that matters is vouched for by a pinned key. Only [`super::rpm`] makes one.
#[derive(Debug)]
pub struct VerifiedRpm {
    nevra: Arc<str>,
    sha256: Sha256,
    path: PathBuf,
    signer: String,
    header: Header,
    file: Mapped,
    payload: Range<usize>,
}

impl VerifiedRpm {
    /// `name-epoch:version-release.arch`, without an epoch of 0.
    #[must_use]
    pub fn nevra(&self) -> &Arc<str> {
        &self.nevra
    }

    /// Digest of the package file.
    #[must_use]
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// The package file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Pinned fingerprint of the key that signed it.
    #[must_use]
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The signed header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The mapped package file and where its payload is.
    #[must_use]
    pub fn payload(&self) -> (&Mapped, Range<usize>) {
        (&self.file, self.payload.clone())
    }

    pub(super) fn check(path: &Path, locked: &LockedPackage, keyring: &Keyring) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
        let size = file.metadata().with_context(|| format!("failed to read {}", path.display()))?.len();
        ensure!(size == locked.size, "expected {} bytes, found {size}", locked.size);
        ensure!(size > LEAD as u64, "{size} bytes are too few for a package");
        let file = Mapped::new(&file).with_context(|| format!("failed to map {}", path.display()))?;
        let bytes = file.as_slice();
        let sha256 = Sha256::of(bytes);
        ensure!(sha256 == locked.sha256, "expected the SHA-256 {}, found {sha256}", locked.sha256);

        check_lead(&bytes[..LEAD])?;
        let signatures = Header::parse(&bytes[LEAD..], Part::Signature).context("in the signature header")?;
        // The main header begins at a multiple of 8.
        let at = (LEAD + signatures.bytes().len()).next_multiple_of(8);
        let rest = bytes.get(at..).context("the file ends behind the signature header")?;
        let header = Header::parse(rest, Part::Main).context("in the main header")?;
        let payload = at + header.bytes().len()..bytes.len();

        check_digest("the header", signatures.text(tags::SIG_SHA256)?, header.bytes())?;
        let signer = check_signature(&header, &signatures, locked, keyring)?;
        let algo = header.u32(tags::PAYLOADDIGESTALGO)?.unwrap_or(tags::ALGO_SHA256);
        ensure!(algo == tags::ALGO_SHA256, "the payload digest has algorithm {algo}, expected SHA-256 (8)");
        check_digest("the payload", header.text(tags::PAYLOADSHA256)?, &bytes[payload.clone()])?;
        check_identity(&header, locked)?;
        let nevra = locked.nevra().into();
        Ok(Self { nevra, sha256, path: path.to_owned(), signer, header, file, payload })
    }
}

fn check_lead(lead: &[u8]) -> anyhow::Result<()> {
    ensure!(lead[..4] == LEAD_MAGIC, "this is not an RPM package: the magic edabeedb is missing");
    ensure!(matches!(lead[4], 3 | 4), "expected package format 3 or 4 in the lead, found {}", lead[4]);
    let kind = u16::from_be_bytes([lead[6], lead[7]]);
    ensure!(kind == 0, "expected a binary package (type 0 in the lead), found type {kind}");
    Ok(())
}

fn check_digest(what: &str, expected: Option<&str>, bytes: &[u8]) -> anyhow::Result<()> {
    let expected = expected.with_context(|| format!("expected a SHA-256 of {what}, found none"))?;
    let found = Sha256::of(bytes).to_string();
    ensure!(expected == found, "expected the SHA-256 {expected} of {what}, found {found}");
    Ok(())
}

fn check_signature(
    header: &Header,
    signatures: &Header,
    locked: &LockedPackage,
    keyring: &Keyring,
) -> anyhow::Result<String> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for tag in [tags::SIG_RSA, tags::SIG_DSA] {
        all.extend(signatures.binary(tag)?.map(<[u8]>::to_vec));
    }
    for text in signatures.strings(tags::SIG_OPENPGP)?.into_iter().flatten() {
        // Line breaks are allowed in it.
        let text: String = String::from_utf8_lossy(text).split_whitespace().collect();
        all.push(base64::decode(&text).context("a signature in tag 278 is not base64")?);
    }
    let signer = keyring.check(header.bytes(), all.iter().map(Vec::as_slice))?.to_owned();
    let wanted = locked.signer.split(',').map(normalise).collect::<anyhow::Result<Vec<_>>>();
    let wanted = wanted.context("the lock's signer")?;
    ensure!(
        wanted.contains(&signer),
        "expected a signature by {} (from the lock), found one by {signer}",
        wanted.join(" or ")
    );
    Ok(signer)
}

fn check_identity(header: &Header, locked: &LockedPackage) -> anyhow::Result<()> {
    let text = |tag, what| header.text(tag)?.with_context(|| format!("the header has no {what}"));
    let epoch = header.u32(tags::EPOCH)?.unwrap_or(0);
    let (name, version) = (text(tags::NAME, "name")?, text(tags::VERSION, "version")?);
    let (release, arch) = (text(tags::RELEASE, "release")?, text(tags::ARCH, "architecture")?);
    let found = format!("{name}-{epoch}:{version}-{release}.{arch}");
    let evr = if locked.evr.contains(':') { locked.evr.clone() } else { format!("0:{}", locked.evr) };
    let expected = format!("{}-{evr}.{}", locked.name, locked.arch);
    let same = name == locked.name && arch == locked.arch && found == expected;
    ensure!(same, "expected the package {expected}, found {found} in its header");
    ensure!(header.has(tags::SOURCERPM), "expected a binary package, found a source package");
    Ok(())
}
