//! The header tags leviso reads, by their numbers in <https://rpm.org/docs/4.19.x/manual/tags.html>.

/// Region of the signature header.
pub const HEADER_SIGNATURES: u32 = 62;
/// Region of the main header.
pub const HEADER_IMMUTABLE: u32 = 63;

/// Signature header: OpenPGP signature (DSA or EdDSA) over the main header.
pub const SIG_DSA: u32 = 267;
/// Signature header: OpenPGP signature (RSA) over the main header.
pub const SIG_RSA: u32 = 268;
/// Signature header: SHA-256 of the main header, hex.
pub const SIG_SHA256: u32 = 273;
/// Signature header: OpenPGP signatures over the main header, base64; newer packages carry several.
pub const SIG_OPENPGP: u32 = 278;

/// Name.
pub const NAME: u32 = 1000;
/// Version.
pub const VERSION: u32 = 1001;
/// Release.
pub const RELEASE: u32 = 1002;
/// Epoch; absent means 0.
pub const EPOCH: u32 = 1003;
/// Licence expression.
pub const LICENSE: u32 = 1014;
/// Architecture.
pub const ARCH: u32 = 1022;
/// File name of the source package; absent in source packages themselves.
pub const SOURCERPM: u32 = 1044;
/// Names of what is provided.
pub const PROVIDENAME: u32 = 1047;
/// How the versions of what is provided are meant (rpmsenseFlags).
pub const PROVIDEFLAGS: u32 = 1112;
/// Versions of what is provided.
pub const PROVIDEVERSION: u32 = 1113;

/// File sizes, when all are below 4 GiB.
pub const FILESIZES: u32 = 1028;
/// File types and permissions.
pub const FILEMODES: u32 = 1030;
/// Device numbers of device nodes.
pub const FILERDEVS: u32 = 1033;
/// Modification times.
pub const FILEMTIMES: u32 = 1034;
/// Digests of file contents, hex.
pub const FILEDIGESTS: u32 = 1035;
/// Symlink targets.
pub const FILELINKTOS: u32 = 1036;
/// File flags.
pub const FILEFLAGS: u32 = 1037;
/// Owners by name.
pub const FILEUSERNAME: u32 = 1039;
/// Groups by name.
pub const FILEGROUPNAME: u32 = 1040;
/// Devices of the build host: with the inode they name hard link sets.
pub const FILEDEVICES: u32 = 1095;
/// Inodes of the build host.
pub const FILEINODES: u32 = 1096;
/// For each file an index into [`DIRNAMES`].
pub const DIRINDEXES: u32 = 1116;
/// Last path components.
pub const BASENAMES: u32 = 1117;
/// Directories, with a slash at the end.
pub const DIRNAMES: u32 = 1118;
/// `cpio`.
pub const PAYLOADFORMAT: u32 = 1124;
/// `zstd`, `xz`, `gzip`, `bzip2`; absent means uncompressed.
pub const PAYLOADCOMPRESSOR: u32 = 1125;
/// File sizes, when one is 4 GiB or more (and always in v6).
pub const LONGFILESIZES: u32 = 5008;
/// File capabilities as text.
pub const FILECAPS: u32 = 5010;
/// Algorithm of [`FILEDIGESTS`] (RFC 9580 hash ids).
pub const FILEDIGESTALGO: u32 = 5011;
/// SHA-256 of the compressed payload, hex.
pub const PAYLOADSHA256: u32 = 5092;
/// Algorithm of [`PAYLOADSHA256`]; 8 where it is there at all.
pub const PAYLOADDIGESTALGO: u32 = 5093;
/// SHA-256 of the uncompressed payload, hex.
pub const PAYLOADSHA256ALT: u32 = 5097;

/// SHA-256 as an algorithm number (RFC 9580, 9.5).
pub const ALGO_SHA256: u32 = 8;
/// SHA-512 as an algorithm number.
pub const ALGO_SHA512: u32 = 10;
