package transport

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
)

// renewEvery is how often a node looks whether its certificate is due. There
// are hundreds of tries between due and expired.
const renewEvery = time.Hour

// keepCertificate renews the node's certificate in time.
func (t *Transport) keepCertificate() {
	if t.o.Voters == nil {
		return
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		if err := t.renewIfDue(t.ctx, t.o.Voters()); err != nil {
			t.log.Error("the node's certificate could not be renewed; it is tried again",
				"expires", t.o.Identity.ExpiresAt(), "again in", renewEvery, "err", err)
		}
		select {
		case <-tick.C:
		case <-t.ctx.Done():
			return
		}
	}
}

// renewIfDue asks the voters, one after another, when it is time. It is done
// at once when the node is the only voter.
func (t *Transport) renewIfDue(ctx context.Context, voters []state.NodeID) error {
	if !t.o.Identity.RenewDue() {
		return nil
	}
	if len(voters) == 1 && voters[0] == t.self {
		return t.renewHere()
	}
	var failures []error
	for _, v := range voters {
		if v == t.self {
			continue
		}
		err := t.Renew(ctx, v)
		if err == nil {
			t.log.Info("the node's certificate was renewed", "expires", t.o.Identity.ExpiresAt())
			return nil
		}
		failures = append(failures, err)
	}
	return errors.Join(append(failures, errors.New("no voter gave a new certificate"))...)
}

// renewHere is for the only voter, who has nobody to ask.
func (t *Transport) renewHere() error {
	cert, err := t.o.Identity.Issue(t.o.Identity.Bearer())
	if err != nil {
		return err
	}
	return t.o.Identity.Renewed(cert)
}

// Renew gets this node a new certificate from a member and uses it from the
// next connection on. The node is known by its key, so a certificate that has
// expired already can be renewed too.
func (t *Transport) Renew(ctx context.Context, at state.NodeID) error {
	addr, ok := t.o.Resolve(at)
	if !ok {
		return t.metrics.nacked(nack(at, UnknownNode, nil))
	}
	ca, err := t.o.Identity.Authority()
	if err != nil {
		return err
	}
	dial := func(ctx context.Context) (net.Conn, error) { return t.o.Dial(ctx, at, addr) }
	ans, err := askJoin(ctx, t.o.Identity, dial, byHash(t.o.Identity, sha256.Sum256(ca.Raw)), joinRequest{})
	if err != nil {
		return fmt.Errorf("renew the certificate at node %s: %w", at, err)
	}
	return t.o.Identity.Renewed(ans.Certificate)
}

// answerRenewal gives a member a new certificate, whatever has become of its old one.
func (t *Transport) answerRenewal(b identity.Bearer) (joinAnswer, error) {
	if !t.o.Member(b.Node, identity.KeyHash(b.Key)) {
		return joinAnswer{}, fault.New(fault.Forbidden, "node %s is not a member of this cluster", b.Node)
	}
	cert, err := t.o.Identity.Issue(b)
	if err != nil {
		return joinAnswer{}, err
	}
	return joinAnswer{Certificate: cert}, nil
}
