package actors

import (
	"context"
	"fmt"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/build"
)

// findBase brings here what a name in a Dockerfile means to an account, beyond
// the images that this node makes: an image of its own, else a shared one, else
// one of a registry, which is pulled with the account's credentials. say is told
// what takes long. False: the name means nothing.
func (d *ownership) findBase(ctx context.Context, account state.AccountID, name string, say func(string)) (runtime.Brought, bool, error) {
	var found state.Image
	known, err := applied(d.cluster, func(v *state.View) (known bool, err error) {
		found, known, err = v.ImageNamed(account, name)
		return known, err
	})
	into, ok := d.driver.(runtime.Distributor)
	switch {
	case err != nil:
		return runtime.Brought{}, false, err
	case !known && build.IsReference(name):
		say("Pulling " + name)
		brought, err := d.pullImage(ctx, account, name)
		return brought, err == nil, err
	case !known || !ok:
		return runtime.Brought{}, false, nil
	}
	if found.Phase != state.ImageReady {
		return runtime.Brought{}, false, fmt.Errorf("%w: image %s is %s", runtime.ErrUnready, name, found.Phase)
	}
	if err := d.bringImage(ctx, into, broughtWanted(found)); err != nil {
		if fault.Of(err) != fault.Internal {
			err = fmt.Errorf("%w: %s", runtime.ErrUnready, faultText(err)) // a build tells what a runtime fails with
		}
		return runtime.Brought{}, false, err
	}
	return runtime.Brought{Digest: found.Digest}, true, nil
}
