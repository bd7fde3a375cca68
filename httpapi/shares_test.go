package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
)

func TestSharesLetInWithoutAKey(t *testing.T) {
	h := doortest.Open(t)
	h.Guest()
	c, nobody := as(t, h, h.Key), as(t, h, "")
	box := c.running(`{"handle":"box"}`).Computer
	var made struct {
		Share struct {
			ID  string
			URL string `json:"share_url"`
		}
	}
	c.do("POST", "/v1/computers/box/shares/links", nil).is(201).into(&made)
	token := made.Share.URL[strings.LastIndex(made.Share.URL, "/")+1:]
	nobody.do("GET", "/v1/shares/"+token, nil).is(200)
	var redeemed struct{ Session accessSession }
	nobody.do("POST", "/v1/shares/"+token+"/access-sessions", nil).is(201).into(&redeemed)
	if s := redeemed.Session; s.Kind != "browser" || s.ComputerID != box.ID {
		t.Fatalf("%+v", s)
	}
	nobody.do("POST", "/v1/shares/"+token+"/access-sessions", `{"kind":"vnc"}`).fails(403, "forbidden", "does not allow vnc")
	nobody.do("POST", "/v1/shares/"+token+"/access-sessions", `{"kind":"exec"}`).fails(403, "forbidden", "does not allow exec")
	client := browser(t, h)
	resp, body := fetch(t, client, "GET", made.Share.URL)
	if resp.StatusCode != 200 || !strings.Contains(body, "<form") {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if resp, _ := fetch(t, client, "POST", made.Share.URL); resp.StatusCode != 303 || !strings.Contains(resp.Header.Get("Location"), "/c/"+box.ID+"?access_token=bxs_") {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	port, _ := app(t)
	at := c.published(port, "private")
	if resp, _ := fetch(t, client, "GET", at, "Authorization", "Bearer "+redeemed.Session.ConnectToken); resp.StatusCode != 200 {
		t.Fatalf("%s", resp.Status)
	}
	c.do("DELETE", "/v1/computers/box/shares/links/"+made.Share.ID, nil).is(204)
	c.do("DELETE", "/v1/computers/box/shares/links/"+made.Share.ID, nil).is(204)
	if resp, _ := fetch(t, client, "GET", at, "Authorization", "Bearer "+redeemed.Session.ConnectToken); resp.StatusCode != 401 {
		t.Fatalf("a session outlives its share: %s", resp.Status)
	}
	nobody.do("GET", "/v1/shares/"+token, nil).fails(404, "not_found", "Share not found")
	nobody.do("POST", "/v1/shares/"+token+"/access-sessions", nil).fails(404, "not_found", "Share not found")
	if resp, _ := fetch(t, client, "GET", made.Share.URL); resp.StatusCode != 404 {
		t.Errorf("%s", resp.Status)
	}
	var list json.RawMessage
	if c.do("GET", "/v1/computers/box/shares", nil).is(200).into(&list); string(list) != `{"shares":[]}` {
		t.Errorf("%s", list)
	}
	c.do("POST", "/v1/computers/box/shares/links", `{"allow_browser":false}`).fails(400, "invalid_request", "must allow")
	c.do("POST", "/v1/computers/box/shares/links", `{"expires_at":"2020-01-01T00:00:00Z"}`).fails(400, "invalid_request", "expires_at must be in the future")
}
