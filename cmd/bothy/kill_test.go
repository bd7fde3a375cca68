package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// coldNodes keep no blank computers, so that what is left behind shows.
const coldNodes = `
computer: {memory: 512MiB, milliCPU: 1000, disk: 512MiB, warm: 0}
volumes: {size: 1GiB, grow: 512MiB}
`

// victim is a node that is killed, and a computer in it that counts.
type victim struct {
	*process
	snapshot string // of box, taken before anything was killed
}

// call asks once; status 0 is no answer.
func (v *victim) call(method, path, body, once string) (status int, reply told) {
	v.t.Helper()
	status, text, err := v.try(method, path, body, once)
	if err != nil {
		return 0, reply
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &reply); err != nil {
			v.t.Fatalf("%s %s: %s: %v", method, path, text, err)
		}
	}
	return status, reply
}

// must asks until it is done, and returns why it failed.
func (v *victim) must(method, path, body, once string) (reply told, why string) {
	v.t.Helper()
	status, reply := v.call(method, path, body, once)
	if status == 0 || status >= 300 {
		v.t.Fatalf("%s %s: %d: %+v", method, path, status, reply)
	}
	if reply.Operation == nil {
		return reply, ""
	}
	op := reply.Operation.ID
	eventually(v.t, "operation "+op+" ends", startTime, func() error {
		_, now := v.call(http.MethodGet, "/operations/"+op, "", "")
		if now.Operation == nil || now.Operation.Status != "succeeded" && now.Operation.Status != "failed" {
			return fmt.Errorf("%+v", now.Operation)
		}
		why = now.Operation.Error
		return nil
	})
	return reply, why
}

// state is a computer's, "gone" when there is none.
func (v *victim) state(name string) string {
	v.t.Helper()
	status, reply := v.call(http.MethodGet, "/computers/"+name, "", "")
	if status == http.StatusNotFound {
		return "gone"
	}
	return reply.Computer.State
}

// rests waits until a computer is in one of some states.
func (v *victim) rests(name string, states ...string) string {
	v.t.Helper()
	var now string
	eventually(v.t, fmt.Sprintf("%s is %v", name, states), startTime, func() error {
		now = v.state(name)
		for _, s := range states {
			if now == s {
				return nil
			}
		}
		return fmt.Errorf("it is %s", now)
	})
	return now
}

// reads is what a computer's file holds.
func (v *victim) reads(name, file string) string {
	v.t.Helper()
	_, reply := v.call(http.MethodPost, "/computers/"+name+"/exec", `{"command":["cat","`+file+`"]}`, "")
	return reply.Stdout
}

// died is a row of the table: what is asked of the node that is killed
// meanwhile, and what has to hold once it is back. accepted says that the node
// had answered.
type died struct {
	name   string
	before func(v *victim, handle string)
	method string
	path   func(v *victim, handle string) string
	body   func(handle string) string
	after  func(v *victim, handle string, accepted bool)
}

func asItIs(*victim, string)  {}
func noBody(string) string    { return "" }
func handled(h string) string { return `{"handle":"` + h + `"}` }
func boxed(verb string) func(*victim, string) string {
	return func(*victim, string) string { return "/computers/box" + verb }
}

// again sends the same request with the same key and expects one computer.
func again(path string) func(*victim, string, bool) {
	return func(v *victim, handle string, _ bool) {
		if strings.Contains(path, "%s") {
			path = fmt.Sprintf(path, v.snapshot)
		}
		v.must(http.MethodPost, path, handled(handle), handle)
		v.rests(handle, "running")
		if path != "/computers" && v.reads(handle, "/workspace/kept") != "before\n" {
			v.t.Errorf("%s does not hold what its snapshot does", handle)
		}
		v.must(http.MethodDelete, "/computers/"+handle, "", "")
		v.rests(handle, "gone")
	}
}

var steps = []died{
	{"create", asItIs, http.MethodPost, func(*victim, string) string { return "/computers" }, handled, again("/computers")},
	{"restore", asItIs, http.MethodPost, func(v *victim, _ string) string { return "/snapshots/" + v.snapshot + "/restore" }, handled, again("/snapshots/%s/restore")},
	{"stop", asItIs, http.MethodPost, boxed("/actions/stop"), noBody, func(v *victim, _ string, accepted bool) {
		want := []string{"stopped", "running"}
		if accepted {
			want = want[:1]
		}
		v.rests("box", want...)
		v.must(http.MethodPost, "/computers/box/actions/start", "", "")
		v.rests("box", "running")
		if v.reads("box", "/workspace/kept") != "before\n" {
			v.t.Error("the computer lost its file")
		}
	}},
	{"resize", asItIs, http.MethodPost, boxed("/actions/resize"), func(string) string {
		return `{"requested_memory_mib":3072}`
	}, func(v *victim, _ string, _ bool) {
		v.rests("box", "running")
		if _, why := v.must(http.MethodPost, "/computers/box/actions/resize", `{"requested_memory_mib":3072}`, ""); why != "" {
			v.t.Errorf("resize again: %s", why)
		}
		if _, why := v.must(http.MethodPost, "/computers/box/actions/resize", `{"requested_memory_mib":2048}`, ""); why != "" {
			v.t.Errorf("resize back: %s", why)
		}
	}},
	{"snapshot", asItIs, http.MethodPost, boxed("/snapshots"), noBody, func(v *victim, handle string, _ bool) {
		v.rests("box", "running")
		reply, _ := v.must(http.MethodPost, "/computers/box/snapshots", "", handle) // finds the first, if it was recorded
		eventually(v.t, "the snapshot is ready", startTime, func() error {
			if _, now := v.call(http.MethodGet, "/snapshots/"+reply.Snapshot.ID, "", ""); now.Snapshot.State != "ready" {
				return fmt.Errorf("it is %s", now.Snapshot.State)
			}
			return nil
		})
		v.must(http.MethodDelete, "/snapshots/"+reply.Snapshot.ID, "", "")
	}},
	{"delete", func(v *victim, handle string) {
		v.must(http.MethodPost, "/computers", handled(handle), "")
	}, http.MethodDelete, func(_ *victim, handle string) string { return "/computers/" + handle }, noBody, func(v *victim, handle string, accepted bool) {
		if !accepted { // it may be under way all the same, and end at any time
			if status, reply := v.call(http.MethodDelete, "/computers/"+handle, "", ""); status != http.StatusNotFound && status >= 300 || status == 0 {
				v.t.Fatalf("delete again: %d: %+v", status, reply)
			}
		}
		v.rests(handle, "gone")
	}},
}

// moments are when the node is killed after the request was sent.
var moments = []time.Duration{2 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond}

// TestKilledAtEachStep kills a node at several moments of everything that it
// does to computers: once it is back nothing is lost, doubled or left behind,
// and a computer that nobody stopped has run on.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	root := scratchDir(t)
	v := &victim{process: newProcess(t, root, "hut")}
	if err := os.WriteFile(filepath.Join(root, "bothy.yaml"), []byte(coldNodes), 0o600); err != nil {
		t.Fatal(err)
	}
	v.start("")
	v.ready()
	v.must(http.MethodPost, "/computers", `{"handle":"box"}`, "")
	v.must(http.MethodPost, "/computers/box/exec", `{"command":["sh","-c","echo before > /workspace/kept"]}`, "")
	reply, why := v.must(http.MethodPost, "/computers/box/snapshots", "", "")
	if why != "" {
		t.Fatal(why)
	}
	v.snapshot = reply.Snapshot.ID
	for _, step := range steps {
		for i, moment := range moments {
			v.killed(step, fmt.Sprintf("%s-%d", step.name, i), moment)
		}
	}
	v.must(http.MethodDelete, "/computers/box", "", "")
	v.must(http.MethodDelete, "/snapshots/"+v.snapshot, "", "")
	v.rests("box", "gone")
	v.leavesNothing()
	v.stop()
}

// killed does one row at one moment.
func (v *victim) killed(step died, handle string, moment time.Duration) {
	v.t.Helper()
	step.before(v, handle)
	answered := make(chan int, 1)
	path := step.path(v, handle)
	go func() {
		status, _ := v.call(step.method, path, step.body(handle), handle)
		answered <- status
	}()
	// The moment itself is what is tried, not a wait for anything.
	time.Sleep(moment)
	v.signal(syscall.SIGKILL)
	<-v.ended
	status := <-answered
	v.start("")
	v.ready()
	v.t.Logf("%s, killed after %s: %d", handle, moment, status)
	step.after(v, handle, status >= 200 && status < 300)
}

// leavesNothing checks the machine once all computers are deleted.
func (v *victim) leavesNothing() {
	v.t.Helper()
	eventually(v.t, "nothing is left", startTime, func() error {
		for what, pattern := range map[string]string{
			"computers": filepath.Join(v.dir, "computers", "computers", "*"),
			"volumes":   filepath.Join(v.dir, "volumes", "pool", "computers", "*"),
			"snapshots": filepath.Join(v.dir, "volumes", "pool", "snapshots", "*", "*"),
		} {
			found, err := filepath.Glob(pattern)
			if err != nil || len(found) > 0 {
				return fmt.Errorf("%s: %v %v", what, found, err)
			}
		}
		found, err := groupsOf(nodeUUID(v.dir), "*/cgroup.procs")
		if err != nil || len(found) > 0 {
			return fmt.Errorf("cgroups: %v %v", found, err)
		}
		return nil
	})
}
