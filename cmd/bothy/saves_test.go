package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/client"
)

// lay makes a thousand files of many kinds and installs a package, outside of
// the workspace, and keeps what they are to the byte, with owners, modes and times.
const lay = `set -e
mkdir -p /workspace/data && cd /workspace/data
python3 - <<'PY'
import os, zipfile
for i in range(1000):
    with open(str(i), 'wb') as f:
        f.write(os.urandom(i * 13 % 4096))
with zipfile.ZipFile('/tmp/tool-1.0-py3-none-any.whl', 'w') as wheel:
    wheel.writestr('tool.py', 'def main(): print("the package works")\n')
    wheel.writestr('tool-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n')
    wheel.writestr('tool-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
    wheel.writestr('tool-1.0.dist-info/entry_points.txt', '[console_scripts]\ntool = tool:main\n')
    wheel.writestr('tool-1.0.dist-info/RECORD', '')
PY
chmod 640 7; ln 8 hard; ln -s 9 soft; truncate -s 1M sparse; mkdir empty
PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install -q --user --no-index --no-compile /tmp/tool-1.0-py3-none-any.whl
` + digest + ` > /workspace/digest
echo; echo laid`

// digest is of all that lay makes.
const digest = `tar -C / --sort=name --numeric-owner -cf - workspace/data home/node/.local | sha256sum`

// toTheByte says whether it is still the same.
const toTheByte = `test "$(` + digest + `)" = "$(cat /workspace/digest)" && python3 -B ~/.local/bin/tool && echo to the byte`

// TestComputersOutliveTheirNode kills a node for good that owns two computers:
// one rests, and one has a run in progress. Both come back from their saves at
// other nodes, and what the node had besides is offered when it is back.
func TestComputersOutliveTheirNode(t *testing.T) {
	t.Parallel()
	nodes := launchWith(t, "blob: {directory: "+scratchDir(t)+"}\n", "n1", "n2", "n3")
	p := &product{t: t, nodes: nodes, key: nodes[0].key()}
	calls := clientOf(t, nodes...)
	calls.HTTP = &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 15 * time.Second}}

	run := watch(t, calls, client.Message{Content: "```bash\n" + lay + "\n```\n" +
		"```bash retry\nif [ -e /workspace/waited ]; then " + toTheByte + "; else touch /workspace/waited; sync; sleep 600; fi\n```\n"})
	run.saw(t, "the files are laid", completed("\nlaid"))
	thread := run.saw(t, "the thread", func(e client.Event) bool { return e.Thread != nil }).Thread
	env, err := calls.Environments().Get(t.Context(), thread.EnvironmentID)
	if err != nil {
		t.Fatal(err)
	}
	busy := env.ComputerID
	owner := named(nodes, ownerOf(t, nodes, thread.ID))
	resting := p.restsOn(owner.name)

	eventually(t, "the run waits", startTime, func() error {
		return p.op(busy, `{"operation":"stat","path":"waited"}`)
	})
	saved := p.call("POST", "/v1/computers/"+busy+"/actions/save", "", 200).in(t, "computer")
	if saved.text("saved_at") == "" || saved["saved_whole"] == true {
		t.Fatalf("a running computer was saved as %v", saved)
	}
	if err := p.op(busy, `{"operation":"write_text","path":"unsaved","content":"late"}`); err != nil {
		t.Fatal(err)
	}

	killed := time.Now()
	owner.kill()
	p.nodes = without(nodes, owner)
	var rested time.Duration
	eventually(t, "the computer that rests runs elsewhere", runTime, func() error {
		status, reply := p.try("POST", "/v1/computers/"+resting+"/actions/start", "")
		if status != http.StatusAccepted {
			return fmt.Errorf("%d: %v", status, reply)
		}
		p.computer(reply)
		return nil
	})
	out := p.call("POST", "/v1/computers/"+resting+"/exec", quoted(toTheByte), 200)
	if rested = time.Since(killed); !strings.Contains(out.text("stdout"), "to the byte") {
		t.Fatalf("%v", out)
	}
	run.ended(t)
	went := time.Since(killed)
	if run.result.Run.Status != "success" {
		t.Errorf("the run ended as %+v", run.result.Run)
	}
	run.saw(t, "the files are there", completed("to the byte"))
	run.saw(t, "how old the save is", func(e client.Event) bool {
		text, err := json.Marshal(e)
		return err == nil && strings.Contains(string(text), "last save off the node")
	})
	t.Logf("after kill -9 of their node, 1,000 files and an installed program to the byte: %s for the computer that rested, %s for the run that was in progress",
		rested.Round(100*time.Millisecond), went.Round(100*time.Millisecond))

	owner.start("")
	owner.ready()
	var left object
	eventually(t, "what the node had is offered", startTime, func() error {
		for _, s := range p.call("GET", "/v1/computers/"+busy+"/snapshots", "", 200).list(t, "snapshots") {
			if left = s; s.text("state") == "ready" && strings.HasPrefix(s.text("name"), "left on node "+owner.name) {
				return nil
			}
		}
		return fmt.Errorf("not among its snapshots: %v", left)
	})
	again := p.computer(p.call("POST", "/v1/snapshots/"+left.text("id")+"/restore", "", 202))
	if err := p.op(again.text("id"), `{"operation":"stat","path":"unsaved"}`); err != nil {
		t.Errorf("the disk that was left: %v", err)
	}
	if list := p.call("GET", "/v1/computers/"+resting+"/snapshots", "", 200).list(t, "snapshots"); len(list) != 0 {
		t.Errorf("a disk that was saved whole is offered as %v", list)
	}
}

// restsOn makes an environment's computer with files on a node, stopped and saved.
func (p *product) restsOn(node string) string {
	p.t.Helper()
	for range 6 {
		env := p.call("POST", "/v1/environments", `{"name":"rests"}`, 201).in(p.t, "environment")
		id := env.text("computerId")
		p.call("POST", "/v1/environments/"+env.text("id")+"/start", "", 200)
		one, err := clientOf(p.t, p.nodes...).Computers().Get(p.t.Context(), id)
		if err != nil {
			p.t.Fatal(err)
		}
		if one.Node == nil || *one.Node != node {
			continue
		}
		if out := p.call("POST", "/v1/computers/"+id+"/exec", quoted(lay), 200); !strings.Contains(out.text("stdout"), "laid") {
			p.t.Fatalf("%v", out)
		}
		p.computer(p.call("POST", "/v1/computers/"+id+"/actions/stop", "", 202))
		eventually(p.t, "the computer is saved", startTime, func() error {
			if c := p.call("GET", "/v1/computers/"+id, "", 200).in(p.t, "computer"); c["saved_whole"] != true {
				return fmt.Errorf("%v, %v", c["saved_at"], c["save_failure_reason"])
			}
			return nil
		})
		return id
	}
	p.t.Fatalf("none of six computers is on node %s", node)
	return ""
}

// op does an operation on files.
func (p *product) op(computer, body string) error {
	p.t.Helper()
	if status, reply := p.try("POST", "/v1/computers/"+computer+"/files/ops", body); status != http.StatusOK {
		return fmt.Errorf("%d: %v", status, reply)
	}
	return nil
}

// quoted is the body of an exec of a shell's script.
func quoted(script string) string {
	text, err := json.Marshal(map[string]any{"command": []string{"bash", "-c", script}})
	if err != nil {
		panic(err)
	}
	return string(text)
}
