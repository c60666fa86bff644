use std::collections::HashMap;

use allod_atproto::Did;
use futures_util::TryStreamExt as _;
use parking_lot::Mutex;

use super::*;
use crate::objects::object_name;

#[derive(Default)]
struct Broken(Mutex<HashMap<DiskStep, io::ErrorKind>>);

impl DiskFaults for Broken {
    fn before(&self, step: DiskStep) -> io::Result<()> {
        self.0.lock().get(&step).map_or(Ok(()), |kind| Err((*kind).into()))
    }
}

struct Rig {
    files: tempfile::TempDir,
    faults: Arc<Broken>,
    disk: Disk,
    folder: Folder,
}

impl Rig {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let faults = Arc::new(Broken::default());
        let disk = Disk::open(&files.path().join("blobs"), None, Some(Arc::<Broken>::clone(&faults))).unwrap();
        Self::of(files, faults, disk)
    }

    /// A disk without fault injection, which reads from the page cache.
    fn without_faults() -> Self {
        let files = tempfile::tempdir().unwrap();
        let disk = Disk::open(&files.path().join("blobs"), None, None).unwrap();
        Self::of(files, Arc::default(), disk)
    }

    fn of(files: tempfile::TempDir, faults: Arc<Broken>, disk: Disk) -> Self {
        Self { files, faults, disk, folder: Folder::of(&Did::parse("did:web:alice.test").unwrap()) }
    }

    async fn kept(&self, content: &[u8], micros: u64) -> Result<String, ObjectError> {
        let mut object = self.disk.create();
        for piece in content.chunks(100_000) {
            object.write(vec![Bytes::copy_from_slice(piece)]).await?;
        }
        let finished = object.finish().await?;
        let name = object_name(&finished.cid, micros.to_be_bytes());
        object.keep(&self.folder, &name, micros).await?;
        Ok(name)
    }

    /// Every file below the location.
    fn files(&self) -> Vec<PathBuf> {
        files_below(&self.files.path().join("blobs"))
    }

    /// Waits until the blocking work that has no caller left is done.
    async fn settle(&self, expected_files: usize) {
        for _ in 0..1000 {
            if self.files().len() == expected_files {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("expected {expected_files} files, found {:?}", self.files());
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

fn content(bytes: u32) -> Vec<u8> {
    (0..bytes).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

#[tokio::test]
async fn a_file_that_is_cut_short_while_it_is_read_is_an_error() {
    let rig = Rig::without_faults();
    let name = rig.kept(&content(300_000), 1).await.unwrap();
    let opened = rig.disk.read(&rig.folder, &name, 0..300_000).await.unwrap().unwrap();
    let file = rig.files().pop().unwrap();
    fs::File::options().write(true).open(file).unwrap().set_len(100_000).unwrap();
    let rest: Result<Vec<Bytes>, _> = opened.rest.unwrap().try_collect().await;
    assert!(
        matches!(&rest, Err(ObjectError::Failed(error)) if error.kind() == io::ErrorKind::UnexpectedEof),
        "{rest:?}"
    );
}

#[tokio::test]
async fn an_object_that_is_dropped_leaves_no_file() {
    let rig = Rig::new();
    let mut object = rig.disk.create();
    object.write(vec![Bytes::from(content(10))]).await.unwrap();
    object.finish().await.unwrap();
    assert_eq!(rig.files().len(), 1);
    drop(object);
    rig.settle(0).await;
    let mut object = rig.disk.create();
    object.write(vec![Bytes::from(content(1_000_000))]).await.unwrap();
    drop(object);
    rig.settle(0).await;
}

#[tokio::test]
async fn a_step_that_fails_leaves_no_file_and_reports_why() {
    use DiskStep::{Create, Rename, SyncFile, SyncFolder, Write};

    let rig = Rig::new();
    for step in [Create, Write, SyncFile, Rename, SyncFolder] {
        for (kind, is_full) in [(io::ErrorKind::StorageFull, true), (io::ErrorKind::Other, false)] {
            rig.faults.0.lock().insert(step, kind);
            let error = rig.kept(&content(1000), 1).await.unwrap_err();
            assert_eq!(matches!(error, ObjectError::Full(_)), is_full, "{step:?}: {error}");
            rig.faults.0.lock().clear();
            rig.settle(0).await;
        }
    }
    let name = rig.kept(&content(1_000_000), 1).await.unwrap();
    let opened = rig.disk.read(&rig.folder, &name, 0..1_000_000).await.unwrap().unwrap();
    rig.faults.0.lock().insert(DiskStep::Read, io::ErrorKind::Other);
    assert!(rig.disk.read(&rig.folder, &name, 0..10).await.is_err());
    assert!(opened.rest.unwrap().try_collect::<Vec<_>>().await.is_err());
}

#[tokio::test]
async fn opening_removes_unfinished_files_and_nothing_else() {
    let rig = Rig::new();
    let name = rig.kept(b"kept", 1).await.unwrap();
    let location = rig.files.path().join("blobs");
    fs::write(location.join("tmp/7.part"), b"unfinished").unwrap();
    fs::write(location.join("tmp/notes.txt"), b"somebody's").unwrap();
    let again = Disk::open(&location, None, None).unwrap();
    assert_eq!(again.size(&rig.folder, &name).await.unwrap(), Some(4));
    let left: Vec<PathBuf> = rig.files();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(location.join("tmp/notes.txt").is_file());
}

#[tokio::test]
async fn other_files_are_not_listed() {
    let rig = Rig::new();
    let name = rig.kept(b"kept", 1_000_000).await.unwrap();
    let location = rig.files.path().join("blobs");
    let folder = location.join(rig.folder.shard()).join(rig.folder.name());
    fs::write(folder.join("notes.txt"), b"somebody's").unwrap();
    fs::create_dir(location.join(rig.folder.shard()).join("did:plc:aaaa")).unwrap();
    assert_eq!(rig.disk.folders(rig.folder.shard()).await.unwrap(), std::slice::from_ref(&rig.folder));
    assert_eq!(rig.disk.folders("zz").await.unwrap(), []);
    assert_eq!(rig.disk.kept_before(&rig.folder, 2_000_000).await.unwrap(), std::slice::from_ref(&name));
    rig.disk.remove(&rig.folder, &name).await.unwrap();
    assert_eq!(rig.disk.kept_before(&rig.folder, 2_000_000).await.unwrap(), Vec::<String>::new());
    assert!(folder.exists(), "a folder with other files stays");
    fs::remove_file(folder.join("notes.txt")).unwrap();
    assert_eq!(rig.disk.kept_before(&rig.folder, 2_000_000).await.unwrap(), Vec::<String>::new());
    assert!(!folder.exists(), "an empty folder is removed");
}

#[tokio::test]
async fn decoding_leaves_one_file() {
    let rig = Rig::new();
    let mut object = rig.disk.create();
    object.write(vec![Bytes::from_static(b"0123456789")]).await.unwrap();
    object.decode(Box::new(|coded| Box::new(io::Read::take(coded, 4))), 4).await.unwrap();
    rig.settle(1).await;
    drop(object);
    rig.settle(0).await;

    let mut object = rig.disk.create();
    object.write(vec![Bytes::from_static(b"0123456789")]).await.unwrap();
    object.decode(Box::new(|coded| coded), 9).await.unwrap_err();
    drop(object);
    rig.settle(0).await;
}

#[test]
fn an_unusable_folder_is_named() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = Disk::open(&file.join("blobs"), None, None).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("file/blobs"), "{error}");
    let elsewhere = Path::new("/dev/shm");
    if elsewhere.is_dir() && fs::metadata(elsewhere).unwrap().dev() != fs::metadata(files.path()).unwrap().dev() {
        let folder = tempfile::tempdir_in(elsewhere).unwrap();
        let error = Disk::open(&files.path().join("blobs"), Some(folder.path()), None).map(|_| ()).unwrap_err();
        assert!(matches!(error, DiskError::TwoFileSystems { .. }), "{error}");
    }
}
