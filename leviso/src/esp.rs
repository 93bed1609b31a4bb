//! Files -> FAT image of the EFI system partition.
