package client_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestFilesOfAnEnvironment(t *testing.T) {
	h := doortest.Open(t)
	c := open(t, h, h.Key)
	env, err := c.Environments().Create(t.Context(), wire.WriteEnvironment{Name: wire.Some("e")})
	if err != nil {
		t.Fatal(err)
	}
	files := c.Environments().Files(env.ID)
	const name = "d/a b#c%20?.txt"
	done, err := files.Upload(t.Context(), name, strings.NewReader("hello"))
	if err != nil || !done.Success || done.Path != name || done.Size != 5 {
		t.Fatalf("%+v, %v", done, err)
	}
	body, err := files.Download(t.Context(), "/"+name)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(body); err != nil || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	if err := body.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(files.Mkdir(t.Context(), "x/y"), files.Move(t.Context(), name, "x/y/z")); err != nil {
		t.Fatal(err)
	}
	list, err := files.List(t.Context(), "", true)
	if err != nil || len(list.Data) != 4 || list.Data[3].Path != "x/y/z" {
		t.Fatalf("%+v, %v", list, err)
	}
	if list, err = files.List(t.Context(), "x", false); err != nil || len(list.Data) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := files.Remove(t.Context(), "x", false); !fault.Is(err, fault.Invalid) {
		t.Fatal(err)
	}
	if err := files.Remove(t.Context(), "x", true); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	if _, err = files.Upload(t.Context(), "half", io.MultiReader(strings.NewReader("half"), failing{gone})); err == nil {
		t.Fatal("half a file was taken")
	}
	if _, err = files.Download(t.Context(), "half"); !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
