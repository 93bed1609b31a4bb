//! `recchroot`: a command in the root of another system.
