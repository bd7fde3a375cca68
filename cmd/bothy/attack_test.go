package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// attackLooks is how often the neighbours are asked while an attack goes on.
	attackLooks = 20
	// attackBound is what the slowest but one of them may take on two cores that
	// other tests use too. Without limits it is minutes.
	attackBound = 5 * time.Second
)

// roomyNodes have computers large enough for a file of 1 GiB.
const roomyNodes = `
computer: {memory: 512MiB, milliCPU: 1000, disk: 1536MiB, warm: 0}
volumes: {size: 3GiB, grow: 2GiB}
`

// attack is what root inside a computer does to everybody else: a script that
// goes on by itself, and writes "on" to proof once it has hit its limit or done
// its harm. It is read from the disk, since nothing may start inside any more.
type attack struct{ name, script string }

const proof = "/workspace/proof"

var attacks = []attack{
	{"fork bomb", `setsid python3 -c '
import os, time
while len([p for p in os.listdir("/proc") if p.isdigit()]) < 200: time.sleep(0.01)
open("` + proof + `", "w").write("on")
' & setsid bash -c 'bomb() { bomb | bomb & }; bomb; sleep 1000' &`},
	{"memory bomb in several processes", `for i in 1 2 3 4; do setsid sh -c 'while :; do
 python3 -c "x = bytearray(b\"x\") * (2 << 30)"; [ $? = 137 ] && echo on > ` + proof + `; done' & done
setsid sh -c 'while :; do dd if=/dev/zero of=/dev/shm/fill bs=1M; rm -f /dev/shm/fill; done' &`},
	{"filling the disk", `setsid sh -c 'n=0; while :; do n=$((n + 1))
 dd if=/dev/zero of=/workspace/fill$n bs=1M count=64 || { rm -f /workspace/fill$n /workspace/fill$((n - 1)); echo on > ` + proof + `; n=$((n - 2)); }; done' &`},
	{"filling the names", `setsid python3 -c '
import os
os.mkdir("/workspace/many")
n = 0
while True:
    try:
        open("/workspace/many/%d" % n, "w").close(); n += 1
    except OSError:
        n = 0
    if n == 20000: open("` + proof + `", "w").write("on")
' &`},
	{"fsync of 1 GiB files in a loop", `setsid sh -c 'while :; do
 dd if=/dev/urandom of=/workspace/large bs=1M count=1024 conv=fsync && echo on > ` + proof + `; done' &
setsid sh -c 'while :; do sync; done' &`},
	{"stopping all processes that root inside can reach", `setsid sleep 1000 & victim=$!; setsid sh -c 'while :; do
 for p in /proc/[0-9]*; do n=${p#/proc/}; [ $n = $$ ] || kill -STOP $n; done; kill -9 1
 while read k state rest; do [ "$k $state" = "State: T" ] && echo on > ` + proof + `; done < /proc/'$victim'/status; done' &`},
}

// TestAttackersDisturbNobodyElse attacks from inside a computer, with root in
// it, and asks a neighbour, the records and the node meanwhile. Afterwards the
// attacker can still be stopped, and its lease was never lost.
func TestAttackersDisturbNobodyElse(t *testing.T) {
	root := scratchDir(t)
	v := &victim{process: newProcess(t, root, "hut")}
	if err := os.WriteFile(filepath.Join(root, "bothy.yaml"), []byte(roomyNodes), 0o600); err != nil {
		t.Fatal(err)
	}
	v.start("")
	v.ready()
	for _, handle := range []string{"attacker", "neighbour"} {
		if _, why := v.must(http.MethodPost, "/computers", handled(handle), ""); why != "" {
			t.Fatal(why)
		}
	}
	v.disturbed("nothing")
	for _, a := range attacks {
		v.attacks(a)
	}
	for _, lost := range []string{"froze", "lease was not renewed", "lease ran out", "lease expired"} {
		if strings.Contains(v.out.String(), lost) {
			t.Errorf("the lease was lost: the log says %q", lost)
		}
	}
	if _, why := v.must(http.MethodDelete, "/computers/attacker", "", ""); why != "" {
		t.Error(why)
	}
	v.stop()
}

// attacks lets one attack go on, and then ends it.
func (v *victim) attacks(a attack) {
	v.t.Helper()
	script := fmt.Sprintf("rm -rf /workspace/*; exec >/dev/null 2>&1 </dev/null; %s", a.script)
	body := fmt.Sprintf(`{"command":["bash","-c",%s],"user":"root","timeout_ms":30000,"cwd":"/"}`, jsonText(v.t, script))
	if status, _ := v.call(http.MethodPost, "/computers/attacker/exec", body, ""); status != http.StatusOK {
		v.t.Errorf("begin %s: status %d", a.name, status)
	}
	v.disturbed(a.name)
	eventually(v.t, a.name+" has done its harm", startTime, func() error {
		status, reply := v.call(http.MethodPost, "/computers/attacker/files/ops", `{"operation":"read_text","path":"`+proof+`"}`, "")
		if status != http.StatusOK || !strings.Contains(reply.Content, "on") {
			return fmt.Errorf("status %d, %q", status, reply.Content)
		}
		return nil
	})
	v.disturbed(a.name + ", after it")
	for _, action := range []string{"stop", "start"} {
		if _, why := v.must(http.MethodPost, "/computers/attacker/actions/"+action, "", ""); why != "" {
			v.t.Errorf("%s after %s: %s", action, a.name, why)
		}
	}
}

// disturbed asks everybody else while an attack goes on.
func (v *victim) disturbed(by string) {
	v.t.Helper()
	took := map[string][]time.Duration{}
	for i := range attackLooks {
		for what, ask := range map[string]func() int{
			"a neighbour's command": func() int {
				status, reply := v.call(http.MethodPost, "/computers/neighbour/exec",
					`{"command":["sh","-c","head -c 1M /dev/urandom > /workspace/f && wc -c < /workspace/f"]}`, "")
				if reply.Stdout != "1048576\n" {
					return 0 // it ran and could not write
				}
				return status
			},
			"a record": func() int {
				status, _ := v.call(http.MethodPatch, "/computers/neighbour", fmt.Sprintf(`{"display_name":"n%d"}`, i), "")
				return status
			},
			"the node": func() int {
				res, err := http.Get(v.url + "/readyz")
				if err != nil {
					return 0
				}
				res.Body.Close()
				return res.StatusCode
			},
		} {
			begun := time.Now()
			if status := ask(); status != http.StatusOK {
				v.t.Errorf("%s, during %s: status %d", what, by, status)
			}
			took[what] = append(took[what], time.Since(begun))
		}
	}
	for what, all := range took {
		slices.Sort(all)
		v.t.Logf("%s, during %s: p50 %s, slowest but one %s", what, by, all[len(all)/2].Round(time.Millisecond/10), all[len(all)-2].Round(time.Millisecond/10))
		if all[len(all)-2] > attackBound {
			v.t.Errorf("%s, during %s, took %s", what, by, all[len(all)-2])
		}
	}
}
