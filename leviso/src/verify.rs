//! Files -> `VerifiedRpm`: digests, signatures by pinned fingerprints, the name that was asked for.
