package httpapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/bothy-computer/bothy/httpapi"
	"github.com/bothy-computer/bothy/httpapi/console"
	"github.com/bothy-computer/bothy/httpapi/doortest"
)

// document is the served OpenAPI document, loaded once.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	b, err := httpapi.Document("")
	if err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(b)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(loader.Context)
})

func loaded(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatalf("the OpenAPI document: %v", err)
	}
	return doc
}

// routeOf finds the documented operation of a request: of several that match,
// the one that says most of the path.
func routeOf(doc *openapi3.T, method, path string) (route *routers.Route, params map[string]string) {
	parts := strings.Split(strings.TrimPrefix(strings.TrimPrefix(path, "/v1"), "/"), "/")
	for template, item := range doc.Paths.Map() {
		op := item.GetOperation(method)
		found, ok := match(strings.Split(template[1:], "/"), parts)
		if op == nil || !ok || route != nil && len(found) >= len(params) {
			continue
		}
		route, params = &routers.Route{Spec: doc, Path: template, PathItem: item, Method: method, Operation: op}, found
	}
	return route, params
}

// rest names the parameters that take all that is left of a path.
var rest = map[string]bool{"{name}": true, "{path}": true}

func match(template, parts []string) (map[string]string, bool) {
	if n := len(template); rest[template[n-1]] && len(parts) > n {
		parts = append(parts[:n-1:n-1], strings.Join(parts[n-1:], "/"))
	}
	if len(template) != len(parts) {
		return nil, false
	}
	params := map[string]string{}
	for i, t := range template {
		if strings.HasPrefix(t, "{") {
			params[t[1:len(t)-1]] = parts[i]
		} else if t != parts[i] {
			return nil, false
		}
	}
	return params, true
}

// documented holds a reply, and the request if it was served, to the document.
func documented(t *testing.T, resp *http.Response, body []byte) {
	t.Helper()
	doc := loaded(t)
	route, params := routeOf(doc, resp.Request.Method, resp.Request.URL.Path)
	if route == nil {
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed && resp.StatusCode != http.StatusTooManyRequests {
			t.Errorf("%s %s is answered with %d and not documented", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode)
		}
		return
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	kind := resp.Header.Get("Content-Type")
	options.ExcludeResponseBody = !strings.HasPrefix(kind, "application/json")
	in := &openapi3filter.RequestValidationInput{Request: resp.Request, PathParams: params, Route: route, Options: options}
	if resp.StatusCode < 300 {
		req := resp.Request.Clone(t.Context())
		if resp.Request.GetBody != nil {
			again, err := resp.Request.GetBody()
			if err != nil {
				t.Fatal(err)
			}
			req.Body = again
		}
		in.Request = req
		if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
			t.Errorf("%s %s was served and is not as documented: %v", req.Method, req.URL.Path, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header,
		Body: io.NopCloser(bytes.NewReader(body)), Options: options}
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("%s %s: the reply is not as documented: %v\n%s", resp.Request.Method, resp.Request.URL.Path, err, body)
	}
}

// documentedAs holds one piece of JSON to a schema.
func documentedAs(t *testing.T, schema string, b []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	if err := loaded(t).Components.Schemas[schema].Value.VisitJSON(v); err != nil {
		t.Errorf("not a documented %s: %v\n%s", schema, err, b)
	}
}

func TestEveryRouteIsDocumentedAndEveryDocumentedRouteIsServed(t *testing.T) {
	doc := loaded(t)
	served := map[string]string{} // a route as documented, and how it is served
	for _, r := range doortest.Open(t).Server.Routes() {
		if strings.HasPrefix(r.Path, console.Prefix) {
			continue // pages for people, and what only their own scripts call
		}
		path, versioned := strings.CutPrefix(strings.Replace(r.Path, "/*", "/:", 1), "/v1")
		how := "bare"
		if versioned {
			how = "under /v1"
		}
		served[r.Method+" "+path] += how + " "
	}
	described := map[string]bool{}
	for template, item := range doc.Paths.Map() {
		want := "bare under /v1 "
		if len(item.Servers) > 0 || strings.HasPrefix(template, "/admin/") {
			want = "under /v1 "
		}
		for method := range item.Operations() {
			route := method + " " + parameter.ReplaceAllString(template, ":$1")
			described[route] = true
			if served[route] != want && served[route] != "under /v1 bare " {
				t.Errorf("%s is served %q, want %q", route, served[route], want)
			}
		}
	}
	for route := range served {
		if !described[route] {
			t.Errorf("%s is not documented", route)
		}
	}
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

func TestTheDocumentIsServedWithThePublicURL(t *testing.T) {
	h := doortest.Open(t, doortest.With(func(o *httpapi.Options) { o.PublicURL = "https://bothy.example" }))
	var doc struct {
		Servers []struct{ URL string } `json:"servers"`
	}
	as(t, h, "").do("GET", "/v1/openapi.json", nil).is(200).into(&doc)
	if len(doc.Servers) != 4 || doc.Servers[0].URL != "https://bothy.example" {
		t.Fatalf("servers %v", doc.Servers)
	}
}
