//! Identifiers that look random but follow from the lock: the same lock names the same disk.
//!
//! In: the digest of the lock and the profile's name. Out: UUIDs (version 5, RFC 9562) and the FAT volume id. Two
//! builds from one lock are byte-identical, so nothing in an image may come from a random source.

use common::hash::Sha256;
use uuid::Uuid;

/// Namespace of all identifiers made here: a random UUID, drawn once.
const NAMESPACE: Uuid = Uuid::from_u128(0x4f82_c69b_4a66_45bc_8cbf_97e2_e6cf_211e);

/// The identifiers of one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    build: Uuid,
}

impl Ids {
    /// The identifiers of the image that `profile` makes of the lock with digest `lock`.
    #[must_use]
    pub fn new(lock: &Sha256, profile: &str) -> Self {
        Self { build: Uuid::new_v5(&NAMESPACE, format!("{lock} {profile}").as_bytes()) }
    }

    /// The identifier of the part `name`; another name gives another identifier.
    #[must_use]
    pub fn uuid(&self, name: &str) -> Uuid {
        Uuid::new_v5(&self.build, name.as_bytes())
    }

    /// GPT disk GUID of the disc.
    #[must_use]
    pub fn disk(&self) -> Uuid {
        self.uuid("disk")
    }

    /// GPT partition GUID of the part that holds the ISO 9660 volume.
    #[must_use]
    pub fn iso_partition(&self) -> Uuid {
        self.uuid("partition iso9660")
    }

    /// GPT partition GUID of the ESP.
    #[must_use]
    pub fn esp_partition(&self) -> Uuid {
        self.uuid("partition esp")
    }

    /// UUID of the EROFS root file system.
    #[must_use]
    pub fn erofs(&self) -> Uuid {
        self.uuid("erofs")
    }

    /// Volume id (serial number) of the ESP's FAT.
    #[must_use]
    pub fn fat_volume_id(&self) -> u32 {
        self.uuid("fat").as_fields().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_and_the_profile_decide() {
        let (a, b) = (Sha256::of(b"a"), Sha256::of(b"b"));
        let ids = Ids::new(&a, "lab");
        assert_eq!(ids, Ids::new(&a, "lab"));
        assert_ne!(ids.disk(), Ids::new(&b, "lab").disk());
        assert_ne!(ids.disk(), Ids::new(&a, "rocky10").disk());
        let all = [ids.disk(), ids.iso_partition(), ids.esp_partition(), ids.erofs()];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|id| id.get_version_num() == 5));
        // Changing how they are made changes every image: that must be seen.
        assert_eq!(ids.disk().to_string(), "02348eaf-40c2-5e56-a4f0-b254c0c3e74d");
    }
}
