package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

// skeletonVersion is part of the host image's digest. Raise it whenever a
// skeleton would be built otherwise from the same machine.
const skeletonVersion = "bothy host skeleton 1"

// skeletonDirs are the directories of a skeleton that packages and people
// expect, with their modes.
var skeletonDirs = []struct {
	path string
	mode fs.FileMode
}{
	{"usr", 0o755}, {"etc", 0o755}, {"proc", 0o555}, {"sys", 0o555}, {"dev", 0o755}, {"run", 0o755}, {"run/lock", 0o777 | fs.ModeSticky},
	{"tmp", 0o777 | fs.ModeSticky}, {"root", 0o700}, {"home", 0o755}, {"boot", 0o755}, {"media", 0o755}, {"mnt", 0o755}, {"opt", 0o755}, {"srv", 0o755},
	{"var", 0o755}, {"var/backups", 0o755}, {"var/cache/apt/archives/partial", 0o700}, {"var/cache/debconf", 0o755}, {"var/cache/ldconfig", 0o700},
	{"var/lib/apt/lists/partial", 0o700}, {"var/lib/misc", 0o755}, {"var/local", 0o755}, {"var/log/apt", 0o755}, {"var/mail", 0o755},
	{"var/opt", 0o755}, {"var/spool", 0o755}, {"var/tmp", 0o777 | fs.ModeSticky},
	{"etc/profile.d", 0o755}, {"etc/default", 0o755}, {"etc/opt", 0o755},
}

// maskedDirs are the directories below /usr that the image shows empty.
var maskedDirs = []string{
	"local/bin", "local/etc", "local/games", "local/include", "local/lib", "local/sbin", "local/share/man", "local/src", "src",
}

// rootDirs may be links into /usr, or directories of their own on machines
// that keep both.
var rootDirs = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// host makes the image of this machine's own files: a skeleton, kept by
// digest, and /usr as it is, with a mask over it that hides what people have
// put there by hand.
type host struct {
	machine, dir string
	temp         func(kind string) (string, error)
	settle       func(fresh string) error
	log          *slog.Logger

	mu     sync.Mutex
	stamp  string // of the packages that digest was found for
	digest string
}

// ensure makes the image for today's packages if there is none, and reports
// its digest.
func (h *host) ensure() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	stamp := packageStamp(h.machine)
	if h.digest != "" && stamp == h.stamp && isDir(h.place(h.digest)) {
		return h.digest, nil
	}
	state, err := packageState(h.machine)
	if err != nil {
		return "", fmt.Errorf("host image: %w: %w", runtime.ErrNoImage, err)
	}
	sum := sha256.Sum256(append([]byte(skeletonVersion+"\x00"), state[:]...))
	digest := digestPrefix + hex.EncodeToString(sum[:])
	if !isDir(h.place(digest)) {
		if err := h.build(digest); err != nil {
			return "", fmt.Errorf("host image: %w", err)
		}
	}
	h.stamp, h.digest = stamp, digest
	return digest, nil
}

// current is the digest last ensured, or "".
func (h *host) current() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.digest
}

func (h *host) place(digest string) string {
	return filepath.Join(h.dir, strings.TrimPrefix(digest, digestPrefix))
}

func (h *host) layers(hexDigest string) ([]Layer, bool) {
	dir := filepath.Join(h.dir, hexDigest)
	if !isDir(dir) {
		return nil, false
	}
	layers := []Layer{
		{Path: filepath.Join(dir, "root"), Target: "/"},
		{Path: filepath.Join(dir, "mask"), Target: "/usr"},
		{Path: filepath.Join(h.machine, "usr"), Target: "/usr"},
	}
	for _, name := range rootDirs {
		if path := filepath.Join(h.machine, name); isDir(path) {
			layers = append(layers, Layer{Path: path, Target: "/" + name})
		}
	}
	return layers, true
}

func (h *host) build(digest string) error {
	begun := time.Now()
	work, err := h.temp("host")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fresh := filepath.Join(work, "x")
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	c := copier{machine: h.machine, root: filepath.Join(fresh, "root")}
	if err := buildSkeleton(&c); err != nil {
		return fmt.Errorf("build the skeleton: %w", err)
	}
	if err := buildMask(h.machine, filepath.Join(fresh, "mask")); err != nil {
		return fmt.Errorf("build the mask of /usr: %w", err)
	}
	if err := writeInfo(fresh, Info{Digest: digest, Bytes: c.bytes.Load(), Created: begun.UTC(), Config: hostConfig}); err != nil {
		return err
	}
	if err := h.settle(fresh); err != nil {
		return err
	}
	if err := place(fresh, h.place(digest)); err != nil {
		return err
	}
	h.log.Info("host image built", "digest", digest, "files", c.files, "bytes", c.bytes.Load(), "took", time.Since(begun))
	return nil
}

// hostConfig is what a shell on this machine would begin with.
var hostConfig = Config{
	Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"},
	Cmd: []string{"/bin/sh"},
}

func buildSkeleton(c *copier) error {
	if err := makeDirs(c.root, "."); err != nil {
		return err
	}
	for _, d := range skeletonDirs {
		if err := makeDirs(c.root, d.path); err != nil {
			return err
		}
		if err := os.Chmod(filepath.Join(c.root, d.path), d.mode); err != nil {
			return err
		}
	}
	if err := linkRootDirs(c.machine, c.root); err != nil {
		return err
	}
	if err := c.copyShown(); err != nil {
		return err
	}
	if err := writeUsers(c.machine, c.root); err != nil {
		return err
	}
	return writeOwnFiles(c.machine, c.root)
}

// linkRootDirs makes /bin and its like as they are on the machine.
func linkRootDirs(machine, root string) error {
	for _, name := range rootDirs {
		info, err := os.Lstat(filepath.Join(machine, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case info.IsDir():
			err = makeDirs(root, name)
		case info.Mode()&fs.ModeSymlink != 0:
			var target string
			if target, err = os.Readlink(filepath.Join(machine, name)); err == nil {
				err = os.Symlink(target, filepath.Join(root, name))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeOwnFiles writes what must not be the machine's own.
func writeOwnFiles(machine, root string) error {
	files := map[string][]byte{
		"etc/hosts":       []byte("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"),
		"etc/hostname":    []byte("localhost\n"),
		"etc/fstab":       nil,
		"etc/environment": nil,
		"etc/subuid":      nil,
		"etc/subgid":      nil,
		"etc/resolv.conf": resolvers(machine),
	}
	for name, text := range files {
		if err := writeFile(filepath.Join(root, name), text); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{"etc/mtab": "../proc/self/mounts", "var/run": "/run", "var/lock": "/run/lock"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			return err
		}
	}
	for _, name := range []string{".bashrc", ".profile"} {
		text, err := os.ReadFile(filepath.Join(root, "etc/skel", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = writeFile(filepath.Join(root, "root", name), text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// resolvers keeps the machine's name servers. A resolver that listens on this
// machine's loopback only, as systemd's does, is out of a computer's reach, so
// the ones that it asks are taken instead.
func resolvers(machine string) []byte {
	for _, name := range []string{"run/systemd/resolve/resolv.conf", "etc/resolv.conf"} {
		text, err := os.ReadFile(filepath.Join(machine, name))
		if err == nil && len(text) < maxShownBytes {
			return bytes.TrimLeft(text, "\n")
		}
	}
	return nil
}

// buildMask makes the directory that, laid over /usr, empties /usr/local and
// /usr/src and hides configuration that may hold credentials. In an overlay,
// an attribute makes a directory hide what is below the one of its name, and
// a device 0:0 hides a single name.
func buildMask(machine, mask string) error {
	for _, name := range append([]string{"."}, maskedDirs...) {
		if err := makeDirs(mask, name); err != nil {
			return err
		}
	}
	for _, name := range []string{"local", "src"} {
		if err := unix.Lsetxattr(filepath.Join(mask, name), "trusted.overlay.opaque", []byte("y"), 0); err != nil {
			return fmt.Errorf("%w: mark a directory for overlays: %w", runtime.ErrUnsupported, err)
		}
	}
	for _, name := range []string{"etc/npmrc", "etc/pip.conf"} {
		if _, err := os.Lstat(filepath.Join(machine, "usr", name)); err != nil {
			continue // nothing to hide
		}
		if err := makeDirs(mask, path.Dir(name)); err != nil {
			return err
		}
		if err := unix.Mknod(filepath.Join(mask, name), unix.S_IFCHR, 0); err != nil {
			return fmt.Errorf("%w: make a whiteout: %w", runtime.ErrUnsupported, err)
		}
	}
	return nil
}
