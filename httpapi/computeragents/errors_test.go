package computeragents

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
)

func TestEveryFaultHasAStatusAndWords(t *testing.T) {
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	for _, kind := range fault.Kinds() {
		if door.Statuses[kind] == 0 {
			t.Errorf("fault %q has no HTTP status", kind)
		}
		status, body := Refuse(c, fault.New(kind, "x"))
		if body.Error == "" || http.StatusText(status) == "" {
			t.Errorf("fault %q is answered with %d and %q", kind, status, body.Error)
		}
	}
	for code, status := range statusOfCode {
		if words[status] == "" {
			t.Errorf("code %s is answered with %d, which has no words", code, status)
		}
	}
}

func FuzzResumeAt(f *testing.F) {
	for _, s := range []string{"", "0", "7", "-1", "+1", "18446744073709551615", "9223372036854775807", "1e3", "０", "1\x00", " 1"} {
		f.Add(s, "")
		f.Add("", s)
	}
	f.Fuzz(func(t *testing.T, query, header string) {
		seq, err := resumeAt(query, header)
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatalf("%v is no refusal", err)
		}
		if err == nil && seq > 1<<63-1 {
			t.Fatalf("seq %d would overflow where it is counted up", seq)
		}
	})
}
