//! `VerifiedRpm`s -> `Tree`.
