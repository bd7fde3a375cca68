package state

import (
	"fmt"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func (f *fixture) openSession(id SessionID) AccessSession {
	f.tb.Helper()
	f.do(OpenSession{Session: AccessSession{ID: id, Account: acct, Computer: lone, Kind: ExecSession, Hash: "hash-" + string(id)}, TTL: time.Hour})
	return got(f, func(v *View) (AccessSession, error) { return v.AccessSession(acct, lone, id) })
}

func TestAnAccessSessionsLife(t *testing.T) {
	f := newFixture(t)
	f.makeLone("box")
	s := f.openSession("sess_1")
	if !s.Valid(f.now) || s.Valid(f.now.Add(time.Hour)) || !s.ExpiresAt.Equal(f.now.Add(time.Hour)) {
		t.Fatalf("%+v", s)
	}
	if found, ok, err := f.view().AccessSessionByHash("hash-sess_1"); err != nil || !ok || found.ID != s.ID {
		t.Fatalf("%+v, %v", found, err)
	}
	f.refused("", RevokeSession{Account: other, Computer: lone, ID: s.ID}, fault.NotFound, "")
	f.refused("", RevokeSession{Account: acct, Computer: comp, ID: s.ID}, fault.NotFound, "")
	f.do(RevokeSession{Account: acct, Computer: lone, ID: s.ID})
	f.do(RevokeSession{Account: acct, Computer: lone, ID: s.ID})
	if s = got(f, func(v *View) (AccessSession, error) { return v.AccessSession(acct, lone, s.ID) }); s.Valid(f.now) {
		t.Fatalf("%+v", s)
	}
	f.check()
	f.pass(time.Hour + SessionKept + 1)
	if due, err := f.view().Due(f.now); err != nil || !due {
		t.Fatal("nothing is due", err)
	}
	f.do(Sweep{})
	if _, ok, _ := f.view().AccessSessionByHash("hash-sess_1"); ok {
		t.Fatal("kept for ever")
	}
	f.check()
}

func TestSessionsAreBoundedAndThoseThatAreOverMakeRoom(t *testing.T) {
	f := newFixture(t)
	f.makeLone("box")
	for i := range MaxSessions {
		f.openSession(SessionID(fmt.Sprint("sess_", i)))
	}
	more := OpenSession{Session: AccessSession{ID: "sess_more", Account: acct, Computer: lone, Hash: "more"}, TTL: time.Hour}
	f.refused("", more, fault.Conflict, "")
	f.do(RevokeSession{Account: acct, Computer: lone, ID: "sess_7"})
	f.do(more)
	f.check()
}

func TestAComputerThatItsUserStoppedOpensNoSession(t *testing.T) {
	f := newFixture(t)
	f.makeLone("box")
	epoch := f.claim(lone, n1)
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Running})
	f.ok(n1, SetPhase{Computer: lone, Epoch: epoch, Phase: Stopping, Idle: true})
	f.openSession("sess_idle") // it wakes
	f.do(SetWish{Account: acct, Computer: lone, Wish: WishStopped})
	f.refused("", OpenSession{Session: AccessSession{ID: "sess_2", Account: acct, Computer: lone, Hash: "2"}, TTL: time.Hour}, fault.Conflict, CodeNotRunning)
}

func TestPortsAreMadeAndChangedByOneCommand(t *testing.T) {
	f := newFixture(t)
	f.makeLone("box")
	publish := func(port uint16, v Visibility) PublishPort {
		return PublishPort{Account: acct, Port: Port{Computer: lone, Port: port, Name: "web", Visibility: v}}
	}
	f.do(publish(80, PublicPort))
	made := f.now
	f.pass(time.Minute)
	f.do(publish(80, PrivatePort))
	p, ok, err := f.view().PublishedPort(lone, 80)
	if err != nil || !ok || p.Visibility != PrivatePort || !p.CreatedAt.Equal(made) || !p.UpdatedAt.Equal(f.now) {
		t.Fatalf("%+v, %v", p, err)
	}
	for i := range MaxPorts - 1 {
		f.do(publish(uint16(1000+i), PublicPort))
	}
	f.refused("", publish(81, PublicPort), fault.Conflict, "")
	f.do(publish(80, PublicPort))
	f.refused("", UnpublishPort{Account: other, Computer: lone, Port: 80}, fault.NotFound, "")
	f.do(UnpublishPort{Account: acct, Computer: lone, Port: 80})
	f.do(UnpublishPort{Account: acct, Computer: lone, Port: 80})
	if all, err := f.view().Ports(lone); err != nil || len(all) != MaxPorts-1 || all[0].Port != 1000 {
		t.Fatalf("%v, %v", all, err)
	}
	f.check()
}

func TestSharesOpenWhatTheyAllowUntilTheyEnd(t *testing.T) {
	f := newFixture(t)
	f.makeLone("box")
	ends := f.now.Add(10 * time.Minute)
	f.do(CreateShare{Share: Share{ID: "share_1", Account: acct, Computer: lone, Hash: "link", AllowBrowser: true, ExpiresAt: ends}})
	redeem := func(id string, k SessionKind) RedeemShare {
		return RedeemShare{Hash: "link", Session: AccessSession{ID: SessionID(id), Kind: k, Hash: id}, TTL: time.Hour}
	}
	f.refused("", redeem("sess_v", VNCSession), fault.Forbidden, "")
	f.refused("", redeem("sess_x", ExecSession), fault.Forbidden, "")
	f.do(redeem("sess_1", BrowserSession))
	s := got(f, func(v *View) (AccessSession, error) { return v.AccessSession(acct, lone, "sess_1") })
	link := got(f, func(v *View) (Share, error) { return v.Share(acct, lone, "share_1") })
	if !s.ExpiresAt.Equal(ends) || s.Share != "share_1" || !link.LastUsedAt.Equal(f.now) {
		t.Fatalf("%+v, %+v", s, link)
	}
	f.do(RevokeShare{Account: acct, Computer: lone, ID: "share_1"})
	f.do(RevokeShare{Account: acct, Computer: lone, ID: "share_1"})
	if s = got(f, func(v *View) (AccessSession, error) { return v.AccessSession(acct, lone, "sess_1") }); s.Valid(f.now) {
		t.Fatal("a session outlives its share")
	}
	f.refused("", redeem("sess_2", BrowserSession), fault.NotFound, "")
	f.refused("", CreateShare{Share: Share{ID: "share_2", Account: acct, Computer: lone, Hash: "2", ExpiresAt: f.now}}, fault.Invalid, "")
	f.do(CreateShare{Share: Share{ID: "share_3", Account: acct, Computer: lone, Hash: "3", ExpiresAt: ends}})
	f.pass(10 * time.Minute)
	f.refused("", RedeemShare{Hash: "3", Session: AccessSession{ID: "sess_3", Kind: BrowserSession}, TTL: time.Hour}, fault.NotFound, "")
	if valid, err := f.view().Shares(lone, f.now); err != nil || len(valid) != 0 {
		t.Fatalf("%v, %v", valid, err)
	}
	f.pass(ShareKept + time.Second)
	f.do(Sweep{})
	if _, ok, _ := f.view().ShareByHash("3"); ok {
		t.Fatal("kept for ever")
	}
	f.check()
}

func TestNoWayInOutlivesAComputersOwner(t *testing.T) {
	for name, end := range map[string]Command{
		"a transfer": TransferComputer{Account: acct, Computer: lone, To: other},
		"deletion":   SetWish{Account: acct, Computer: lone, Wish: WishDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.makeLone("box")
			f.ok(n1, SetPhase{Computer: lone, Epoch: f.claim(lone, n1), Phase: Running})
			f.openSession("sess_1")
			f.do(PublishPort{Account: acct, Port: Port{Computer: lone, Port: 80, Visibility: PublicPort}})
			f.do(CreateShare{Share: Share{ID: "share_1", Account: acct, Computer: lone, Hash: "link", AllowBrowser: true}})
			f.do(end)
			f.check()
			_, session, _ := f.view().AccessSessionByHash("hash-sess_1")
			_, port, _ := f.view().PublishedPort(lone, 80)
			_, link, _ := f.view().ShareByHash("link")
			if session || port || link {
				t.Fatalf("left: session %v, port %v, share %v", session, port, link)
			}
		})
	}
}
