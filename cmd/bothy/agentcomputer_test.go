package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The product's own client polls operations this often and gives up after so long.
const (
	operationPoll     = 1500 * time.Millisecond
	operationPatience = 2 * time.Minute
)

// product is a client of Agent Computer as its contract describes one, and as
// strict: it goes round all nodes, takes only what the contract has, and reads
// every field that it must.
type product struct {
	t     *testing.T
	nodes []*process
	turn  int
	key   string
}

// object is a piece of JSON that is read field by field.
type object map[string]any

// call asks the next node and reads a reply with the one success that is
// documented. Without a key nothing of a caller is sent.
func (p *product) call(method, path, body string, want int) object {
	p.t.Helper()
	status, reply := p.try(method, path, body)
	if status != want {
		p.t.Fatalf("%s %s: %d, want %d: %v", method, path, status, want, reply)
	}
	return reply
}

func (p *product) try(method, path, body string) (int, object) {
	p.t.Helper()
	p.turn++
	node := p.nodes[p.turn%len(p.nodes)]
	req, err := http.NewRequestWithContext(p.t.Context(), method, node.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.key != "" {
		req.Header.Set("Authorization", "Bearer "+p.key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if res.StatusCode == http.StatusNoContent {
		if len(text) > 0 {
			p.t.Errorf("%s %s: 204 with a body: %s", method, path, text)
		}
		return res.StatusCode, nil
	}
	reply := object{}
	if err := json.Unmarshal(text, &reply); err != nil {
		p.t.Fatalf("%s %s: %s: %v", method, path, text, err)
	}
	if res.StatusCode >= 400 {
		failure := reply.in(p.t, "error")
		failure.has(p.t, "code:s message:s")
	}
	return res.StatusCode, reply
}

// in is an object inside.
func (o object) in(t *testing.T, key string) object {
	t.Helper()
	inner, ok := o[key].(map[string]any)
	if !ok {
		t.Fatalf("%s is %T in %v", key, o[key], o)
	}
	return inner
}

// list is the objects of an array inside.
func (o object) list(t *testing.T, key string) (all []object) {
	t.Helper()
	items, ok := o[key].([]any)
	if !ok {
		t.Fatalf("%s is %T in %v", key, o[key], o)
	}
	for _, i := range items {
		one, ok := i.(map[string]any)
		if !ok {
			t.Fatalf("%s holds a %T", key, i)
		}
		all = append(all, one)
	}
	return all
}

func (o object) text(key string) string { s, _ := o[key].(string); return s }

// has checks fields by a list of name:kind. Kinds are s text, i whole number, n
// number, b flag, t time, u URL, o object, a array; with ? the field may be null
// or absent.
func (o object) has(t *testing.T, fields string) {
	t.Helper()
	for _, field := range strings.Fields(fields) {
		name, kind, _ := strings.Cut(field, ":")
		kind, optional := strings.CutSuffix(kind, "?")
		value, there := o[name]
		if value == nil && optional {
			continue
		}
		if !there || !isKind(kind, value) {
			t.Fatalf("%s must be %s and is %v (%T) in %v", name, kind, value, value, o)
		}
	}
}

func isKind(kind string, value any) bool {
	switch text, isText := value.(string); kind {
	case "s":
		return isText
	case "t":
		_, err := time.Parse(time.RFC3339, text)
		return isText && err == nil
	case "u":
		u, err := url.Parse(text)
		return isText && err == nil && u.Scheme != "" && u.Host != ""
	case "i":
		n, ok := value.(float64)
		return ok && n == float64(int64(n))
	case "n":
		_, ok := value.(float64)
		return ok
	case "b":
		_, ok := value.(bool)
		return ok
	case "o":
		_, ok := value.(map[string]any)
		return ok
	case "a":
		_, ok := value.([]any)
		return ok
	}
	return false
}

// Fields of the contract's objects.
const (
	computerFields = "id:s handle:s display_name:s clerk_org_id:s image_id:s source_kind:s source_snapshot_id:s? size_preset:s requested_memory_mib:i " +
		"requested_storage_bytes:i state:s failure_reason:s? primary_url:u vnc_url:u viewer_access:o created_at:t updated_at:t deleted_at:t?"
	accessFields = "role:s allow_browser:b allow_ssh:b allow_vnc:b can_manage:b can_update:b can_delete:b can_manage_shares:b can_manage_ports:b can_issue_ssh_certificates:b"
	meFields     = "id:s clerk_user_id:s primary_email:s display_name:s auth_method:s active_org_id:s? computer_plan:o"
	planFields   = "access_status:s feature_id:s credit_balance:n auto_reload:o resource_limits:o"
	reloadFields = "enabled:b balance_threshold_cents:i reload_amount_cents:i monthly_reload_limit:i? monthly_spend_limit_cents:i?"
	limitFields  = "default_vcpus:n min_memory_mib:i max_memory_mib:i memory_step_mib:i min_storage_bytes:i max_storage_bytes:i storage_step_bytes:i"
	opFields     = "id:s kind:s resource_type:s resource_id:s status:s error_message:s? created_at:t updated_at:t started_at:t? completed_at:t?"
	linkFields   = "handle:s web_url:u vnc_url:u browser_available:b vnc_available:b ssh_available:b ssh_host:s? ssh_port:i? ssh_user:s?"
	portFields   = "id:s computer_id:s port:i name:s visibility:s state:s failure_reason:s? public_url:u created_at:t updated_at:t"
	shareFields  = "id:s kind:s computer_id:s allow_browser:b allow_vnc:b share_url:u? expires_at:t? last_used_at:t? revoked_at:t? created_at:t"
	sharedFields = "id:s computer_id:s computer_handle:s computer_display_name:s allow_browser:b allow_vnc:b share_url:u expires_at:t? created_at:t"
	entryFields  = "id:s computer_id:s kind:s state:s access_url:u connect_url:u connect_token:s? created_at:t expires_at:t revoked_at:t?"
	snapFields   = "id:s computer_id:s image_id:s state:s capture_scope:s runtime_state:s durable_state:s created_at:t updated_at:t"
	sshFields    = "computer_id:s computer_handle:s ssh_user:s edge_host:s edge_port:i sni:s client_private_key:s client_public_key:s client_certificate:s guest_host_public_key:s expires_at:t"
)

// computer reads a reply about a computer and waits for its operation, as the
// client's "+ wait operation, re-GET" does.
func (p *product) computer(reply object) object {
	p.t.Helper()
	c := reply.in(p.t, "computer")
	c.has(p.t, computerFields)
	c.in(p.t, "viewer_access").has(p.t, accessFields)
	p.wait(reply)
	return c
}

// wait polls an operation; an absent one is done.
func (p *product) wait(reply object) {
	p.t.Helper()
	if reply["operation"] == nil {
		return
	}
	op := reply.in(p.t, "operation")
	op.has(p.t, opFields)
	for deadline := time.Now().Add(operationPatience); ; {
		op = p.call("GET", "/v1/operations/"+op.text("id"), "", 200).in(p.t, "operation")
		op.has(p.t, opFields)
		switch op.text("status") {
		case "succeeded":
			return
		case "failed":
			p.t.Fatalf("%s failed: %v", op.text("kind"), op["error_message"])
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not end: %v", op.text("kind"), op)
		}
		select {
		case <-time.After(operationPoll):
		case <-p.t.Context().Done():
			p.t.Fatal(p.t.Context().Err())
		}
	}
}

// resolve finds a computer by an identifier the client's way: read it, and on
// any error list and match.
func (p *product) resolve(identifier string) object {
	p.t.Helper()
	if status, reply := p.try("GET", "/v1/computers/"+url.PathEscape(identifier), ""); status == 200 {
		return reply.in(p.t, "computer")
	}
	for _, c := range p.call("GET", "/v1/computers", "", 200).list(p.t, "computers") {
		if c.text("id") == identifier || c.text("handle") == identifier {
			return c
		}
	}
	p.t.Fatalf("no computer %q", identifier)
	return nil
}

// TestTheProductsClientAgainstThreeNodes plays the calls that Agent Computer's
// own command line makes.
func TestTheProductsClientAgainstThreeNodes(t *testing.T) {
	t.Parallel()
	nodes := launch(t, "n1", "n2", "n3")
	p := &product{t: t, nodes: nodes, key: nodes[0].key()}

	// login, whoami
	me := p.call("GET", "/v1/me", "", 200)
	me.has(t, meFields)
	plan := me.in(t, "computer_plan")
	plan.has(t, planFields)
	plan.in(t, "auto_reload").has(t, reloadFields)
	plan.in(t, "resource_limits").has(t, limitFields)
	p.call("GET", "/v1/usage", "", 200).in(t, "usage").has(t, "runtime_seconds:i storage_bytes:i snapshot_storage_bytes:i updated_at:t")

	// image ls, image get
	for _, i := range p.call("GET", "/v1/computer-images", "", 200).list(t, "images") {
		i.has(t, "id:s display_name:s description:s status:s created_at:t")
	}
	p.call("GET", "/v1/computer-images/host", "", 200).in(t, "image").has(t, "id:s")

	// create, with the sizes asked for first, and without a key
	nobody := &product{t: t, nodes: nodes}
	for _, s := range nobody.call("GET", "/v1/computer-size-presets", "", 200).list(t, "presets") {
		s.has(t, "id:s label:s memory_mib:i storage_bytes:i")
	}
	made := p.computer(p.call("POST", "/v1/computers", `{"source":{"kind":"image","image_id":""},"handle":"my-box","display_name":"My Box",`+
		`"size_preset":"custom","requested_memory_mib":2048,"requested_storage_bytes":5368709120}`, 202))
	id := made.text("id")
	for _, identifier := range []string{"my-box", id} {
		if c := p.resolve(identifier); c.text("id") != id || c.text("state") != "running" {
			t.Fatalf("%s is %v", identifier, c)
		}
	}
	path := "/v1/computers/" + id

	// get: the computer and how it is reached
	p.call("GET", path+"/connection", "", 200).in(t, "connection").has(t, linkFields)

	// power-off, power-on
	for _, step := range []struct{ verb, state string }{{"stop", "stopped"}, {"start", "running"}, {"ensure-ready", "running"}} {
		p.computer(p.call("POST", path+"/actions/"+step.verb, "", 202))
		if c := p.resolve(id); c.text("state") != step.state {
			t.Fatalf("after %s it is %s", step.verb, c.text("state"))
		}
	}
	out := p.call("POST", path+"/exec", `{"command":["sh","-c","hostname; id -un"]}`, 200)
	out.has(t, "exit_code:i stdout:s stderr:s duration_ms:i")
	if out.text("stdout") != "my-box\nnode\n" {
		t.Fatalf("%q", out.text("stdout"))
	}

	// open
	session := p.call("POST", path+"/access-sessions", `{"kind":"browser"}`, 201).in(t, "session")
	session.has(t, entryFields)
	p.call("GET", path+"/access-sessions/"+session.text("id"), "", 200).in(t, "session").has(t, entryFields)
	p.call("DELETE", path+"/access-sessions/"+session.text("id"), "", 204)

	// ssh: what the proxy needs
	p.call("POST", path+"/ssh-credentials", "{}", 201).has(t, sshFields)

	p.publishes(path)
	p.shares(path, nobody)
	p.snapshots(path)

	// rm does not wait
	p.call("DELETE", path, "", 202).in(t, "computer").has(t, computerFields)
}

// publishes plays ports publish, ls and rm, and follows the URL.
func (p *product) publishes(path string) {
	p.t.Helper()
	reply := p.call("POST", path+"/ports", `{"port":3000,"name":"web"}`, 202)
	port := reply.in(p.t, "port")
	port.has(p.t, portFields)
	p.wait(reply)
	p.call("POST", path+"/exec", `{"command":["sh","-c","mkdir -p /tmp/www; echo served > /tmp/www/index.html; cd /tmp/www; setsid python3 -m http.server 3000 >/dev/null 2>&1 &"]}`, 200)
	eventually(p.t, "the port is served", startTime, func() error {
		res, err := http.Get(port.text("public_url"))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || string(text) != "served\n" {
			return fmt.Errorf("%s: %.200s: %v", res.Status, text, err)
		}
		return nil
	})
	if all := p.call("GET", path+"/ports", "", 200).list(p.t, "ports"); len(all) != 1 || all[0].text("name") != "web" {
		p.t.Fatalf("%v", all)
	}
	p.wait(p.call("DELETE", path+"/ports/3000", "", 202))
}

// shares plays shares create, ls and rm; whoever has the link needs no key.
func (p *product) shares(path string, nobody *product) {
	p.t.Helper()
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	share := p.call("POST", path+"/shares/links", `{"allow_browser":true,"allow_vnc":false,"expires_at":"`+expires+`"}`, 201).in(p.t, "share")
	share.has(p.t, shareFields)
	link := share.text("share_url")
	token := link[strings.LastIndex(link, "/")+1:]
	nobody.call("GET", "/v1/shares/"+token, "", 200).in(p.t, "share").has(p.t, sharedFields)
	nobody.call("POST", "/v1/shares/"+token+"/access-sessions", "", 201).in(p.t, "session").has(p.t, entryFields)
	for _, s := range p.call("GET", path+"/shares", "", 200).list(p.t, "shares") {
		s.has(p.t, shareFields)
	}
	p.call("DELETE", path+"/shares/links/"+share.text("id"), "", 204)
	nobody.call("GET", "/v1/shares/"+token, "", 404)
	nobody.call("POST", "/v1/shares/"+token+"/access-sessions", "", 404)
}

// snapshots plays snapshot create, ls, restore and rm.
func (p *product) snapshots(path string) {
	p.t.Helper()
	reply := p.call("POST", path+"/snapshots", "", 202)
	snap := reply.in(p.t, "snapshot")
	snap.has(p.t, snapFields)
	p.wait(reply)
	if all := p.call("GET", path+"/snapshots", "", 200).list(p.t, "snapshots"); len(all) != 1 || all[0].text("state") != "ready" {
		p.t.Fatalf("%v", all)
	}
	again := p.computer(p.call("POST", "/v1/snapshots/"+snap.text("id")+"/restore", `{"handle":"again","display_name":"Again"}`, 202))
	if c := p.resolve("again"); c.text("state") != "running" || c.text("source_kind") != "snapshot" {
		p.t.Fatalf("%v", c)
	}
	p.wait(p.call("DELETE", "/v1/snapshots/"+snap.text("id"), "", 202))
	p.call("DELETE", "/v1/computers/"+again.text("id"), "", 202)
}
