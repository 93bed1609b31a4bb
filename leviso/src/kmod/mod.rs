//! Kernel modules: what they need, and the index files that modprobe reads.
