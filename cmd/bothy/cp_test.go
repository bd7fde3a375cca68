package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// copier runs `bothy cp` against a house.
type copier struct {
	t    *testing.T
	h    *doortest.House
	key  string
	warn bytes.Buffer
}

func (c *copier) cp(args ...string) error {
	s := newShell(c.t, c.h.URL)
	s.env[keyVariable] = c.key
	c.warn.Reset()
	s.terminal.err, s.terminal.tty = &c.warn, false
	cmd := newRoot(&s.terminal)
	cmd.SetArgs(append([]string{"cp"}, args...))
	return cmd.ExecuteContext(c.t.Context())
}

func (c *copier) must(args ...string) {
	c.t.Helper()
	if err := c.cp(args...); err != nil {
		c.t.Fatalf("cp %v: %v", args, err)
	}
}

// tree are the files below a directory, with what is in them.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		name, _ := filepath.Rel(dir, p)
		all = append(all, name+"="+string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestCpBothWays(t *testing.T) {
	h := doortest.Open(t)
	key := h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"*"}, NoLimit: true})
	cl, err := client.New([]string{h.URL}, key)
	if err != nil {
		t.Fatal(err)
	}
	cl.HTTP = h.Client()
	env, err := cl.Environments().Create(t.Context(), wire.WriteEnvironment{Name: wire.Some("e")})
	if err != nil {
		t.Fatal(err)
	}
	c := &copier{t: t, h: h, key: key}
	local := t.TempDir()
	for name, content := range map[string]string{"src/a": "1", "src/d/b": "22", "f": "333"} {
		p := filepath.Join(local, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../etc", filepath.Join(local, "src/out")); err != nil {
		t.Fatal(err)
	}
	// An environment and a computer are the same to cp: one verb for both.
	for _, name := range []string{env.ID, env.ComputerID} {
		c.must(local+"/src", name+":new")     // becomes it
		c.must(local+"/src", name+":new")     // goes into it
		c.must(local+"/src/.", name+":merge") // what is in it
		c.must(local+"/f", name+":")
		c.must(local+"/f", name+":new/")
		c.must(local+"/f", name+":deep/g")
		if c.cp(local+"/src", name+":merge/") != nil || !strings.Contains(c.warn.String(), "left out out: ") {
			t.Fatalf("it says %q", c.warn.String())
		}
		back := t.TempDir()
		c.must(name+":", back+"/all")
		want := "deep/g=333 f=333 merge/a=1 merge/d/b=22 merge/src/a=1 merge/src/d/b=22 new/a=1 new/d/b=22 new/f=333 new/src/a=1 new/src/d/b=22"
		if got := tree(t, back+"/all"); got != want {
			t.Fatalf("%s holds %s", name, got)
		}
		c.must(name+":new/src", back)
		c.must(name+":new/d/.", back+"/x")
		c.must(name+":f", back)
		c.must(name+":deep/g", back+"/h")
		c.must(name+":deep/g", back+"/h") // again
		if err := os.RemoveAll(back + "/all"); err != nil {
			t.Fatal(err)
		}
		if got, want := tree(t, back), "f=333 h=333 src/a=1 src/d/b=22 x/b=22"; got != want {
			t.Fatalf("copied %s", got)
		}
		if info, err := os.Stat(back + "/h"); err != nil || info.Mode().Perm() != 0o640 {
			t.Fatalf("%v, %v", info, err)
		}
		for want, args := range map[string][]string{
			"gone":      {name + ":gone", back},
			"no such":   {local + "/none", name + ":"},
			"the other": {local, back},
			"directory": {local + "/f", name + ":f/x"},
			"..":        {name + ":../x", back},
		} {
			if err := c.cp(args...); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("cp %v: %v", args, err)
			}
		}
		for _, f := range []string{"new", "merge", "deep", "f"} {
			if err := cl.Environments().Files(env.ID).Remove(t.Context(), f, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.cp("env_none:x", local); err == nil || !strings.Contains(err.Error(), "nvironment") {
		t.Error(err)
	}
}

func TestNamesOfFarPaths(t *testing.T) {
	for arg, want := range map[string]remote{
		"env_1:a/b": {"env_1", "a/b"}, "box:": {"box", ""}, "box:/workspace/a:b": {"box", "/workspace/a:b"},
		"./a:b": {}, "a": {}, "/x:y": {}, ":x": {}, "C.d:e": {},
	} {
		if got, ok := splitRemote(arg); got != want || ok != (want != remote{}) {
			t.Errorf("%s: %+v, %v", arg, got, ok)
		}
	}
}
