package actors

import (
	"context"
	"fmt"

	"github.com/bothy-computer/bothy/cluster/state"
)

// certificatePrefix begins the names of the cluster's secrets that certificates
// are of.
const certificatePrefix = "certificate/"

// Certificates keep what the nodes need together to show clients one
// certificate: it and its key, the account at its authority, and the answers to
// the authority's challenges, which may come to any node. All of it is sealed.
type Certificates struct {
	cluster Cluster
	sealer  Sealer
}

// Get returns what is kept under a name, or false for nothing. What this node
// knows already is not asked for again: a newer value comes by itself.
func (c *Certificates) Get(ctx context.Context, name string) ([]byte, bool, error) {
	read := func(v *state.View) (state.Secret, error) {
		r, _, err := v.Secret(certificatePrefix + name)
		return r, err
	}
	record, err := applied(c.cluster, read)
	if err == nil && record.Sealed == nil {
		record, err = view(ctx, c.cluster, read)
	}
	if err != nil || record.Sealed == nil {
		return nil, false, err
	}
	plain, err := c.sealer.Open(state.SecretSealedAs(record.Name), record.Sealed)
	if err != nil {
		return nil, false, fmt.Errorf("open the cluster's certificate: %w", err)
	}
	return plain, true, nil
}

// Put keeps data under a name, in the place of what was there.
func (c *Certificates) Put(ctx context.Context, name string, data []byte) error {
	name = certificatePrefix + name
	sealed, err := c.sealer.Seal(state.SecretSealedAs(name), data)
	if err != nil {
		return err
	}
	_, err = c.cluster.Apply(ctx, state.ReplaceSecret{Secret: state.Secret{Name: name, Sealed: sealed}})
	return err
}

// Delete forgets what is kept under a name, if anything is.
func (c *Certificates) Delete(ctx context.Context, name string) error {
	_, err := c.cluster.Apply(ctx, state.DropSecret{Name: certificatePrefix + name})
	return err
}
