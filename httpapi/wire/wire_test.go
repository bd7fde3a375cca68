package wire_test

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestUSDSurvivesJSONExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := wire.USD(rapid.Int64Range(-1e15, 1e15).Draw(t, "micros"))
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got wire.USD
		if err := json.Unmarshal(b, &got); err != nil || got != want {
			t.Fatalf("%d became %s became %d: %v", want, b, got, err)
		}
	})
}

func TestParseUSD(t *testing.T) {
	tests := map[string]struct {
		want wire.USD
		ok   bool
	}{
		"10": {10_000_000, true}, "10.00": {10_000_000, true}, "0.000001": {1, true}, "-2.5": {-2_500_000, true}, "1e2": {100_000_000, true},
		"0.0000001": {}, "1e300": {}, "1e-300": {}, "1/3": {}, "0x10": {}, "1_000": {}, "": {}, "NaN": {}, "Inf": {}, `"5"`: {}, "null": {},
		"9999999999999999999999": {}, "1e999999999": {},
	}
	for text, tt := range tests {
		if got, err := wire.ParseUSD(text); (err == nil) != tt.ok || got != tt.want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func FuzzParseUSD(f *testing.F) {
	for _, s := range []string{"1", "0.1", "-0", "1e9", "1e", "e", "0x1p4", "1/2", " 1", "1.", ".5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := wire.ParseUSD(text)
		if err != nil {
			return
		}
		if again, err := wire.ParseUSD(got.String()); err != nil || again != got {
			t.Fatalf("%q is %d, whose text is %s, which is %d (%v)", text, got, got, again, err)
		}
	})
}

func TestTimesHaveMillisecondsInUTC(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_700_000, time.FixedZone("x", 3600))
	b, err := json.Marshal(wire.At(at))
	if err != nil || string(b) != `"2026-01-02T02:04:05.006Z"` {
		t.Fatalf("%s, %v", b, err)
	}
	if wire.Maybe(time.Time{}) != nil {
		t.Fatal("the zero time is a time")
	}
	var got wire.Time
	if err := json.Unmarshal([]byte(`"yesterday"`), &got); err == nil {
		t.Fatal("yesterday is a time")
	}
}

func TestOptionalTellsAbsentFromNull(t *testing.T) {
	type body struct {
		A wire.Optional[string] `json:"a,omitzero"`
	}
	for text, want := range map[string]wire.Optional[string]{
		`{}`: {}, `{"a":null}`: wire.Null[string](), `{"a":"x"}`: wire.Some("x"), `{"a":""}`: wire.Some(""),
	} {
		var got body
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.A != want {
			t.Errorf("%s: %+v, %v", text, got.A, err)
		}
		if b, err := json.Marshal(got); err != nil || string(b) != text {
			t.Errorf("%s became %s, %v", text, b, err)
		}
	}
}
