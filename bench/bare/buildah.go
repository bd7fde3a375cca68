package bare

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Buildah is that builder with a store of its own, whose steps run in runc, on
// this machine's network.
type Buildah struct{ dir, path string }

// OpenBuildah makes its store in dir.
func OpenBuildah(dir string) (*Buildah, error) {
	path, err := exec.LookPath("buildah")
	if err != nil {
		return nil, fmt.Errorf("bare buildah: %w (apt-get install buildah)", err)
	}
	return &Buildah{dir, path}, os.MkdirAll(filepath.Join(dir, "context"), 0o700)
}

func (b *Buildah) call(ctx context.Context, args ...string) error {
	args = append([]string{"--root", filepath.Join(b.dir, "storage"), "--runroot", filepath.Join(b.dir, "run"), "--storage-driver", "overlay"}, args...)
	out, err := exec.CommandContext(ctx, b.path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("buildah %s: %w: %s", args[6], err, out[max(0, len(out)-maxSaid):])
	}
	return nil
}

// maxSaid bounds what is quoted of a command's output.
const maxSaid = 2 << 10

// Base makes a base image of a tar with a root, by a name, and writes it to an
// OCI archive too.
func (b *Buildah) Base(ctx context.Context, name, root, archive string) error {
	for _, args := range [][]string{
		{"from", "--name", "base", "scratch"}, {"add", "base", root, "/"}, {"config", "--cmd", "/bin/bash", "base"},
		{"commit", "base", name}, {"rm", "base"}, {"push", name, "oci-archive:" + archive + ":" + name},
	} {
		if err := b.call(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// Build builds a Dockerfile; cached says whether earlier builds' layers may be
// taken.
func (b *Buildah) Build(ctx context.Context, name, dockerfile string, cached bool) error {
	file := filepath.Join(b.dir, "Dockerfile")
	if err := os.WriteFile(file, []byte(dockerfile), 0o600); err != nil {
		return err
	}
	return b.call(ctx, "build", "--isolation", "oci", "--runtime", "runc", "--network", "host", "--layers",
		fmt.Sprintf("--no-cache=%v", !cached), "--pull-never", "--tag", name, "--file", file, filepath.Join(b.dir, "context"))
}

// Close takes its store away.
func (b *Buildah) Close() error {
	err := b.call(context.Background(), "rm", "--all")
	if err == nil {
		err = b.call(context.Background(), "rmi", "--all", "--force")
	}
	return err
}
