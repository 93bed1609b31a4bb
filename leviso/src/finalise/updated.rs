//! `/etc/.updated` and `/var/.updated`: what systemd would do once after an update of /usr is done already.
//!
//! Nothing in the image is newer than its epoch, which is their time: /usr is not newer than they are, and `ConditionNeedsUpdate=`
//! (systemd.unit(5)) holds for nobody: accounts, `ld.so.cache`, the hardware database and the catalog of messages were made here. Without them every live boot and the
//! first one of an installed system make them again, the hardware database a second time in /etc. An update of /usr makes
//! it newer, and then systemd does its work as anywhere. Comes last: it says that the others are done.

use crate::tree::{Origin, Tree};

/// What the two say; systemd goes by their time (systemd-update-done.service(8)).
const TEXT: &str = "# Made with the image, in which all is up to date. See systemd-update-done.service(8).\n";

/// Writes both.
///
/// # Errors
/// There is no /etc or /var.
pub fn apply(tree: &mut Tree) -> anyhow::Result<()> {
    for path in ["/etc/.updated", "/var/.updated"] {
        tree.write(path, TEXT, 0o644, Origin::Generated("updated"))?;
    }
    Ok(())
}
