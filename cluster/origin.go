package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
)

// originFile lies beside the log and says whose it is. A node whose log is
// gone must not come back under its old name: it could vote twice in a term.
const originFile = "origin.json"

// origin is how this node came into the cluster.
type origin struct {
	Version int             `json:"version"`
	Node    state.NodeID    `json:"node"`
	Founder bool            `json:"founder"` // made the cluster; else it was admitted
	Peers   []identity.Peer `json:"peers"`   // that admitted it
	Gossip  []string        `json:"gossip"`  // theirs
}

// ErrLogGone is returned for a data directory that has an identity and not its log.
var ErrLogGone = errors.New("the raft log of this node is gone, while its identity is there; a node without its log must not come back under its old identity: " +
	"take the old node out (`bothy remove NODE`), empty the data directory and join anew")

// ErrHalfJoined is returned for a data directory that began to join a cluster, was
// not let in, and is opened without a token: it must not become a cluster of its own.
var ErrHalfJoined = errors.New("this data directory began to join a cluster and was not let in: go on with `bothy join TOKEN`, " +
	"with a new token if the old one has expired, or empty the directory")

func readOrigin(dir string) (o origin, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, originFile))
	if errors.Is(err, fs.ErrNotExist) {
		return o, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		return o, false, fmt.Errorf("read %s: %w", originFile, err)
	}
	return o, true, nil
}

// write keeps the origin durably, in one step.
func (o origin) write(dir string) error {
	o.Version = 1
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, originFile+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", originFile, err)
	}
	_, err = tmp.Write(append(b, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, originFile))
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", originFile, err), os.Remove(tmp.Name()))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
