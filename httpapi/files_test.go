package httpapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/httpapi/doortest"
)

// answers checks an operation on files, to the byte.
func (c *caller) answers(path, op, want string) {
	c.t.Helper()
	if got := c.do("POST", path, op).is(200); string(got.body) != want {
		c.t.Fatalf("%s answers %s, not %s", op, got.body, want)
	}
}

func TestFilesOfAComputer(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	a := c.running(`{"handle":"box"}`)
	path := "/v1/computers/box/files/ops"
	c.answers(path, `{"operation":"write_text","path":"/home/node/workspace/notes.txt","content":"hello from the API\n","mode":420}`, `{}`)
	c.answers(path, `{"operation":"read_text","path":"/home/node/workspace/notes.txt"}`, `{"content":"hello from the API\n"}`)
	c.answers(path, `{"operation":"list","path":"/home/node/workspace","recursive":false}`,
		`{"entries":[{"path":"notes.txt","name":"notes.txt","type":"file","size_bytes":19,"mode":420}]}`)
	c.answers(path, `{"operation":"patch","path":"notes.txt","edits":[{"find":"hello","replace":"hi"}]}`, `{"version":6548529489971466418}`)
	c.answers(path, `{"operation":"grep","path":"","pattern":"API"}`, `{"matches":[{"path":"notes.txt","line":1,"match":"hi from the API"}]}`)
	c.answers(path, `{"operation":"exists","path":"nothing"}`, `{"exists":false}`)
	var out struct{ Stdout string }
	c.do("POST", "/v1/computers/box/exec", `{"command":["cat","notes.txt"]}`).is(200).into(&out)
	if out.Stdout != "hi from the API\n" {
		t.Fatalf("the computer reads %q", out.Stdout)
	}
	var stopping asked
	c.do("POST", "/v1/computers/box/actions/stop", nil).is(202).into(&stopping)
	if why := c.ended(stopping); why != "" {
		t.Fatal(why)
	}
	c.answers("/v1/computers/"+a.Computer.ID+"/files/ops", `{"operation":"move","path":"notes.txt","to":"a/b"}`, `{}`)
	c.answers(path, `{"operation":"stat","path":"a"}`, `{"stat":{"path":"a","type":"directory","mode":493}}`)
	c.do("GET", "/v1/computers/box", nil).is(200).into(&a)
	if a.Computer.State != "stopped" {
		t.Fatalf("files made it %s", a.Computer.State)
	}
}

func TestLargeFilesFit(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	c.running(`{"handle":"box"}`)
	path := "/v1/computers/box/files/ops"
	content := bytes.Repeat([]byte("0123456789abcde\xff"), 1<<20)
	body := func(content []byte) string {
		return `{"operation":"write_bytes","path":"big","content_base64":"` + base64.StdEncoding.EncodeToString(content) + `"}`
	}
	c.do("POST", path, body(content)).is(200)
	var got struct {
		Content []byte `json:"content_base64"`
	}
	c.do("POST", path, `{"operation":"read_bytes","path":"big"}`).is(200).into(&got)
	if !bytes.Equal(got.Content, content) {
		t.Fatalf("%d bytes came back", len(got.Content))
	}
	c.do("POST", path, body(append(content, 'x'))).fails(400, "invalid_request", "content_base64: it has 16777217 bytes")
	c.do("POST", path, body(bytes.Repeat(content, 2))).fails(413, "too_large", "larger than")
	c.do("POST", path, `{"operation":"write_range","path":"big","offset":16777216,"content_base64":"eA=="}`).is(200)
	c.do("POST", path, `{"operation":"read_bytes","path":"big"}`).fails(400, "invalid_request", "16777216")
}

func TestFilesAreRefused(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	c.running(`{"handle":"box"}`)
	path := "/v1/computers/box/files/ops"
	c.do("POST", path, `{"operation":"mkdir","path":"d"}`).is(200)
	for name, tt := range map[string]struct {
		op         string
		status     int
		code, says string
	}{
		"nothing":           {``, 400, "invalid_request", "empty"},
		"no operation":      {`{}`, 400, "invalid_request", "operation: "},
		"an unknown one":    {`{"operation":"chmod"}`, 400, "invalid_request", `operation: there is no "chmod"`},
		"another place":     {`{"operation":"read_text","path":"/etc/passwd"}`, 400, "invalid_request", "path: "},
		"up":                {`{"operation":"read_text","path":"/home/node/workspace/../.ssh/id"}`, 400, "invalid_request", `".."`},
		"a line break":      {`{"operation":"read_text","path":"a\nb"}`, 400, "invalid_request", "line break"},
		"a NUL":             {`{"operation":"read_text","path":"a\u0000b"}`, 400, "invalid_request", "NUL"},
		"no file":           {`{"operation":"read_text","path":"gone"}`, 404, "file_not_found", "gone"},
		"a directory":       {`{"operation":"read_text","path":"d"}`, 400, "invalid_request", "directory"},
		"not base64":        {`{"operation":"write_bytes","path":"x","content_base64":"?"}`, 400, "invalid_request", "base64"},
		"a text as mode":    {`{"operation":"write_text","path":"x","mode":"0644"}`, 400, "invalid_request", "mode must be a whole number"},
		"a mode too high":   {`{"operation":"write_text","path":"x","mode":512}`, 400, "invalid_request", "511"},
		"a taken name":      {`{"operation":"mkdir","path":"d"}`, 409, "file_exists", "d"},
		"a missing parent":  {`{"operation":"mkdir","path":"x/y"}`, 404, "file_not_found", "x/y"},
		"a directory whole": {`{"operation":"remove","path":"d"}`, 400, "invalid_request", "recursive"},
		"a negative offset": {`{"operation":"read_range","path":"x","offset":-1}`, 400, "invalid_request", "offset: it is -1"},
		"a bad pattern":     {`{"operation":"grep","pattern":"(","regex":true}`, 400, "invalid_request", "pattern: "},
	} {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			c.do("POST", path, tt.op).fails(tt.status, tt.code, tt.says)
		})
	}
	list := `{"operation":"list"}`
	c.do("POST", "/v1/computers/none/files/ops", list).fails(404, "not_found", "Computer not found")
	as(t, h, "").do("POST", path, list).fails(401, "unauthorized", "API key")
	as(t, h, h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"computers:read"}})).do("POST", path, list).
		fails(403, "forbidden", "computers:write")
	_, key := h.NewAccount("rival", 10_000_000)
	as(t, h, key).do("POST", path, list).fails(404, "not_found", "box")
	var failure struct{ Error struct{ Field string } }
	if err := json.Unmarshal(c.do("POST", path, `{"operation":"patch","path":"d","edits":[{"find":"","replace":""}]}`).body, &failure); err != nil || failure.Error.Field != "edits[0].find" {
		t.Fatalf("%+v, %v", failure, err)
	}
}
