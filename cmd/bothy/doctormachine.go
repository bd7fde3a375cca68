package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

const (
	// wantedFiles is how many files a node should be able to open: a connection
	// is one, and so is each end that it is passed on to.
	wantedFiles = 65536
	// wantedProcesses is as many as its computers have, in the users that it runs.
	wantedProcesses = 32768
	// wantedDisk is what a node's own log, records and images need at least.
	wantedDisk = 2 << 30
	// goodDiskPercent is how much of a disk should be free.
	goodDiskPercent = 10
	// wantedKernel is the first with idmapped mounts below overlays.
	wantedKernel = "5.19"
	// maxClockError is how far a clock may be from that of another node: replies,
	// bills and certificates are dated by it, though no ownership depends on it.
	maxClockError = 2 * time.Second
)

func lookRoot(context.Context, *doctor) []finding {
	if os.Geteuid() != 0 {
		return []finding{failed("Run the node, and this command, by sudo or as a service of the system (deploy/systemd).",
			"not root: a node makes containers, mounts, network namespaces and control groups")}
	}
	return []finding{good("root")}
}

// feature is something of the kernel's, which a module may bring.
type feature struct {
	name, module, without string
	needed                bool
	there                 func() bool
}

var features = []feature{
	{"overlay", "overlay", "computers have no root of their own", true, func() bool { return filesystem("overlay") }},
	{"btrfs", "btrfs", "computers have no disk quota and no instant snapshots", false, func() bool { return filesystem("btrfs") }},
	{"loop devices", "loop", "computers have no disk quota and no instant snapshots", false, func() bool { return exists("/dev/loop-control") }},
	{"nftables", "nf_tables", "computers have no network", true, netfilter},
	{"network namespaces", "", "computers cannot be kept apart", true, func() bool { return exists("/proc/self/ns/net") }},
	{"user namespaces", "", "a computer's root would be the machine's", true, func() bool { return positive("/proc/sys/user/max_user_namespaces") }},
	{"seccomp", "", "computers could use every system call", true, func() bool { return exists("/proc/sys/kernel/seccomp/actions_avail") }},
}

func lookKernel(context.Context, *doctor) (all []finding) {
	release := kernelRelease()
	if older(release, wantedKernel) {
		all = append(all, failed("Boot a newer kernel; that of Debian 12, Ubuntu 24.04 or later has all.",
			"Linux %s is older than %s, the first that maps user ids below overlays", release, wantedKernel))
	} else {
		all = append(all, good("Linux %s", release))
	}
	for _, f := range features {
		if f.there() {
			all = append(all, good("%s", f.name))
			continue
		}
		remedy := "Use a kernel that has it, and sysctls that allow it."
		fail := warning
		if f.needed {
			fail = failed
		}
		if f.module == "" {
			all = append(all, fail(remedy, "no %s: %s", f.name, f.without))
			continue
		}
		all = append(all, fail(fmt.Sprintf("modprobe %[1]s, and put %[1]s into /etc/modules-load.d/bothy.conf. In a container, the machine must do so.", f.module),
			"no %s: %s", f.name, f.without).by(run("modprobe", f.module)))
	}
	return all
}

func kernelRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}

// older compares the first two numbers of releases; one that cannot be read is
// not older.
func older(release, than string) bool {
	numbers := func(text string) (n [2]int) {
		for i, part := range strings.SplitN(text, ".", 3) {
			if i < 2 {
				n[i], _ = strconv.Atoi(strings.TrimRight(part, "-+abcdefghijklmnopqrstuvwxyz"))
			}
		}
		return n
	}
	a, b := numbers(release), numbers(than)
	return a != [2]int{} && (a[0] < b[0] || a[0] == b[0] && a[1] < b[1])
}

func filesystem(name string) bool {
	text, err := os.ReadFile("/proc/filesystems")
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[len(fields)-1] == name {
			return err == nil
		}
	}
	return false
}

// netfilter reports whether the kernel takes rules.
func netfilter() bool {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return false
	}
	return unix.Close(fd) == nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func positive(path string) bool {
	text, err := os.ReadFile(path)
	n, parseErr := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return err == nil && parseErr == nil && n > 0
}

func lookCgroups(context.Context, *doctor) []finding {
	tree, err := cgroup.Detect()
	if err != nil {
		return []finding{failed("Mount control groups with cpu, memory and pids. Under systemd, Delegate=yes keeps them on; in a container, share the machine's (deploy/CONTAINERS.md).",
			"%v", err)}
	}
	return []finding{good("control groups, %s", tree)}
}

func lookLimits(context.Context, *doctor) (all []finding) {
	for _, l := range []struct {
		what     string
		resource int
		want     uint64
		unit     string
	}{{"open files", unix.RLIMIT_NOFILE, wantedFiles, "LimitNOFILE"}, {"processes", unix.RLIMIT_NPROC, wantedProcesses, "LimitNPROC"}} {
		var have unix.Rlimit
		switch err := unix.Getrlimit(l.resource, &have); {
		case err != nil:
			all = append(all, warning("", "the limit of %s cannot be read: %v", l.what, err))
		case have.Max < l.want:
			all = append(all, warning(fmt.Sprintf("Raise it to %d where the node is started: %s= in its unit, or /etc/security/limits.conf.", l.want, l.unit),
				"at most %d %s, less than %d", have.Max, l.what, l.want))
		default:
			all = append(all, good("%d %s", have.Max, l.what))
		}
	}
	return all
}

// program is one that nodes start.
type program struct {
	name, pack, without string
	needed              bool
}

var programs = []program{
	{"runc", "runc", "nothing starts computers", true},
	{"mkfs.btrfs", "btrfs-progs", "computers have no disk quota and no instant snapshots", false},
	{"mmdebstrap", "mmdebstrap", "the images debian and desktop cannot be made", false},
	{"python3", "python3", "computers of the image host have no Python", false},
}

func lookPrograms(ctx context.Context, _ *doctor) (all []finding) {
	for _, p := range programs {
		path, err := exec.LookPath(p.name)
		if err != nil {
			fail := warning
			if p.needed {
				fail = failed
			}
			all = append(all, fail("apt-get install "+p.pack, "no %s: %s", p.name, p.without).by(install(p.pack)))
			continue
		}
		if p.name == "runc" {
			all = append(all, lookRunc(ctx, path))
			continue
		}
		all = append(all, good("%s", path))
	}
	return all
}

func lookRunc(ctx context.Context, path string) finding {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return failed("apt-get install --reinstall runc", "%s does not run: %v", path, err)
	}
	version, _, _ := strings.Cut(string(out), "\n")
	return good("%s (%s)", path, version)
}

func run(command ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(tailOf(string(out))))
		}
		return nil
	}
}

// tailOf is the last lines of what a command said.
func tailOf(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// install installs a package, where there is apt-get.
func install(pack string) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := exec.LookPath("apt-get"); err != nil {
			return errors.New("there is no apt-get here: install it with what this system has")
		}
		get := run("apt-get", "install", "-y", "-qq", "--no-install-recommends", pack)
		if err := get(ctx); err == nil {
			return nil
		}
		if err := run("apt-get", "update", "-qq")(ctx); err != nil {
			return err
		}
		return get(ctx)
	}
}

func lookData(_ context.Context, d *doctor) []finding {
	dir := d.config.Node.Dir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []finding{warning("The node makes it when it starts.", "%s is not there yet", dir).by(func(context.Context) error { return makeDataDir(dir) })}
	case err != nil:
		return []finding{failed("Check the directories above it.", "%v", err)}
	case !info.IsDir():
		return []finding{failed("Choose another with --data-dir.", "%s is no directory", dir)}
	case !passable(dir):
		return []finding{failed("Keep the data where other users may walk through all directories, such as "+systemDir+", or chmod o+x those above.",
			"%s cannot be reached by computers, whose users are nobody here", dir)}
	}
	return []finding{good("%s", dir)}
}

func lookDisk(_ context.Context, d *doctor) []finding {
	dir := d.config.Node.Dir
	for !exists(dir) && dir != "/" {
		dir = filepath.Dir(dir)
	}
	var at unix.Statfs_t
	if err := unix.Statfs(dir, &at); err != nil {
		return []finding{failed("", "look at the disk of %s: %v", dir, err)}
	}
	free, total := Bytes(at.Bavail)*Bytes(at.Bsize), Bytes(at.Blocks)*Bytes(at.Bsize)
	want := Bytes(wantedDisk)
	if !exists(filepath.Join(d.config.Node.Dir, "volumes", "pool.img")) {
		want += d.config.Volumes.Size
	}
	switch {
	case free < want:
		return []finding{failed("Make room, choose another disk with --data-dir, or make volumes.size smaller.", "%s free on the disk of %s; a node needs %s", gib(free), dir, gib(want))}
	case free < total/100*goodDiskPercent:
		return []finding{warning("Make room: a full disk refuses writes.", "%s free of %s on the disk of %s", gib(free), gib(total), dir)}
	}
	return []finding{good("%s free of %s on the disk of %s", gib(free), gib(total), dir)}
}

// gib is a size for people, where the last byte is no matter.
func gib(b Bytes) string { return fmt.Sprintf("%.1f GiB", float64(b)/(1<<30)) }
