package door

import (
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

func TestParsePage(t *testing.T) {
	tests := map[string]struct {
		limit, offset string
		want          state.Page
		refused       bool
	}{
		"defaults":         {"", "", state.Page{Limit: 50}, false},
		"both":             {"100", "7", state.Page{Limit: 100, Offset: 7}, false},
		"the least":        {"1", "0", state.Page{Limit: 1}, false},
		"too few":          {"0", "", state.Page{}, true},
		"too many":         {"101", "", state.Page{}, true},
		"negative":         {"-5", "", state.Page{}, true},
		"words":            {"ten", "", state.Page{}, true},
		"a fraction":       {"1.5", "", state.Page{}, true},
		"a sign":           {"+5", "", state.Page{}, true},
		"offset below":     {"", "-1", state.Page{}, true},
		"offset overflows": {"", "99999999999999999999", state.Page{}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParsePage(tt.limit, tt.offset)
			if fault.Is(err, fault.Invalid) != tt.refused || err == nil && got != tt.want {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
}

func FuzzParsePage(f *testing.F) {
	for _, s := range []string{"", "1", "100", "101", "-1", "+1", "0x10", "1e2", "9223372036854775808", "\x00", " 1", "０"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, limit, offset string) {
		p, err := ParsePage(limit, offset)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		if p.Limit < 1 || p.Limit > MaxLimit || p.Offset < 0 || p.Offset > MaxOffset {
			t.Fatalf("%+v", p)
		}
	})
}

func FuzzLooksLikeID(f *testing.F) {
	for _, s := range []string{"thread_abc", "", "..", "a/b", "a\x00", "01a201be-14ef-7194-a353-8a90a8f88f99", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if !LooksLikeID(id) {
			return
		}
		if len(id) == 0 || len(id) > MaxIDBytes {
			t.Fatalf("%d bytes", len(id))
		}
		for _, b := range []byte(id) {
			if b <= ' ' || b >= 0x7f || b == '/' || b == '.' || b == '%' {
				t.Fatalf("%q", id)
			}
		}
	})
}
