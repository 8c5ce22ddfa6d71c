/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>

/* ioprio_set(2): which is a process, who is this one, the idle class. glibc has no wrapper. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_CLASS_IDLE (3 << 13)

static int fail(struct mc_error *err, const char *what)
{
    return mc_error_set(err, -errno, "%s: %s", what, strerror(errno));
}

static void be_killed_first(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, "1000", 4) < 0)
        fputs("memctl-scan: it cannot offer itself to the OOM killer\n", stderr);
    close(fd);
}

/* A guest takes two descriptors or more. */
static void allow_many_guests(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/*
 * memctld's unit allows nobody to change priorities, or capabilities, and that holds for what it
 * starts. There the budget of processor time has to do, and the filter of system calls, which
 * leaves nothing for which a capability would be of use.
 */
static bool is_forbidden_here(void)
{
    return errno == EPERM;
}

static int be_last(struct mc_error *err)
{
    const struct sched_param param = {0};

    if (sched_setscheduler(0, SCHED_IDLE, &param) < 0 && !is_forbidden_here())
        return fail(err, "sched_setscheduler");
    if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_IDLE) < 0 &&
        !is_forbidden_here())
        return fail(err, "ioprio_set");
    return 0;
}

int confine_priorities(struct mc_error *err)
{
    const struct rlimit none = {0, 0};

    be_killed_first();
    allow_many_guests();
    if (be_last(err) < 0)
        return err->code;
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return fail(err, "no core dumps");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail(err, "no_new_privs");
    return 0;
}

int confine_capabilities(struct mc_error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) < 0)
        return fail(err, "capget");
    for (unsigned i = 0; i < 2; i++) {
        uint32_t kept = i == CAP_TO_INDEX(CAP_SYS_PTRACE) ? CAP_TO_MASK(CAP_SYS_PTRACE) : 0;

        data[i].permitted &= kept;
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return fail(err, "ambient capabilities");
    if (syscall(SYS_capset, &header, data) < 0 && !is_forbidden_here())
        return fail(err, "capset");
    return 0;
}

/* ---- system calls ---- */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCHITECTURE AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define ARCHITECTURE AUDIT_ARCH_S390X
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#else
#error "memctl-scan has no list of system calls for this architecture"
#endif

/* The low half of an argument: all that are looked at here have 32 bits. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARGUMENT(n) (uint32_t) offsetof(struct seccomp_data, args[n])
#else
#define ARGUMENT(n) (uint32_t)(offsetof(struct seccomp_data, args[n]) + sizeof(uint32_t))
#endif

#define PAGEMAP_SCAN_CALL 0xc0606610U /* linux/fs.h from 6.7 on */

/* What sanitizers give for their own memory; elsewhere nothing more is allowed. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ADVICE_OF_SANITIZER MADV_NOHUGEPAGE
#define OTHER_ADVICE_OF_SANITIZER MADV_DONTDUMP
#else
#define ADVICE_OF_SANITIZER MADV_DONTNEED
#define OTHER_ADVICE_OF_SANITIZER MADV_DONTNEED
#endif

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define IF_EQUAL(value, then, otherwise)                                                           \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), (then), (otherwise))
#define IF_BITS(bits, then, otherwise)                                                             \
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (uint32_t)(bits), (then), (otherwise))
#define ALLOW_CALL(number) IF_EQUAL(number, 0, 1), ALLOW

static const struct sock_filter calls[] = {
    LOAD(offsetof(struct seccomp_data, arch)),
    IF_EQUAL(ARCHITECTURE, 1, 0),
    KILL,
    LOAD(offsetof(struct seccomp_data, nr)),
    /* the work */
    ALLOW_CALL(SYS_process_vm_readv),
    ALLOW_CALL(SYS_pread64),
    /* memctld */
    ALLOW_CALL(SYS_recvmsg),
    ALLOW_CALL(SYS_sendmsg),
    ALLOW_CALL(SYS_ppoll),
#ifdef SYS_poll
    ALLOW_CALL(SYS_poll),
#endif
    ALLOW_CALL(SYS_close),
    /* time */
    ALLOW_CALL(SYS_clock_gettime),
    ALLOW_CALL(SYS_clock_nanosleep),
    ALLOW_CALL(SYS_nanosleep),
    ALLOW_CALL(SYS_restart_syscall),
    /* what the C library does by itself */
    ALLOW_CALL(SYS_brk),
    ALLOW_CALL(SYS_munmap),
    ALLOW_CALL(SYS_mremap),
    ALLOW_CALL(SYS_futex),
    ALLOW_CALL(SYS_getrandom),
    ALLOW_CALL(SYS_getpid),
    ALLOW_CALL(SYS_gettid),
    ALLOW_CALL(SYS_tgkill),
    ALLOW_CALL(SYS_sched_yield),
    ALLOW_CALL(SYS_rt_sigprocmask),
    ALLOW_CALL(SYS_rt_sigaction),
    ALLOW_CALL(SYS_rt_sigreturn),
    ALLOW_CALL(SYS_exit),
    ALLOW_CALL(SYS_exit_group),
    /* memory: never executable, never writable and shared at once */
    IF_EQUAL(SYS_mmap, 0, 8),
    LOAD(ARGUMENT(2)),
    IF_BITS(PROT_EXEC, 5, 0),
    IF_BITS(PROT_WRITE, 0, 3),
    LOAD(ARGUMENT(3)),
    IF_BITS(MAP_SHARED, 2, 0),
    ALLOW,
    ALLOW,
    KILL,
    /* advice that takes nothing away from a file */
    IF_EQUAL(SYS_madvise, 0, 8),
    LOAD(ARGUMENT(2)),
    IF_EQUAL(MADV_SEQUENTIAL, 5, 0),
    IF_EQUAL(MADV_DONTNEED, 4, 0),
    IF_EQUAL(MADV_HUGEPAGE, 3, 0),
    IF_EQUAL(ADVICE_OF_SANITIZER, 2, 0),
    IF_EQUAL(OTHER_ADVICE_OF_SANITIZER, 1, 0),
    KILL,
    ALLOW,
    /* looking at page maps, and being told of absent pages; not filling them */
    IF_EQUAL(SYS_ioctl, 0, 6),
    LOAD(ARGUMENT(1)),
    IF_EQUAL(PAGEMAP_SCAN_CALL, 3, 0),
    IF_EQUAL(UFFDIO_REGISTER, 2, 0),
    IF_EQUAL(UFFDIO_UNREGISTER, 1, 0),
    KILL,
    ALLOW,
    /* words to the log */
    IF_EQUAL(SYS_write, 0, 3),
    LOAD(ARGUMENT(0)),
    IF_EQUAL(STDERR_FILENO, 0, 1),
    ALLOW,
    KILL,
};

int confine_calls(struct mc_error *err)
{
    const struct sock_fprog program = {sizeof(calls) / sizeof(*calls),
                                       (struct sock_filter *)(uintptr_t)calls};
    long rc;

    /* For all threads at once; one that cannot have it is returned as a number above 0. */
    rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    if (rc > 0)
        return mc_error_set(err, -EPERM, "seccomp: thread %ld cannot be confined", rc);
    return rc < 0 ? fail(err, "seccomp") : 0;
}
