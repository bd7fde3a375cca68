package state

import (
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// TestSecretsAreReplacedAndDropped does each twice, which is success.
func TestSecretsAreReplacedAndDropped(t *testing.T) {
	f := newFixture(t)
	const name = "certificate/a.test"
	for range 2 {
		for _, sealed := range []string{"one", "two"} {
			for range 2 {
				f.do(ReplaceSecret{Secret{Name: name, Sealed: []byte(sealed)}})
				if s, ok, err := f.view().Secret(name); err != nil || !ok || string(s.Sealed) != sealed {
					t.Fatalf("%+v, %v, %v; want %s", s, ok, err, sealed)
				}
			}
		}
		for range 2 {
			f.do(DropSecret{name})
			if _, ok, err := f.view().Secret(name); ok || err != nil {
				t.Fatalf("it is still there: %v", err)
			}
		}
	}
	for _, s := range []Secret{{Name: "x"}, {Sealed: []byte("x")}, {strings.Repeat("x", MaxSecretName+1), []byte("x")}, {"x", make([]byte, MaxSecretBytes+1)}} {
		if r := f.by(n1, ReplaceSecret{s}); r.Fault == nil || r.Fault.Kind != fault.Invalid {
			t.Errorf("a name of %d and %d bytes: %+v", len(s.Name), len(s.Sealed), r)
		}
	}
}
