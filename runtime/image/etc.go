package image

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// shown lists what of this machine's /etc and /var goes into the host image,
// as patterns of paths; a directory goes with all that is below it. What is
// not named here stays out, whatever it is.
var shown = []string{
	// packages
	"etc/apt/apt.conf.d", "etc/apt/keyrings", "etc/apt/preferences.d", "etc/apt/sources.list", "etc/apt/sources.list.d", "etc/apt/trusted.gpg.d",
	"etc/alternatives", "etc/dpkg", "etc/debconf.conf", "etc/debian_version", "etc/ucf.conf", "etc/apk", "etc/dnf", "etc/yum.repos.d",
	"etc/pacman.conf", "etc/pacman.d/mirrorlist", "etc/*-release", "etc/os-release", "etc/issue", "etc/issue.net",
	"var/lib/dpkg", "var/lib/pam", "var/lib/ucf", "var/lib/xml-core", "var/lib/sgml-base", "var/lib/apt/extended_states", "var/lib/shells.state",
	// certificates that everybody trusts
	"etc/ssl/certs", "etc/ssl/openssl.cnf", "etc/ca-certificates", "etc/ca-certificates.conf", "etc/ca-certificates.d", "etc/pki/ca-trust", "etc/pki/tls/certs",
	"etc/crypto-policies", "etc/java*",
	// the linker, the C library, names and places
	"etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d", "etc/ld-musl-*.path", "etc/nsswitch.conf", "etc/host.conf", "etc/gai.conf",
	"etc/protocols", "etc/services", "etc/rpc", "etc/networks", "etc/netconfig", "etc/bindresvport.blacklist", "etc/localtime", "etc/timezone",
	"etc/locale.alias", "etc/locale.gen", "etc/locale.conf", "etc/default/locale", "etc/default/useradd",
	// logging in
	"etc/login.defs", "etc/adduser.conf", "etc/deluser.conf", "etc/pam.conf", "etc/pam.d", "etc/security/*.conf", "etc/shells", "etc/skel",
	"etc/profile", "etc/bash.bashrc", "etc/bash_completion.d", "etc/inputrc", "etc/terminfo",
	// programs
	"etc/fonts", "etc/X11", "etc/xdg", "etc/xml", "etc/sgml", "etc/mime.types", "etc/mailcap", "etc/magic", "etc/magic.mime", "etc/papersize",
	"etc/python3*", "etc/perl", "etc/vim", "etc/gtk-*", "etc/glvnd", "etc/groff", "etc/ImageMagick-*", "etc/OpenCL", "etc/iproute2", "etc/mke2fs.conf",
	"etc/manpath.config", "etc/xattr.conf", "etc/wgetrc", "etc/gprofng.rc",
}

// hidden lists what stays out even below something shown.
var hidden = []string{
	"etc/apt/auth.conf*", "etc/apt/apt.conf.d/*proxy*", "etc/security/opasswd", "etc/ssl/private", "etc/ssl/certs/ssl-cert-snakeoil.pem", "etc/pki/tls/private",
	"var/lib/dpkg/*-old", "var/lib/dpkg/lock*", "var/lib/dpkg/updates/*", "var/lib/dpkg/triggers/Lock",
	"*.key", "*.p12", "*.pfx", "*.keytab", "*_rsa", "*_ed25519", "*_ecdsa", "*.dpkg-*", "*.ucf-*",
}

// secretText is how private keys, and passwords in addresses, look in a file.
var secretText = regexp.MustCompile(`PRIVATE KEY-----|://[^/\s:@]+:[^/\s@]+@|(?i:auth_?token)\s*=\s*\S`)

const (
	// maxShownBytes bounds a file of the skeleton; none of the listed ones
	// comes near, and we read them whole.
	maxShownBytes = 32 << 20
	// maxShownFiles bounds the skeleton.
	maxShownFiles = 200_000
	copiesAtOnce  = 8
)

// linkedDir holds most files of a skeleton. dpkg never changes one in place,
// and a skeleton is only read, so where both are on one file system they can
// be the same files.
const linkedDir = "var/lib/dpkg/info/"

// copier copies what is shown from a machine into a skeleton.
type copier struct {
	machine, root string
	files         int
	bytes         atomic.Int64
	pending       errgroup.Group // copies under way
}

func (c *copier) copyShown() error {
	// Most of the time goes into waiting for a disk that has the small files
	// in many places.
	c.pending.SetLimit(copiesAtOnce)
	err := c.walkShown()
	return errors.Join(err, c.pending.Wait())
}

func (c *copier) walkShown() error {
	for _, pattern := range shown {
		matches, err := filepath.Glob(filepath.Join(c.machine, pattern))
		if err != nil {
			return err
		}
		for _, match := range matches {
			if err := filepath.WalkDir(match, c.visit); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *copier) visit(from string, entry fs.DirEntry, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // packages may change while we copy
	}
	if err != nil {
		return err
	}
	name, err := filepath.Rel(c.machine, from)
	if err != nil {
		return err
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if isHidden(name) || !readableByAll(info) {
		if entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	if c.files++; c.files > maxShownFiles {
		return errors.New("more files than a skeleton may have")
	}
	return c.copyEntry(name, info)
}

func (c *copier) copyEntry(name string, info fs.FileInfo) error {
	to := filepath.Join(c.root, name)
	if err := makeDirs(c.root, path.Dir(name)); err != nil {
		return err
	}
	switch {
	case info.IsDir():
		if err := makeDirs(c.root, name); err != nil {
			return err
		}
		return keepOwner(to, info)
	case strings.HasPrefix(name, linkedDir) && info.Mode().IsRegular() && os.Link(filepath.Join(c.machine, name), to) == nil:
		c.bytes.Add(info.Size())
		return nil
	case info.Mode().IsRegular():
		c.pending.Go(func() error {
			wrote, err := c.copyFile(name, to, info.Size())
			if err != nil || !wrote {
				return err
			}
			return keepOwner(to, info)
		})
		return nil
	case info.Mode()&fs.ModeSymlink != 0:
		return c.copyLink(name, to)
	default:
		return nil // sockets, pipes and devices mean nothing elsewhere
	}
}

// keepOwner gives a copy the owner and mode of its original; what belongs to
// a person of this machine becomes root's.
func keepOwner(to string, info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t)
	if uid, gid := systemOwner(st.Uid), systemOwner(st.Gid); uid != 0 || gid != 0 {
		if err := os.Lchown(to, uid, gid); err != nil {
			return err
		}
	}
	return os.Chmod(to, info.Mode().Perm())
}

func (c *copier) copyFile(name, to string, size int64) (bool, error) {
	if size > maxShownBytes {
		return false, nil
	}
	text, err := os.ReadFile(filepath.Join(c.machine, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !strings.HasPrefix(name, "var/lib/dpkg/") && secretText.Match(withoutComments(text)) {
		return false, nil
	}
	c.bytes.Add(int64(len(text)))
	return true, writeFile(to, text)
}

// copyLink keeps a link as it is, but one into a part of /usr that the image
// hides becomes a copy: certificate authorities added by hand live there.
func (c *copier) copyLink(name, to string) error {
	target, err := os.Readlink(filepath.Join(c.machine, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if strings.HasPrefix(target, "/usr/local/") {
		source := strings.TrimPrefix(target, "/")
		info, err := os.Lstat(filepath.Join(c.machine, source))
		if err != nil || !info.Mode().IsRegular() || !readableByAll(info) || isHidden(source) {
			return nil
		}
		_, err = c.copyFile(source, to, info.Size())
		return err
	}
	if err := os.Symlink(target, to); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// makeDirs makes a directory and those above it up to root, open to all
// whatever this process's umask is.
func makeDirs(root, name string) error {
	at := root
	for part := range strings.SplitSeq(name, "/") {
		at = filepath.Join(at, part)
		err := os.Mkdir(at, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err = errors.Join(err, os.Chmod(at, 0o755)); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file that all may read, whatever the umask is.
func writeFile(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Chmod(0o644), f.Close())
}

// withoutComments drops the lines that only explain, so that an example in
// one does not keep a harmless file out.
func withoutComments(text []byte) []byte {
	if bytes.IndexByte(text, 0) >= 0 {
		return text
	}
	var kept []byte
	for line := range bytes.Lines(text) {
		if t := bytes.TrimSpace(line); !bytes.HasPrefix(t, []byte("#")) {
			kept = append(kept, line...)
		}
	}
	return kept
}

func isHidden(name string) bool {
	return slices.ContainsFunc(hidden, func(pattern string) bool {
		subject := name
		if !strings.Contains(pattern, "/") {
			subject = path.Base(name)
		}
		ok, err := path.Match(pattern, subject)
		return ok || err != nil
	})
}

// readableByAll reports whether the machine itself shows the file to
// everybody; what it does not is no business of a computer's.
func readableByAll(info fs.FileInfo) bool {
	if info.Mode()&fs.ModeSymlink != 0 {
		return true
	}
	return info.Mode().Perm()&0o004 != 0
}

func systemOwner(id uint32) int {
	if id < firstPersonID {
		return int(id)
	}
	return 0
}
