//! Boots LevitateOS in QEMU and types at its serial console.
