//! Inputs, outputs, digests, sizes and seconds of a build, as JSON.
