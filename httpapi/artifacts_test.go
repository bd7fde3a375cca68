package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
)

// put sends bytes to an address, as somebody without a key.
func (c *caller) put(url, content string, status int) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), "PUT", url, strings.NewReader(content))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != status {
		c.t.Fatalf("PUT %s is answered with %d, not %d", url, resp.StatusCode, status)
	}
}

type awaitedFile struct {
	ID        string `json:"id"`
	Filename  string `json:"filename"`
	UploadURL string `json:"uploadUrl"`
}

func TestAPromptIsGivenFiles(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var one, two awaitedFile
	c.do("POST", "/v1/files", `{"filename":"data.csv","contentType":"text/csv"}`).is(201).into(&one)
	c.do("POST", "/v1/files", `{"filename":"data.csv"}`).is(201).into(&two)
	if one.Filename == two.Filename || !strings.HasSuffix(one.Filename, ".csv") {
		t.Fatalf("%+v %+v", one, two)
	}
	given := map[string]any{"prompt": "```bash\ncat " + one.Filename + "\n```", "files": []any{one}}
	c.do("POST", "/v1/tasks", given).fails(400, "validation_error", "not uploaded")
	c.put(one.UploadURL, "a,b\n1,2\n", 200)
	var made task
	c.do("POST", "/v1/tasks", given).is(201).into(&made)
	w := c.watch(made.ID)
	if out := w.of("tool_result"); w.done.Status != "succeeded" || len(out) != 1 || !strings.Contains(*out[0].Payload.Output, "a,b\n1,2") {
		t.Fatalf("%+v", w)
	}
	c.put(two.UploadURL, "more", 200)
	c.do("POST", "/v1/tasks/"+made.ID+"/prompts", map[string]any{"prompt": "```bash\ncat " + two.Filename + "\n```", "files": []any{two}}).is(201)
	if out := c.watch(made.ID).of("tool_result"); len(out) != 1 || !strings.Contains(*out[0].Payload.Output, "more") {
		t.Fatalf("%+v", out)
	}
	_, rival := h.NewAccount("rival", 10_000_000)
	as(t, h, rival).do("POST", "/v1/tasks", given).fails(400, "validation_error", "not uploaded")
	c.put(one.UploadURL[:len(one.UploadURL)-4]+"AAAA", "x", 401)
	for _, name := range []string{"", "a/b", "..", strings.Repeat("x", 256)} {
		c.do("POST", "/v1/files", map[string]any{"filename": name}).fails(400, "validation_error", "filename")
	}
}

func TestArtifactsOfAWorkspace(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var box struct{ ID string }
	c.do("POST", "/v1/agent-computers", `{}`).is(201).into(&box)
	at := "/v1/workspaces/" + box.ID + "/artifacts"
	var list struct {
		Artifacts []struct {
			Filename, ContentType string
			Size                  int64
		}
		Total int
	}
	c.do("GET", at, nil).is(200).into(&list)
	if list.Total != 0 {
		t.Fatalf("%+v", list)
	}
	c.do("POST", at, oneFile, "Content-Type", oneFileKind).is(201)
	var place awaitedFile
	c.do("POST", at+"/upload-url", `{"filename":"page.html"}`).is(200).into(&place)
	c.put(place.UploadURL, "<p>hello", 200)
	c.do("GET", at, nil).is(200).into(&list)
	if a := list.Artifacts; list.Total != 2 || a[0].Filename != "c.txt" || a[0].Size != 5 || !strings.HasPrefix(a[1].ContentType, "text/html") {
		t.Fatalf("%+v", list)
	}
	c.do("GET", at+"/page.html", nil).is(200).says("<p>hello")
	c.do("GET", at+"/page.html", nil, "Range", "bytes=3-").is(206).says("hello")
	c.do("GET", at+"/none", nil).fails(404, "not_found", "")
	c.do("GET", at+"/..", nil).is(404)
	c.do("DELETE", at+"/c.txt", nil).is(204)
	c.do("DELETE", at+"/c.txt", nil).fails(404, "not_found", "")
	c.do("DELETE", at, nil).is(204)
	c.do("DELETE", at, nil).is(204)
	c.do("GET", at, nil).is(200).into(&list)
	if list.Total != 0 {
		t.Fatalf("%+v", list)
	}
}
