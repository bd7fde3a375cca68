package client_test

import (
	"testing"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestATaskIsWatchedToItsEnd(t *testing.T) {
	h := doortest.Open(t)
	c, err := client.New([]string{h.URL}, h.Key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.Tasks().Create(t.Context(), wire.CreateTask{WritePrompt: wire.WritePrompt{Prompt: "```bash\necho hello\n```"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds it ended
		var last uint64
		kinds := map[string]int{}
		done, err := c.Tasks().Watch(t.Context(), made.ID, func(e wire.TaskEvent) error {
			if e.Seq <= last {
				t.Errorf("event %d after %d", e.Seq, last)
			}
			last, kinds[e.EventType] = e.Seq, kinds[e.EventType]+1
			return nil
		})
		if err != nil || done.Status != "succeeded" || done.FinalResult == "" || kinds["tool_use"] != 1 || kinds["result"] != 1 {
			t.Fatalf("%+v, %v: %v", done, err, kinds)
		}
	}
}
