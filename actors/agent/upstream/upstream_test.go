package upstream

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
)

func TestRetryAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"nothing":               {nil, 0},
		"seconds":               {map[string]string{"Retry-After": "7"}, 7 * time.Second},
		"parts of a second":     {map[string]string{"Retry-After": "0.5"}, 500 * time.Millisecond},
		"milliseconds first":    {map[string]string{"Retry-After": "7", "Retry-After-Ms": "20"}, 20 * time.Millisecond},
		"a date":                {map[string]string{"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30 * time.Second},
		"a date gone by":        {map[string]string{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0},
		"a date without a date": {map[string]string{"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0},
		"less than nothing":     {map[string]string{"Retry-After": "-7"}, 0},
		"no number at all":      {map[string]string{"Retry-After": "NaN"}, 0},
		"for ever":              {map[string]string{"Retry-After": "1e300"}, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			for k, v := range tt.header {
				h.Set(k, v)
			}
			if got := retryAfter(h); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzFailure(f *testing.F) {
	for _, seed := range []string{`{"error":{"type":"x","code":5,"message":"m"}}`, `{"error":"words"}`, `{"error":null,"message":"m"}`, `{"code":"rate_limit"}`, "<html>", ""} {
		f.Add(500, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := Failure(status, body)
		if e.Kind == "" || e.Message == "" || len(e.Message) > 3*maxMessageBytes {
			t.Errorf("%d %q became %+v", status, body, e)
		}
	})
}

func TestKeysAreNeverRepeated(t *testing.T) {
	e := Failure(401, []byte(`{"error":{"message":"Incorrect API key provided: sk-abc123"}}`))
	if e.Kind != agent.Auth || strings.Contains(e.Message, "sk-abc") {
		t.Errorf("%+v", e)
	}
}

func TestEndlessReplyFails(t *testing.T) {
	alive := 0
	b := &bounded{ReadCloser: io.NopCloser(endless{}), left: 1 << 20, alive: func() { alive++ }}
	n, err := io.Copy(io.Discard, b)
	if n != 1<<20 || agent.AsError(err).Kind != agent.BadRequest || alive == 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
