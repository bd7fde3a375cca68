package door

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// thing has a field of every sort that bodies have.
type thing struct {
	Name  string            `json:"name"`
	Count int64             `json:"count"`
	Flag  *bool             `json:"flag"`
	List  []string          `json:"list"`
	Map   map[string]string `json:"map"`
	Raw   json.RawMessage   `json:"raw"`
	Inner struct {
		Text string `json:"text"`
	} `json:"inner"`
}

func TestDecodeNamesTheFieldAtFault(t *testing.T) {
	tests := map[string]struct{ body, field, says string }{
		"a number for a text":   {`{"name":1}`, "name", "name must be a string, not number"},
		"a text for a number":   {`{"count":"1"}`, "count", "count must be a whole number"},
		"a fraction":            {`{"count":1.5}`, "count", "count must be a whole number"},
		"a text for a flag":     {`{"flag":"yes"}`, "flag", "flag must be true or false"},
		"an object for a list":  {`{"list":{}}`, "list", "list must be an array"},
		"a list for an object":  {`{"map":[]}`, "map", "map must be an object"},
		"deeper":                {`{"inner":{"text":[]}}`, "inner.text", "inner.text must be a string"},
		"a list as a whole":     {`[1]`, "", "The body must be a JSON object"},
		"a text as a whole":     {`"x"`, "", "The body must be a JSON object"},
		"nothing but space":     {"  \n", "", "The body must be a JSON object"},
		"cut off":               {`{"name":"x`, "", "not valid JSON"},
		"something after":       {`{} true`, "", "not valid JSON"},
		"a NUL in a key":        {`{"a\u0000":1}`, "", "NUL"},
		"an escaped backslash":  {`{"name":"\\u0000"}`, "ok", ""},
		"brackets inside texts": {`{"name":"` + strings.Repeat("[", 100) + `"}`, "ok", ""},
		"32 levels":             {`{"raw":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, "ok", ""},
		"33 levels":             {`{"raw":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, "", "deeper than 32"},
		"an unknown field":      {`{"later":1}`, "ok", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var into thing
			err := Decode([]byte(tt.body), &into)
			if tt.field == "ok" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			f, ok := err.(*fault.Error)
			if !ok || f.Kind != fault.Invalid || f.Field != tt.field || !strings.Contains(f.Message, tt.says) {
				t.Fatalf("%v (field %q)", err, f.Field)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "{}", `{"name":"x"}`, `{"a":` + strings.Repeat("[", 40), `{"name":"\u0000"}`, `{"name":"\\u0000"}`,
		`{"name":"\"}`, "{\"name\":\"\xff\"}", "[[[[", `{"inner":{"text":1}}`, "\x00", `{"raw":1e999}`, `{"count":1e3}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var into thing
		err := Decode(raw, &into)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		if depth(raw) > MaxJSONDepth {
			t.Fatalf("%d levels were let through", depth(raw))
		}
		if strings.ContainsRune(into.Name+into.Inner.Text+strings.Join(into.List, ""), 0) {
			t.Fatal("a NUL was let through")
		}
	})
}

// depth is how deep valid JSON is nested, found another way than scan does.
func depth(raw []byte) int {
	deepest, now := 0, 0
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	for {
		token, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			deepest = max(deepest, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}
