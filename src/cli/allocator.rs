//! What the allocator of the system keeps of memory that was given back.

/// So large a block, in bytes, goes back to the system when it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const GIVEN_BACK: std::ffi::c_int = 4 << 20;

/// Ties glibc's allocator down. Left alone it takes ever larger blocks from its heaps, up to 32 MiB, and keeps them to the end, so that
/// what a stage gave back counts against `run.memory` of the next.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: `mallopt` takes two numbers and keeps no pointer; no other thread runs yet. A value it refuses changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIVEN_BACK);
    }
}
