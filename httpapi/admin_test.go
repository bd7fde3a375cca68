package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/backup"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestAnAdminSeesEveryAccountsComputers(t *testing.T) {
	h := doortest.Open(t)
	var env wire.DefaultEnvironment
	as(t, h, h.Key).do("GET", "/environments/default", nil).is(200).into(&env)
	c := as(t, h, h.AdminKey)
	var list wire.List[wire.Computer]
	c.do("GET", "/v1/admin/computers", nil).is(200).into(&list)
	if list.TotalCount != 0 {
		t.Fatalf("the admin's own: %+v", list)
	}
	c.do("GET", "/v1/admin/computers?account="+string(h.Account.ID), nil).is(200).into(&list)
	if list.TotalCount != 1 || list.Data[0].ID != env.ComputerID || list.Data[0].Node != nil {
		t.Fatalf("%+v", list)
	}
	path := "/v1/admin/computers/" + env.ComputerID
	var one wire.OneComputer
	c.do("POST", path+"/start", nil).is(200).into(&one)
	if one.Computer.Phase != "running" || *one.Computer.Node != "n1" {
		t.Fatalf("%+v", one.Computer)
	}
	c.do("DELETE", path, nil).refused(409, env.ID)
	c.do("POST", path+"/stop", nil).is(200).into(&one)
	if one.Computer.Phase != "stopped" {
		t.Fatalf("%+v", one.Computer)
	}
	c.do("GET", "/v1/admin/computers?account=acct_none", nil).refused(404, "Account not found")
	c.do("GET", "/v1/admin/computers?account=../x", nil).refused(400, "account is not an id")
}

func TestAccountsUsersAndKeysAreListed(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.AdminKey)
	path := "/v1/admin/accounts/" + string(h.Account.ID)
	var accounts wire.List[wire.Account]
	c.do("GET", "/v1/admin/accounts", nil).is(200).into(&accounts)
	if accounts.TotalCount != 2 {
		t.Fatalf("%+v", accounts)
	}
	c.do("POST", "/v1/admin/accounts", `{"name":"acme"}`).refused(409, "acme")
	var users wire.List[wire.User]
	c.do("GET", path+"/users", nil).is(200).into(&users)
	if users.TotalCount != 1 || users.Data[0].Role != "owner" {
		t.Fatalf("%+v", users)
	}
	var keys wire.List[wire.Key]
	r := c.do("GET", path+"/keys", nil).is(200)
	r.into(&keys)
	if keys.TotalCount != 1 || !keys.Data[0].IsActive || strings.Contains(string(r.body), h.Key) {
		t.Fatalf("%s", r.body)
	}
	c.do("GET", path+"/budget", nil).is(200)
	c.do("PATCH", path+"/budget", `{"dailyLimit":1}`).is(200)
	c.do("PATCH", path+"/budget", `{"dailyLimit":null}`).is(200)
	c.do("GET", "/v1/admin/accounts/self", nil).is(200)
	c.do("POST", "/v1/admin/accounts/acct_none/users", `{"name":"x"}`).refused(404, "Account not found")
	c.do("DELETE", path+"/keys/key_none", nil).refused(404, "Key not found")
}

func TestTheSecretsKeyIsReplaced(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.AdminKey)
	var key wire.SecretsKey
	c.do("GET", "/v1/admin/secrets-key", nil).is(200).into(&key)
	if key.Phase != "never" || key.StartedAt != nil {
		t.Fatalf("%+v", key)
	}
	c.do("POST", "/v1/admin/secrets-key/rotate", nil).is(202).into(&key)
	c.do("GET", "/v1/admin/secrets-key", nil).is(200).into(&key)
	if key.Phase != "resealing" || key.ID == "" || key.StartedAt == nil || key.EndedAt != nil {
		t.Fatalf("%+v", key)
	}
	c.do("POST", "/v1/admin/secrets-key/rotate", nil).refused(409, "is being replaced since")
	var status wire.ClusterStatus
	c.do("GET", "/v1/admin/status", nil).is(200).into(&status)
	if status.SecretsKey == nil || *status.SecretsKey.StartedAt != *key.StartedAt {
		t.Fatalf("%+v", status)
	}
	as(t, h, h.Key).do("POST", "/v1/admin/secrets-key/rotate", nil).refused(403, "admin")
}

func TestABackupIsForItsRecipientsAlone(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.AdminKey)
	key, recipient, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	r := c.do("POST", "/v1/admin/backup", `{"recipients": ["`+recipient+`"]}`).is(200)
	if head, _, err := backup.Read(bytes.NewReader(r.body), strings.NewReader(key)); err != nil || head.Cluster != "test" {
		t.Fatalf("%+v, %v", head, err)
	}
	c.do("POST", "/v1/admin/backup", `{}`).refused(400, "1 to 16")
	c.do("POST", "/v1/admin/backup", `{"recipients": ["`+key+`"]}`).refused(400, "recipient 1 is none")
	as(t, h, h.Key).do("POST", "/v1/admin/backup", `{"recipients": ["`+recipient+`"]}`).refused(403, "admin")
}

func TestExecRefusesWhatIsNoCommand(t *testing.T) {
	h := doortest.Open(t)
	var env wire.DefaultEnvironment
	as(t, h, h.Key).do("GET", "/environments/default", nil).is(200).into(&env)
	c := as(t, h, h.AdminKey)
	path := "/v1/admin/computers/" + env.ComputerID + "/exec"
	for body, says := range map[string]string{
		"": "empty", "[]": "JSON object", `{"argv":[]}`: "argv", `{"argv":[""]}`: "argv", `{"argv":"ls"}`: "argv must be an array",
		`{"argv":["a"],"timeoutMs":-1}`: "timeoutMs", `{"argv":["a"],"env":{"A=B":"c"}}`: "A=B", `{"argv":["a\u0000"]}`: "NUL",
	} {
		c.do("POST", path, body).refused(400, says)
	}
	c.do("POST", path, `{"argv":["`+strings.Repeat("x", 2<<20)+`"]}`).refused(413, "larger")
	as(t, h, h.Key).do("POST", path, `{"argv":["id"]}`).refused(403, "admin")
}

func TestAComputerIsFoundByItsHandle(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.AdminKey)
	made := c.running(`{"handle":"box"}`)
	var found wire.OneComputer
	c.do("GET", "/v1/admin/computers/box", nil).is(200).into(&found)
	if found.Computer.ID != made.Computer.ID {
		t.Fatalf("%+v", found)
	}
	as(t, h, h.Key).running(`{"handle":"theirs"}`)
	c.do("GET", "/v1/admin/computers/theirs", nil).refused(404, "theirs")
}

func TestExecEndsWithItsClient(t *testing.T) {
	h := doortest.Open(t)
	var env wire.DefaultEnvironment
	as(t, h, h.Key).do("GET", "/environments/default", nil).is(200).into(&env)
	c := as(t, h, h.AdminKey)
	c.do("POST", "/v1/admin/computers/"+env.ComputerID+"/start", nil).is(200)
	in, feed := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", h.URL+"/v1/admin/computers/"+env.ComputerID+"/exec", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", h.AdminKey)
	go io.WriteString(feed, `{"argv":["sh","-c","echo begun; cat; echo over"],"stdin":true}`+"\n")
	resp, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(resp.Body).ReadBytes('\n')
	var o wire.ExecOutput
	if err != nil || json.Unmarshal(line, &o) != nil || string(o.Stdout) != "begun\n" {
		t.Fatalf("%s, %v", line, err)
	}
	documentedAs(t, "ExecOutput", line)
	// The client goes in the middle of its input, which cat would wait for.
	resp.Body.Close()
	c.client.CloseIdleConnections()
	within(t, "the request is over", func() bool {
		return strings.Contains(metrics(t, h), `route="/admin/computers/:id/exec"`)
	})
	feed.Close()
}

func TestOnlyANodeThatCanBeSparedLeaves(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.AdminKey)
	c.do("DELETE", "/v1/admin/nodes/nobody", nil).refused(404, "Node not found")
	c.do("DELETE", "/v1/admin/nodes/n1?force=maybe", nil).refused(400, "force")
	var drain wire.Drain
	c.do("POST", "/v1/admin/nodes/nobody/drain", nil).refused(404, "Node not found")
	c.do("POST", "/v1/admin/nodes/n1/drain", nil).is(200).into(&drain)
	if !drain.Draining || drain.Since == nil || !drain.Answers {
		t.Fatalf("%+v", drain)
	}
	c.do("GET", "/v1/admin/nodes/n1/drain", nil).is(200).into(&drain)
	c.do("POST", "/v1/admin/nodes/n1/undrain", nil).is(200).into(&drain)
	if drain.Draining || drain.Since != nil || drain.Done {
		t.Fatalf("%+v", drain)
	}
	as(t, h, h.Key).do("POST", "/v1/admin/nodes/n1/drain", nil).refused(403, "admin")
	var moved wire.Rebalanced
	c.do("POST", "/v1/admin/rebalance", `{"dryRun":true}`).is(200).into(&moved)
	if moved.Begun || len(moved.Moves) != 0 {
		t.Fatalf("%+v", moved)
	}
	c.do("POST", "/v1/admin/rebalance", `{"max":21}`).refused(400, "max must be between 1 and 20")
	as(t, h, h.Key).do("POST", "/v1/admin/rebalance", nil).refused(403, "admin")
	c.do("DELETE", "/v1/admin/nodes/n1", nil).refused(409, "the only one")
	as(t, h, h.Key).do("DELETE", "/v1/admin/nodes/n1", nil).refused(403, "admin")
}

func TestWhatWasDoneIsAudited(t *testing.T) {
	h := doortest.Open(t)
	admin, own := as(t, h, h.AdminKey), as(t, h, h.Key)
	path := "/v1/admin/accounts/" + string(h.Account.ID)
	var made wire.NewKey
	admin.do("POST", path+"/keys", `{"name":"ci","scopes":["threads:read"]}`).is(201).into(&made)
	revoked := admin.do("DELETE", path+"/keys/"+made.Key.ID, nil).is(200)

	var page wire.AuditPage
	own.do("GET", "/v1/admin/audit?action=key.&resource="+made.Key.ID, nil).is(200).into(&page)
	if len(page.Data) != 2 || page.Next != nil {
		t.Fatalf("%+v", page)
	}
	last := page.Data[0]
	if last.Action != "key.revoke" || *last.RequestID != revoked.header.Get("X-Request-Id") || *last.AccountID != string(h.Account.ID) ||
		*last.Actor.AccountID == string(h.Account.ID) || *last.Actor.Node != "n1" || last.Actor.KeyID == nil {
		t.Errorf("%+v", last)
	}
	if text := *page.Data[1].Detail; strings.Contains(text, made.Text) || !strings.Contains(text, "threads:read") {
		t.Errorf("the making of a key says %q", text)
	}

	// Another account's and the cluster's are an admin's to see.
	own.do("GET", "/v1/admin/audit?account=acct_other", nil).refused(403, "admin key")
	own.do("GET", "/v1/admin/audit?account=cluster", nil).refused(403, "admin key")
	as(t, h, made.Text).do("GET", "/v1/admin/audit", nil).refused(401, "key")
	narrow := as(t, h, h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"threads:read"}}))
	narrow.do("GET", "/v1/admin/audit", nil).refused(403, "audit:read")
	admin.do("GET", "/v1/admin/audit?account=cluster&order=asc&limit=1", nil).is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].Action != "cluster.create" || page.Next == nil {
		t.Fatalf("%+v", page)
	}
	seen := 0
	for cursor := "&limit=2"; ; cursor = "&limit=2&cursor=" + *page.Next {
		admin.do("GET", "/v1/admin/audit?order=asc"+cursor, nil).is(200).into(&page)
		if seen += len(page.Data); page.Next == nil {
			break
		}
	}
	admin.do("GET", "/v1/admin/audit?limit=1000", nil).is(200).into(&page)
	if seen != len(page.Data) {
		t.Errorf("%d records in pages of two, %d at once", seen, len(page.Data))
	}
	for _, bad := range []string{"order=up", "class=all", "cursor=x", "cursor=0", "since=yesterday", "limit=1001", "account=..%2F", "actor=" + strings.Repeat("a", 129)} {
		admin.do("GET", "/v1/admin/audit?"+bad, nil).is(400)
	}
}
