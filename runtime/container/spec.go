package container

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest"
)

const (
	// guestPath is on a file system of the computer's own in memory, so that
	// nothing of ours is in its layer.
	guestPath = guest.Path
	// openFiles is the limit a computer gets where ours allows it.
	openFiles = 65_536
	// oomScore lets the kernel end a computer's guest before the node; the guest
	// puts what it starts before itself.
	oomScore = 200
	// sharedMemoryBytes is the size of /dev/shm, enough for a browser; what is
	// in it counts as memory of the computer, so it is at most half of that.
	sharedMemoryBytes = 512 << 20
	// runMemoryBytes bounds /run, which counts as memory too: at most an eighth.
	runMemoryBytes = 64 << 20
	// deviceMemoryBytes bounds /dev, where only names are kept.
	deviceMemoryBytes = 1 << 20
	// bytesForName is how large a file system in memory has to be for each file
	// and directory in it, of which it may have leastNames in any case. What the
	// kernel keeps of them is memory of the computer beside that size, and is
	// not given back when memory runs out: nothing could be started any more.
	bytesForName = 8 << 10
	leastNames   = 1024
	// cpuPeriodMicros is the kernel's default.
	cpuPeriodMicros = 100_000
)

// capabilities are what root inside may do, over its own user namespace alone.
// Not among them: mounting, networks, tracing, raw sockets, devices, time.
var capabilities = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// hidden are files of the kernel that tell of the machine or steer it.
var hidden = []string{
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
	"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
	"/sys/devices/virtual/powercap", "/sys/kernel/debug", "/sys/kernel/tracing",
}

// unwritable are shown, but root inside may not change them.
var unwritable = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

// writeSpec writes the bundle's config.json.
func (d *Driver) writeSpec(ctx context.Context, id runtime.ID, r record, volume string) error {
	info, err := d.Images.Info(ctx, r.Image)
	if err != nil {
		return fmt.Errorf("write container spec: %w", err)
	}
	spec, err := d.spec(id, r, volume)
	if err != nil {
		return err
	}
	// The last of one name counts, so an image may have a PATH of its own.
	spec.Process.Env = append(spec.Process.Env, info.Config.Env...)
	data, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("write container spec: %w", err)
	}
	if err := os.WriteFile(d.path(id, "config.json"), data, 0o600); err != nil {
		return fmt.Errorf("write container spec: %w", err)
	}
	return nil
}

func (d *Driver) spec(id runtime.ID, r record, volume string) (*specs.Spec, error) {
	files, err := clamp(unix.RLIMIT_NOFILE, openFiles)
	if err != nil {
		return nil, err
	}
	score := oomScore
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(r.Range.Host), Size: uint32(r.Range.Size)}}
	return &specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{Path: d.path(id, rootDir)},
		// A computer has set-user-id programs (sudo), so new privileges are
		// allowed: they end at the user namespace.
		Process: &specs.Process{
			Args: []string{guestPath, "--fd", "3"}, Cwd: "/",
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
			Capabilities: &specs.LinuxCapabilities{
				Bounding: capabilities, Effective: capabilities, Permitted: capabilities,
			},
			Rlimits: []specs.POSIXRlimit{
				{Type: "RLIMIT_NOFILE", Soft: files, Hard: files}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0},
			},
			OOMScoreAdj: &score,
		},
		Hostname: r.Spec.Hostname,
		Mounts:   d.mounts(id, volume, r.Spec.Resources.MemoryBytes),
		Linux: &specs.Linux{
			UIDMappings: ids, GIDMappings: ids,
			Sysctl:      map[string]string{"net.ipv4.ping_group_range": "0 65535", "net.ipv4.ip_unprivileged_port_start": "0"},
			Resources:   d.resources(r.Spec.Resources),
			CgroupsPath: "/" + d.cgroup(r).Path(),
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.UserNamespace}, {Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace},
				{Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
				{Type: specs.CgroupNamespace},
			},
			Seccomp: seccomp(), MaskedPaths: hidden, ReadonlyPaths: unwritable,
		},
	}, nil
}

func (d *Driver) mounts(id runtime.ID, volume string, memoryBytes int64) []specs.Mount {
	inMemory := func(bytes int64, options ...string) []string {
		return append(options, fmt.Sprintf("size=%d", bytes), fmt.Sprintf("nr_inodes=%d", max(leastNames, bytes/bytesForName)))
	}
	list := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: inMemory(deviceMemoryBytes, "nosuid", "strictatime", "mode=755")},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts",
			Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
			Options: inMemory(min(sharedMemoryBytes, memoryBytes/2), "nosuid", "noexec", "nodev", "mode=1777")},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: inMemory(min(runMemoryBytes, memoryBytes/8), "nosuid", "nodev", "mode=755")},
		{Destination: guestPath, Type: "bind", Source: d.guest, Options: []string{"bind", "ro", "nosuid", "nodev"}},
		{Destination: runtime.ProgramsDir, Type: "bind", Source: d.programs(), Options: []string{"bind", "ro", "nosuid", "nodev"}},
		{Destination: "/etc/resolv.conf", Type: "bind", Source: d.path(id, resolvFile),
			Options: []string{"bind", "ro", "nosuid", "nodev", "noexec"}},
	}
	for _, seen := range []string{"/workspace", "/home/node/workspace", "/code"} {
		list = append(list, specs.Mount{Destination: seen, Type: "bind", Source: filepath.Join(volume, "workspace"),
			Options: []string{"bind", "nodev", "nosuid"}})
	}
	return list
}

func (d *Driver) resources(want runtime.Resources) *specs.LinuxResources {
	quota, period := want.MilliCPU*cpuPeriodMicros/1000, uint64(cpuPeriodMicros)
	// No swap on top of memory: a computer that swaps slows its neighbours.
	res := &specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
		Memory:  &specs.LinuxMemory{Limit: &want.MemoryBytes, Swap: &want.MemoryBytes},
		CPU:     &specs.LinuxCPU{Quota: &quota, Period: &period},
		Pids:    &specs.LinuxPids{Limit: &want.PIDs},
	}
	if d.io != nil {
		res.BlockIO = d.io.limits()
	}
	return res
}

// clamp is the wish, or what this process may give: raising a hard limit takes
// a capability that a node may lack.
func clamp(resource int, wish uint64) (uint64, error) {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return 0, fmt.Errorf("read limits: %w", err)
	}
	return min(wish, now.Max), nil
}
