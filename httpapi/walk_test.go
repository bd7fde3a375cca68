package httpapi_test

import (
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// walked is what is known of one endpoint: a request that succeeds and how, and
// what it refuses. Paths hold the names of things that scene makes.
type walked struct {
	path   string // with {names} of the scene
	body   string
	status int
	bad    string // a body that is refused with 400; "" takes none
	public bool   // needs no key
	kind   string // of the body; "" is JSON
	mine   bool   // is about the caller's own account, so nobody else's is asked for
	wrong  string // a path in which the thing is in a state that refuses it, with 409
}

// oneFile is a form with one file.
const (
	oneFile     = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"c.txt\"\r\n\r\nhello\r\n--b--\r\n"
	oneFileKind = "multipart/form-data; boundary=b"
)

// walk lists every endpoint of the dialects under /v1 alone, in an order in
// which each can succeed.
var walk = map[string]walked{
	"GET /me":                                          {path: "/me", status: 200, mine: true},
	"GET /ssh-keys":                                    {path: "/ssh-keys", status: 200, mine: true},
	"POST /ssh-keys":                                   {path: "/ssh-keys", body: `{"public_key":"` + anotherKey + `"}`, status: 201, bad: `{"public_key":"ssh-nothing"}`, mine: true},
	"DELETE /ssh-keys/{key}":                           {path: "/ssh-keys/{key}", status: 204},
	"GET /computer-images":                             {path: "/computer-images", status: 200, mine: true},
	"GET /computer-images/{image}":                     {path: "/computer-images/{image}", status: 200},
	"POST /computer-images":                            {path: "/computer-images", body: `{"reference":"registry.example.org/app:1"}`, status: 202, bad: `{"reference":"A b"}`, mine: true},
	"GET /registries":                                  {path: "/registries", status: 200, mine: true},
	"GET /registries/{registry}":                       {path: "/registries/ghcr.io", status: 200},
	"PUT /registries/{registry}":                       {path: "/registries/quay.io", body: `{"username":"ann","password":"secret"}`, status: 200, bad: `{"username":"ann"}`, mine: true},
	"DELETE /registries/{registry}":                    {path: "/registries/ghcr.io", status: 204},
	"POST /computer-images/import":                     {path: "/computer-images/import?name=new", body: "an archive", status: 201, mine: true, kind: "application/octet-stream"},
	"GET /computer-images/{image}/archive":             {path: "/computer-images/{image}/archive", status: 200, wrong: "/computer-images/host/archive"},
	"DELETE /computer-images/{image}":                  {path: "/computer-images/{image}", status: 204, wrong: "/computer-images/host"},
	"GET /computer-size-presets":                       {path: "/computer-size-presets", status: 200, public: true},
	"POST /computer-capacity/check":                    {path: "/computer-capacity/check", body: `{}`, status: 200, bad: `{"size_preset":"x"}`, mine: true},
	"GET /computers":                                   {path: "/computers", status: 200, mine: true},
	"POST /computers":                                  {path: "/computers", body: `{}`, status: 202, bad: `{"handle":"-"}`, mine: true},
	"GET /computers/{id}":                              {path: "/computers/box", status: 200},
	"PATCH /computers/{id}":                            {path: "/computers/box", body: `{"display_name":"x"}`, status: 200, bad: `{"display_name":5}`},
	"DELETE /computers/{id}":                           {path: "/computers/doomed", status: 202, wrong: "/computers/{environment}"},
	"POST /computers/{id}/actions/start":               {path: "/computers/box/actions/start", status: 202, wrong: "/computers/{leaving}/actions/start"},
	"POST /computers/{id}/actions/stop":                {path: "/computers/spare/actions/stop", status: 202, wrong: "/computers/{leaving}/actions/stop"},
	"POST /computers/{id}/actions/ensure-ready":        {path: "/computers/box/actions/ensure-ready", status: 202, wrong: "/computers/{leaving}/actions/ensure-ready"},
	"POST /computers/{id}/actions/resize":              {path: "/computers/box/actions/resize", body: `{"size_preset":"ram-4g"}`, status: 202, bad: `{"requested_memory_mib":1}`, wrong: "/computers/{leaving}/actions/resize"},
	"POST /computers/{id}/actions/save":                {path: "/computers/box/actions/save", status: 200, wrong: "/computers/{leaving}/actions/save"},
	"POST /computers/{id}/actions/recover":             {path: "/computers/box/actions/recover", body: `{"from":"save"}`, status: 409, bad: `{"from":"nothing"}`}, // its node is there
	"POST /computers/{id}/actions/transfer":            {path: "/computers/gift/actions/transfer", body: `{"target_org_id":"{rival}"}`, status: 200, bad: `{"target_org_id":"?"}`, wrong: "/computers/{environment}/actions/transfer"},
	"POST /computers/{id}/exec":                        {path: "/computers/box/exec", body: `{"command":["true"]}`, status: 200, bad: `{"command":"true"}`, wrong: "/computers/stopped/exec"},
	"POST /computers/{id}/files/ops":                   {path: "/computers/box/files/ops", body: `{"operation":"list"}`, status: 200, bad: `{"operation":"fly"}`},
	"GET /computers/{id}/files/archive":                {path: "/computers/box/files/archive", status: 200},
	"POST /computers/{id}/files/archive":               {path: "/computers/box/files/archive", body: emptyTar, status: 200, bad: `{"no":"archive"}`},
	"GET /computers/{id}/connection":                   {path: "/computers/box/connection", status: 200},
	"POST /computers/{id}/access-sessions":             {path: "/computers/box/access-sessions", body: `{"kind":"browser"}`, status: 201, bad: `{"kind":"door"}`, wrong: "/computers/stopped/access-sessions"},
	"GET /computers/{id}/access-sessions/{session}":    {path: "/computers/box/access-sessions/{session}", status: 200},
	"DELETE /computers/{id}/access-sessions/{session}": {path: "/computers/box/access-sessions/{session}", status: 204},
	"POST /computers/{id}/ssh/certificates":            {path: "/computers/box/ssh/certificates", body: `{"ssh_key_id":"{key}"}`, status: 201, bad: `{"ssh_key_id":5}`},
	"POST /computers/{id}/ssh-credentials":             {path: "/computers/box/ssh-credentials", body: `{}`, status: 201, bad: `{"ttl_seconds":0}`},
	"GET /computers/{id}/shares":                       {path: "/computers/box/shares", status: 200},
	"POST /computers/{id}/shares/links":                {path: "/computers/box/shares/links", body: `{"allow_browser":true}`, status: 201, bad: `{"expires_at":"yesterday"}`},
	"DELETE /computers/{id}/shares/links/{share}":      {path: "/computers/box/shares/links/{share}", status: 204},
	"GET /shares/{token}":                              {path: "/shares/{token}", status: 200, public: true},
	"POST /shares/{token}/access-sessions":             {path: "/shares/{token}/access-sessions", status: 201, bad: `{"kind":5}`, public: true},
	"GET /computers/{id}/ports":                        {path: "/computers/box/ports", status: 200},
	"POST /computers/{id}/ports":                       {path: "/computers/box/ports", body: `{"port":3000}`, status: 202, bad: `{"port":0}`},
	"DELETE /computers/{id}/ports/{port}":              {path: "/computers/box/ports/8080", status: 202},
	"GET /computers/{id}/snapshots":                    {path: "/computers/box/snapshots", status: 200},
	"POST /computers/{id}/snapshots":                   {path: "/computers/box/snapshots", status: 202, wrong: "/computers/{environment}/snapshots"},
	"GET /snapshots/{snapshot}":                        {path: "/snapshots/{snapshot}", status: 200},
	"POST /snapshots/{snapshot}/restore":               {path: "/snapshots/{snapshot}/restore", body: `{}`, status: 202, bad: `{"handle":"-"}`},
	"DELETE /snapshots/{snapshot}":                     {path: "/snapshots/{snapshot}", status: 202},
	"GET /usage":                                       {path: "/usage", status: 200, mine: true},
	"GET /computers/{id}/usage":                        {path: "/computers/box/usage", status: 200},
	"PATCH /billing/preferences":                       {path: "/billing/preferences", body: preferences, status: 200, bad: `{"auto_reload_enabled":1}`, mine: true},
	"GET /status/uptime":                               {path: "/status/uptime", status: 200, public: true},
	"GET /operations/{operation}":                      {path: "/operations/{operation}", status: 200},
	"GET /agent-computers":                             {path: "/agent-computers", status: 200, mine: true},
	"POST /agent-computers":                            {path: "/agent-computers", body: `{}`, status: 201, bad: `{"name":5}`, mine: true},
	"GET /agent-computers/{id}":                        {path: "/agent-computers/{agent}", status: 200},
	"PATCH /agent-computers/{id}":                      {path: "/agent-computers/{agent}", body: `{"name":"x"}`, status: 200, bad: `{"name":5}`},
	"DELETE /agent-computers/{id}":                     {path: "/agent-computers/{agent}", status: 204},
	"POST /files":                                      {path: "/files", body: `{"filename":"a.txt"}`, status: 201, bad: `{"filename":"a/b"}`, mine: true},
	"PUT /uploads/{token}":                             {path: "/uploads/{upload}", body: "hello", kind: "application/octet-stream", status: 200, public: true},
	"GET /workspaces/{id}/artifacts":                   {path: "/workspaces/{workspace}/artifacts", status: 200},
	"POST /workspaces/{id}/artifacts":                  {path: "/workspaces/{workspace}/artifacts", body: oneFile, kind: oneFileKind, status: 201},
	"DELETE /workspaces/{id}/artifacts":                {path: "/workspaces/{bare}/artifacts", status: 204},
	"POST /workspaces/{id}/artifacts/upload-url":       {path: "/workspaces/{workspace}/artifacts/upload-url", body: `{"filename":"b.txt"}`, status: 200, bad: `{"filename":5}`},
	"GET /workspaces/{id}/artifacts/{filename}":        {path: "/workspaces/{workspace}/artifacts/a.txt", status: 200},
	"DELETE /workspaces/{id}/artifacts/{filename}":     {path: "/workspaces/{workspace}/artifacts/b.txt", status: 204},
	"GET /webhooks":                                    {path: "/webhooks", status: 200, mine: true},
	"POST /webhooks":                                   {path: "/webhooks", body: `{"url":"https://example.org/new","events":["task.failed"]}`, status: 201, bad: `{"url":5}`, mine: true},
	"GET /webhooks/public_key":                         {path: "/webhooks/public_key", status: 200, mine: true},
	"GET /webhooks/{id}":                               {path: "/webhooks/{hook}", status: 200},
	"DELETE /webhooks/{id}":                            {path: "/webhooks/{hook}", status: 200},
	"GET /tasks":                                       {path: "/tasks", status: 200, mine: true},
	"POST /tasks":                                      {path: "/tasks", body: `{"prompt":"hello"}`, status: 201, bad: `{"prompt":5}`, mine: true},
	"GET /tasks/{id}":                                  {path: "/tasks/{task}", status: 200},
	"GET /tasks/{id}/content":                          {path: "/tasks/{task}/content", status: 200},
	"GET /tasks/{id}/events":                           {path: "/tasks/{task}/events", status: 200},
	"POST /tasks/{id}/prompts":                         {path: "/tasks/{task}/prompts", body: `{"prompt":"more"}`, status: 201, bad: `{}`},
	"POST /tasks/{id}/cancel":                          {path: "/tasks/{task}/cancel", status: 200},
	"PATCH /tasks/{id}/visibility":                     {path: "/tasks/{task}/visibility", body: `{"visibility":"shared"}`, status: 200, bad: `{"visibility":"odd"}`},
	"DELETE /tasks/{id}":                               {path: "/tasks/{task}", status: 204},
}

// emptyTar is an archive with nothing in it.
var emptyTar = strings.Repeat("\x00", 1024)

const (
	preferences = `{"auto_reload_enabled":false,"balance_threshold_cents":0,"monthly_spend_limit_cents":null,"reload_amount_cents":0}`
	oneKey      = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	anotherKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA"
)

// scene makes what the endpoints are about and returns its names.
func scene(t *testing.T, h *doortest.House, c *caller) map[string]string {
	t.Helper()
	rival, _ := h.NewAccount("heir", 10_000_000)
	names := map[string]string{"rival": string(rival.ID)}
	for _, handle := range []string{"box", "doomed", "spare", "gift", "stopped"} {
		made := c.running(`{"handle":"` + handle + `"}`)
		names["operation"] = made.Operation.ID
	}
	var step asked
	c.do("POST", "/v1/computers/stopped/actions/stop", nil).is(202).into(&step)
	c.ended(step)
	names["leaving"] = leaving(t, h, c)
	var env struct{ Environment struct{ ComputerID string } }
	c.do("GET", "/v1/environments/default", nil).is(200).into(&env)
	var list struct{ Computers []struct{ ID, Handle string } }
	c.do("GET", "/v1/computers", nil).is(200).into(&list)
	for _, one := range list.Computers {
		if one.ID == one.Handle {
			names["environment"] = one.ID
		}
	}
	names["session"] = c.session("box", `{"kind":"browser"}`).ID
	var key struct {
		Key struct{ ID string } `json:"ssh_key"`
	}
	c.do("POST", "/v1/ssh-keys", `{"public_key":"`+oneKey+`"}`).is(201).into(&key)
	names["key"] = key.Key.ID
	var share struct {
		Share struct {
			ID  string
			URL string `json:"share_url"`
		}
	}
	c.do("POST", "/v1/computers/box/shares/links", `{"allow_browser":true}`).is(201).into(&share)
	names["share"], names["token"] = share.Share.ID, share.Share.URL[strings.LastIndex(share.Share.URL, "/")+1:]
	c.do("POST", "/v1/computers/box/ports", `{"port":8080}`).is(202)
	var snap snapshotAsked
	c.do("POST", "/v1/computers/box/snapshots", nil).is(202).into(&snap)
	c.ended(snap.asked)
	names["snapshot"] = snap.Snapshot.ID
	var brought wire.OneImage
	c.do("POST", "/v1/computer-images/import?name=tools", "the archive of tools", "Content-Type", "application/octet-stream").is(201).into(&brought)
	names["image"] = brought.Image.ID
	c.do("PUT", "/v1/registries/ghcr.io", `{"username":"ann","password":"secret"}`).is(200)
	var agent rebyteComputer
	c.do("POST", "/v1/agent-computers", `{}`).is(201).into(&agent)
	names["agent"] = agent.ID
	var made task
	c.do("POST", "/v1/tasks", `{"prompt":"hello"}`).is(201).into(&made)
	names["task"] = made.ID
	c.do("POST", "/v1/agent-computers", `{}`).is(201).into(&agent)
	names["workspace"] = agent.ID
	c.do("POST", "/v1/agent-computers", `{}`).is(201).into(&agent)
	names["bare"] = agent.ID
	for _, name := range []string{"a.txt", "b.txt"} {
		var place struct{ UploadURL string }
		c.do("POST", "/v1/workspaces/"+names["workspace"]+"/artifacts/upload-url", `{"filename":"`+name+`"}`).is(200).into(&place)
		c.do("PUT", strings.TrimPrefix(place.UploadURL, h.URL), "hello", "Content-Type", "application/octet-stream").is(200)
		names["upload"] = place.UploadURL[strings.LastIndex(place.UploadURL, "/")+1:]
	}
	var hook webhook
	c.do("POST", "/v1/webhooks", `{"url":"https://example.org/hook","events":["task.failed"]}`).is(201).into(&hook)
	names["hook"] = hook.ID
	return names
}

// leaving is a computer that is being deleted until the test ends.
func leaving(t *testing.T, h *doortest.House, c *caller) string {
	t.Helper()
	id := c.running(`{"handle":"leaving"}`).Computer.ID
	held := make(chan struct{})
	t.Cleanup(func() { close(held) })
	h.Driver.Script().Add(fake.Rule{Op: fake.Remove, ID: runtime.ID(id), Hold: held})
	c.do("DELETE", "/v1/computers/leaving", nil).is(202)
	return id
}

func named(text string, names map[string]string) string {
	for name, value := range names {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

// TestEveryEndpointIsWalked asks every endpoint of the two dialects for a
// success, with a wrong key, as another account, with a bad body, and of a
// thing in the wrong state.
func TestEveryEndpointIsWalked(t *testing.T) {
	for template, item := range loaded(t).Paths.Map() {
		if len(item.Servers) == 0 || strings.HasPrefix(template, "/admin/") {
			continue
		}
		for method := range item.Operations() {
			if _, ok := walk[method+" "+template]; !ok {
				t.Errorf("%s %s is not walked", method, template)
			}
			if needsNoKey(item.GetOperation(method)) != walk[method+" "+template].public {
				t.Errorf("%s %s: who needs no key is documented otherwise", method, template)
			}
		}
	}
	h := doortest.Open(t, withSSH())
	h.Driver.World().SetStore("bucket")
	mine := as(t, h, h.FullKey())
	_, key := h.NewAccount("rival", 10_000_000)
	names := scene(t, h, mine)
	// What refuses comes first, since some of what succeeds removes things.
	for endpoint, w := range walk {
		t.Run(endpoint, func(t *testing.T) { refusals(t, h, endpoint, w, names, key) })
	}
	for _, method := range []string{"GET", "PATCH", "POST", "PUT", "DELETE"} {
		for endpoint, w := range walk {
			if strings.HasPrefix(endpoint, method+" ") {
				t.Run(endpoint+" succeeds", func(t *testing.T) {
					c := as(t, h, mine.key)
					if w.public {
						c.key = ""
					}
					c.do(method, "/v1"+named(w.path, names), filled(w.body, names), w.headers()...).is(w.status)
				})
			}
		}
	}
}

func (w walked) headers() []string {
	if w.kind == "" {
		return nil
	}
	return []string{"Content-Type", w.kind}
}

func needsNoKey(op *openapi3.Operation) bool { return op.Security != nil && len(*op.Security) == 0 }

func filled(body string, names map[string]string) any {
	if body == "" {
		return nil
	}
	return named(body, names)
}

func refusals(t *testing.T, h *doortest.House, endpoint string, w walked, names map[string]string, rival string) {
	method, _, _ := strings.Cut(endpoint, " ")
	path := "/v1" + named(w.path, names)
	own := as(t, h, h.FullKey())
	if !w.public {
		as(t, h, "ak_wrong").do(method, path, filled(w.body, names), w.headers()...).is(401)
	}
	if !w.public && !w.mine {
		as(t, h, rival).do(method, path, filled(w.body, names), w.headers()...).is(map[bool]int{true: 403, false: 404}[strings.HasSuffix(path, "/transfer")])
	}
	if w.bad != "" {
		own.do(method, path, w.bad).is(400)
		own.do(method, path, `{"malformed`).is(400)
	}
	if w.wrong != "" {
		own.do(method, "/v1"+named(w.wrong, names), filled(w.body, names)).is(409)
	}
}
