package actors

import (
	"context"
	"errors"
	"strings"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
)

const (
	// maxRegistryUser and maxRegistryPassword bound what an account logs in by.
	maxRegistryUser     = 255
	maxRegistryPassword = 64 << 10
)

// Registries keep how accounts log in to registries of images. Passwords are
// sealed, and opened only where an image is pulled.
type Registries struct {
	cluster Cluster
	vault   vault
}

// Set has the caller's account log in to a registry as a user, from the next
// pull on.
func (r *Registries) Set(ctx context.Context, c Caller, host, username, password string) (state.Registry, error) {
	host, err := registryHost(host)
	if err != nil {
		return state.Registry{}, err
	}
	for _, f := range []struct {
		name, text string
		most       int
	}{{"username", username, maxRegistryUser}, {"password", password, maxRegistryPassword}} {
		if f.text == "" || len(f.text) > f.most || strings.ContainsAny(f.text, "\x00\r\n") {
			return state.Registry{}, fault.New(fault.Invalid, "%s must be 1 to %d bytes in one line", f.name, f.most).WithField(f.name)
		}
	}
	if strings.Contains(username, ":") {
		return state.Registry{}, fault.New(fault.Invalid, "username must not hold a colon").WithField("username")
	}
	sealed, err := r.vault.sealer.Seal(state.SealedAs(c.Account, state.SealedRegistry, host), []byte(password))
	if err != nil {
		return state.Registry{}, err
	}
	if _, err = r.cluster.Apply(ctx, state.SetRegistry{Registry: state.Registry{Account: c.Account, Host: host, Username: username, Sealed: sealed}}); err != nil {
		return state.Registry{}, err
	}
	return applied(r.cluster, func(v *state.View) (state.Registry, error) { return v.Registry(c.Account, host) })
}

func registryHost(text string) (string, error) {
	host, err := image.CheckRegistry(text)
	if err != nil {
		err = unfit("registry", err)
	}
	return host, err
}

// Get returns how the caller's account logs in to a registry.
func (r *Registries) Get(ctx context.Context, c Caller, host string) (state.Registry, error) {
	host, err := registryHost(host)
	if err != nil {
		return state.Registry{}, err
	}
	return view(ctx, r.cluster, func(v *state.View) (state.Registry, error) { return v.Registry(c.Account, host) })
}

// List lists the registries that the caller's account logs in to, by host.
func (r *Registries) List(ctx context.Context, c Caller) ([]state.Registry, error) {
	return view(ctx, r.cluster, func(v *state.View) ([]state.Registry, error) { return v.Registries(c.Account) })
}

// Delete forgets how the caller's account logs in to a registry.
func (r *Registries) Delete(ctx context.Context, c Caller, host string) error {
	host, err := registryHost(host)
	if err != nil {
		return err
	}
	_, err = r.cluster.Apply(ctx, state.DeleteRegistry{Account: c.Account, Host: host})
	return err
}

// pull is a pull of an image by an account, with its credentials if it has any.
func (r *Registries) pull(account state.AccountID, reference string) (runtime.Pull, error) {
	p := runtime.Pull{Reference: reference, Owner: string(account)}
	host, err := image.RegistryOf(reference)
	if err != nil {
		return p, err
	}
	login, err := applied(r.cluster, func(v *state.View) (state.Registry, error) { return v.Registry(account, host) })
	if fault.Is(err, fault.NotFound) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	password, err := r.vault.sealer.Open(state.SealedAs(account, state.SealedRegistry, host), login.Sealed)
	if err != nil {
		return p, errors.New("open the password of a registry") // the cause may tell of it
	}
	p.User, p.Password = login.Username, string(password)
	return p, nil
}
