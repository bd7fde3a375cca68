package bare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

const (
	// firstID is where the bundles' user ids begin on this machine, far from
	// those that Bothy hands out.
	firstID, idCount = 1_500_000_000, 65_536
	runcMemory       = 256 << 20
	runcPIDs         = 1024
	openFiles        = 1024
)

// Runc is the OCI runtime and a bundle like a computer's: a root with this
// machine's /usr, its own user, pid, network, mount, ipc, uts and cgroup
// namespaces, seccomp, the same capabilities, and limits of memory, processor
// and processes. Unlike a computer's, the root has no overlay and no workspace.
type Runc struct {
	dir, path, group string
}

// OpenRunc makes the bundle's root in dir. Every directory above dir must be
// passable for others.
func OpenRunc(dir string) (*Runc, error) {
	path, err := exec.LookPath("runc")
	if err != nil {
		return nil, fmt.Errorf("bare runc: %w", err)
	}
	r := &Runc{dir: dir, path: path, group: "bench-" + filepath.Base(filepath.Dir(dir))}
	for _, d := range []string{"usr", "proc", "dev", "sys", "tmp", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, "root", d), 0o755); err != nil {
			return nil, fmt.Errorf("bare runc: %w", err)
		}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+name, filepath.Join(dir, "root", name)); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("bare runc: %w", err)
		}
	}
	return r, r.own()
}

// own gives the root to the bundles' user 0.
func (r *Runc) own() error {
	return filepath.WalkDir(r.dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = errors.Join(os.Chmod(r.dir, 0o711), os.Lchown(path, firstID, firstID))
		}
		return err
	})
}

// Run runs a command in a container of its own and waits until both are gone.
func (r *Runc) Run(ctx context.Context, id string, argv ...string) error {
	if err := r.bundle(id, argv); err != nil {
		return err
	}
	return r.call(ctx, "run", "--bundle", r.bundleDir(id), id)
}

// Start runs a command in a container of its own and leaves it running.
func (r *Runc) Start(ctx context.Context, id string, argv ...string) error {
	if err := r.bundle(id, argv); err != nil {
		return err
	}
	return r.call(ctx, "run", "--detach", "--bundle", r.bundleDir(id), id)
}

// Exec runs a command in a container that runs.
func (r *Runc) Exec(ctx context.Context, id string, argv ...string) error {
	return r.call(ctx, append([]string{"exec", id}, argv...)...)
}

// Remove ends a container. None is success.
func (r *Runc) Remove(ctx context.Context, id string) error {
	if err := r.call(ctx, "delete", "--force", id); err != nil {
		return err
	}
	return os.RemoveAll(r.bundleDir(id))
}

// Group is the cgroup of a container.
func (r *Runc) Group(id string) string { return r.group + "/" + id }

// Close removes the cgroup above all of them, which must have ended.
func (r *Runc) Close() error {
	tree, err := cgroup.Detect()
	if err != nil {
		return err
	}
	return tree.Group(r.group).Remove()
}

func (r *Runc) bundleDir(id string) string { return filepath.Join(r.dir, "bundles", id) }

func (r *Runc) call(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, r.path, append([]string{"--root", filepath.Join(r.dir, "state")}, args...)...)
	// A file, not a pipe: a detached container would keep a pipe open.
	out, err := os.CreateTemp(r.dir, "out")
	if err != nil {
		return fmt.Errorf("runc %s: %w", args[0], err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, readErr := os.ReadFile(out.Name())
		return errors.Join(fmt.Errorf("runc %s: %w: %.300s", args[0], err, said), readErr)
	}
	return nil
}

func (r *Runc) bundle(id string, argv []string) error {
	spec, err := json.Marshal(r.spec(id, argv))
	if err != nil {
		return fmt.Errorf("bare runc: %w", err)
	}
	if err := os.MkdirAll(r.bundleDir(id), 0o711); err != nil {
		return fmt.Errorf("bare runc: %w", err)
	}
	if err := os.WriteFile(filepath.Join(r.bundleDir(id), "config.json"), spec, 0o600); err != nil {
		return fmt.Errorf("bare runc: %w", err)
	}
	return nil
}

// capabilities are those of root in a computer.
var capabilities = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

func (r *Runc) spec(id string, argv []string) *specs.Spec {
	memory, pids, quota, period := int64(runcMemory), int64(runcPIDs), int64(200_000), uint64(100_000)
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: firstID, Size: idCount}}
	return &specs.Spec{
		Version: "1.0.2", Root: &specs.Root{Path: filepath.Join(r.dir, "root")}, Hostname: "computer",
		Process: &specs.Process{
			Args: argv, Cwd: "/", Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
			Capabilities: &specs.LinuxCapabilities{Bounding: capabilities, Effective: capabilities, Permitted: capabilities},
			Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: openFiles, Hard: openFiles}},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=755", "size=65536k"}},
			{Destination: "/usr", Type: "bind", Source: "/usr", Options: []string{"bind", "ro", "nodev"}},
		},
		Linux: &specs.Linux{
			UIDMappings: ids, GIDMappings: ids, CgroupsPath: "/" + r.Group(id),
			Resources: &specs.LinuxResources{
				Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
				Memory:  &specs.LinuxMemory{Limit: &memory, Swap: &memory}, Pids: &specs.LinuxPids{Limit: &pids},
				CPU: &specs.LinuxCPU{Quota: &quota, Period: &period},
			},
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.UserNamespace}, {Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.MountNamespace},
				{Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.CgroupNamespace},
			},
			Seccomp: seccomp(), MaskedPaths: []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// seccomp refuses some calls, so that the filter's cost is there.
func seccomp() *specs.LinuxSeccomp {
	refused := uint(unix.EPERM)
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
		Names: []string{"kexec_load", "init_module", "finit_module", "delete_module", "bpf", "perf_event_open", "keyctl",
			"add_key", "request_key", "reboot", "swapon", "swapoff", "mount", "umount2", "pivot_root", "setns", "unshare", "ptrace"},
		Action: specs.ActErrno, ErrnoRet: &refused,
	}}}
}
