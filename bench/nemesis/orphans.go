package nemesis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/httpapi/client"
)

// blank begins the names of computers that wait for whoever comes.
const blank = "blank-"

// places are where a node keeps what is of one computer, below its data directory.
var places = map[string]string{"computer": "computers/computers", "index of saves": "computers/saved", "volume": "volumes/pool/computers", "snapshots": "volumes/pool/snapshots"}

// orphans deletes all there is and looks at what is left on each node.
type orphans struct{ p *game }

func (w *orphans) work(context.Context) {}

func (w *orphans) judge(ctx context.Context) (string, error) {
	c := w.p.through(0)
	list, err := c.Environments().List(ctx, client.Page{Limit: 100})
	if err != nil {
		return "", err
	}
	for _, env := range list.Data {
		if err := c.Environments().Delete(ctx, env.ID, true); err != nil {
			return "", fmt.Errorf("delete environment %s: %w", env.ID, err)
		}
	}
	for {
		left, err := w.left()
		if err != nil || len(left) == 0 {
			return fmt.Sprintf("%d environments deleted, and nothing is left of them on any node", len(list.Data)), err
		}
		if sleep(ctx, time.Second) != nil {
			return "", fmt.Errorf("left over: %s", strings.Join(left, ", "))
		}
	}
}

// left is what nodes still hold of computers.
func (w *orphans) left() (all []string, err error) {
	for _, n := range w.p.house.Nodes {
		group, groupErr := n.Group()
		running, err := group.Children()
		if err := errors.Join(groupErr, err); err != nil {
			return nil, err
		}
		have := map[string][]string{"cgroup": running}
		for what, dir := range places {
			if have[what], err = names(filepath.Join(n.Dir, dir)); err != nil {
				return nil, err
			}
		}
		for what, list := range have {
			for _, name := range list {
				if !strings.HasPrefix(name, blank) && !strings.HasPrefix(name, "warden") {
					all = append(all, fmt.Sprintf("%s %s on %s", what, name, n.Name))
				}
			}
		}
	}
	return all, nil
}

func names(dir string) (all []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all, err
}
