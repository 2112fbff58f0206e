// A library to preload: lets the n-th change to files below a folder fail, or kills the process there.
//
//   FAULT_BELOW  the folder; nothing outside of it counts
//   FAULT_AT     n, from 1
//   FAULT_NAMED  only paths that contain this count, where it is given
//   FAULT_HOW    once: the n-th call fails. on: so do all after it. kill: the process dies before the call. torn: a write is
//                done by half, then the process dies.
//   FAULT_LOG    a file, outside of the folder, that is made when the n-th call comes, and says which it was
//
// Counted are the calls by which files come, grow, become durable, get another name, or go.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;
static const char *below, *named, *how, *trace;
static long at;

__attribute__((constructor)) static void begin(void) {
    const char *number = getenv("FAULT_AT");
    below = getenv("FAULT_BELOW");
    named = getenv("FAULT_NAMED");
    how = getenv("FAULT_HOW");
    trace = getenv("FAULT_LOG");
    at = number ? atol(number) : 0;
}

static int counts(const char *path) {
    return at && below && !strncmp(path, below, strlen(below)) && (!named || strstr(path, named));
}

static const char *absolute(int folder, const char *path, char *buffer) {
    if (path[0] == '/')
        return path;
    char name[64];
    ssize_t length;
    if (folder == AT_FDCWD)
        length = readlink("/proc/self/cwd", buffer, 2000);
    else {
        snprintf(name, sizeof name, "/proc/self/fd/%d", folder);
        length = readlink(name, buffer, 2000);
    }
    if (length < 0)
        length = 0;
    snprintf(buffer + length, 2000, "/%s", path);
    return buffer;
}

static const char *of_file(int file, char *buffer) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, buffer, 2000);
    buffer[length < 0 ? 0 : length] = 0;
    return buffer;
}

// Whether this call is to fail.
static int fails(const char *what, const char *path) {
    if (!counts(path))
        return 0;
    long now = atomic_fetch_add(&calls, 1) + 1;
    if (now == at) {
        int log = syscall(SYS_openat, AT_FDCWD, trace, O_CREAT | O_WRONLY | O_TRUNC, 0644);
        char line[4200];
        int length = snprintf(line, sizeof line, "%ld %s %s\n", now, what, path);
        syscall(SYS_write, log, line, length);
        syscall(SYS_close, log);
        if (!strcmp(how, "kill"))
            kill(getpid(), SIGKILL);
        return 1;
    }
    return now > at && !strcmp(how, "on");
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(code) do { errno = (code); return -1; } while (0)

static int opens(const char *name, int folder, const char *path, int flags) {
    char buffer[4100];
    int makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    return makes && fails(name, absolute(folder, path, buffer));
}

#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, int); va_end(list); }

int open(const char *path, int flags, ...) { MODE if (opens("create", AT_FDCWD, path, flags)) FAIL(ENOSPC); return REAL(open)(path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE if (opens("create", AT_FDCWD, path, flags)) FAIL(ENOSPC); return REAL(open64)(path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE if (opens("create", folder, path, flags)) FAIL(ENOSPC); return REAL(openat)(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE if (opens("create", folder, path, flags)) FAIL(ENOSPC); return REAL(openat64)(folder, path, flags, mode); }

ssize_t write(int file, const void *bytes, size_t length) {
    char buffer[4100];
    if (at && fails("write", of_file(file, buffer))) {
        if (!strcmp(how, "torn")) {
            REAL(write)(file, bytes, length / 2);
            kill(getpid(), SIGKILL);
        }
        FAIL(ENOSPC);
    }
    return REAL(write)(file, bytes, length);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    char buffer[4100];
    if (at && fails("write", of_file(file, buffer)))
        FAIL(ENOSPC);
    return REAL(writev)(file, parts, count);
}

int fsync(int file) { char buffer[4100]; if (at && fails("sync", of_file(file, buffer))) FAIL(EIO); return REAL(fsync)(file); }
int fdatasync(int file) { char buffer[4100]; if (at && fails("sync", of_file(file, buffer))) FAIL(EIO); return REAL(fdatasync)(file); }
int ftruncate(int file, off_t length) { char buffer[4100]; if (at && fails("truncate", of_file(file, buffer))) FAIL(EIO); return REAL(ftruncate)(file, length); }
int ftruncate64(int file, off64_t length) { char buffer[4100]; if (at && fails("truncate", of_file(file, buffer))) FAIL(EIO); return REAL(ftruncate64)(file, length); }

int mkdir(const char *path, mode_t mode) { char buffer[4100]; if (at && fails("mkdir", absolute(AT_FDCWD, path, buffer))) FAIL(ENOSPC); return REAL(mkdir)(path, mode); }
int rename(const char *from, const char *to) { char buffer[4100]; if (at && fails("rename", absolute(AT_FDCWD, to, buffer))) FAIL(EIO); return REAL(rename)(from, to); }
int unlink(const char *path) { char buffer[4100]; if (at && fails("unlink", absolute(AT_FDCWD, path, buffer))) FAIL(EIO); return REAL(unlink)(path); }
int rmdir(const char *path) { char buffer[4100]; if (at && fails("rmdir", absolute(AT_FDCWD, path, buffer))) FAIL(EIO); return REAL(rmdir)(path); }
int unlinkat(int folder, const char *path, int flags) { char buffer[4100]; if (at && fails("unlink", absolute(folder, path, buffer))) FAIL(EIO); return REAL(unlinkat)(folder, path, flags); }

// rustix goes to the kernel without this library, but for nothing that counts: exchanging two names is one step, before and
// after which there are others.
