package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// entry is one EntryInfo in JSON.
type entry struct {
	Name, Type, Path, Size, Permissions, Owner, Group, SymlinkTarget string
	Mode                                                             uint32
	ModifiedTime                                                     time.Time
	Metadata                                                         map[string]string
}

// files calls a method of filesystem.Filesystem.
func (d dialled) files(t *testing.T, method, body string) (int, string) {
	t.Helper()
	res := d.post(t, "/filesystem.Filesystem/"+method, plainJSON, body)
	return res.StatusCode, text(t, res)
}

func (d dialled) filesInto(t *testing.T, method, body string, into any) {
	t.Helper()
	status, answer := d.files(t, method, body)
	if status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, body, status, answer)
	}
	if err := json.Unmarshal([]byte(answer), into); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
}

func TestStat(t *testing.T) {
	d := serve(t)
	file := filepath.Join(d.workdir, "file")
	write(t, file, "12345")
	if err := os.Symlink("file", filepath.Join(d.workdir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(d.workdir, "broken")); err != nil {
		t.Fatal(err)
	}
	var got struct{ Entry entry }
	d.filesInto(t, "Stat", fmt.Sprintf(`{"path":%q}`, file), &got)
	if e := got.Entry; e.Name != "file" || e.Type != "FILE_TYPE_FILE" || e.Path != file || e.Size != "5" || e.Mode != 0o640 ||
		e.Permissions != "-rw-r-----" || e.Owner != "root" || e.Group != "root" || time.Since(e.ModifiedTime) > time.Minute {
		t.Errorf("%+v", e)
	}
	got.Entry = entry{}
	d.filesInto(t, "Stat", `{"path":""}`, &got)
	if got.Entry.Path != d.workdir || got.Entry.Type != "FILE_TYPE_DIRECTORY" {
		t.Errorf("%+v", got.Entry)
	}
	got.Entry = entry{}
	d.filesInto(t, "Stat", fmt.Sprintf(`{"path":%q}`, d.workdir+"/link"), &got)
	if got.Entry.Type != "FILE_TYPE_FILE" || got.Entry.SymlinkTarget != file {
		t.Errorf("%+v", got.Entry)
	}
	got.Entry = entry{}
	d.filesInto(t, "Stat", fmt.Sprintf(`{"path":%q}`, d.workdir+"/broken"), &got)
	if got.Entry.Type != "FILE_TYPE_SYMLINK" || got.Entry.SymlinkTarget != "nowhere" {
		t.Errorf("%+v", got.Entry)
	}
}

func TestFilesystemFailures(t *testing.T) {
	d := serve(t)
	write(t, d.workdir+"/file", "x")
	for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}} {
		if err := os.Symlink(pair[0], filepath.Join(d.workdir, pair[1])); err != nil {
			t.Fatal(err)
		}
	}
	w := d.workdir
	for name, tt := range map[string]struct{ method, body, code string }{
		"stat missing":          {"Stat", `{"path":"` + w + `/no"}`, "not_found"},
		"stat under a file":     {"Stat", `{"path":"` + w + `/file/x"}`, "not_found"},
		"stat NUL":              {"Stat", `{"path":"a\u0000b"}`, "invalid_argument"},
		"stat long name":        {"Stat", `{"path":"/` + strings.Repeat("x", 300) + `"}`, "invalid_argument"},
		"make existing":         {"MakeDir", `{"path":"` + w + `"}`, "already_exists"},
		"make over a file":      {"MakeDir", `{"path":"` + w + `/file"}`, "invalid_argument"},
		"make under a file":     {"MakeDir", `{"path":"` + w + `/file/dir"}`, "not_found"},
		"list a file":           {"ListDir", `{"path":"` + w + `/file"}`, "invalid_argument"},
		"list missing":          {"ListDir", `{"path":"` + w + `/no"}`, "not_found"},
		"list a cycle":          {"ListDir", `{"path":"` + w + `/a"}`, "failed_precondition"},
		"move missing":          {"Move", `{"source":"` + w + `/no","destination":"` + w + `/x"}`, "not_found"},
		"remove the root":       {"Remove", `{"path":"/"}`, "invalid_argument"},
		"watch a file":          {"CreateWatcher", `{"path":"` + w + `/file"}`, "invalid_argument"},
		"events of no watcher":  {"GetWatcherEvents", `{"watcherId":"no"}`, "not_found"},
		"removal of no watcher": {"RemoveWatcher", `{"watcherId":"no"}`, "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := d.files(t, tt.method, tt.body)
			if status == 200 || !strings.Contains(answer, `"`+tt.code+`"`) {
				t.Errorf("got %d %s, want %s", status, answer, tt.code)
			}
		})
	}
}

func TestListDir(t *testing.T) {
	d := serve(t)
	write(t, d.workdir+"/real/a", "1")
	write(t, d.workdir+"/real/dir/b", "22")
	write(t, d.workdir+"/other/c", "3")
	for name, target := range map[string]string{"real/to-other": "../other", "link": "real"} {
		if err := os.Symlink(target, filepath.Join(d.workdir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for body, want := range map[string][]string{
		`{"path":"` + d.workdir + `/real"}`:           {"/real/a", "/real/dir", "/real/to-other"},
		`{"path":"` + d.workdir + `/real","depth":2}`: {"/real/a", "/real/dir", "/real/dir/b", "/real/to-other"},
		`{"path":"` + d.workdir + `/link","depth":9}`: {"/link/a", "/link/dir", "/link/dir/b", "/link/to-other"},
	} {
		var got struct{ Entries []entry }
		d.filesInto(t, "ListDir", body, &got)
		var paths []string
		for _, e := range got.Entries {
			paths = append(paths, strings.TrimPrefix(e.Path, d.workdir))
		}
		slices.Sort(paths)
		if !slices.Equal(paths, want) {
			t.Errorf("%s: got %v, want %v", body, paths, want)
		}
	}
}

func TestMakeMoveRemove(t *testing.T) {
	d := serve(t)
	basic := []string{"Authorization", "Basic bm9ib2R5Og=="} // nobody
	res := d.post(t, "/filesystem.Filesystem/MakeDir", plainJSON, `{"path":"`+d.workdir+`/x/y"}`, basic...)
	if body := text(t, res); res.StatusCode != 200 || !strings.Contains(body, `"owner":"nobody"`) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if info, err := os.Stat(d.workdir + "/x"); err != nil || info.Sys().(*syscall.Stat_t).Uid != 65534 {
		t.Errorf("the directory above: %+v, %v", info, err)
	}
	write(t, d.workdir+"/x/y/file", "moves")
	move := fmt.Sprintf(`{"source":%q,"destination":%q}`, d.workdir+"/x/y/file", d.workdir+"/new/place")
	var moved struct{ Entry entry }
	d.filesInto(t, "Move", move, &moved)
	if got, err := os.ReadFile(d.workdir + "/new/place"); err != nil || string(got) != "moves" || moved.Entry.Name != "place" {
		t.Errorf("%q %v %+v", got, err, moved)
	}
	for range 2 {
		if status, body := d.files(t, "Remove", `{"path":"`+d.workdir+`/x"}`); status != 200 || body != "{}" {
			t.Errorf("%d %s", status, body)
		}
	}
	if _, err := os.Lstat(d.workdir + "/x"); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

// A computer's workspace is another file system than its home.
func TestMoveBetweenFileSystems(t *testing.T) {
	d := serve(t)
	other := t.TempDir()
	if err := unix.Mount("tmpfs", other, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(other, 0); err != nil {
			t.Error(err)
		}
	})
	write(t, d.workdir+"/tree/dir/file", "across")
	if err := os.Symlink("dir/file", d.workdir+"/tree/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(d.workdir+"/tree/dir/file", 12, 34); err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"source":%q,"destination":%q}`, d.workdir+"/tree", other+"/tree")
	if status, answer := d.files(t, "Move", body); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	info, err := os.Stat(other + "/tree/link")
	if err != nil || info.Mode().Perm() != 0o640 || info.Sys().(*syscall.Stat_t).Uid != 12 {
		t.Errorf("%+v %v", info, err)
	}
	if _, err := os.Lstat(d.workdir + "/tree"); !os.IsNotExist(err) {
		t.Errorf("the source is still there: %v", err)
	}
	write(t, d.workdir+"/large", strings.Repeat("x", 2<<20))
	body = fmt.Sprintf(`{"source":%q,"destination":%q}`, d.workdir+"/large", other+"/large")
	if status, answer := d.files(t, "Move", body); status != 429 || !strings.Contains(answer, "resource_exhausted") {
		t.Errorf("into a full disk: %d %s", status, answer)
	}
	left, err := os.ReadDir(other)
	if err != nil || len(left) != 1 {
		t.Errorf("a failed move left %v, %v", left, err)
	}
}

func TestWatchers(t *testing.T) {
	d := serve(t)
	var made struct{ WatcherID string }
	d.filesInto(t, "CreateWatcher", `{"path":"`+d.workdir+`","recursive":true,"includeEntry":true}`, &made)
	write(t, d.workdir+"/new/deep/file", "x")
	seen := map[string]bool{}
	deadline := time.Now().Add(10 * time.Second)
	for !(seen["EVENT_TYPE_CREATE new"] && seen["EVENT_TYPE_CREATE new/deep"] && seen["EVENT_TYPE_CREATE new/deep/file"]) {
		if time.Now().After(deadline) {
			t.Fatalf("only %v", seen)
		}
		var got struct {
			Events []struct {
				Name, Type string
				Entry      *entry
			}
		}
		d.filesInto(t, "GetWatcherEvents", `{"watcherId":"`+made.WatcherID+`"}`, &got)
		for _, e := range got.Events {
			seen[e.Type+" "+e.Name] = true
			if e.Entry == nil || e.Entry.Path != d.workdir+"/"+e.Name {
				t.Errorf("the entry of %s is %+v", e.Name, e.Entry)
			}
		}
	}
	d.filesInto(t, "RemoveWatcher", `{"watcherId":"`+made.WatcherID+`"}`, &made)
	for range maxWatchers {
		d.filesInto(t, "CreateWatcher", `{"path":"`+d.workdir+`"}`, &made)
	}
	if status, answer := d.files(t, "CreateWatcher", `{"path":"`+d.workdir+`"}`); status != 429 {
		t.Errorf("one too many: %d %s", status, answer)
	}
}

func TestWatchDirEndsWithItsDirectory(t *testing.T) {
	d := serve(t)
	dir := d.workdir + "/watched"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	res := d.post(t, "/filesystem.Filesystem/WatchDir", streamJSON, string(envelope([]byte(`{"path":"`+dir+`"}`))))
	first := make([]byte, envelopeBytes+len(`{"start":{}}`))
	if _, err := res.Body.Read(first); err != nil || !strings.Contains(string(first), "start") {
		t.Fatalf("the first message is %q, %v", first, err)
	}
	write(t, dir+"/file", "x")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	all := text(t, res)
	for _, want := range []string{"EVENT_TYPE_CREATE", "EVENT_TYPE_WRITE", "EVENT_TYPE_REMOVE", `"name":"file"`} {
		if !strings.Contains(strings.ReplaceAll(all, " ", ""), want) {
			t.Errorf("no %s in %q", want, all)
		}
	}
	if strings.Contains(all, "error") {
		t.Errorf("it ended with an error: %q", all)
	}
}
