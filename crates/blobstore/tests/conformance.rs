//! The suite of [`allod_blobstore::conformance`] on the disk store.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{io, sync::Arc};

use allod_blobstore::{
    conformance::{self, Location},
    disk::{Disk, DiskFaults, DiskStep},
    objects::ObjectStore,
};
use tempfile::TempDir;

/// Reads bytes in the page cache without a blocking thread, where the system can.
struct Plain(TempDir);

impl Location for Plain {
    fn open(&self) -> Arc<dyn ObjectStore> {
        Arc::new(Disk::open(&self.0.path().join("blobs"), None, None).unwrap())
    }
}

/// Reads everything on blocking threads, as a store does whose faults are injected.
struct Blocking(TempDir);

struct NoFault;

impl DiskFaults for NoFault {
    fn before(&self, _: DiskStep) -> io::Result<()> {
        Ok(())
    }
}

impl Location for Blocking {
    fn open(&self) -> Arc<dyn ObjectStore> {
        Arc::new(Disk::open(&self.0.path().join("blobs"), None, Some(Arc::new(NoFault))).unwrap())
    }
}

/// Unfinished files in a folder of its own.
struct TwoFolders(TempDir);

impl Location for TwoFolders {
    fn open(&self) -> Arc<dyn ObjectStore> {
        let temporary = self.0.path().join("unfinished");
        Arc::new(Disk::open(&self.0.path().join("blobs"), Some(&temporary), None).unwrap())
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_conforms() {
    conformance::run(|| Arc::new(Plain(folder()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_on_blocking_threads_conforms() {
    conformance::run(|| Arc::new(Blocking(folder()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_with_a_temporary_folder_conforms() {
    conformance::run(|| Arc::new(TwoFolders(folder()))).await;
}
