package cluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// resealStep is how many records are looked at in one step, and maxResealLook
	// how many before the leader rests.
	resealStep    = 32
	maxResealLook = 2048
)

// Secrets seals and opens what users entrust to the cluster. A key that was made
// after this node took up its keys is found in the records: a value is never
// there before the key that it is sealed with.
func (c *Cluster) Secrets() (*identity.Secrets, error) { return c.identity.Secrets(c.holdSecretsKeys) }

// RotateSecrets makes a new secrets key and has all nodes seal with it. What
// others sealed is sealed anew by and by; then they are forgotten. While that
// goes on, another rotation is a Conflict.
func (c *Cluster) RotateSecrets(ctx context.Context) (state.SecretsKeys, error) {
	if err := c.holdSecretsKeys(); err != nil {
		return state.SecretsKeys{}, err
	}
	cmd, err := c.identity.Rotation()
	if err != nil {
		return state.SecretsKeys{}, err
	}
	return Apply[state.SecretsKeys](ctx, c, cmd)
}

// holdSecretsKeys has this node hold the keys that its records name.
func (c *Cluster) holdSecretsKeys() error {
	v, err := c.Stale()
	if err != nil {
		return err
	}
	defer v.Close()
	k, ok, err := v.SecretsKeys()
	if err != nil || !ok {
		return err
	}
	return c.identity.HoldSecretsKeys(k)
}

// followSecretsKeys holds what the records name, as they change, until ctx ends.
func (c *Cluster) followSecretsKeys(ctx context.Context) {
	w := c.Watch(func(change state.Change) bool { return change.Noun == state.ChangedSecretsKeys })
	defer w.Close()
	for ctx.Err() == nil {
		if err := c.holdSecretsKeys(); err != nil {
			c.log.Error("this node does not hold the newest secrets key safely; it is tried again", "err", err)
			pause(ctx, c.timing.Sweep)
			continue
		}
		select {
		case <-w.Wake():
			w.Take()
		case <-ctx.Done():
		}
	}
}

// resealing is how far a leader has come in one look at all sealed values. It
// is lost with the reign: what is sealed anew already the next one passes over.
type resealing struct {
	of     string // id of the key it is for
	phase  state.RotationPhase
	since  time.Duration // by CLOCK_BOOTTIME, when the reign first saw this phase
	rest   time.Duration // by CLOCK_BOOTTIME, before when nothing is looked at
	at     state.SealedCursor
	anew   int    // values sealed anew
	unread int    // values that nothing opens
	one    string // the record of one of them
}

// again begins another look, after a rest.
func (s *resealing) again(rest time.Duration) {
	*s = resealing{of: s.of, phase: s.phase, since: s.since, rest: rest}
}

// tendSecrets seals anew what older secrets keys sealed, and ends the rotation
// when a look at all values finds none.
func (r *reign) tendSecrets() {
	secrets, err := r.c.Secrets()
	if err != nil {
		r.c.log.Error("secrets keys are not tended", "err", err) // a leader has joined
		return
	}
	var s resealing
	r.every(r.c.timing.Duty, func() error {
		for looked := 0; looked < maxResealLook && r.ctx.Err() == nil; looked += resealStep {
			if more, err := r.reseal(secrets, &s); err != nil || !more {
				return err
			}
		}
		return nil
	})
}

// reseal takes the next step, and reports whether there is another one to take
// at once.
func (r *reign) reseal(secrets *identity.Secrets, s *resealing) (more bool, err error) {
	v, err := r.c.Stale()
	if err != nil {
		return false, err
	}
	defer v.Close()
	k, ok, err := v.SecretsKeys()
	if err != nil || !ok || k.Phase == state.Rotated {
		return false, err
	}
	if s.of != k.Current || s.phase != k.Phase {
		*s = resealing{of: k.Current, phase: k.Phase, since: r.c.clock.Boottime()}
	}
	if r.c.clock.Boottime() < s.rest {
		return false, nil
	}
	var old []state.SealedValue
	next, err := v.SealedValues(s.at, resealStep, func(found state.SealedValue) {
		if state.SecretsKeyOf(found.Sealed) != k.Current {
			old = append(old, found)
		}
	})
	if err != nil {
		return false, err
	}
	if err := r.sealAnew(secrets, s, old); err != nil {
		return false, err
	}
	s.at = next
	if next != (state.SealedCursor{}) {
		return true, nil
	}
	return false, r.looked(s, k)
}

// sealAnew seals values with the current key, in commands of a bounded size.
func (r *reign) sealAnew(secrets *identity.Secrets, s *resealing, old []state.SealedValue) error {
	cmd, size := state.Reseal{Current: s.of}, 0
	flush := func() error {
		if len(cmd.Values) == 0 {
			return nil
		}
		a, err := r.decree(cmd)
		if err == nil {
			err = a.Result.Err()
		}
		s.anew += len(cmd.Values)
		cmd.Values, size = nil, 0
		return err
	}
	for _, v := range old {
		plain, err := secrets.Open(v.As, v.Sealed)
		if errors.Is(err, identity.ErrSealed) {
			s.unread, s.one = s.unread+1, v.Table+" "+v.ID
			continue
		}
		var is []byte
		if err == nil {
			is, err = secrets.Seal(v.As, plain)
		}
		if err != nil {
			return err
		}
		if len(cmd.Values) > 0 && (len(cmd.Values) >= state.MaxReseal || size+len(is) > state.MaxResealBytes) {
			if err := flush(); err != nil {
				return err
			}
		}
		was := sha256.Sum256(v.Sealed)
		cmd.Values = append(cmd.Values, state.Resealed{Table: v.Table, ID: v.ID, Was: was[:], Is: is})
		size += len(is)
	}
	return flush()
}

// looked ends one look at all values. When it had nothing to do, the rotation
// goes on.
func (r *reign) looked(s *resealing, k state.SecretsKeys) error {
	now, settled := r.c.clock.Boottime(), s.since+r.c.timing.Settle
	seen := *s
	switch {
	case s.unread > 0:
		r.c.log.Error("values do not open, so the secrets key before cannot be forgotten", "values", s.unread, "one", s.one)
		if s.again(now + r.c.timing.Sweep); seen.unread == k.Unreadable {
			return nil
		}
	case s.anew > 0:
		s.again(0)
		return nil
	case k.Phase == state.Resealing && now < settled:
		s.again(settled)
		return nil
	default:
		s.again(0)
	}
	a, err := r.decree(state.MoveRotation{Current: seen.of, Phase: seen.phase, Unreadable: seen.unread, Unread: seen.one})
	if err == nil {
		err = a.Result.Err()
	}
	return err
}
