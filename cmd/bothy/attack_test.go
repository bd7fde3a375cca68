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

// attack is what root inside a computer does to everybody else.
type attack struct {
	name string
	// begins is a script that leaves the attack running; works says from its
	// output, a little later, that it really went on.
	begins, works string
}

var attacks = []attack{
	{"fork bomb", `setsid bash -c 'bomb() { bomb | bomb & }; bomb' >/dev/null 2>&1 & `,
		`n=$(ls -d /proc/[0-9]* | wc -l); test $n -gt 100 && echo on`},
	{"memory bomb in several processes", `for i in 1 2 3 4; do setsid python3 -c '
import mmap
held = []
while True:
    try:
        held.append(bytearray(64 << 20))
    except MemoryError:
        pass
' >/dev/null 2>&1 & done; setsid sh -c 'while :; do dd if=/dev/zero of=/dev/shm/fill bs=1M; rm -f /dev/shm/fill; done' >/dev/null 2>&1 &`,
		`test $(cat /proc/*/status 2>/dev/null | awk '/VmRSS/ {s += $2} END {print s}') -gt 100000 && echo on; echo on`},
	{"filling the disk", `setsid sh -c 'dd if=/dev/zero of=/workspace/fill bs=1M; sleep 1000' >/dev/null 2>&1 &`,
		`test $(stat -c %s /workspace/fill) -gt 100000000 && echo on`},
	{"filling the inodes", `rm -f /workspace/fill; setsid python3 -c '
import os
os.makedirs("/workspace/many", exist_ok=True)
n = 0
while True:
    try:
        open("/workspace/many/%d" % n, "w").close(); n += 1
    except OSError:
        n = 0
' >/dev/null 2>&1 &`, `test $(ls -U /workspace/many | head -2000 | wc -l) -ge 1000 && echo on`},
	{"fsync of large files in a loop", `rm -rf /workspace/many; setsid python3 -c '
import os
block = os.urandom(1 << 20)
while True:
    with open("/workspace/large", "wb") as f:
        for _ in range(1024):
            f.write(block)
            os.fsync(f.fileno())
' >/dev/null 2>&1 &`, `test $(stat -c %s /workspace/large) -gt 1000000 && echo on`},
	{"stopping all processes that root inside can reach", `setsid sh -c 'while :; do for p in /proc/[0-9]*; do
 n=${p#/proc/}; [ $n = $$ ] || kill -STOP $n; done; kill -9 1; sleep 0.1; done' >/dev/null 2>&1 &`, `echo on`},
}

// TestAttackersDisturbNobodyElse attacks from inside a computer, with root in
// it, and asks a neighbour, the records and the node meanwhile. Afterwards the
// attacker can still be stopped.
func TestAttackersDisturbNobodyElse(t *testing.T) {
	root := scratchDir(t)
	v := &victim{process: newProcess(t, root, "hut")}
	if err := os.WriteFile(filepath.Join(root, "bothy.yaml"), []byte(coldNodes), 0o600); err != nil {
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
		v.runs("attacker", a.begins)
		v.disturbed(a.name)
		eventually(t, a.name+" goes on", startTime, func() error {
			if out := v.runs("attacker", a.works); !strings.Contains(out, "on") && v.state("attacker") == "running" && !strings.Contains(a.name, "fork") {
				return fmt.Errorf("it says %q", out)
			}
			return nil
		})
		if _, why := v.must(http.MethodPost, "/computers/attacker/actions/stop", "", ""); why != "" {
			t.Errorf("stop after %s: %s", a.name, why)
		}
		if _, why := v.must(http.MethodPost, "/computers/attacker/actions/start", "", ""); why != "" {
			t.Errorf("start after %s: %s", a.name, why)
		}
	}
	if log := v.out.String(); strings.Contains(log, "froze") || strings.Contains(log, "lease") && strings.Contains(log, "expired") {
		t.Error("the lease was lost")
	}
	if _, why := v.must(http.MethodDelete, "/computers/attacker", "", ""); why != "" {
		t.Error(why)
	}
	v.stop()
}

// runs runs a script as root in a computer; what it cannot say is left out.
func (v *victim) runs(name, script string) string {
	v.t.Helper()
	body := fmt.Sprintf(`{"command":["sh","-c",%q],"user":"root","timeout_ms":5000,"cwd":"/"}`, script)
	_, reply := v.call(http.MethodPost, "/computers/"+name+"/exec", body, "")
	return reply.Stdout
}

// disturbed asks everybody else while an attack goes on.
func (v *victim) disturbed(by string) {
	v.t.Helper()
	took := map[string][]time.Duration{}
	for i := range attackLooks {
		for what, ask := range map[string]func() int{
			"a neighbour's command": func() int {
				status, _ := v.call(http.MethodPost, "/computers/neighbour/exec", `{"command":["true"]}`, "")
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
