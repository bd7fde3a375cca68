package image

import (
	"archive/tar"
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"
)

// Names of the images that a node can make by itself.
const (
	Debian  = "debian"
	Desktop = "desktop"
)

// DisplayPort is where the display of a computer with a desktop answers, on
// the computer's own 127.0.0.1, in the RFB protocol (RFC 6143), to whoever can
// connect there.
const DisplayPort = 5901

// Recipe is an image that a node can make from Debian's packages.
type Recipe struct {
	Name, Description string
	// Packages come on top of the essential ones, with what they depend on.
	Packages []string
	// Files are laid over what packages have installed, root's, readable by
	// all; those that begin with #! may be executed. nil for none.
	Files fs.FS
	// RoomBytes must be free on disk to begin: what is unpacked is there twice
	// for a moment, besides the packages themselves.
	RoomBytes int64
	Config    Config
}

// debianPackages are what people and agents expect of a machine they log in to.
var debianPackages = []string{
	"apt", "bash", "ca-certificates", "curl", "file", "git", "iproute2", "jq", "less", "nano", "openssh-client", "passwd", "procps", "psmisc",
	"python3", "python3-pip", "python3-venv", "sudo", "tzdata", "unzip", "wget", "xz-utils",
}

// desktopPackages make a desktop of that: the display, a window manager with a
// panel, a terminal, a browser, what drives them from scripts, and fonts.
var desktopPackages = []string{
	"tigervnc-standalone-server", "openbox", "tint2", "xterm", "chromium", "dbus", "at-spi2-core",
	"x11-utils", "x11-xserver-utils", "xclip", "xdotool", "scrot",
	"fonts-dejavu-core", "fonts-liberation", "fonts-noto-color-emoji", "fonts-wqy-microhei", "hicolor-icon-theme",
}

// desktopFiles are laid over a desktop's root.
//
//go:embed desktop
var desktopFiles embed.FS

// DefaultRecipes are those of a node that was told no others.
func DefaultRecipes() []Recipe {
	files, err := fs.Sub(desktopFiles, "desktop")
	if err != nil {
		panic(err) // the name is a constant, and a legal one
	}
	return []Recipe{
		{
			Name: Debian, Description: "Debian with a shell, Python, git and the usual tools",
			Packages: debianPackages, RoomBytes: 1 << 30,
			Config: Config{Env: hostConfig.Env, Cmd: []string{"/bin/bash"}},
		},
		{
			Name: Desktop, Description: "Debian with a desktop, a browser and fonts, seen over VNC",
			Packages: slices.Concat(debianPackages, desktopPackages), Files: files, RoomBytes: 4 << 30,
			Config: Config{
				Env: append(slices.Clone(hostConfig.Env), "DISPLAY=:1"), Cmd: []string{"/bin/bash"},
				Desktop: "/usr/libexec/bothy/desktop",
			},
		},
	}
}

// packFiles makes a tar of a recipe's own files and of more, by path.
func packFiles(own fs.FS, more map[string][]byte) ([]byte, error) {
	files := map[string][]byte{}
	maps.Copy(files, more)
	if own != nil {
		err := fs.WalkDir(own, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			files[name], err = fs.ReadFile(own, name)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read the files of a recipe: %w", err)
		}
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := tar.Header{Name: path.Clean(name), Size: int64(len(files[name])), Mode: 0o644, Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}
		if bytes.HasPrefix(files[name], []byte("#!")) {
			header.Mode = 0o755
		}
		err := w.WriteHeader(&header)
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			return nil, fmt.Errorf("pack the files of a recipe: %w", err)
		}
	}
	return out.Bytes(), w.Close()
}
