//! The disk as SQLite sees it.
#![expect(unsafe_code, reason = "a VFS is a table of C functions; there is no safe way to give SQLite a disk")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Once};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

use super::{Disk, Fault, State};

static REGISTERED: Once = Once::new();
static OPENED: AtomicU64 = AtomicU64::new(0);

/// The name of the VFS, once it is registered.
pub(crate) fn vfs_name() -> &'static str {
    REGISTERED.call_once(register);
    "test-disk"
}

/// What SQLite keeps for an open file: its own head, and our part.
#[repr(C)]
struct Handle {
    head: sqlite3_file,
    open: *mut Open,
}

struct Open {
    disk: Arc<Disk>,
    name: String,
    who: u64,
    /// A file without a name goes when it is closed.
    temporary: bool,
}

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
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

fn register() {
    // SAFETY: the default VFS lives as long as the process. Its copy, with our functions for what
    // touches files, is leaked and so lives as long, too.
    unsafe {
        let default = ffi::sqlite3_vfs_find(std::ptr::null());
        assert!(!default.is_null(), "SQLite has a default VFS");
        let ours = sqlite3_vfs {
            szOsFile: size_of::<Handle>() as c_int,
            pNext: null_mut(),
            zName: c"test-disk".as_ptr(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            ..*default
        };
        let done = ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 0);
        assert_eq!(done, ffi::SQLITE_OK);
    }
}

/// SAFETY: SQLite calls a method only between `open` and `close` of its file.
unsafe fn opened<'a>(file: *mut sqlite3_file) -> &'a Open {
    unsafe { &*(*file.cast::<Handle>()).open }
}

/// Runs `work` on the disk of the file.
///
/// SAFETY: as for `opened`.
unsafe fn on_disk(file: *mut sqlite3_file, work: impl FnOnce(&mut State, &Open) -> Result<c_int, Fault>) -> c_int {
    let open = unsafe { opened(file) };
    let mut state = open.disk.lock();
    work(&mut state, open).unwrap_or_else(|fault| match fault {
        Fault::NoPower => ffi::SQLITE_IOERR,
        Fault::Full => ffi::SQLITE_FULL,
        Fault::NotSynced => ffi::SQLITE_IOERR_FSYNC,
    })
}

/// SAFETY: SQLite's names are zero-terminated, and ours are plain.
unsafe fn text<'a>(name: *const c_char) -> &'a str {
    unsafe { CStr::from_ptr(name) }.to_str().expect("a plain path")
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let who = OPENED.fetch_add(1, Ordering::Relaxed);
    let temporary = name.is_null();
    let name = if temporary { format!("temporary-{who}") } else { unsafe { text(name) }.to_owned() };
    let handle = file.cast::<Handle>();
    // Without methods SQLite does not close what was not opened.
    unsafe { (*handle).head.pMethods = std::ptr::null() };
    let disk = if temporary { Some(Arc::default()) } else { Disk::of(&name) };
    let Some(disk) = disk else {
        return ffi::SQLITE_CANTOPEN;
    };
    {
        let mut state = disk.lock();
        let create = temporary || flags & ffi::SQLITE_OPEN_CREATE != 0;
        if state.dead || (!create && !state.files.contains_key(&name)) {
            return ffi::SQLITE_CANTOPEN;
        }
        state.files.entry(name.clone()).or_default();
    }
    let open = Box::new(Open { disk, name, who, temporary });
    unsafe {
        (*handle).open = Box::into_raw(open);
        (*handle).head.pMethods = &METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let open = unsafe { Box::from_raw((*file.cast::<Handle>()).open) };
    let mut state = open.disk.lock();
    if let Some(file) = state.files.get_mut(&open.name) {
        file.locks.set(open.who, 0);
    }
    if open.temporary {
        state.files.remove(&open.name);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, count: c_int, at: i64) -> c_int {
    unsafe {
        on_disk(file, |state, open| {
            state.check_power()?;
            let content = &state.file(&open.name).content;
            let to = std::slice::from_raw_parts_mut(to.cast::<u8>(), count as usize);
            let from = content.get(at as usize..).unwrap_or_default();
            let length = from.len().min(to.len());
            to[..length].copy_from_slice(&from[..length]);
            to[length..].fill(0);
            let whole = length == to.len();
            Ok(if whole { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_SHORT_READ })
        })
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, count: c_int, at: i64) -> c_int {
    unsafe {
        on_disk(file, |state, open| {
            let from = std::slice::from_raw_parts(from.cast::<u8>(), count as usize);
            state.write(&open.name, at as usize, from)?;
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: i64) -> c_int {
    unsafe {
        on_disk(file, |state, open| {
            state.truncate(&open.name, length as usize)?;
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    unsafe {
        on_disk(file, |state, open| {
            state.sync(&open.name)?;
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut i64) -> c_int {
    unsafe {
        on_disk(file, |state, open| {
            state.check_power()?;
            *size = state.file(&open.name).content.len() as i64;
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    unsafe {
        on_disk(file, |state, open| {
            let taken = state.file(&open.name).locks.raise(open.who, level);
            Ok(if taken { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY })
        })
    }
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    unsafe {
        on_disk(file, |state, open| {
            state.file(&open.name).locks.set(open.who, level);
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, reserved: *mut c_int) -> c_int {
    unsafe {
        on_disk(file, |state, open| {
            *reserved = state.file(&open.name).locks.is_reserved().into();
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn file_control(_: *mut sqlite3_file, _op: c_int, _arg: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut sqlite3_file) -> c_int {
    super::SECTOR as c_int
}

/// What the operating system's VFS says of ordinary disks: a write touches no bytes beside it.
unsafe extern "C" fn characteristics(_: *mut sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    unsafe {
        on_disk(file, |state, open| {
            state.check_power()?;
            let shm = &mut state.file(&open.name).shm;
            while extend != 0 && shm.len() <= region as usize {
                shm.push(vec![0; size as usize].into_boxed_slice());
            }
            // A region never moves: the list may grow, the boxes stay where they are.
            *out = shm.get_mut(region as usize).map_or(null_mut(), |region| region.as_mut_ptr().cast());
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, first: c_int, count: c_int, flags: c_int) -> c_int {
    unsafe {
        on_disk(file, |state, open| {
            let locks = &mut state.file(&open.name).shm_locks;
            let slots = first..first + count;
            if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
                locks.release(open.who, slots);
                return Ok(ffi::SQLITE_OK);
            }
            let taken = locks.take(open.who, slots, flags & ffi::SQLITE_SHM_EXCLUSIVE != 0);
            Ok(if taken { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY })
        })
    }
}

unsafe extern "C" fn shm_barrier(_: *mut sqlite3_file) {
    fence(Ordering::SeqCst);
}

/// The shared memory stays until the disk goes: another connection may still look at it.
unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, _delete: c_int) -> c_int {
    unsafe {
        on_disk(file, |state, open| {
            state.file(&open.name).shm_locks.release(open.who, 0..ffi::SQLITE_SHM_NLOCK);
            Ok(ffi::SQLITE_OK)
        })
    }
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, _sync: c_int) -> c_int {
    let name = unsafe { text(name) };
    let Some(disk) = Disk::of(name) else {
        return ffi::SQLITE_IOERR;
    };
    let mut state = disk.lock();
    if state.dead {
        return ffi::SQLITE_IOERR;
    }
    state.files.remove(name);
    ffi::SQLITE_OK
}

unsafe extern "C" fn access(_: *mut sqlite3_vfs, name: *const c_char, _: c_int, out: *mut c_int) -> c_int {
    let name = unsafe { text(name) };
    let there = Disk::of(name).is_some_and(|disk| disk.lock().files.contains_key(name));
    unsafe { *out = there.into() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(_: *mut sqlite3_vfs, name: *const c_char, size: c_int, out: *mut c_char) -> c_int {
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if name.len() > size as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    unsafe { std::ptr::copy_nonoverlapping(name.as_ptr().cast(), out, name.len()) };
    ffi::SQLITE_OK
}
