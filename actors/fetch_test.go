package actors

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

func TestWhoIsAskedForAnImage(t *testing.T) {
	member := func(id string) state.Node {
		return state.Node{ID: state.NodeID(id), Incarnation: 1, Renewal: 1}
	}
	expired := member("expired")
	expired.Expired = true
	many := make([]state.Node, 2*maxAsked)
	for i := range many {
		many[i] = member(strings.Repeat("n", i+2))
	}
	for name, tt := range map[string]struct {
		builder string
		members []state.Node
		want    []string
	}{
		"the builder first":        {"c", []state.Node{member("a"), member("b"), member("c")}, []string{"c", "a", "b"}},
		"never itself":             {"self", []state.Node{member("self"), member("a")}, []string{"a"}},
		"nobody without a lease":   {"expired", []state.Node{expired, member("a"), {ID: "new"}}, []string{"a"}},
		"nobody knows who built":   {"", []state.Node{member("b"), member("a")}, []string{"b", "a"}},
		"the builder is no more":   {"gone", []state.Node{member("a")}, []string{"a"}},
		"a node that stands alone": {"", []state.Node{member("self")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, n := range toAsk("self", state.NodeID(tt.builder), tt.members) {
				got = append(got, string(n.ID))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	if got := toAsk("self", "", many); len(got) != maxAsked {
		t.Errorf("%d nodes are asked", len(got))
	}
}

// village is nodes that reach each other by HTTP/2.
type village struct {
	houses map[state.NodeID]*house
	asked  chan string // paths, in order
	// meddle, when set, changes what a node answers.
	meddle func(http.ResponseWriter, *http.Request, http.Handler)
}

func openVillage(t *testing.T, images map[string][]string) *village {
	t.Helper()
	records, world := actorstest.NewRecords(time.Now), fake.NewWorld()
	v := &village{houses: map[state.NodeID]*house{}, asked: make(chan string, 64)}
	at := map[string]*url.URL{}
	var client *http.Client
	for _, name := range []string{"n1", "n2", "n3"} {
		h := openHouseOf(t, records, world, name, nil, append(images[name], "host")...)
		v.houses[h.node.Self()] = h
		handler := h.Handler()
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v.asked <- name + r.URL.Path
			if v.meddle != nil {
				v.meddle(w, r, handler)
				return
			}
			handler.ServeHTTP(w, r)
		}))
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(server.Close)
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		at[string(h.node.Self())] = u
		inner := server.Client().Transport
		client = &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			out := req.Clone(req.Context())
			out.URL.Host = at[out.URL.Host].Host
			return inner.RoundTrip(out)
		})}
	}
	for _, h := range v.houses {
		h.shop.remote.client = client
	}
	return v
}

// builtOn makes an environment whose image was built on a node, and reports
// its computer.
func (v *village) builtOn(t *testing.T, node state.NodeID, digest string) state.ComputerID {
	t.Helper()
	h := v.houses[node]
	env, err := h.Environments.Create(t.Context(), h.caller, EnvironmentSpec{Name: "e", SetupScripts: []string{"true"}})
	if err != nil {
		t.Fatal(err)
	}
	h.shop.builder = madeBefore(digest)
	// The build that follows the recipe waits yet, so that this node can have it.
	if _, err := h.node.Apply(t.Context(), state.ClaimBuild{Build: env.Build.Queued, Node: node}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if b, err := h.Builds.Await(ctx, env.Build.Queued); err != nil || b.Digest != digest {
		t.Fatalf("%+v, %v", b, err)
	}
	return env.Computer
}

// madeBefore is a builder that has the image already.
type madeBefore string

func (m madeBefore) Build(context.Context, runtime.Epoch, runtime.Build) (string, error) {
	return string(m), nil
}

// starts starts a computer on a node.
func (v *village) starts(t *testing.T, node state.NodeID, id state.ComputerID) error {
	t.Helper()
	h := v.houses[node]
	if _, err := h.node.Place(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := h.Computers.Start(ctx, h.caller, id)
	return err
}

// paths are what was asked so far.
func (v *village) paths() (all []string) {
	for len(v.asked) > 0 {
		all = append(all, <-v.asked)
	}
	return all
}

const built = "sha256:abababababababababababababababababababababababababababababababab"

func TestAComputersImageIsFetchedFromTheNodeThatBuiltIt(t *testing.T) {
	v := openVillage(t, map[string][]string{"n1": {built}, "n3": {built}})
	id := v.builtOn(t, "node-n3", built)
	if err := v.starts(t, "node-n2", id); err != nil {
		t.Fatal(err)
	}
	if got, want := v.paths(), []string{"n3/images/manifest/" + built, "n3/images/layer/" + built}; !slices.Equal(got, want) {
		t.Errorf("asked %v, want %v", got, want)
	}
	status, err := v.houses["node-n2"].driver.Inspect(t.Context(), runtime.ID(id))
	if err != nil || status.Phase != runtime.Running || status.Spec.Image != built {
		t.Errorf("%+v, %v", status, err)
	}
}

func TestAnImageIsFetchedFromAnyNodeThatHasIt(t *testing.T) {
	v := openVillage(t, map[string][]string{"n1": {built}})
	id := v.builtOn(t, "node-n3", built) // which has lost it since
	if err := v.starts(t, "node-n2", id); err != nil {
		t.Fatal(err)
	}
	if got := v.paths(); len(got) != 3 || got[0] != "n3/images/manifest/"+built || got[1] != "n1/images/manifest/"+built {
		t.Errorf("asked %v", got)
	}
}

func TestAnImageThatNobodyHasNamesWhoWasAsked(t *testing.T) {
	v := openVillage(t, nil)
	id := v.builtOn(t, "node-n3", built)
	err := v.starts(t, "node-n2", id)
	if err == nil || !strings.Contains(err.Error(), "again with force") || !strings.Contains(err.Error(), "n3: ") || !strings.Contains(err.Error(), "n1: ") || !strings.Contains(err.Error(), built) {
		t.Errorf("%v", err)
	}
}

// TestAnImageThatIsLostForEverIsBuiltAgain takes the node that built an image out of
// the cluster.
func TestAnImageThatIsLostForEverIsBuiltAgain(t *testing.T) {
	v := openVillage(t, nil)
	id := v.builtOn(t, "node-n3", built)
	h, gone := v.houses["node-n2"], v.houses["node-n3"].node
	if err := gone.Expire(h.node); err != nil {
		t.Fatal(err)
	}
	if _, err := h.node.Apply(t.Context(), state.RemoveNode{Node: gone.Self(), Abandon: true}); err != nil {
		t.Fatal(err)
	}
	// A build that is quick enough is over by one of the next tries.
	if err := v.starts(t, "node-n2", id); err != nil && !strings.Contains(err.Error(), "is built again") {
		t.Fatal(err)
	}
	computer, _, err := h.node.Stale().AnyComputer(id)
	if err != nil {
		t.Fatal(err)
	}
	var builds []state.Build // the newest first
	if err := h.node.Stale().BuildsOf(computer.Environment, func(b state.Build) bool { builds = append(builds, b); return true }); err != nil {
		t.Fatal(err)
	}
	if len(builds) != 2 || !builds[0].Force {
		t.Fatalf("%d builds, of which one is for the image that was lost: %+v", len(builds), builds)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if b, err := h.Builds.Await(ctx, builds[0].ID); err != nil || b.Phase != state.BuildSucceeded {
		t.Fatalf("%+v, %v", b, err)
	}
	if err := v.starts(t, "node-n2", id); err != nil {
		t.Error(err)
	}
}

func TestAnImageIsLostWhenNobodyIsLeftToAsk(t *testing.T) {
	member := func(id state.NodeID) state.Node { return state.Node{ID: id} }
	two := []state.Node{member("self"), member("other")}
	for name, tt := range map[string]struct {
		builder state.NodeID
		members []state.Node
		asked   int
		want    bool
	}{
		"it is gone, and the other has none": {"gone", two, 1, true},
		"the other was not asked":            {"gone", two, 0, false},
		"its builder is a member":            {"other", two, 1, false},
		"nobody knows who built it":          {"", two, 1, false},
		"there is nobody else":               {"gone", two[:1], 0, true},
	} {
		if got := (wanted{builder: tt.builder}).lost(tt.members, tt.asked); got != tt.want {
			t.Errorf("%s: lost is %v", name, got)
		}
	}
}

func TestAnotherHostsImageSaysWhatToDo(t *testing.T) {
	v := openVillage(t, map[string][]string{"n3": {built}})
	v.meddle = func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = io.WriteString(w, "host of n3") }
	err := v.starts(t, "node-n2", v.builtOn(t, "node-n3", built))
	if err == nil || !strings.Contains(err.Error(), "host image of node n3") || !strings.Contains(err.Error(), "debian") {
		t.Errorf("%v", err)
	}
}

func TestALayerThatIsCutDoesNotLookWhole(t *testing.T) {
	v := openVillage(t, map[string][]string{"n3": {built}})
	h := v.houses["node-n3"]
	h.o.Driver = cutDriver{h.driver}
	room := &imageRoom{driver: h.o.Driver, sending: make(chan struct{}, 1)}
	v.meddle = func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		r.SetPathValue("id", built)
		room.serveLayer(w, r)
	}
	body, err := imagesOf{v.houses["node-n2"].shop.remote, "node-n3"}.Layer(t.Context(), built, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if n, err := io.Copy(io.Discard, body); err == nil || n == 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// cutDriver fails while it sends a layer.
type cutDriver struct{ *fake.Driver }

func (cutDriver) WriteImageLayer(_ context.Context, _ string, _ int64, to io.Writer) error {
	_, err := io.WriteString(to, strings.Repeat("x", 1<<20))
	return errors.Join(err, errors.New("the disk broke"))
}

func TestATagIsFetchedForItsOwnAccountOnly(t *testing.T) {
	v := openVillage(t, map[string][]string{"n3": {built}})
	id := v.builtOn(t, "node-n3", built)
	node := v.houses["node-n3"].node
	c, err := applied(node, func(v *state.View) (state.Computer, error) { c, _, err := v.AnyComputer(id); return c, err })
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range []state.AccountID{c.Account, "acct_other"} {
		got, err := applied(node, func(v *state.View) (wanted, error) {
			e, err := v.Environment(c.Account, c.Environment)
			if err != nil {
				return wanted{}, err
			}
			return wantedBy(v, state.Computer{Account: account, Image: e.Build.Tag})
		})
		if err != nil || (got.digest == built && got.builder == "node-n3" && strings.HasPrefix(got.name, "env-")) != (account == c.Account) {
			t.Errorf("%s: %+v, %v", account, got, err)
		}
	}
}

func TestTheImageOfNoEnvironmentLosesItsNameAfterAWhile(t *testing.T) {
	v := openVillage(t, map[string][]string{"n3": {built}})
	id := v.builtOn(t, "node-n3", built)
	h := v.houses["node-n2"]
	clock := actorstest.NewClock()
	h.o.Now = clock.Now
	c, err := applied(h.node, func(v *state.View) (state.Computer, error) { c, _, err := v.AnyComputer(id); return c, err })
	if err != nil {
		t.Fatal(err)
	}
	env, err := applied(h.node, func(v *state.View) (state.Environment, error) { return v.Environment(c.Account, c.Environment) })
	if err != nil {
		t.Fatal(err)
	}
	own := "tools" // a shared image's name is left alone
	if _, err := h.node.Apply(t.Context(), state.CreateImage{Image: state.Image{ID: "img_1", Account: c.Account, Shared: true, Name: own,
		Phase: state.ImageReady, Digest: built}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{env.Build.Tag, own} {
		if err := h.driver.FetchImage(t.Context(), name, built, imagesOf{h.shop.remote, "node-n3"}); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when string, there bool) {
		t.Helper()
		if err := h.sweepImages(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := h.Images.all(t.Context())
		named := func(name string) bool {
			return slices.ContainsFunc(all, func(i runtime.Image) bool { return i.Name == name })
		}
		if err != nil || named(env.Build.Tag) != there || !named(own) {
			t.Fatalf("%s: %+v, %v", when, all, err)
		}
	}
	expect("while its environment is there", true)
	clock.Advance(orphanAge)
	expect("later", true)
	if err := h.Environments.Delete(t.Context(), h.caller, env.ID, true); err != nil {
		t.Fatal(err)
	}
	expect("at first", true)
	clock.Advance(orphanAge - time.Second)
	expect("before its time", true)
	clock.Advance(time.Second)
	expect("after a while", false)
}
