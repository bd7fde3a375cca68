package image

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
)

func openStore(t *testing.T, opts Options) *Store {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	opts.Log = slog.New(slog.DiscardHandler)
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

func plant(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const secret = "planted-secret"

// machineFiles are those of a small machine with a secret in each place where
// one may be, readable by all so that only names and contents decide.
var machineFiles = map[string]string{
	"usr/bin/true":                          "program",
	"usr/local/bin/private-tool":            secret,
	"usr/local/share/ca-certificates/x.crt": "public certificate",
	"usr/src/company/main.c":                secret,
	"usr/etc/npmrc":                         secret,
	"var/lib/dpkg/status":                   "Package: true\nStatus: install ok installed\nVersion: 1\n\n",
	"var/lib/dpkg/info/true.list":           "/usr/bin/true\n",
	"var/lib/dpkg/status-old":               secret,
	"etc/passwd":                            "root:x:0:0:The Boss:/root:/usr/local/bin/fish\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nann:x:1000:1000:Ann:/home/ann:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nbroken\n",
	"etc/group":                             "root:x:0:\nsudo:x:27:ann,daemon\nann:x:1000:\nshadow:x:42:\n",
	"etc/shadow":                            secret,
	"etc/gshadow":                           secret,
	"etc/shadow-":                           secret,
	"etc/machine-id":                        secret,
	"etc/sudoers":                           secret,
	"etc/sudoers.d/ann":                     secret,
	"etc/ssh/ssh_host_ed25519_key":          secret,
	"etc/ssl/private/server.pem":            secret,
	"etc/ssl/certs/mixed.pem":               "-----BEGIN PRIVATE KEY-----\n" + secret,
	"etc/ssl/certs/ca-certificates.crt":     "public bundle",
	"etc/ssl/certs/own.key":                 secret,
	"etc/ssl/openssl.cnf":                   "challengePassword = A challenge password\n",
	"etc/security/opasswd":                  secret,
	"etc/security/limits.conf":              "# limits\n",
	"etc/cron.d/backup":                     secret,
	"etc/crontab":                           secret,
	"etc/environment":                       "TOKEN=" + secret,
	"etc/profile.d/company.sh":              "export TOKEN=" + secret,
	"etc/default/docker":                    secret,
	"etc/npmrc":                             secret,
	"etc/pip.conf":                          secret,
	"etc/hostname":                          secret,
	"etc/hosts":                             "10.0.0.7 " + secret,
	"etc/fstab":                             "//nas/x /x cifs password=" + secret,
	"etc/apt/auth.conf":                     secret,
	"etc/apt/auth.conf.d/x.conf":            secret,
	"etc/apt/apt.conf.d/95proxy":            secret,
	"etc/apt/sources.list":                  "deb http://deb.example.org stable main\n",
	"etc/apt/sources.list.d/own.list":       "deb https://ann:" + secret + "@apt.example.org stable main\n",
	"etc/wgetrc":                            "# http_proxy = http://user:pass@proxy/\n",
	"etc/kubernetes/admin.conf":             secret,
	"etc/wireguard/wg0.conf":                secret,
	"etc/resolv.conf":                       "nameserver 192.0.2.1\n",
	"etc/nsswitch.conf":                     "passwd: files\n",
	"etc/skel/.profile":                     "# hello\n",
	"etc/pam.d/login":                       "auth required pam_unix.so\n",
	"root/.ssh/id_rsa":                      secret,
	"home/ann/notes":                        secret,
	"opt/company/config":                    secret,
	"srv/data":                              secret,
	"var/log/auth.log":                      secret,
	"var/lib/app/db":                        secret,
	"run/secrets/token":                     secret,
}

func testMachine(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	plant(t, root, machineFiles)
	for link, target := range map[string]string{
		"bin": "usr/bin", "lib64": "usr/lib64",
		"etc/ssl/certs/x.pem":     "/usr/local/share/ca-certificates/x.crt",
		"etc/alternatives/editor": "/usr/bin/true",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	private := filepath.Join(root, "etc/pam.d/private")
	plant(t, root, map[string]string{"etc/pam.d/private": secret})
	if err := os.Chmod(private, 0o640); err != nil {
		t.Fatal(err)
	}
	return root
}

// assemble mounts the layers of an image as a driver does, with shifted ids,
// and reports where.
func assemble(t *testing.T, layers []Layer) string {
	t.Helper()
	work := t.TempDir()
	root := filepath.Join(work, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	ns, err := idmap.Open(idmap.Range{Host: idmap.FirstHost, Size: idmap.RangeSize})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	lower := map[string][]string{}
	var targets []string
	for i, l := range layers {
		at := filepath.Join(work, "layer"+string(rune('a'+i)))
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := ns.Bind(l.Path, at); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unmount(t, at) })
		if lower[l.Target] == nil {
			targets = append(targets, l.Target)
		}
		lower[l.Target] = append(lower[l.Target], at)
	}
	for _, target := range targets {
		at := filepath.Join(root, target)
		dirs := lower[target]
		if len(dirs) == 1 {
			dirs = append(dirs, filepath.Join(work)) // a lone lower needs a second
			dirs[1] = t.TempDir()
		}
		if err := unix.Mount("overlay", at, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(dirs, ":")); err != nil {
			t.Fatalf("overlay of %s: %v", target, err)
		}
		t.Cleanup(func() { unmount(t, at) })
	}
	return root
}

func unmount(t *testing.T, at string) {
	if err := unix.Unmount(at, 0); err != nil {
		t.Errorf("unmount %s: %v", at, err)
	}
}

// TestHostHides: nothing planted shows in the computer's whole root.
func TestHostHides(t *testing.T) {
	machine := testMachine(t)
	s := openStore(t, Options{machine: machine})
	digest, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := s.Layers(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	root := assemble(t, layers)
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), secret) {
			t.Errorf("%s shows a secret", strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"etc/shadow", "etc/gshadow", "etc/machine-id", "etc/sudoers", "etc/ssh", "etc/ssl/private", "etc/ssl/certs/mixed.pem", "etc/security/opasswd",
		"etc/cron.d", "etc/crontab", "etc/kubernetes", "etc/pam.d/private", "usr/etc/npmrc", "usr/local/bin/private-tool", "usr/src/company",
	} {
		if _, err := os.Lstat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"root", "home", "opt", "srv", "mnt", "media", "boot", "run/lock", "usr/src", "usr/local/bin", "tmp", "var/log/apt"} {
		entries, err := os.ReadDir(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			if e.Name() != ".profile" && e.Name() != ".bashrc" {
				t.Errorf("%s holds %s", name, e.Name())
			}
		}
	}
}

func TestHostShowsWhatProgramsNeed(t *testing.T) {
	s := openStore(t, Options{machine: testMachine(t)})
	digest, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := s.Layers(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	root := assemble(t, layers)
	for name, want := range map[string]string{
		"usr/bin/true":                      "program",
		"bin/true":                          "program",
		"etc/passwd":                        "root:*:0:0::/root:/bin/sh\ndaemon:*:1:1::/usr/sbin:/bin/false\nnobody:*:65534:65534::/:/bin/false\n",
		"etc/group":                         "root:*:0:\nsudo:*:27:daemon\nshadow:*:42:\n",
		"etc/resolv.conf":                   "nameserver 192.0.2.1\n",
		"etc/ssl/certs/ca-certificates.crt": "public bundle",
		"etc/ssl/certs/x.pem":               "public certificate",
		"etc/ssl/openssl.cnf":               "challengePassword = A challenge password\n",
		"etc/apt/sources.list":              "deb http://deb.example.org stable main\n",
		"etc/wgetrc":                        "# http_proxy = http://user:pass@proxy/\n",
		"etc/pam.d/login":                   "auth required pam_unix.so\n",
		"var/lib/dpkg/info/true.list":       "/usr/bin/true\n",
		"root/.profile":                     "# hello\n",
		"etc/environment":                   "",
	} {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(root, "etc/passwd"), &st); err != nil || st.Uid != idmap.FirstHost || st.Mode&0o777 != 0o644 {
		t.Errorf("passwd belongs to %d with mode %o: %v", st.Uid, st.Mode, err)
	}
	if err := unix.Stat(filepath.Join(root, "tmp"), &st); err != nil || st.Mode&0o7777 != 0o1777 {
		t.Errorf("/tmp has mode %o: %v", st.Mode, err)
	}
}

func TestHostFollowsThePackages(t *testing.T) {
	machine := testMachine(t)
	dir := t.TempDir()
	s := openStore(t, Options{machine: machine, Dir: dir})
	first, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	again, err := openStore(t, Options{machine: machine, Dir: dir}).Resolve(t.Context(), Host)
	if err != nil || again != first {
		t.Fatalf("another start: %s, %v; want %s", again, err, first)
	}
	elsewhere, err := openStore(t, Options{machine: testMachine(t)}).Resolve(t.Context(), Host)
	if err != nil || elsewhere != first {
		t.Fatalf("a machine of the same packages: %s, %v; want %s", elsewhere, err, first)
	}
	status := filepath.Join(machine, "var/lib/dpkg/status")
	plant(t, machine, map[string]string{"var/lib/dpkg/status": "Package: true\nStatus: install ok installed\nVersion: 2\n\n"})
	if err := os.Chtimes(status, time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	second, err := s.Resolve(t.Context(), Host)
	if err != nil || second == first {
		t.Fatalf("after an upgrade: %s, %v", second, err)
	}
	if _, err := s.Resolve(t.Context(), first); err != nil {
		t.Fatalf("the image that computers stand on is gone: %v", err)
	}
	if n, err := s.Sweep(t.Context(), using(first)); err != nil || n != 0 {
		t.Fatalf("swept %d in use, %v", n, err)
	}
	if n, err := s.Sweep(t.Context(), Sweeping{}); err != nil || n != 1 {
		t.Fatalf("swept %d, %v", n, err)
	}
	if _, err := s.Resolve(t.Context(), first); !errors.Is(err, runtime.ErrNoImage) {
		t.Fatalf("a swept image: %v", err)
	}
}

// TestHostOfThisMachine builds the real thing, in the time a first start has.
func TestHostOfThisMachine(t *testing.T) {
	s := openStore(t, Options{})
	begun := time.Now()
	digest, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 30*time.Second { // two seconds on a machine that is not busy
		t.Errorf("took %v", took)
	}
	layers, err := s.Layers(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	root := assemble(t, layers)
	for _, name := range []string{"bin/sh", "usr/bin/env", "etc/passwd", "etc/resolv.conf", "usr/local/bin"} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"etc/shadow", "etc/machine-id", "etc/ssh", "etc/npmrc", "etc/pip.conf", "usr/etc/npmrc", "root/.ssh"} {
		if _, err := os.Lstat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	info, err := s.Info(t.Context(), digest)
	if err != nil || info.Names[0] != Host || info.Bytes == 0 {
		t.Errorf("%+v, %v", info, err)
	}
}
