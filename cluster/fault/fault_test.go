package fault

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"
)

func TestOf(t *testing.T) {
	tests := map[string]struct {
		err  error
		want Kind
	}{
		"as made":           {New(Moved, "gone"), Moved},
		"wrapped":           {fmt.Errorf("read: %w", New(NotFound, "none")), NotFound},
		"joined":            {errors.Join(io.EOF, New(Full, "disk")), Full},
		"nobody classified": {io.EOF, Internal},
		"the outer wins":    {New(Unavailable, "later: %w", New(Conflict, "busy")), Unavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Of(tt.err); got != tt.want {
				t.Fatalf("%s; want %s", got, tt.want)
			}
			for _, k := range Kinds() {
				if Is(tt.err, k) != (k == tt.want) {
					t.Errorf("Is %s: %v", k, !(k == tt.want))
				}
			}
		})
	}
	if Is(nil, Internal) {
		t.Error("no error is of a kind")
	}
}

func TestNewKeepsItsCause(t *testing.T) {
	err := New(Invalid, "read body: %w", io.ErrUnexpectedEOF).WithCode("BAD").WithField("body").WithRetry(time.Second)
	if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != "read body: unexpected EOF" {
		t.Fatalf("%v", err)
	}
	if err.Code != "BAD" || err.Field != "body" || err.RetryAfter != time.Second {
		t.Fatalf("%+v", err)
	}
	if errors.Is(New(Invalid, "read body: %v", io.EOF), io.EOF) {
		t.Fatal("percent v keeps a cause")
	}
}

func TestKindsAreDistinct(t *testing.T) {
	kinds := Kinds()
	slices.Sort(kinds)
	if len(slices.Compact(kinds)) != len(Kinds()) || slices.Contains(kinds, "") {
		t.Fatalf("%q", Kinds())
	}
}
