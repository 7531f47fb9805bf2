//! The host's files as a machine sees them: read-only. The host's files are not visible in folders
//! that each machine has on its own disk, such as `/tmp`.

use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{CWD, FileType, StatxFlags};

use crate::engine::context;

/// Folders that each machine has on its own disk. The files in these folders of the host are
/// hidden.
const OWN: [&str; 4] = ["/tmp", "/var", "/run", "/dev/shm"];
/// The home and working folder of each machine.
pub(crate) const HOME: &str = "/home/simmach";
/// Folders of the kernel.
const DEVICES: [&str; 3] = ["/dev", "/proc", "/sys"];

/// The type of a file on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostKind {
    File,
    Folder,
    Link,
}

/// Access to the host's files.
pub(crate) trait Host {
    /// Returns the type of the file at an absolute path. Does not follow a symbolic link at the
    /// end.
    fn kind(&self, path: &[u8]) -> Option<HostKind>;

    /// Returns the target of a symbolic link.
    fn target(&self, path: &[u8]) -> Option<Vec<u8>>;

    /// Returns which folders are visible.
    fn view(&self) -> &HostView;
}

/// Which folders of the host are visible to a machine.
#[derive(Debug, Default)]
pub(crate) struct HostView {
    hidden: Vec<Vec<u8>>,
    /// Folders that are visible although they are inside hidden ones.
    shown: Vec<Vec<u8>>,
}

impl HostView {
    /// A view that hides a home, and shows the folders of the program and of its tests.
    pub(crate) fn new(home: Option<&Path>, shown: &[&Path]) -> Self {
        let bytes = |path: &Path| path.as_os_str().as_encoded_bytes().to_vec();
        let is_below_root = |path: &&Path| path.is_absolute() && path.parent().is_some();
        let own = OWN.iter().chain([&HOME]).map(|path| path.as_bytes().to_vec());
        Self {
            hidden: own.chain(home.filter(is_below_root).map(bytes)).collect(),
            shown: shown.iter().copied().filter(is_below_root).map(bytes).collect(),
        }
    }

    /// Whether a path leads to a device or to a file of the kernel.
    pub(crate) fn is_device(&self, path: &[u8]) -> bool {
        DEVICES.iter().any(|folder| is_within(path, folder.as_bytes())) && !self.is_hidden(path)
    }

    /// Whether the host's file at `path` is hidden from machines. The parent folders of a shown
    /// folder are not hidden.
    pub(crate) fn is_hidden(&self, path: &[u8]) -> bool {
        self.hidden.iter().any(|folder| is_within(path, folder))
            && !self.shown.iter().any(|folder| is_within(path, folder) || is_within(folder, path))
    }
}

/// Whether `path` is `folder` itself or is below it.
pub(crate) fn is_within(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// The real files of the host. Its calls bypass the run, which would otherwise answer them from the
/// simulated disk.
#[derive(Debug)]
pub(crate) struct RealHost;

impl Host for RealHost {
    fn kind(&self, path: &[u8]) -> Option<HostKind> {
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        let found = context::outside(|| rustix::fs::statx(CWD, path, flags, StatxFlags::TYPE));
        let found = found.ok()?;
        Some(match FileType::from_raw_mode(found.stx_mode.into()) {
            FileType::Directory => HostKind::Folder,
            FileType::Symlink => HostKind::Link,
            _ => HostKind::File,
        })
    }

    fn target(&self, path: &[u8]) -> Option<Vec<u8>> {
        let target = context::outside(|| rustix::fs::readlink(path, Vec::new()));
        target.ok().map(std::ffi::CString::into_bytes)
    }

    fn view(&self) -> &HostView {
        static VIEW: OnceLock<HostView> = OnceLock::new();
        VIEW.get_or_init(|| context::outside(find_view))
    }
}

/// Finds out which of the host's files machines see.
fn find_view() -> HostView {
    // The program's own folder, for its debug information and what was built beside it, and that of its sources.
    let program = rustix::fs::readlink("/proc/self/exe", Vec::new()).ok();
    let program = program.map(|path| path_of(&path.into_bytes()));
    let program = program.as_deref().and_then(Path::parent);
    let folder = rustix::process::getcwd(Vec::new()).ok();
    let folder = folder.map(|path| path_of(&path.into_bytes()));
    let shown: Vec<&Path> = program.into_iter().chain(folder.as_deref()).collect();
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
    HostView::new(home.as_deref(), &shown)
}

fn path_of(bytes: &[u8]) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(bytes).into()
}
