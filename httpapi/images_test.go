package httpapi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
	"github.com/bothy-computer/bothy/runtime"
)

// brings imports an archive under a name, and more of a query.
func (c *caller) brings(query, archive string) *reply {
	c.t.Helper()
	return c.do("POST", "/v1/computer-images/import?"+query, archive, "Content-Type", "application/octet-stream")
}

// images lists what the account can use, by name.
func (c *caller) images() map[string]wire.Image {
	c.t.Helper()
	var all wire.Images
	c.do("GET", "/v1/computer-images", nil).is(200).into(&all)
	byName := map[string]wire.Image{}
	for _, i := range all.Images {
		byName[i.DisplayName] = i
	}
	return byName
}

func TestAnImportedImageIsUsedExportedAndDeleted(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	_, key := h.NewAccount("rival", 10_000_000)
	rival := as(t, h, key)
	var made wire.OneImage
	c.brings("name=tools:1", "an archive").is(201).into(&made)
	i := made.Image
	if i.DisplayName != "tools:1" || i.Status != "active" || !strings.HasPrefix(i.Digest, "sha256:") || i.SizeBytes != 10 {
		t.Fatalf("%+v", i)
	}
	if c.images()["tools:1"] != i || rival.images()["tools:1"].ID != "" {
		t.Errorf("listed: %+v; by another account: %+v", c.images(), rival.images())
	}
	for n, name := range []string{i.ID, "tools:1", i.Digest} {
		a := c.running(`{"source":{"kind":"image","image_id":"` + name + `"},"handle":"box` + string(rune('a'+n)) + `"}`)
		if got := h.Computer(a.Computer.ID).Image; got != i.Digest {
			t.Errorf("by %s it is made of %s", name, got)
		}
	}
	for _, name := range []string{i.ID, i.Digest} {
		rival.do("POST", "/v1/computers", `{"source":{"kind":"image","image_id":"`+name+`"}}`).fails(404, "not_found", "Image not found")
	}
	if body := c.do("GET", "/v1/computer-images/"+i.ID+"/archive", nil).is(200); string(body.body) != "an archive" || body.header.Get("Content-Type") != "application/x-tar" {
		t.Errorf("exported: %q, %v", body.body, body.header)
	}
	rival.do("GET", "/v1/computer-images/"+i.ID+"/archive", nil).fails(404, "not_found", "Image not found")
	rival.do("DELETE", "/v1/computer-images/"+i.ID, nil).fails(404, "not_found", "Image not found")
	c.do("GET", "/v1/computer-images/host/archive", nil).fails(409, "conflict", "own files (host)")
	c.do("DELETE", "/v1/computer-images/"+i.ID, nil).fails(409, "conflict", "is made of image tools:1")
	for _, handle := range []string{"boxa", "boxb", "boxc"} {
		var gone asked
		c.do("DELETE", "/v1/computers/"+handle, nil).is(202).into(&gone)
		c.ended(gone)
	}
	c.do("DELETE", "/v1/computer-images/tools:1", nil).is(204)
	c.do("GET", "/v1/computer-images/"+i.ID, nil).fails(404, "not_found", "Image not found")
	c.do("DELETE", "/v1/computer-images/host", nil).fails(409, "conflict", "made by every node")
}

func TestASharedImageIsEverybodys(t *testing.T) {
	h := doortest.Open(t)
	c, admin := as(t, h, h.FullKey()), as(t, h, h.AdminKey)
	c.brings("name=base&shared=true", "x").fails(403, "forbidden", "admin key")
	admin.brings("name=base&shared=true", "x").is(201)
	shared := c.images()["base"]
	if !shared.Shared || shared.Status != "active" {
		t.Fatalf("%+v", shared)
	}
	c.brings("name=base", "my own").is(201)
	var one wire.OneImage
	c.do("GET", "/v1/computer-images/base", nil).is(200).into(&one)
	if one.Image.Shared || one.Image.SizeBytes != 6 {
		t.Errorf("its own comes first: %+v", one)
	}
	c.do("DELETE", "/v1/computer-images/"+shared.ID, nil).fails(403, "forbidden", "another account")
	admin.do("DELETE", "/v1/computer-images/"+shared.ID, nil).is(204)
}

func TestWhatIsNoImageIsRefused(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	c.brings("name=taken", "x").is(201)
	c.brings("name=taken", "y").fails(409, "image_exists", "taken already")
	for query, says := range map[string]string{
		"": "Missing required field: name", "name=host": "every node makes", "name=testbase-base": "something else",
		"name=env-" + strings.Repeat("a", 21) + ":0123456789ab": "something else", "name=sha256:00": "something else", "name=img_x": "something else", "name=a%20b": "letters",
		"name=" + strings.Repeat("n", 129): "128", "name=x&shared=perhaps": "shared must be",
	} {
		c.brings(query, "x").fails(400, "invalid_request", says)
	}
	c.brings("name=empty", "").fails(400, "invalid_request", "")
}

// An environment stands on an image by its name, in either place that names one.
func TestAnEnvironmentStandsOnAnImportedImage(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	c.brings("name=tools", "x").is(201)
	var made struct{ Environment wire.Environment }
	c.do("POST", "/v1/environments", `{"name":"e","baseImage":"tools","dockerfileExtensions":"COPY --from=tools /a /b"}`).is(201).into(&made)
	var checked wire.CheckedDockerfile
	path := "/v1/environments/" + made.Environment.ID + "/dockerfile/validate"
	c.do("POST", path, `{}`).is(200).into(&checked)
	if !checked.Valid {
		t.Errorf("%+v", checked)
	}
	c.do("POST", path, `{"dockerfileExtensions":"COPY --from=toolz /a /b"}`).is(200).into(&checked)
	if checked.Valid || !strings.Contains(strings.Join(checked.Errors, "\n"), "no image toolz") {
		t.Errorf("%+v", checked)
	}
}

func TestAnImageIsPulledWithTheAccountsCredentials(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	_, key := h.NewAccount("rival", 10_000_000)
	rival := as(t, h, key)
	asked := make(chan runtime.Pull, 16)
	h.Driver.PlayPulls(func(_ context.Context, p runtime.Pull) ([]byte, error) {
		asked <- p
		if p.Password != "s3cret" {
			return nil, fmt.Errorf("%w: the registry refuses", runtime.ErrInvalid)
		}
		return []byte("pulled"), nil
	})
	for range 2 {
		reply := c.do("PUT", "/v1/registries/Registry.example.org:5000", `{"username":"ann","password":"s3cret"}`).is(200)
		if strings.Contains(string(reply.body), "s3cret") || !strings.Contains(string(reply.body), `"host":"registry.example.org:5000"`) {
			t.Errorf("%s", reply.body)
		}
	}
	list := c.do("GET", "/v1/registries", nil).is(200)
	if strings.Count(string(list.body), "ann") != 1 || strings.Contains(string(list.body), "s3cret") {
		t.Errorf("%s", list.body)
	}
	pull := func(c *caller) wire.Image {
		t.Helper()
		var one wire.OneImage
		c.do("POST", "/v1/computer-images", `{"reference":"registry.example.org:5000/team/app:1"}`).is(202).into(&one)
		if s := one.Image.Status; s != "pulling" && s != "active" || one.Image.DisplayName != "registry.example.org:5000/team/app:1" {
			t.Errorf("%+v", one.Image)
		}
		c.do("GET", "/v1/computer-images/"+one.Image.ID+"?wait_seconds=20", nil).is(200).into(&one)
		return one.Image
	}
	mine := pull(c)
	if mine.Status != "active" || mine.Digest == "" || mine.Reference != "registry.example.org:5000/team/app:1" {
		t.Errorf("%+v", mine)
	}
	if p := <-asked; p.User != "ann" || p.Owner != string(h.Account.ID) || p.Reference != mine.Reference {
		t.Errorf("pulled as %+v", p)
	}
	theirs := pull(rival)
	if theirs.Status != "failed" || !strings.Contains(theirs.FailureReason, "the registry refuses") {
		t.Errorf("another account's: %+v", theirs)
	}
	if p := <-asked; p.User != "" || p.Password != "" {
		t.Errorf("as another account: %+v", p)
	}
	rival.do("POST", "/v1/computers", `{"source":{"kind":"image","image_id":"`+theirs.ID+`"}}`).fails(409, "conflict", "failed")
	c.running(`{"source":{"kind":"image","image_id":"` + mine.ID + `"}}`)
	c.do("DELETE", "/v1/registries/registry.example.org:5000", nil).is(204)
	c.do("GET", "/v1/registries/registry.example.org:5000", nil).fails(404, "not_found", "Registry not found")
}

func TestRegistriesAndReferencesThatAreNone(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.FullKey())
	for body, says := range map[string]string{
		`{"username":"","password":"x"}`: "username", `{"username":"a:b","password":"x"}`: "colon", `{"username":"a","password":""}`: "password",
		`{"username":"a","password":"x\ny"}`: "one line",
	} {
		c.do("PUT", "/v1/registries/ghcr.io", body).fails(400, "invalid_request", says)
	}
	c.do("PUT", "/v1/registries/no%20host", `{"username":"a","password":"x"}`).fails(400, "invalid_request", "no registry")
	for body, says := range map[string]string{
		`{}`: "Missing required field: reference", `{"reference":"UPPER/Case"}`: "no reference", `{"reference":"host"}`: "every node makes",
		`{"reference":"x:1","shared":true}`: "admin key",
	} {
		status := 400
		if strings.Contains(body, "shared") {
			status = 403
		}
		r := c.do("POST", "/v1/computer-images", body).is(status)
		if !strings.Contains(string(r.body), says) {
			t.Errorf("%s: %s", body, r.body)
		}
	}
	c.do("GET", "/v1/computer-images/host?wait_seconds=61", nil).fails(400, "invalid_request", "0 to 60")
}
