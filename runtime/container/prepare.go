package container

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/bothy-computer/bothy/runtime/idmap"
)

// users are the accounts that every computer has, whatever its image. They
// share a uid, so all dialects see one owner of the workspace.
var users = []string{"node", "user"}

const sudoers = "node ALL=(ALL) NOPASSWD:ALL\nuser ALL=(ALL) NOPASSWD:ALL\n"

// prepare gives a layer what every computer has. It runs before anything of
// the computer ever ran; still, all paths are resolved inside the root, since
// images too may hold links that lead elsewhere.
func prepare(rootfs, hostname string, ids idmap.Range) error {
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return fmt.Errorf("prepare root: %w", err)
	}
	defer root.Close()
	p := preparation{root: root, ids: ids}
	p.accounts("etc/passwd", func(name string) string {
		return fmt.Sprintf("%s:x:%d:%d::/home/%s:%s\n", name, userID, userID, name, p.shell())
	})
	p.accounts("etc/group", func(name string) string { return fmt.Sprintf("%s:x:%d:\n", name, userID) })
	if p.exists("etc/shadow") {
		p.accounts("etc/shadow", func(name string) string { return name + ":*:19000:0:99999:7:::\n" })
	}
	p.dir("home", 0o755, 0)
	for _, name := range users {
		p.dir("home/"+name, 0o755, userID)
	}
	if p.exists("usr/bin/sudo") {
		p.dir("etc/sudoers.d", 0o750, 0)
		p.file("etc/sudoers.d/bothy", sudoers, 0o440)
	}
	p.replaceLink("etc/resolv.conf")
	p.name(hostname)
	if p.err != nil {
		return fmt.Errorf("prepare root: %w", p.err)
	}
	return nil
}

// rename gives a computer that has not run for anybody its own name.
func rename(rootfs, hostname string, ids idmap.Range) error {
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return fmt.Errorf("name computer: %w", err)
	}
	defer root.Close()
	p := preparation{root: root, ids: ids}
	p.name(hostname)
	return p.err
}

// maxHostsBytes bounds the hosts file that a new name is put into.
const maxHostsBytes = 64 << 10

// renameUsed gives a computer that has run another host name, in the place of
// the old one. What it made of these files is its own affair: only plain files
// are touched, and none is waited for.
func renameUsed(rootfs, old, hostname string, ids idmap.Range) error {
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return fmt.Errorf("name computer: %w", err)
	}
	defer root.Close()
	plain := func(name string) bool {
		info, err := root.Lstat(name)
		return err == nil && info.Mode().IsRegular() && info.Size() <= maxHostsBytes
	}
	p := preparation{root: root, ids: ids}
	if plain("etc/hostname") {
		p.file("etc/hostname", hostname+"\n", 0o644)
	}
	if plain("etc/hosts") {
		text, err := root.ReadFile("etc/hosts")
		if err != nil {
			return fmt.Errorf("name computer: %w", err)
		}
		p.file("etc/hosts", strings.ReplaceAll(string(text), "127.0.1.1 "+old+"\n", "127.0.1.1 "+hostname+"\n"), 0o644)
	}
	if p.err != nil {
		return fmt.Errorf("name computer: %w", p.err)
	}
	return nil
}

// preparation writes into a root and stops at its first error.
type preparation struct {
	root *os.Root
	ids  idmap.Range
	err  error
}

func (p *preparation) name(hostname string) {
	p.file("etc/hostname", hostname+"\n", 0o644)
	p.file("etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 "+hostname+"\n", 0o644)
}

func (p *preparation) exists(name string) bool {
	_, err := p.root.Stat(name)
	return err == nil
}

func (p *preparation) shell() string {
	if p.exists("bin/bash") || p.exists("usr/bin/bash") {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// accounts puts our users into an account file, in place of any of their name.
func (p *preparation) accounts(file string, line func(name string) string) {
	if p.err != nil {
		return
	}
	old, err := p.root.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.err = err
		return
	}
	var text strings.Builder
	for entry := range bytes.Lines(old) {
		name, _, _ := strings.Cut(string(entry), ":")
		if name == users[0] || name == users[1] || len(bytes.TrimSpace(entry)) == 0 {
			continue
		}
		text.WriteString(strings.TrimRight(string(entry), "\n") + "\n")
	}
	if len(old) == 0 && !strings.HasSuffix(file, "shadow") {
		text.WriteString(map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}[file])
	}
	for _, name := range users {
		text.WriteString(line(name))
	}
	mode := fs.FileMode(0o644)
	if strings.HasSuffix(file, "shadow") {
		mode = 0o640
	}
	p.file(file, text.String(), mode)
}

// file writes a file that root inside owns.
func (p *preparation) file(name, content string, mode fs.FileMode) {
	if p.err != nil {
		return
	}
	f, err := p.root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		p.err = err
		return
	}
	_, err = f.WriteString(content)
	p.err = errors.Join(err, f.Chown(p.ids.Host, p.ids.Host), f.Chmod(mode), f.Close())
}

// dir makes a directory and sets its owner, also when the image has it.
func (p *preparation) dir(name string, mode fs.FileMode, owner int) {
	if p.err != nil {
		return
	}
	if err := p.root.MkdirAll(name, mode); err != nil {
		p.err = err
		return
	}
	f, err := p.root.Open(name)
	if err != nil {
		p.err = err
		return
	}
	p.err = errors.Join(f.Chown(p.ids.Host+owner, p.ids.Host+owner), f.Chmod(mode), f.Close())
}

// replaceLink makes a plain empty file of what may be a link into a service
// that does not run here.
func (p *preparation) replaceLink(name string) {
	if p.err != nil {
		return
	}
	if info, err := p.root.Lstat(name); err == nil && info.Mode().IsRegular() {
		return
	}
	if err := p.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.err = err
		return
	}
	p.file(name, "", 0o644)
}
