package agentcomputer

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// Codes that this dialect adds to those of the kinds.
const (
	codePlatform = "platform_unavailable"
	codeTimeout  = "exec_timeout"
)

// statusOfCode says where this dialect's status is not the kind's.
var statusOfCode = map[string]int{
	codePlatform: http.StatusUnprocessableEntity,
	codeTimeout:  http.StatusRequestTimeout,
}

// codeOfKind is what the body's code says of a failure that has none.
var codeOfKind = map[fault.Kind]string{
	fault.Invalid:      "invalid_request",
	fault.Unauthorized: "unauthorized",
	fault.Forbidden:    "forbidden",
	fault.NotFound:     "not_found",
	fault.Conflict:     "conflict",
	fault.Moved:        "unavailable",
	fault.Payment:      "payment_required",
	fault.Exhausted:    "rate_limited",
	fault.TooLarge:     "too_large",
	fault.Full:         "insufficient_storage",
	fault.Unavailable:  "unavailable",
	fault.Unsupported:  "unsupported",
	fault.Internal:     "internal_error",
}

// failure is the body of every reply that is no success.
type failure struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Field   string `json:"field,omitempty"`
		Request string `json:"request_id"`
	} `json:"error"`
}

// refuse writes a failure as this dialect's clients read it.
func refuse(c *gin.Context, f *fault.Error) (int, any) {
	status, known := statusOfCode[f.Code]
	if !known {
		status = door.Statuses[f.Kind]
	}
	var body failure
	body.Error.Code, body.Error.Message, body.Error.Field, body.Error.Request = strings.ToLower(f.Code), f.Message, f.Field, door.RequestID(c)
	if body.Error.Code == "" {
		body.Error.Code = codeOfKind[f.Kind]
	}
	return status, body
}
