package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// maxComplaintBytes bounds what is kept of a bootstrap's output.
	maxComplaintBytes = 4 << 10
	// bootstrapNice lets computers and the node go before a bootstrap.
	bootstrapNice = "10"
	// waitForOutput bounds the wait for the output of a bootstrap that ended.
	waitForOutput = 10 * time.Second
)

// bootstrap is one making of a Debian root.
type bootstrap struct {
	packages []string
	dir      string       // empty, for all that is temporary
	say      func(string) // told each step
}

// bootstrapper writes a Debian root as a tar.
type bootstrapper func(ctx context.Context, b bootstrap, to io.Writer) error

// debian bootstraps with mmdebstrap, from the package sources of a machine and
// with the keys and the settings of its apt.
type debian struct {
	machine string
	sources string // file that is used in place of the machine's; "" for none
}

func (d debian) bootstrap(ctx context.Context, b bootstrap, to io.Writer) error {
	program, err := exec.LookPath("mmdebstrap")
	if err != nil {
		return fmt.Errorf("%w: mmdebstrap is not installed (apt-get install mmdebstrap)", runtime.ErrUnsupported)
	}
	sources, err := d.sourceFiles()
	if err != nil {
		return err
	}
	settings, err := aptSettings(ctx)
	if err != nil {
		return err
	}
	settingsFile := filepath.Join(b.dir, "apt.conf")
	if err := os.WriteFile(settingsFile, settings, 0o644); err != nil {
		return err
	}
	argv := []string{
		"nice", "-n", bootstrapNice, program, "--mode=root", "--format=tar", "--variant=essential", "--skip=output/dev",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-include=/usr/share/doc/*/copyright",
		// Settings of the machine's apt, such as a proxy, hold for the
		// bootstrap and do not get into the image.
		`--setup-hook=cat "$BOTHY_APT_SETTINGS" >> "$MMDEBSTRAP_APT_CONFIG"`,
		"--customize-hook=" + trustHook,
	}
	if len(b.packages) > 0 {
		argv = append(argv, "--include="+strings.Join(b.packages, ","))
	}
	argv = append(argv, "", "-") // any suite of the sources; to the standard output
	// The same packages on the same day make the same image on every node.
	day := time.Now().UTC().Truncate(24 * time.Hour).Unix()
	cmd := contained(ctx, append(argv, sources...))
	cmd.Env = append(os.Environ(), "TMPDIR="+b.dir, "BOTHY_APT_SETTINGS="+settingsFile, "BOTHY_MACHINE="+d.machine,
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", day), "LC_ALL=C.UTF-8")
	said := &complaint{say: b.say}
	cmd.Stdout, cmd.Stderr = to, said
	if err := runToEnd(cmd); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("mmdebstrap: %w: %s", err, said.text())
	}
	return nil
}

// trustHook gives the root the certificate authorities that were added to the
// machine by hand, as the host image has them, and a name that is nobody's.
const trustHook = `set -e
from="$BOTHY_MACHINE/usr/local/share/ca-certificates"
if [ -d "$from" ] && [ -x "$1/usr/sbin/update-ca-certificates" ]; then
	mkdir -p "$1/usr/local/share/ca-certificates"
	find "$from" -maxdepth 1 -name '*.crt' -type f -perm -004 -exec cp -t "$1/usr/local/share/ca-certificates" {} +
	chroot "$1" update-ca-certificates >/dev/null 2>&1
fi
: > "$1/etc/resolv.conf"
echo localhost > "$1/etc/hostname"`

// contained is a command in mount and process namespaces of its own: what it
// has mounted is seen by nobody else, and its end, also by the end of this
// process, is that of all it has started.
func contained(ctx context.Context, argv []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Setpgid: true, Pdeathsig: syscall.SIGKILL,
	}
	cmd.WaitDelay = waitForOutput
	return cmd
}

// runToEnd runs a command whose parent's death ends it. The kernel takes the
// thread for the parent, so that has to live as long.
func runToEnd(cmd *exec.Cmd) error {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	return cmd.Run()
}

// sourceFiles lists the files that tell where packages come from. One with a
// password in it stays out, be it in a comment: it would get into the image as
// it is.
func (d debian) sourceFiles() ([]string, error) {
	if d.sources != "" {
		text, err := os.ReadFile(d.sources)
		if err != nil {
			return nil, fmt.Errorf("read package sources: %w", err)
		}
		if secretText.Match(text) {
			return nil, fmt.Errorf("%w: there is a password in %s, which would get into the image; apt reads one from /etc/apt/auth.conf.d too",
				runtime.ErrUnsupported, d.sources)
		}
		return []string{d.sources}, nil
	}
	if release, err := os.ReadFile(filepath.Join(d.machine, "etc/os-release")); err != nil || !debianRelease.Match(release) {
		return nil, fmt.Errorf("%w: this machine is no Debian, so its package sources are not Debian's; name a file of sources in the configuration (images.sources)",
			runtime.ErrUnsupported)
	}
	var found []string
	for _, pattern := range []string{"sources.list", "sources.list.d/*.list", "sources.list.d/*.sources"} {
		matches, err := filepath.Glob(filepath.Join(d.machine, "etc/apt", pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range matches {
			text, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("read package sources: %w", err)
			}
			if len(bytes.TrimSpace(withoutComments(text))) > 0 && !secretText.Match(text) {
				found = append(found, path)
			}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: this machine's apt has no package sources", runtime.ErrUnsupported)
	}
	return found, nil
}

var (
	debianRelease = regexp.MustCompile(`(?m)^ID="?debian"?$`)
	// signedBy finds the key files of sources, of both their formats.
	signedBy = regexp.MustCompile(`(?i)signed-by\s*[:=]\s*(/[^\s,\]]+)`)
)

// keys reads the key files that the sources name, so that apt finds them in
// the image too.
func (d debian) keys() (map[string][]byte, error) {
	sources, err := d.sourceFiles()
	if err != nil {
		return nil, err
	}
	found := map[string][]byte{}
	for _, path := range sources {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read package sources: %w", err)
		}
		for _, match := range signedBy.FindAllSubmatch(withoutComments(text), -1) {
			name := strings.TrimPrefix(filepath.Clean(string(match[1])), "/")
			if found[name], err = os.ReadFile(filepath.Join(d.machine, name)); err != nil {
				return nil, fmt.Errorf("read a key of package sources: %w", err)
			}
		}
	}
	return found, nil
}

// aptSettings are those of this machine's apt that say how it fetches.
func aptSettings(ctx context.Context) ([]byte, error) {
	all, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: read the settings of apt: %w", runtime.ErrUnsupported, err)
	}
	kept := []byte("Dir::Etc::netrc \"/etc/apt/auth.conf\";\nDir::Etc::netrcparts \"/etc/apt/auth.conf.d\";\n")
	for line := range bytes.Lines(all) {
		if bytes.HasPrefix(line, []byte("Acquire::")) {
			kept = append(kept, line...)
		}
	}
	return kept, nil
}

// complaint keeps the end of what a bootstrap says, and tells its steps on.
type complaint struct {
	say  func(string)
	kept []byte
	line []byte // not ended yet
}

func (c *complaint) Write(p []byte) (int, error) {
	c.kept = append(c.kept, p...)
	c.kept = slices.Delete(c.kept, 0, max(0, len(c.kept)-maxComplaintBytes))
	c.line = append(c.line, p...)
	for {
		line, rest, ended := bytes.Cut(c.line, []byte("\n"))
		if !ended {
			c.line = c.line[max(0, len(c.line)-maxComplaintBytes):]
			return len(p), nil
		}
		if step, ok := bytes.CutPrefix(line, []byte("I: ")); ok {
			c.say(string(step))
		}
		c.line = rest
	}
}

// text is the errors among what was said, or all of it.
func (c *complaint) text() string {
	var errs []string
	for line := range strings.Lines(string(c.kept)) {
		if strings.HasPrefix(line, "E: ") {
			errs = append(errs, strings.TrimSpace(line))
		}
	}
	if errs == nil {
		return strings.TrimSpace(string(c.kept))
	}
	return strings.Join(errs, "; ")
}
