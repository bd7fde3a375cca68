package actors

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// imported brings an image to a node.
func (v *village) imported(t *testing.T, node state.NodeID, n NewImage, archive string) Image {
	t.Helper()
	h := v.houses[node]
	i, err := h.Images.Import(t.Context(), h.caller, n, strings.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestAnImportedImageIsUsedAndExportedByEveryNode(t *testing.T) {
	v := openVillage(t, nil)
	i := v.imported(t, "node-n1", NewImage{Name: "tools"}, "the archive")
	far := v.houses["node-n2"]
	asked, err := far.Computers.Create(t.Context(), far.caller, state.Computer{Image: "tools"})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.starts(t, "node-n2", asked.Computer.ID); err != nil {
		t.Fatal(err)
	}
	c, err := applied(far.node, func(v *state.View) (state.Computer, error) {
		c, _, err := v.AnyComputer(asked.Computer.ID)
		return c, err
	})
	if err != nil || c.Image != i.Digest || c.Phase != state.Running {
		t.Fatalf("%+v, %v", c, err)
	}
	v.paths()
	var out bytes.Buffer
	third := v.houses["node-n3"]
	if err := third.Images.Export(t.Context(), third.caller, "tools", &out); err != nil || out.String() != "the archive" {
		t.Errorf("exported %q, %v", out.String(), err)
	}
	if got := v.paths(); len(got) != 1 || got[0] != "n1/images/archive/"+i.Digest {
		t.Errorf("asked %v: the node that it came to is first", got)
	}
	if err := third.Images.Export(t.Context(), third.caller, "host", &out); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "own files (host)") {
		t.Errorf("host: %v", err)
	}
}

func TestAnImageIsKeptAsLongAsItsRecord(t *testing.T) {
	v := openVillage(t, nil)
	i := v.imported(t, "node-n1", NewImage{Name: "tools"}, "the archive")
	h := v.houses["node-n1"]
	has := func() bool {
		t.Helper()
		if err := h.sweepImages(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := h.driver.ImageManifest(t.Context(), i.Digest)
		return err == nil
	}
	if !has() {
		t.Fatal("swept while its record stands")
	}
	if err := h.Images.Delete(t.Context(), h.caller, "tools"); err != nil {
		t.Fatal(err)
	}
	if has() {
		t.Fatal("kept without a record")
	}
}

func TestASharedImageGoesByItsNameToo(t *testing.T) {
	v := openVillage(t, nil)
	h := v.houses["node-n1"]
	admin := h.caller
	admin.Key.Admin = true
	i, err := h.Images.Import(t.Context(), admin, NewImage{Name: "base", Shared: true}, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	// As configuration names it: a computer that asks for no image of its own.
	far := v.houses["node-n2"]
	far.Computers.shape.Image = "base"
	asked, err := far.Computers.Create(t.Context(), far.caller, state.Computer{})
	if err != nil || asked.Computer.Image != "base" {
		t.Fatalf("%+v, %v", asked.Computer, err)
	}
	if err := v.starts(t, "node-n2", asked.Computer.ID); err != nil {
		t.Fatal(err)
	}
	if found, ok, err := far.Images.Find(t.Context(), "base"); err != nil || !ok || found.Digest != i.Digest {
		t.Errorf("%+v, %v, %v", found, ok, err)
	}
}

func TestABuildStandsOnItsAccountsImages(t *testing.T) {
	v := openVillage(t, nil)
	i := v.imported(t, "node-n1", NewImage{Name: "tools"}, "x")
	shop := v.houses["node-n2"].shop
	own := v.houses["node-n2"].caller.Account
	if b, ok, err := shop.findBase(t.Context(), own, "tools", nil); err != nil || !ok || b.Digest != i.Digest {
		t.Errorf("%+v, %v, %v", b, ok, err)
	}
	if _, err := v.houses["node-n2"].driver.ImageManifest(t.Context(), i.Digest); err != nil {
		t.Errorf("it is not here: %v", err)
	}
	for _, tt := range []struct {
		account state.AccountID
		name    string
	}{{"acct_other", "tools"}, {own, "toolz"}, {own, string(i.Record.ID)}} {
		if b, ok, err := shop.findBase(t.Context(), tt.account, tt.name, nil); err != nil || ok {
			t.Errorf("%+v: %+v, %v, %v", tt, b, ok, err)
		}
	}
}

// finder is a builder that asks for a base.
type finder struct {
	name  string
	found chan runtime.Brought
}

func (f finder) Build(ctx context.Context, _ runtime.Epoch, b runtime.Build) (string, error) {
	brought, _, err := b.Find(ctx, f.name)
	f.found <- brought
	return brought.Digest, err
}

func TestABuildAsksForItsBase(t *testing.T) {
	v := openVillage(t, nil)
	i := v.imported(t, "node-n1", NewImage{Name: "tools"}, "x")
	h := v.houses["node-n1"]
	f := finder{"tools", make(chan runtime.Brought, 1)}
	h.shop.builder = f
	e, err := h.Environments.Create(t.Context(), h.caller, EnvironmentSpec{Name: "e", BaseImage: "tools"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.node.Apply(t.Context(), state.ClaimBuild{Build: e.Build.Queued, Node: "node-n1"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if b, err := h.Builds.Await(ctx, e.Build.Queued); err != nil || b.Digest != i.Digest || (<-f.found).Digest != i.Digest {
		t.Errorf("%+v, %v", b, err)
	}
}
