//! The C side: a file system whose files lie in memory as `[File | the system's own file]`.
//!
//! Every function takes pointers that the engine got from [`register`] or [`open`] and keeps valid for the call; what
//! is passed on goes to the system's own functions with the system's own pointers.
#![expect(unsafe_code, reason = "a SQLite file system is a table of C functions; this is a test tool")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    ptr, slice,
    sync::Arc,
};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

use crate::{Call, FileKind, Op, Recorder};

/// Our part of an open file; the system's part follows it in memory.
#[repr(C)]
struct File {
    base: sqlite3_file,
    recorder: &'static Recorder,
    /// `None` for files that do not outlive the process.
    kept: Option<Kept>,
}

#[derive(Clone, Copy)]
struct Kept {
    handle: u64,
    kind: FileKind,
}

/// What the file system's entry points to.
struct Registered {
    recorder: &'static Recorder,
    system: *mut sqlite3_vfs,
}

/// Adds the file system to the engine, never to be removed.
pub(crate) fn register(name: &str, recorder: &'static Recorder) {
    let Ok(name) = CString::new(name) else { panic!("the name has a zero byte") };
    // SAFETY: the default file system exists as long as the process. The entry is a copy of it with an enlarged file
    // and our open and delete; its other functions ignore which file system they are called through. All that the
    // entry points to is leaked, so it stays valid.
    let code = unsafe {
        let system = ffi::sqlite3_vfs_find(ptr::null());
        assert!(!system.is_null(), "the engine has no file system");
        let registered = Box::leak(Box::new(Registered { recorder, system }));
        let mut vfs = *system;
        vfs.szOsFile += c_int::try_from(size_of::<File>()).unwrap_or(c_int::MAX);
        vfs.pNext = ptr::null_mut();
        vfs.zName = name.into_raw();
        vfs.pAppData = ptr::from_mut(registered).cast();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0)
    };
    assert_eq!(code, ffi::SQLITE_OK, "the engine refuses the file system");
}

unsafe fn registered<'a>(vfs: *mut sqlite3_vfs) -> &'a Registered {
    // SAFETY: `register` put it there and leaked it.
    unsafe { &*(*vfs).pAppData.cast::<Registered>() }
}

/// The system's part of a file of ours.
unsafe fn system_part(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: the engine gave each file `szOsFile` bytes, ours and the system's; `File` keeps the alignment.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// The system's functions for a file of ours.
unsafe fn system_methods<'a>(file: *mut sqlite3_file) -> &'a sqlite3_io_methods {
    // SAFETY: the file was opened, so the system's part has its table.
    unsafe { &*(*system_part(file)).pMethods }
}

unsafe fn our_part<'a>(file: *mut sqlite3_file) -> &'a File {
    // SAFETY: `open` wrote it.
    unsafe { &*file.cast::<File>() }
}

unsafe fn path_of(name: *const c_char) -> Arc<str> {
    // SAFETY: the engine gives a zero-terminated name.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into()
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: see the module; the engine treats a file without methods as not open.
    unsafe {
        let Registered { recorder, system } = *registered(vfs);
        (*file).pMethods = ptr::null();
        let system_file = system_part(file);
        (*system_file).pMethods = ptr::null();
        let Some(system_open) = (*system).xOpen else { return ffi::SQLITE_INTERNAL };
        let kind = match flags {
            _ if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 => Some(FileKind::Main),
            _ if flags & ffi::SQLITE_OPEN_WAL != 0 => Some(FileKind::Wal),
            _ if flags & ffi::SQLITE_OPEN_MAIN_JOURNAL != 0 => Some(FileKind::Journal),
            _ => None,
        };
        let kept = kind.map(|kind| Kept { handle: recorder.next_handle(), kind });
        let run = || system_open(system, name, system_file, flags, flags_out);
        let code = match kept {
            Some(Kept { handle, kind }) => {
                recorder.change(None, run, || Op::Open { handle, path: path_of(name), kind })
            }
            None => run(),
        };
        if code == ffi::SQLITE_OK {
            let base = sqlite3_file { pMethods: &raw const METHODS };
            file.cast::<File>().write(File { base, recorder, kept });
        } else if let Some(close) = (*system_file).pMethods.as_ref().and_then(|methods| methods.xClose) {
            close(system_file);
        }
        code
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: see the module.
    unsafe {
        let Registered { recorder, system } = *registered(vfs);
        let Some(system_delete) = (*system).xDelete else { return ffi::SQLITE_INTERNAL };
        recorder.change(
            None,
            || system_delete(system, name, sync_directory),
            || Op::Delete { path: path_of(name), durable: sync_directory != 0 },
        )
    }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, data: *mut c_void, len: c_int, offset: sqlite3_int64) -> c_int {
    // SAFETY: see the module.
    unsafe {
        let Some(system_read) = system_methods(file).xRead else { return ffi::SQLITE_INTERNAL };
        let File { recorder, kept, .. } = our_part(file);
        let failure = kept.and_then(|Kept { kind, .. }| recorder.failure(Call::Read, kind));
        failure.unwrap_or_else(|| system_read(system_part(file), data, len, offset))
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, data: *const c_void, len: c_int, offset: sqlite3_int64) -> c_int {
    // SAFETY: see the module; `data` has `len` bytes.
    unsafe {
        let Some(system_write) = system_methods(file).xWrite else { return ffi::SQLITE_INTERNAL };
        let run = || system_write(system_part(file), data, len, offset);
        let File { recorder, kept, .. } = our_part(file);
        let Some(Kept { handle, kind }) = *kept else { return run() };
        recorder.change(Some((Call::Write, kind)), run, || Op::Write {
            handle,
            offset: usize::try_from(offset).unwrap_or(0),
            data: slice::from_raw_parts(data.cast::<u8>(), usize::try_from(len).unwrap_or(0)).to_vec(),
        })
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, len: sqlite3_int64) -> c_int {
    // SAFETY: see the module.
    unsafe {
        let Some(system_truncate) = system_methods(file).xTruncate else { return ffi::SQLITE_INTERNAL };
        let run = || system_truncate(system_part(file), len);
        let File { recorder, kept, .. } = our_part(file);
        let Some(Kept { handle, .. }) = *kept else { return run() };
        recorder.change(None, run, || Op::Truncate { handle, len: usize::try_from(len).unwrap_or(0) })
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: see the module.
    unsafe {
        let Some(system_sync) = system_methods(file).xSync else { return ffi::SQLITE_INTERNAL };
        let run = || system_sync(system_part(file), flags);
        let File { recorder, kept, .. } = our_part(file);
        let Some(Kept { handle, kind }) = *kept else { return run() };
        recorder.change(Some((Call::Sync, kind)), run, || Op::Sync { handle })
    }
}

/// Functions that only pass on.
macro_rules! passed_on {
    ($($name:ident = $method:ident ( $($arg:ident : $ty:ty),* ) $(-> $code:ty = $missing:expr)?;)*) => {$(
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $arg: $ty)*) $(-> $code)? {
            // SAFETY: see the module.
            unsafe {
                match system_methods(file).$method {
                    Some(method) => method(system_part(file) $(, $arg)*),
                    None => passed_on!(@missing $($missing)?),
                }
            }
        }
    )*};
    (@missing) => { () };
    (@missing $missing:expr) => { $missing };
}

passed_on! {
    close = xClose() -> c_int = ffi::SQLITE_OK;
    file_size = xFileSize(len: *mut sqlite3_int64) -> c_int = ffi::SQLITE_INTERNAL;
    lock = xLock(level: c_int) -> c_int = ffi::SQLITE_INTERNAL;
    unlock = xUnlock(level: c_int) -> c_int = ffi::SQLITE_INTERNAL;
    check_reserved_lock = xCheckReservedLock(held: *mut c_int) -> c_int = ffi::SQLITE_INTERNAL;
    file_control = xFileControl(op: c_int, arg: *mut c_void) -> c_int = ffi::SQLITE_NOTFOUND;
    sector_size = xSectorSize() -> c_int = 0;
    device_characteristics = xDeviceCharacteristics() -> c_int = 0;
    shm_map = xShmMap(page: c_int, len: c_int, extend: c_int, at: *mut *mut c_void) -> c_int = ffi::SQLITE_INTERNAL;
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int = ffi::SQLITE_INTERNAL;
    shm_barrier = xShmBarrier();
    shm_unmap = xShmUnmap(remove: c_int) -> c_int = ffi::SQLITE_INTERNAL;
}

/// Version 2: without memory-mapped reads, which would pass the recorder by.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
