package computeragents

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// take reads contents and keeps them by their places.
func take(into map[string]string) put {
	return func(content io.Reader, place func() (actors.Place, error)) (actors.FileInfo, error) {
		b, err := io.ReadAll(content)
		if err != nil {
			return actors.FileInfo{}, err
		}
		to, err := place()
		if err != nil {
			return actors.FileInfo{}, err
		}
		into[to.Path] = string(b)
		return actors.FileInfo{Path: to.Path, SizeBytes: int64(len(b))}, nil
	}
}

func FuzzReceive(f *testing.F) {
	part := func(head, body string) string {
		return "--b\r\nContent-Disposition: " + head + "\r\n\r\n" + body + "\r\n"
	}
	f.Add(part(`form-data; name="file"; filename="app.py"`, "print(1)") + part(`form-data; name="path"`, "src") + "--b--\r\n")
	f.Add(part(`form-data; name="path"`, "src") + part(`form-data; name="file"; filename="undefined"`, "x") + "--b--\r\n")
	f.Add(part(`form-data; name="file"; filename="../../x"`, "x") + part(`form-data; name="note"`, "x") + part(`form-data; name="file"`, "y") + "--b--")
	f.Add(part(`form-data; name=file; filename*=UTF-8''a%2f..%2f..%2fb`, "x") + "--b--\r\n")
	f.Fuzz(func(t *testing.T, body string) {
		written := map[string]string{}
		got, err := receive(newForm(strings.NewReader(body), "b"), take(written))
		for name := range written {
			if clean, err := workspace.Clean(name); err != nil || clean != name || clean == "." {
				t.Fatalf("%q was written", name)
			}
		}
		var known *fault.Error
		if err != nil && (!errors.As(err, &known) || known.Kind == fault.Internal) {
			t.Fatal(err)
		}
		if err == nil && (len(got.Files) == 0 || len(got.Files)+len(got.Errors) != got.parts) {
			t.Fatalf("%+v", got)
		}
	})
}
