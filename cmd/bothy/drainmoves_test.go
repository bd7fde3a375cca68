package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestADiskGoesToAnotherNodeAndBack drains the node of a computer that runs, in a
// cluster as it is made without configuration: no blob store. Its files and what
// is installed in it are at the other node to the byte, and when that is drained
// back where they were, with what was written in between.
func TestADiskGoesToAnotherNodeAndBack(t *testing.T) {
	t.Parallel()
	nodes := launch(t, "n1", "n2")
	p := &product{t: t, nodes: nodes, key: nodes[0].key()}
	calls := clientOf(t, nodes...)
	made := p.computer(p.call("POST", "/v1/computers", `{"image_id":"host"}`, 202))
	at := "/v1/computers/" + made.text("id")
	prints := func(script, want string) {
		t.Helper()
		if out := p.call("POST", at+"/exec", quoted(script), 200); strings.TrimSpace(out.text("stdout")) != want {
			t.Fatalf("%s: %v, want %q", script, out, want)
		}
	}
	prints(`exec > /workspace/log 2>&1; `+lay, "")
	prints(`nohup sh -c 'while :; do date +%s >> /workspace/ticks; sleep 0.1; done' > /dev/null 2>&1 & `+toTheByte, "the package works\nto the byte")
	owner := func() string {
		t.Helper()
		c, err := calls.Computers().Get(t.Context(), made.text("id"))
		if err != nil || c.Node == nil {
			t.Fatalf("%+v, %v", c, err)
		}
		return *c.Node
	}
	for _, written := range []string{"once", "twice"} {
		from := owner()
		if _, err := calls.DrainNode(t.Context(), from); err != nil {
			t.Fatal(err)
		}
		eventually(t, from+" is drained", runTime, func() error {
			d, err := calls.Drain(t.Context(), from)
			if err == nil && !d.Done {
				err = fmt.Errorf("%+v", d)
			}
			return err
		})
		if to := owner(); to == from {
			t.Fatalf("it is on %s still", to)
		}
		prints(toTheByte+" && test -s /workspace/ticks", "the package works\nto the byte")
		prints("echo "+written+" >> /workspace/written; tr '\\n' ' ' < /workspace/written", map[string]string{"once": "once", "twice": "once twice"}[written])
		if _, err := calls.UndrainNode(t.Context(), from); err != nil {
			t.Fatal(err)
		}
	}
	prints("pgrep -f [w]orkspace/ticks | wc -l", "0") // what ran begins anew
}
