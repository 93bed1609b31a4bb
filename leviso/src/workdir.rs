//! Every path of one build, from one root.
