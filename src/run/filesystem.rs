//! The file system of a folder: the worth of notifications depends on it.

use std::path::Path;

/// Names by the number that Linux has for them, from statfs(2), and whether other machines write there:
/// what they write causes no notification here.
#[cfg(target_os = "linux")]
const KNOWN: [(u32, &str, bool); 11] = [
    (0xef53, "ext", false),
    (0x5846_5342, "xfs", false),
    (0x9123_683e, "btrfs", false),
    (0x2fc1_2fc1, "zfs", false),
    (0x0102_1994, "tmpfs", false),
    (0x794c_7630, "overlay", false),
    (0x6573_5546, "fuse", true),
    (0x6969, "nfs", true),
    (0xff53_4d42, "cifs", true),
    (0xfe53_4d42, "smb2", true),
    (0x0bd0_0bd0, "lustre", true),
];

/// The file system of a folder.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Filesystem {
    /// Its name, or its number in hexadecimal.
    pub name: String,
    /// True if other machines may write there unnoticed.
    pub shared: bool,
}

/// Returns that of a folder; `None` if nothing is there or the system is another one than Linux.
#[cfg(target_os = "linux")]
#[must_use]
pub fn of(folder: &Path) -> Option<Filesystem> {
    // The numbers have 32 bits, in a field whose width and sign depend on the machine.
    Some(of_magic(rustix::fs::statfs(folder).ok()?.f_type as u32))
}

#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn of(_: &Path) -> Option<Filesystem> {
    None
}

#[cfg(target_os = "linux")]
fn of_magic(number: u32) -> Filesystem {
    let known = KNOWN.iter().find(|(known, ..)| *known == number);
    known.map_or_else(
        || Filesystem {
            name: format!("{number:#x}"),
            shared: false,
        },
        |(_, name, shared)| Filesystem {
            name: (*name).to_owned(),
            shared: *shared,
        },
    )
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_here_is_told_by_its_number() {
        // PROC_SUPER_MAGIC.
        let found = of(Path::new("/proc")).map(|found| (found.name, found.shared));
        assert_eq!(found, Some(("0x9fa0".into(), false)));
        assert_eq!(of(Path::new("/proc/nothing-there")), None);
    }

    #[test]
    fn other_machines_write_to_network_file_systems() {
        // The numbers as rustix has them from the kernel's headers.
        let number = rustix::fs::NFS_SUPER_MAGIC as u32;
        assert_eq!(
            (of_magic(number).name.as_str(), of_magic(number).shared),
            ("nfs", true)
        );
        assert!(!of_magic(0x9123_683e).shared);
    }
}
