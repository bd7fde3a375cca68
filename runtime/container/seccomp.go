package container

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// allowed are the system calls that programs in a computer may make, by what
// they are for. Whatever is not here fails with EPERM: mounting, namespaces,
// tracing and reading other processes, kernel modules and keys, BPF, performance
// counters, io_uring, userfaultfd, clocks, quotas, swapping, rebooting.
var allowed = map[string]string{
	"files": `access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
		fadvise64 fadvise64_64 fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync
		flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64
		lchown lchown32 link linkat lseek _llseek lstat lstat64 mkdir mkdirat mknod mknodat newfstatat open openat openat2
		pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename renameat
		renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range
		syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev`,
	"attributes": `fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr
		lsetxattr removexattr setxattr`,
	"waiting": `epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
		eventfd eventfd2 inotify_add_watch inotify_init inotify_init1 inotify_rm_watch fanotify_mark poll ppoll ppoll_time64
		pselect6 pselect6_time64 select _newselect io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64
		io_setup io_submit`,
	"memory": `brk madvise membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap
		mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_madvise remap_file_pages
		map_shadow_stack get_mempolicy mbind set_mempolicy set_mempolicy_home_node`,
	"processes": `arch_prctl capget capset execve execveat exit exit_group fork getcpu getpgid getpgrp getpid getppid
		getpriority getrlimit ugetrlimit getrusage getsid gettid ioprio_get ioprio_set kcmp nice pidfd_open
		pidfd_send_signal prctl prlimit64 rseq set_robust_list get_robust_list set_thread_area get_thread_area set_tid_address
		set_tls setpgid setpriority setrlimit setsid sysinfo uname vfork wait4 waitid waitpid times`,
	"identity": `getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid
		getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid
		setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32 chroot`,
	"scheduling": `sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
		sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
		sched_setscheduler sched_yield`,
	"signals": `alarm getitimer kill pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
		rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo setitimer sigaction sigaltstack
		signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend tgkill tkill`,
	"time": `clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
		gettimeofday nanosleep time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
		timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64`,
	"sockets": `accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
		recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair`,
	"sharing": `futex futex_time64 futex_requeue futex_wait futex_waitv futex_wake ipc mq_getsetattr mq_notify mq_open
		mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl
		semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget`,
	"own restriction": `landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp`,
	"devices":         `ioctl`,
	"randomness":      `getrandom`,
}

const (
	// newNamespaces are all the CLONE_NEW* flags that clone may carry.
	newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET
	// punchHole is the bit of fallocate's mode that gives room back.
	punchHole = unix.FALLOC_FL_PUNCH_HOLE
	// firstRareFamily and above are socket families of kernel crypto, virtual
	// machine sockets and express data paths, which reach past a network
	// namespace or far into the kernel.
	firstRareFamily = unix.AF_ALG
)

// personalities that programs ask for: the usual one, 32-bit names of
// machines, no address randomisation, and the question itself.
var personalities = []uint64{0x0, 0x8, 0x20000, 0x20008, 0xffffffff}

// seccomp builds the profile. Only the machine's own word size is let in, so
// there is no second system call table to reach.
func seccomp() *specs.LinuxSeccomp {
	var names []string
	for _, family := range allowed {
		names = append(names, strings.Fields(family)...)
	}
	slices.Sort(names)
	denied, absent, unsupported := uint(unix.EPERM), uint(unix.ENOSYS), uint(unix.EOPNOTSUPP)
	rules := []specs.LinuxSyscall{
		{Names: names, Action: specs.ActAllow},
		{Names: []string{"clone"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{
			{Index: 0, Value: newNamespaces, ValueTwo: 0, Op: specs.OpMaskedEqual},
		}},
		// Its flags lie in memory, out of a filter's reach; libraries that are
		// told it does not exist use clone.
		{Names: []string{"clone3"}, Action: specs.ActErrno, ErrnoRet: &absent},
		// Taking room without writing would empty the pool that all computers
		// share faster than it grows; libraries that are told it is unsupported
		// write instead.
		{Names: []string{"fallocate"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{
			{Index: 1, Value: punchHole, ValueTwo: punchHole, Op: specs.OpMaskedEqual},
		}},
		{Names: []string{"fallocate"}, Action: specs.ActErrno, ErrnoRet: &unsupported, Args: []specs.LinuxSeccompArg{
			{Index: 1, Value: punchHole, ValueTwo: 0, Op: specs.OpMaskedEqual},
		}},
		{Names: []string{"socket"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{
			{Index: 0, Value: firstRareFamily, Op: specs.OpLessThan},
		}},
	}
	for _, p := range personalities {
		rules = append(rules, specs.LinuxSyscall{Names: []string{"personality"}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: p, Op: specs.OpEqualTo}}})
	}
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno, DefaultErrnoRet: &denied, Architectures: architectures(), Syscalls: rules,
	}
}
