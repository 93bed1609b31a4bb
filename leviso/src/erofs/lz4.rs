//! LZ4 that fills a given room: as much input as fits is compressed, the way EROFS wants its clusters.
//!
//! The only unsafe code of the image writer: the two functions of liblz4 that lz4-sys links but does not declare.

use std::ffi::{c_char, c_int, c_void};

// Links liblz4.
use lz4_sys as _;

use super::Algorithm;

#[expect(unsafe_code, reason = "declarations of lz4.h and lz4hc.h")]
unsafe extern "C" {
    /// lz4.h: compresses as much of `*src_size` bytes as fits `room`; stores how much that was.
    fn LZ4_compress_destSize(
        src: *const c_char,
        dst: *mut c_char,
        src_size: *mut c_int,
        room: c_int,
    ) -> c_int;
    /// lz4hc.h: the same with the slower search; `state` has LZ4_sizeofStateHC() bytes, 8-byte aligned.
    fn LZ4_compress_HC_destSize(
        state: *mut c_void,
        src: *const c_char,
        dst: *mut c_char,
        src_size: *mut c_int,
        room: c_int,
        level: c_int,
    ) -> c_int;
    /// lz4hc.h: bytes of state.
    fn LZ4_sizeofStateHC() -> c_int;
}

/// A compressor with its working memory; what it returns depends on its input only.
pub(super) struct Encoder {
    /// For lz4hc: level and state.
    hc: Option<(u8, Vec<u64>)>,
}

impl Encoder {
    /// A compressor for the algorithm; `None` when it does not compress.
    pub(super) fn new(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::None => None,
            Algorithm::Lz4 => Some(Self { hc: None }),
            Algorithm::Lz4Hc { level } => {
                #[expect(unsafe_code, reason = "foreign function")]
                // SAFETY: takes nothing, returns a constant.
                let bytes = unsafe { LZ4_sizeofStateHC() };
                let words = usize::try_from(bytes).unwrap_or(0).div_ceil(8);
                Some(Self { hc: Some((level, vec![0; words])) })
            }
        }
    }

    /// Replaces `out` by at most `room` bytes that stand for a prefix of `src`, and returns the prefix's length;
    /// 0 (and nothing in `out`) when it could not.
    pub(super) fn fill(&mut self, src: &[u8], room: usize, out: &mut Vec<u8>) -> usize {
        out.clear();
        out.resize(room, 0);
        // Pieces are a few MiB: the limit is never met, and a prefix is all that was promised.
        let mut src_size = c_int::try_from(src.len()).unwrap_or(c_int::MAX);
        let Ok(c_room) = c_int::try_from(room) else { return 0 };
        let (from, to) = (src.as_ptr().cast::<c_char>(), out.as_mut_ptr().cast::<c_char>());
        #[expect(unsafe_code, reason = "foreign functions")]
        let written = match &mut self.hc {
            // SAFETY: `from` has src_size readable bytes, `to` has `room` writable ones, both outlive the call and do
            // not overlap (one is borrowed, the other exclusively).
            None => unsafe { LZ4_compress_destSize(from, to, &raw mut src_size, c_room) },
            // SAFETY: as above; the state has the size asked for in new() and u64's alignment, and the function
            // initialises it itself.
            Some((level, state)) => unsafe {
                let state = state.as_mut_ptr().cast::<c_void>();
                LZ4_compress_HC_destSize(state, from, to, &raw mut src_size, c_room, c_int::from(*level))
            },
        };
        let written = usize::try_from(written).unwrap_or(0);
        out.truncate(written);
        if written == 0 { 0 } else { usize::try_from(src_size).unwrap_or(0) }
    }
}
