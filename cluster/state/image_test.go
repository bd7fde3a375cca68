package state

import (
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const someDigest = "sha256:aaaa"

func sent(id ImageID, a AccountID, name string) CreateImage {
	return CreateImage{Image: Image{ID: id, Account: a, Name: name, Phase: ImageReady, Node: n1, Digest: someDigest, Bytes: 7}}
}

func (f *fixture) image(a AccountID, id ImageID) Image {
	f.tb.Helper()
	i, err := f.view().Image(a, id)
	if err != nil {
		f.tb.Fatalf("image %s: %v", id, err)
	}
	return i
}

func TestEveryPhaseOfAnImageHasItsMoves(t *testing.T) {
	for _, p := range ImagePhases() {
		for _, q := range ImagePhases() {
			_, err := p.To(q)
			if legal := p == ImagePulling && q != ImagePulling; legal != (err == nil) {
				t.Errorf("%s to %s: %v", p, q, err)
			}
		}
	}
}

func TestAnImagesNameIsItsAccountsOrEverybodys(t *testing.T) {
	f := newFixture(t)
	f.do(sent("img_1", acct, "tools"))
	f.do(sent("img_2", other, "tools"))
	shared := sent("img_3", other, "tools")
	shared.Image.Shared = true
	f.do(shared)
	f.refused(n1, sent("img_4", acct, "tools"), fault.Conflict, CodeImageExists)
	again := shared
	again.Image.ID, again.Image.Account = "img_5", acct
	f.refused(n1, again, fault.Conflict, CodeImageExists)
	for a, want := range map[AccountID]ImageID{acct: "img_1", other: "img_2"} {
		if i, ok, err := f.view().ImageNamed(a, "tools"); err != nil || !ok || i.ID != want {
			t.Errorf("of %s: %+v, %v, %v", a, i, ok, err)
		}
	}
	if _, err := f.view().Image(acct, "img_2"); !fault.Is(err, fault.NotFound) {
		t.Errorf("another account's: %v", err)
	}
	if list, err := f.view().ImagesOf(acct); err != nil || len(list) != 2 || list[0].ID != "img_1" || list[1].ID != "img_3" {
		t.Errorf("%+v, %v", list, err)
	}
	f.refused(n1, DeleteImage{Account: acct, ID: "img_2"}, fault.NotFound, "")
	f.refused(n1, DeleteImage{Account: acct, ID: "img_3"}, fault.Forbidden, "")
	f.do(DeleteImage{Account: acct, ID: "img_1"})
	if i, ok, err := f.view().ImageNamed(acct, "tools"); err != nil || !ok || i.ID != "img_3" {
		t.Errorf("without its own: %+v, %v, %v", i, ok, err)
	}
	f.refused(n1, DeleteImage{Account: acct, ID: "img_1"}, fault.NotFound, "")
	f.check()
}

func TestAnImageInUseIsNotDeleted(t *testing.T) {
	f := newFixture(t)
	f.do(sent("img_1", acct, "tools"))
	shared := sent("img_2", other, "all")
	shared.Image.Shared, shared.Image.Digest = true, "sha256:bbbb"
	f.do(shared)
	for id, image := range map[ComputerID]string{"c1": someDigest, "c2": "sha256:bbbb"} {
		f.do(CreateComputer{Computer: Computer{ID: id, Account: acct, Name: string(id), Image: image}})
	}
	for _, cmd := range []DeleteImage{{acct, "img_1"}, {other, "img_2"}} {
		f.refused(n1, cmd, fault.Conflict, "")
	}
	f.do(sent("img_3", acct, "same")) // keeps the same layers
	f.do(DeleteImage{acct, "img_1"})
	f.refused(n1, DeleteImage{acct, "img_3"}, fault.Conflict, "")
	for _, id := range []ComputerID{"c1", "c2"} {
		f.do(SetWish{Account: acct, Computer: id, Wish: WishDeleted})
	}
	f.do(DeleteImage{acct, "img_3"})
	f.do(DeleteImage{other, "img_2"})
	f.check()
}

func TestAPullEndsOnce(t *testing.T) {
	f := newFixture(t)
	pull := func(id ImageID, n NodeID) {
		f.do(CreateImage{Image: Image{ID: id, Account: acct, Name: string(id), Reference: "r.example/x:1", Phase: ImagePulling, Node: n, Digest: "lie"}})
	}
	for id, n := range map[ImageID]NodeID{"img_a": n1, "img_b": n1, "img_lost": n3, "img_late": n1} {
		pull(id, n)
	}
	f.refused(n2, EndPull{ID: "img_a", Node: n2, Digest: someDigest}, fault.Moved, "")
	f.do(EndPull{ID: "img_a", Node: n1, Digest: someDigest, Bytes: 9})
	f.refused(n1, EndPull{ID: "img_a", Node: n1, Error: "late"}, fault.Moved, "")
	f.do(EndPull{ID: "img_b", Node: n1, Error: "no such image"})
	f.do(EndPull{ID: "img_gone", Node: n1})
	f.do(ExpireLease{Node: n3, Renewal: f.node(n3).Renewal})
	if i := f.image(acct, "img_a"); i.Phase != ImageReady || i.Digest != someDigest || i.Bytes != 9 {
		t.Errorf("%+v", i)
	}
	if i := f.image(acct, "img_b"); i.Phase != ImageFailed || i.Error != "no such image" || i.Digest != "" {
		t.Errorf("%+v", i)
	}
	if i := f.image(acct, "img_lost"); i.Phase != ImageFailed || !strings.Contains(i.Error, "was lost") {
		t.Errorf("of the node that was lost: %+v", i)
	}
	if i := f.image(acct, "img_late"); i.Phase != ImagePulling || i.Digest != "" {
		t.Errorf("%+v", i)
	}
	f.pass(PullLimit + time.Second)
	f.do(Sweep{})
	if i := f.image(acct, "img_late"); i.Phase != ImageFailed || !strings.Contains(i.Error, "1h0m0s") {
		t.Errorf("past its time: %+v", i)
	}
	pull("img_b2", n1) // the name of one that failed is free
	f.do(CreateImage{Image: Image{ID: "img_again", Account: acct, Name: "img_b", Phase: ImagePulling, Node: n1}})
	f.pass(FailedImageLifetime + time.Second)
	f.do(Sweep{})
	if _, ok, err := f.view().AnyImage("img_b"); ok || err != nil {
		t.Errorf("a failure is kept for ever: %v, %v", ok, err)
	}
	f.check()
}

func TestAnAccountHasSoManyImagesAndRegistries(t *testing.T) {
	f := newFixture(t)
	for i := range MaxImages {
		id := ImageID("img_" + strings.Repeat("i", i+1))
		f.do(sent(id, acct, string(id)))
	}
	f.refused(n1, sent("img_more", acct, "more"), fault.Conflict, "")
	set := func(a AccountID, host string) SetRegistry {
		return SetRegistry{Registry{Account: a, Host: host, Username: "ann", Sealed: []byte("sealed")}}
	}
	for i := range MaxRegistries {
		f.do(set(acct, strings.Repeat("r", i+1)+".example"))
	}
	f.refused(n1, set(acct, "more.example"), fault.Conflict, "")
	f.do(set(acct, "r.example"))
	f.do(set(other, "r.example"))
	f.do(DeleteRegistry{acct, "r.example"})
	f.refused(n1, DeleteRegistry{acct, "r.example"}, fault.NotFound, "")
	if list, err := f.view().Registries(acct); err != nil || len(list) != MaxRegistries-1 {
		t.Errorf("%d, %v", len(list), err)
	}
	if r, err := f.view().Registry(other, "r.example"); err != nil || r.Username != "ann" {
		t.Errorf("%+v, %v", r, err)
	}
	f.check()
}
