package state

import (
	"slices"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func sshKey(id SSHKeyID, a AccountID, fingerprint string) CreateSSHKey {
	return CreateSSHKey{SSHKey{ID: id, Account: a, Name: string(id), PublicKey: "ssh-ed25519 AAAA", Fingerprint: fingerprint}}
}

func (f *fixture) sshKeysOf(a AccountID) (ids []SSHKeyID) {
	f.tb.Helper()
	list, err := f.view().SSHKeys(a)
	if err != nil || list.Total != len(list.Items) {
		f.tb.Fatalf("list %+v: %v", list, err)
	}
	for _, k := range list.Items {
		ids = append(ids, k.ID)
	}
	return ids
}

func TestAnAccountHasAnSSHKeyOnce(t *testing.T) {
	f := newFixture(t)
	f.do(sshKey("sshkey_1", acct, "SHA256:x"))
	f.do(sshKey("sshkey_2", other, "SHA256:x"))
	f.pass(time.Second)
	f.do(sshKey("sshkey_3", acct, "SHA256:xy"))
	if r := f.by(n1, sshKey("sshkey_4", acct, "SHA256:x")); r.Fault == nil || r.Fault.Code != CodeSSHKeyExists {
		t.Errorf("the same key again: %+v", r.Fault)
	}
	if got := f.sshKeysOf(acct); !slices.Equal(got, []SSHKeyID{"sshkey_3", "sshkey_1"}) {
		t.Errorf("keys %v", got)
	}
	for a, want := range map[AccountID]SSHKeyID{acct: "sshkey_1", other: "sshkey_2"} {
		if k, ok, err := f.view().SSHKeyOf(a, "SHA256:x"); err != nil || !ok || k.ID != want {
			t.Errorf("of %s: %+v %v %v", a, k, ok, err)
		}
	}
	if _, ok, err := f.view().SSHKeyOf(acct, "SHA256:"); ok || err != nil {
		t.Errorf("half a fingerprint: %v %v", ok, err)
	}
	if r := f.by(n1, RevokeSSHKey{Account: other, ID: "sshkey_1"}); r.Fault == nil || r.Fault.Kind != fault.NotFound {
		t.Errorf("another account revokes: %+v", r.Fault)
	}
	for range 2 {
		f.do(RevokeSSHKey{Account: acct, ID: "sshkey_1"})
	}
	if got := f.sshKeysOf(acct); !slices.Equal(got, []SSHKeyID{"sshkey_3"}) {
		t.Errorf("keys after the revoke %v", got)
	}
	f.do(sshKey("sshkey_5", acct, "SHA256:x"))
	if err := audit(f.store); err != nil {
		t.Error(err)
	}
	f.pass(RevokedSSHKeyLifetime + time.Second)
	if due, err := f.view().Due(f.now); err != nil || !due {
		t.Errorf("due %v %v", due, err)
	}
	f.do(Sweep{})
	if _, err := f.view().SSHKey(acct, "sshkey_1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a key revoked long ago: %v", err)
	}
	if k, err := f.view().SSHKey(acct, "sshkey_5"); err != nil || !k.Valid() {
		t.Errorf("a key that was not revoked: %+v %v", k, err)
	}
}

func TestSSHKeysAreBounded(t *testing.T) {
	f := newFixture(t)
	for i := range MaxSSHKeys {
		f.do(sshKey(SSHKeyID("sshkey_"+encodeText(uint64(i))), acct, encodeText(uint64(i))))
	}
	if r := f.by(n1, sshKey("sshkey_more", acct, "more")); r.Fault == nil || r.Fault.Kind != fault.Conflict || r.Fault.Code == CodeSSHKeyExists {
		t.Errorf("one too many: %+v", r.Fault)
	}
	f.do(RevokeSSHKey{Account: acct, ID: SSHKeyID("sshkey_" + encodeText(0))})
	f.do(sshKey("sshkey_more", acct, "more"))
}

func TestUseOfAnSSHKeyIsCoarse(t *testing.T) {
	f := newFixture(t)
	f.do(sshKey("sshkey_1", acct, "x"))
	f.pass(time.Hour)
	first := f.now
	f.do(UseSSHKey{"sshkey_1"})
	f.pass(SSHKeyUseInterval - 1)
	f.do(UseSSHKey{"sshkey_1"})
	if k, err := f.view().SSHKey(acct, "sshkey_1"); err != nil || !k.LastUsedAt.Equal(first) {
		t.Errorf("%+v %v, want %s", k, err, first)
	}
	f.pass(1)
	f.do(UseSSHKey{"sshkey_1"})
	if k, err := f.view().SSHKey(acct, "sshkey_1"); err != nil || !k.LastUsedAt.Equal(f.now) {
		t.Errorf("%+v %v, want %s", k, err, f.now)
	}
	f.do(UseSSHKey{"sshkey_none"})
}

func TestTheFirstSecretStays(t *testing.T) {
	f := newFixture(t)
	for _, sealed := range []string{"first", "second"} {
		var got []byte
		f.reply(f.do(SetSecret{Secret{Name: "ssh", Sealed: []byte(sealed)}}), &got)
		if string(got) != "first" {
			t.Errorf("replied %q", got)
		}
	}
	if s, ok, err := f.view().Secret("ssh"); err != nil || !ok || string(s.Sealed) != "first" {
		t.Errorf("%+v %v %v", s, ok, err)
	}
	if r := f.by(n1, SetSecret{Secret{Name: "large", Sealed: make([]byte, MaxSecretBytes+1)}}); r.Fault == nil || r.Fault.Kind != fault.Invalid {
		t.Errorf("too large: %+v", r.Fault)
	}
}

func TestATransferredComputerForgetsWhomItLetIn(t *testing.T) {
	f := newFixture(t)
	f.do(CreateComputer{Computer: Computer{ID: "comp_ssh", Account: acct, AuthorizedKeys: []string{"ssh-ed25519 AAAA"}}})
	f.do(TransferComputer{Account: acct, Computer: "comp_ssh", To: other})
	if c, err := f.view().Computer(other, "comp_ssh"); err != nil || len(c.AuthorizedKeys) > 0 {
		t.Errorf("%v %v", c.AuthorizedKeys, err)
	}
}
